// The lower layer of the console: a card for each gateway, the troubled ones first. Of a closed card only its line is
// drawn, so that many gateways cost little.

import { arrange, el, icon, mark, say, show } from "../dom.js";
import { age, isNumber, percent, power, UNKNOWN } from "../format.js";
import { keep, kept } from "../kept.js";
import { doing, gateway, isFlowing, NAMES } from "../site.js";
import { t } from "../words.js";
import { warnings } from "./alerts.js";
import { SECTIONS } from "./sections.js";

const FIGURES = ["solar", "load", "battery", "grid"];
/** So many stay open that were opened because of their trouble. */
const MOST_OPENED = 3;
const RANKS = ["alarm", "bad", "warn", "good", "quiet"];

const RAW = "pw_console_raw";
const root = document.documentElement;
root.classList.toggle("raw", kept(RAW, false) === true);

/** Shows what the gateways themselves call their alerts and states, beside the words, or no longer. */
function toggleNames() {
  keep(RAW, root.classList.toggle("raw"));
}

/** What a gateway's line says of it: `{ level, text }`. */
export function condition(site, state, now) {
  const old = isNumber(site.takenAt) ? age(now - site.takenAt) : null;
  const isReporting = site.freshness === "live" || site.freshness === "stale";
  if (isReporting && site.isOutage) return { level: "alarm", text: t("Grid outage") };
  if (site.freshness === "expired") return { level: "bad", text: old ? t("Offline, {age} old", { age: old }) : t("Offline, no values") };
  if (site.freshness === "never") return site.status.error ? { level: "bad", text: t("Offline, no values") } : { level: "quiet", text: t("No data yet") };
  if (site.freshness === "stale") return { level: "warn", text: t("Delayed, {age} old", { age: old }) };
  const many = warnings(state, site.id).length;
  if (many > 0) return { level: "warn", text: many === 1 ? t("1 warning") : t("{number} warnings", { number: many }) };
  return { level: "good", text: site.hasBattery ? t("Live") : `${t("Solar only")} · ${t("Live")}` };
}

/** The value of one of the four in a line, and what it does where that is worth a word. */
function figure(of, site) {
  const watts = site[of];
  if (of !== "battery") return [power(watts), of === "grid" && (isFlowing(watts) || site.isOutage) ? doing(of, site) : ""];
  return [percent(site.soe), isNumber(watts) ? [doing(of, site), isFlowing(watts) && power(watts)].filter(Boolean).join(" ") : ""];
}

class Card {
  #name = el("h2");
  #state = el("span", { class: "state" });
  #figures = Object.fromEntries(
    FIGURES.map((of) => {
      const [value, what] = [el("b"), el("small")];
      const label = el("span", { class: "unseen" }, NAMES[of]);
      return [of, { value, what, node: el("span", { class: `of-${of}`, "data-of": of }, icon(of), label, value, what) }];
    }),
  );
  #line = el("span", { class: "line" }, FIGURES.map((of) => this.#figures[of].node));
  #body = el("div", { class: "parts" });
  #names = el("button", { type: "button", class: "push" }, t("Original names"));
  /** Made when the card is opened first. */
  #parts = null;

  /** `onToggle(isOpen)`: somebody has opened or closed it. */
  constructor(id, onToggle) {
    const summary = el("summary", null, this.#name, this.#state, this.#line);
    this.node = el("details", { class: "card gateway", "data-gateway": id }, summary, this.#body, this.#names);
    this.id = id;
    this.#names.addEventListener("click", () => {
      toggleNames();
      this.#drawNames();
    });
    summary.addEventListener("click", () => setTimeout(() => onToggle(this.node.open)));
  }

  /** The parts that it shows, or `null` while it is closed. */
  draw(context, site, condition, hidden) {
    const { node } = this;
    say(this.#name, site.name);
    say(this.#state, condition.text);
    mark(this.#state, "data-kind", condition.level);
    mark(node, "data-level", condition.level);
    for (const of of FIGURES) {
      const [value, what] = figure(of, site);
      const { node: cell, value: number, what: words } = this.#figures[of];
      say(number, value);
      say(words, what === t("Unknown") ? "" : what);
      cell.classList.toggle("void", value === UNKNOWN || (of === "battery" && !site.hasBattery));
    }
    node.classList.toggle("aged", context.isLost || site.freshness === "expired");
    show(this.#line, context.isMany);
    return node.open ? this.#drawParts(context, hidden) : null;
  }

  #drawNames() {
    mark(this.#names, "aria-pressed", String(root.classList.contains("raw")));
  }

  #drawParts(context, hidden) {
    this.#parts ??= SECTIONS.map(({ id, title, make, isWide }) => {
      const part = make();
      const node = el("section", { class: isWide ? "part wide" : "part", "data-part": id }, el("h3", null, title), part.node);
      this.#body.append(node);
      return { id, part, node };
    });
    this.#drawNames();
    const active = new Set();
    for (const { id, part, node } of this.#parts) {
      const isActive = hidden.has(id) || part.draw(context, this.id) !== false;
      if (isActive) active.add(id);
      show(node, isActive && !hidden.has(id));
    }
    return active;
  }
}

export class Gateways {
  node = el("div", { id: "gateways" });
  #cards = new Map();
  /** What somebody opened or closed, by gateway. */
  #chosen = new Map();
  /** Those that were opened because of their trouble; they stay so, for who is reading. */
  #opened = [];
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /** The parts that have something to show in any open card; `null` where all are closed. */
  draw(context, hidden) {
    const { state, now, ids } = context;
    for (const [id, { node }] of this.#cards) {
      if (ids.includes(id)) continue;
      node.remove();
      this.#cards.delete(id);
    }
    const all = ids.map((id) => {
      const site = gateway(state, id);
      const is = condition(site, state, now);
      return { card: this.#card(id), site, is, rank: RANKS.indexOf(is.level) };
    });
    const sorted = all.slice().sort((one, other) => one.rank - other.rank);
    const [first] = sorted;
    if (first?.rank < RANKS.indexOf("good") && !this.#opened.includes(first.site.id)) this.#opened = [first.site.id, ...this.#opened].slice(0, MOST_OPENED);
    const active = new Set();
    let isAnyOpen = false;
    for (const { card, site, is } of all) {
      const isOpen = this.#chosen.get(site.id) ?? (ids.length === 1 || this.#opened.includes(site.id));
      if (card.node.open !== isOpen) card.node.open = isOpen;
      const shown = card.draw(context, site, is, hidden);
      isAnyOpen ||= shown !== null;
      for (const part of shown ?? []) active.add(part);
    }
    // Nothing moves away under who is in the middle of it.
    if (!this.node.contains(document.activeElement) || this.node.children.length !== sorted.length) arrange(this.node, sorted.map(({ card }) => card.node));
    return isAnyOpen ? active : null;
  }

  #card(id) {
    if (!this.#cards.has(id)) {
      const onToggle = (isOpen) => {
        this.#chosen.set(id, isOpen);
        this.#changed();
      };
      this.#cards.set(id, new Card(id, onToggle));
    }
    return this.#cards.get(id);
  }
}
