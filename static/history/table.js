// The figures of a period as tables: row by row, and what was counted over outages.

import { el, show } from "../dom.js";
import { isNumber, percent } from "../format.js";
import { inWords } from "./figures.js";
import { nameInWords } from "./period.js";
import { locale, t } from "../words.js";

const COLUMNS = [[t("Solar"), "solar"], [t("Home"), "home"], [t("From battery"), "discharge"], [t("Into battery"), "charge"], [t("From grid"), "import"], [t("To grid"), "export"]];
/** How an energy was got, in words. */
const SOURCES = { counted: t("counted"), integrated: t("from power"), recovered: t("counted over a gap"), taken_over: t("from the previous server"), imported: t("imported") };

const moment = (at, zone) => new Intl.DateTimeFormat(locale, { timeZone: zone ?? undefined, dateStyle: "medium", timeStyle: "short" }).format(new Date(at * 1000));

/** Newest first. */
export function table(place, rows, zone) {
  const heads = ["", ...COLUMNS.map(([title]) => title), t("Measured"), t("Source")];
  const head = el("tr", null, heads.map((title, index) => el("th", { scope: "col", "data-number": index > 0 && index < 8 }, title)));
  const lines = rows.toReversed().map((row) => {
    const name = row.name ? nameInWords(row.name) : moment(row.start, zone);
    const sources = [...new Set(Object.values(row.sources ?? {}).flat())].map((word) => SOURCES[word] ?? word);
    const covered = isNumber(row.coverage) ? percent(row.coverage * 100) : "";
    return el("tr", null, el("th", { scope: "row" }, name), COLUMNS.map(([, flow]) => el("td", { "data-number": true }, inWords(row[`${flow}_kwh`]))), el("td", { "data-number": true }, covered), el("td", null, sources.join(", ")));
  });
  place.replaceChildren(el("div", { class: "table", tabindex: "0", role: "region", "aria-label": t("Figures") }, el("table", null, el("thead", null, head), el("tbody", null, lines))));
}

export function recovered(place, gateways, zone) {
  const intervals = gateways.flatMap(({ recovered: list }) => list);
  show(place, intervals.length > 0);
  if (intervals.length === 0) return place.replaceChildren();
  const lines = intervals.map((interval) => {
    const energies = COLUMNS.filter(([, flow]) => isNumber(interval[`${flow}_kwh`])).map(([title, flow]) => `${title} ${inWords(interval[`${flow}_kwh`])}`);
    return el("li", null, el("b", null, `${moment(interval.start, zone)} – ${moment(interval.end, zone)}`), ` ${energies.join(" · ")}`);
  });
  place.replaceChildren(el("h2", null, t("Counted over gaps")), el("p", { class: "hint" }, t("The counters continued while nobody read them: how much flowed is known, but not when.")), el("ul", null, lines));
}
