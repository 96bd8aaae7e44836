// What all that match add up to; a sum that is not of all of them says so.

import { el, icon, mark, say, show } from "../dom.js";
import { isNumber, percent, UNKNOWN } from "../format.js";
import { isFlowing } from "../site.js";
import { t } from "../words.js";
import { count, energies, powers } from "./words.js";

const WAYS = {
  solar: (watts) => (isFlowing(watts) ? t("Producing") : t("No sun")),
  load: (watts) => (isFlowing(watts) ? t("Using") : t("Idle")),
  battery: (watts) => (!isFlowing(watts) ? t("Idle") : watts > 0 ? t("Discharging") : t("Charging")),
  grid: (watts) => (!isFlowing(watts) ? t("Idle") : watts > 0 ? t("Importing") : t("Exporting")),
};
const POWERS = [
  ["solar", t("Solar"), "solar_w"],
  ["load", t("Home"), "home_w"],
  ["battery", t("Battery"), "battery_w"],
  ["grid", t("Grid"), "grid_w"],
];

/** In words which way the power of one of the four sources goes; of what is not known, nothing. */
export const way = (of, watts) => (isNumber(watts) ? WAYS[of](watts) : "");

/** “of 7 of 9 sites” where it is not of all. */
export const ofSome = (of, sites) => (of === sites || of === 0 ? "" : t("of {number} of {all} sites", { number: count(of), all: count(sites) }));

function tile(of, title, picture) {
  const value = el("b", { class: "value" });
  const [what, some] = [el("span"), el("span", { class: "some" })];
  const node = el("div", { class: of ? `sum of-${of}` : "sum", "data-sum": of ?? "sites" }, el("h2", { class: "label" }, picture, title), value, what, some);
  return { node, set: (number, words, part) => [say(value, number), say(what, words), say(some, part)] };
}

export class Totals {
  #sites = tile(null, t("Sites"), null);
  #powers = POWERS.map(([of, title, key]) => ({ of, key, ...tile(of, title, icon(of)) }));
  #stored = tile("battery", t("Stored"), null);
  nodes = [this.#sites.node, ...this.#powers.map(({ node }) => node), this.#stored.node];

  constructor() {
    mark(this.#stored.node, "data-sum", "stored");
  }

  draw(sums, all) {
    const { sites, reporting } = sums;
    const isPart = sites !== all;
    const report = reporting === sites ? t("all report") : t("{number} of {all} report", { number: count(reporting), all: count(sites) });
    this.#sites.set(count(sites), report, isPart ? t("of {all} altogether", { all: count(all) }) : "");
    mark(this.#sites.node, "data-level", reporting === sites ? null : "warn");
    for (const { of, key, set } of this.#powers) {
      const { sum, of: number } = sums[key];
      set(powers(sum), sum === null ? t("Unknown") : way(of, sum), ofSome(number, sites));
    }
    const { stored_wh: stored, capacity_wh: capacity } = sums;
    const whole = isNumber(capacity.sum) ? t("of {whole}", { whole: energies(capacity.sum) }) : t("Unknown");
    const charge = isNumber(sums.charge) ? ` · ${percent(sums.charge)}` : "";
    this.#stored.set(isNumber(stored.sum) ? energies(stored.sum) : UNKNOWN, `${whole}${charge}`, ofSome(Math.min(stored.of, capacity.of), sites));
    for (const node of this.nodes) show(node, true);
  }
}
