// The groups as cards, each with its sums, the worst first.

import { arrange, el, mark, say, show } from "../dom.js";
import { isNumber, percent, UNKNOWN } from "../format.js";
import { t } from "../words.js";
import { TROUBLES as KINDS } from "./asked.js";
import { ofSome, way } from "./sums.js";
import { TROUBLES, count, energies, powers } from "./words.js";

/** Cards that are there before more are asked for. */
const STEP = 60;
const POWERS = [
  ["solar", t("Solar"), "solar_w"],
  ["load", t("Home"), "home_w"],
  ["battery", t("Battery"), "battery_w"],
  ["grid", t("Grid"), "grid_w"],
];

function fact(title, of) {
  const value = el("dd");
  return { value, node: el("div", { class: of && `of-${of}` }, el("dt", null, title), value) };
}

class Card {
  #name = el("button", { type: "button" });
  #report = el("p", { class: "report" });
  #troubles = el("ul", { class: "troubles", "aria-label": t("Troubles") });
  #powers = POWERS.map(([of, title, key]) => ({ of, key, ...fact(title, of) }));
  #stored = fact(t("Stored"), "battery");

  constructor(group, choose) {
    this.#name.addEventListener("click", () => choose(group ?? ""));
    say(this.#name, group ?? t("Without a group"));
    const facts = el("dl", { class: "facts" }, this.#powers.map(({ node }) => node), this.#stored.node);
    this.node = el("li", { class: "card group" }, el("h2", null, this.#name), this.#report, this.#troubles, facts);
  }

  draw({ sites, reporting, troubles, ...sums }) {
    const words = { number: count(reporting), all: count(sites) };
    say(this.#report, reporting === sites ? t("{all} sites, all report", words) : t("{number} of {all} sites report", words));
    mark(this.#report, "data-kind", reporting === sites ? "quiet" : "warn");
    const found = KINDS.filter((kind) => troubles[kind] > 0);
    while (this.#troubles.children.length > found.length) this.#troubles.lastChild.remove();
    found.forEach((kind, place) => {
      const item = this.#troubles.children[place] ?? this.#troubles.appendChild(el("li", { class: "state" }));
      say(item, `${TROUBLES[kind].name} ${count(troubles[kind])}`);
      mark(item, "data-kind", TROUBLES[kind].level);
    });
    show(this.#troubles, found.length > 0);
    mark(this.node, "data-level", found.length > 0 ? TROUBLES[found[0]].level : null);
    for (const { of, key, value } of this.#powers) {
      const { sum, of: number } = sums[key];
      say(value, [powers(sum), way(of, sum), number === reporting ? "" : ofSome(number, sites)].filter(Boolean).join(" · "));
    }
    const { stored_wh: stored, charge } = sums;
    say(this.#stored.value, isNumber(stored.sum) ? [energies(stored.sum), isNumber(charge) ? percent(charge) : "", stored.of === reporting ? "" : ofSome(stored.of, sites)].filter(Boolean).join(" · ") : UNKNOWN);
  }
}

export class Groups {
  #cards = new Map();
  #shown = STEP;
  #list = el("ul", { class: "groups-list" });
  #more = el("button", { type: "button", class: "push" });
  #choose;
  #last = null;

  constructor(choose) {
    this.#choose = choose;
    this.#more.addEventListener("click", () => {
      this.#shown += STEP;
      if (this.#last) this.draw(this.#last);
    });
    this.nodes = [this.#list, this.#more];
  }

  draw(answer) {
    this.#last = answer;
    const groups = answer.groups.slice(0, this.#shown);
    const wanted = new Set(groups.map(({ group }) => group));
    for (const [group, { node }] of this.#cards) {
      if (wanted.has(group)) continue;
      node.remove();
      this.#cards.delete(group);
    }
    for (const { group, sums } of groups) {
      if (!this.#cards.has(group)) this.#cards.set(group, new Card(group, this.#choose));
      this.#cards.get(group).draw(sums);
    }
    arrange(this.#list, groups.map(({ group }) => this.#cards.get(group).node));
    const rest = answer.groups.length - groups.length;
    say(this.#more, t("{number} more", { number: count(rest) }));
    show(this.#more, rest > 0);
  }
}
