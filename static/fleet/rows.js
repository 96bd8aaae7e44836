// The sites of one page as rows, the worst first: at most a hundred of them are in the document.

import { arrange, el, mark, say, show, vary } from "../dom.js";
import { age, isNumber, percent, power, UNKNOWN } from "../format.js";
import { t } from "../words.js";
import { ROWS } from "./asked.js";
import { way } from "./sums.js";
import { TROUBLES, count, detail } from "./words.js";

const POWERS = [
  ["solar", t("Solar"), "solar_w"],
  ["load", t("Home"), "home_w"],
  ["battery", t("Battery"), "battery_w"],
  ["grid", t("Grid"), "grid_w"],
];
const FRESH = { live: t("Live"), stale: t("Delayed"), expired: t("Offline"), never: t("No data yet") };

const cell = (name, ...children) => el("td", { role: "cell", class: name }, ...children);
const heading = (name, text) => el("th", { role: "columnheader", class: name, scope: "col" }, text);

/** The row of one site. */
class Row {
  #box = el("input", { type: "checkbox" });
  #link = el("a");
  #about = el("small");
  #trouble = el("b", { class: "state" });
  #others = el("small", { class: "others" });
  #why = el("small");
  #charge = el("b");
  #level = el("i");
  #reserve = el("i", { class: "mark" });
  #powers = POWERS.map(([of, title, key]) => {
    const [watts, words] = [el("b"), el("small")];
    return { of, key, watts, words, node: cell(`power of-${of}`, el("span", { class: "title" }, title), watts, words) };
  });
  #firmware = el("small");
  #age = el("span");

  constructor(id, picked) {
    this.id = id;
    this.#link.href = `console?site=${encodeURIComponent(id)}`;
    this.#box.addEventListener("change", () => picked.set(this.site, this.#box.checked));
    const bar = el("span", { class: "bar of-battery", "aria-hidden": "true" }, this.#level, this.#reserve);
    this.node = el(
      "tr",
      { role: "row", "data-id": id },
      cell("pick", this.#box),
      el("th", { role: "rowheader", class: "site", scope: "row" }, this.#link, this.#about),
      cell("trouble", el("span", null, this.#trouble, this.#others), this.#why),
      cell("charge", this.#charge, bar),
      this.#powers.map(({ node }) => node),
      cell("firmware", this.#firmware),
      cell("age", this.#age),
    );
  }

  get link() {
    return this.#link;
  }

  draw(site, { now, passed, isOld, picked }) {
    this.site = site;
    const name = site.name || site.id;
    say(this.#link, name);
    const more = site.site_name && site.site_name !== name ? [site.site_name] : [];
    say(this.#about, [...more, site.group, ...site.tags].filter(Boolean).join(" · "));
    mark(this.#box, "aria-label", t("Select {name}", { name }));
    const isPicked = picked.has(site.id);
    if (this.#box.checked !== isPicked) this.#box.checked = isPicked;
    mark(this.node, "aria-selected", picked.isPossible ? String(isPicked) : null);
    this.#drawTrouble(site, now, isOld);
    this.#drawValues(site);
    say(this.#firmware, site.firmware ?? UNKNOWN);
    // While it is live, nothing here would say how old it is by now.
    const isLive = site.freshness === "live" && !isOld;
    const hasAge = isNumber(site.age_s) && !isLive && site.freshness !== "never";
    const fresh = isOld ? t("Unknown") : FRESH[site.freshness];
    say(this.#age, hasAge ? t("{age} old", { age: age(site.age_s + passed) }) : fresh);
    mark(this.node, "data-fresh", isOld ? "unknown" : site.freshness);
  }

  #drawTrouble(site, now, isOld) {
    const [worst, ...others] = site.troubles;
    const about = worst ? TROUBLES[worst.kind] : null;
    const isLive = site.freshness === "live" && !isOld;
    const level = about?.level ?? (isLive ? "good" : site.freshness === "stale" ? "warn" : "quiet");
    const fresh = isOld ? t("Unknown") : FRESH[site.freshness];
    say(this.#trouble, about?.name ?? (isLive ? t("In order") : fresh));
    mark(this.#trouble, "data-kind", level);
    mark(this.node, "data-level", level);
    say(this.#others, others.map(({ kind }) => TROUBLES[kind]?.name ?? kind).join(", "));
    say(this.#why, worst ? detail(site, worst, now) : "");
  }

  #drawValues(site) {
    say(this.#charge, percent(site.charge));
    vary(this.#level, "--level", String(isNumber(site.charge) ? site.charge : 0));
    vary(this.#reserve, "--at", String(site.reserve ?? 0));
    show(this.#reserve, isNumber(site.reserve) && isNumber(site.charge));
    mark(this.node, "data-void", isNumber(site.charge) || POWERS.some(([, , key]) => isNumber(site[key])) ? null : "");
    for (const { of, key, watts, words } of this.#powers) {
      say(watts, power(site[key]));
      say(words, of === "grid" && site.grid === "DOWN" ? t("Grid outage") : way(of, site[key]));
    }
  }
}

export class Rows {
  #rows = new Map();
  #picked;
  #all = el("input", { type: "checkbox", "aria-label": t("Select all rows of this page") });
  #body = el("tbody", { role: "rowgroup" });
  #table;
  #turn;
  #back = el("button", { type: "button", class: "push", "aria-label": t("Rows before") }, "‹");
  #on = el("button", { type: "button", class: "push", "aria-label": t("Next rows") }, "›");
  #where = el("p", { class: "where", "aria-live": "polite" });
  #pages;

  /** `turn(steps)` when other rows are asked for. */
  constructor(picked, turn) {
    this.#picked = picked;
    this.#turn = turn;
    const names = [["site", t("Site")], ["trouble", t("State")], ["charge", t("Charge")], ...POWERS.map(([of, title]) => [`power of-${of}`, title]), ["firmware", t("Firmware")], ["age", t("Data")]];
    const head = el("tr", { role: "row" }, el("th", { role: "columnheader", class: "pick", scope: "col" }, this.#all), names.map(([name, text]) => heading(name, text)));
    this.#table = el("table", { class: "rows", role: "table", "aria-label": t("Sites") }, el("thead", { role: "rowgroup" }, head), this.#body);
    this.#all.addEventListener("change", () => {
      // Each of them draws the box anew.
      const isPicked = this.#all.checked;
      for (const { site } of this.#rows.values()) picked.set(site, isPicked);
    });
    this.#back.addEventListener("click", () => turn(-1));
    this.#on.addEventListener("click", () => turn(1));
    this.#pages = el("nav", { class: "pages", "aria-label": t("Pages of rows") }, this.#back, this.#where, this.#on);
    this.#body.addEventListener("keydown", (event) => this.#press(event));
    this.nodes = [this.#table, this.#pages];
  }

  /** Up and down from row to row, left and right from page to page. */
  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = [...this.#body.children];
    const at = rows.findIndex((row) => row.contains(event.target));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (event.key === "ArrowRight") this.#turn(1);
    else if (event.key === "ArrowLeft") this.#turn(-1);
    else if (to === undefined) return;
    else {
      const isBox = event.target.type === "checkbox";
      rows[to]?.querySelector(isBox ? "input" : "a")?.focus();
    }
    event.preventDefault();
  }

  focus() {
    this.#body.querySelector("a")?.focus();
  }

  draw(answer, context) {
    const focused = document.activeElement;
    const wanted = new Set(answer.sites.map(({ id }) => id));
    for (const [id, { node }] of this.#rows) {
      if (wanted.has(id)) continue;
      node.remove();
      this.#rows.delete(id);
    }
    for (const site of answer.sites) {
      if (!this.#rows.has(site.id)) this.#rows.set(site.id, new Row(site.id, this.#picked));
      this.#rows.get(site.id).draw(site, { ...context, picked: this.#picked });
    }
    arrange(this.#body, answer.sites.map(({ id }) => this.#rows.get(id).node));
    // What is moved in a document loses the focus.
    if (focused !== document.activeElement && this.#body.contains(focused)) focused.focus({ preventScroll: true });
    this.#table.classList.toggle("picking", this.#picked.isPossible);
    const isEach = answer.sites.length > 0 && answer.sites.every(({ id }) => this.#picked.has(id));
    if (this.#all.checked !== isEach) this.#all.checked = isEach;
    show(this.#table, answer.sites.length > 0);
    this.#drawPages(answer);
  }

  #drawPages({ matching, offset, sites }) {
    const last = offset + sites.length;
    say(this.#where, t("{first}–{last} of {all}", { first: count(offset + 1), last: count(last), all: count(matching) }));
    this.#back.disabled = offset === 0;
    this.#on.disabled = last >= matching;
    show(this.#pages, matching > ROWS && sites.length > 0);
  }
}
