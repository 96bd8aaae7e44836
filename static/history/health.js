// What the batteries can hold, month by month.

import { el, show, svg } from "../dom.js";
import { isNumber, measure, percent, UNKNOWN } from "../format.js";
import { ask } from "./ask.js";
import { nameInWords } from "./period.js";
import { t } from "../words.js";

/** A line of what a battery could hold, over what it held when it was new and what its maker promises. */
function line(unit) {
  const values = unit.months.map(({ capacity_wh: capacity }) => capacity);
  if (values.length < 2) return null;
  const top = Math.max(...values, unit.new_wh ?? 0) * 1.02;
  const floor = Math.min(...values, unit.warranted_wh ?? Infinity) * 0.95;
  const y = (value) => (30 - ((value - floor) / (top - floor)) * 28).toFixed(1);
  const points = values.map((value, place) => `${((place / (values.length - 1)) * 100).toFixed(1)},${y(value)}`);
  const mark = unit.warranted_wh ? svg("line", { x1: 0, x2: 100, y1: y(unit.warranted_wh), y2: y(unit.warranted_wh), class: "warranty" }) : null;
  return svg("svg", { class: "spark", viewBox: "0 0 100 32", preserveAspectRatio: "none", role: "img", "aria-label": t("From {from} to {to}", { from: nameInWords(unit.months[0].month), to: nameInWords(unit.months.at(-1).month) }) }, mark, svg("polyline", { points: points.join(" ") }));
}

export async function health(place, sites) {
  let answer;
  try {
    answer = await ask("api/history/health", new AbortController().signal);
  } catch {
    return;
  }
  const units = Object.entries(answer.gateways).flatMap(([id, { units: list }]) => list.map((unit) => ({ ...unit, site: sites.find((site) => site.id === id)?.name ?? id })));
  show(place, units.length > 0);
  if (units.length === 0) return;
  const several = new Set(units.map(({ site }) => site)).size > 1;
  const rows = units.map((unit) => {
    const now = unit.months.at(-1);
    const name = [several && unit.site, unit.name].filter(Boolean).join(" ");
    const cells = [
      isNumber(now?.capacity_wh) ? measure(now.capacity_wh / 1000, "kWh", 2) : UNKNOWN,
      isNumber(unit.share_of_new) ? percent(unit.share_of_new * 100) : UNKNOWN,
      isNumber(unit.full_cycles) ? String(Math.round(unit.full_cycles)) : UNKNOWN,
    ];
    return el("tr", null, el("th", { scope: "row" }, name), cells.map((cell) => el("td", { "data-number": true }, cell)), el("td", null, line(unit)));
  });
  const head = el("tr", null, ["", t("Holds now"), t("Of new"), t("Full cycles"), t("By month")].map((title, index) => el("th", { scope: "col", "data-number": index > 0 && index < 4 }, title)));
  place.replaceChildren(
    el("h2", null, t("Battery health")),
    el("div", { class: "table", tabindex: "0", role: "region", "aria-label": t("Battery health") }, el("table", null, el("thead", null, head), el("tbody", null, rows))),
    el("p", { class: "hint" }, t("As the units themselves estimate it, mean of each month. The dashed line is what the maker's warranty promises after ten years: 70 %.")),
  );
}
