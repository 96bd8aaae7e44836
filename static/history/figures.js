// The energies of a period, each beside the same stretch of the period before.

import { el, icon } from "../dom.js";
import { decimal, isNumber, UNKNOWN } from "../format.js";
import { t } from "../words.js";

const TIED = "\u00a0";
const TILES = [
  ["solar", t("Solar"), "solar"],
  ["home", t("Home"), "load"],
  ["discharge", t("From battery"), "battery"],
  ["charge", t("Into battery"), "battery"],
  ["import", t("From grid"), "grid"],
  ["export", t("To grid"), "grid"],
];

/** kWh as number and unit. */
export function kilowattHours(value) {
  if (!isNumber(value)) return [UNKNOWN, ""];
  const size = Math.abs(value);
  if (size >= 9_999.5) return [decimal(value / 1000, 1), "MWh"];
  return [decimal(value, size < 99.95 ? 1 : 0), "kWh"];
}

export const inWords = (value) => kilowattHours(value).join(TIED).trim();

/** Part of the home's energy that did not come from the grid, in percent. */
export function selfPowered({ home_kwh: home, import_kwh: imported }) {
  return isNumber(home) && isNumber(imported) && home > 0 ? Math.max(0, Math.min(100, (1 - imported / home) * 100)) : null;
}

/** Part of the sun's energy that was not given away, in percent. */
export function selfConsumed({ solar_kwh: solar, export_kwh: exported }) {
  return isNumber(solar) && isNumber(exported) && solar > 0 ? Math.max(0, Math.min(100, (1 - exported / solar) * 100)) : null;
}

/** The change from `before` to `now`, in words; where that is of a shorter time, what it was. */
function change(now, before, { isShare, isShorter }) {
  if (!isNumber(now) || !isNumber(before)) return "";
  const differs = isShorter && !isShare ? null : isShare ? Math.round(now - before) : before > 0.05 ? Math.round((now / before - 1) * 100) : null;
  if (differs === null || Math.abs(differs) > 999) return t("{value} before", { value: isShare ? `${Math.round(before)}${TIED}%` : inWords(before) });
  if (differs === 0) return t("as before");
  return `${differs > 0 ? "▲" : "▼"}${TIED}${Math.abs(differs)}${TIED}${isShare ? t("points") : "%"}`;
}

function tile(of, title, [number, unit], note, picture) {
  const label = el("span", { class: "label" }, picture && icon(picture), title);
  return el("div", { class: picture ? `tile of-${picture}` : "tile", "data-of": of }, label, el("span", { class: "value" }, el("b", null, number), el("i", null, unit)), el("span", { class: "hint" }, note));
}

/** `total` and `before` are sums of the flows; `since`: when recording began in the period before, in words. */
export function figures(total, before, { compared, since }) {
  const isShorter = Boolean(since);
  const tiles = TILES.map(([flow, title, picture]) => {
    const value = total[`${flow}_kwh`];
    return tile(flow, title, kilowattHours(value), change(value, before?.[`${flow}_kwh`], { isShorter }), picture);
  });
  const shares = [["self-powered", t("Self-powered"), selfPowered], ["self-consumed", t("Solar used here"), selfConsumed]].map(([of, title, share]) => {
    const value = share(total);
    return tile(of, title, value === null ? [UNKNOWN, ""] : [String(Math.round(value)), "%"], change(value, before ? share(before) : null, { isShare: true }));
  });
  const note = before && compared ? el("p", { class: "hint", id: "compared" }, since ? t("▲ ▼ compared with {period}, recorded since {date} only", { period: compared, date: since }) : t("▲ ▼ compared with {period}", { period: compared })) : null;
  return [el("div", { class: "tiles" }, tiles, shares), note].filter(Boolean);
}
