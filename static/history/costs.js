// What the energy of a period cost, and what battery and sun have saved.

import { el, show } from "../dom.js";
import { isNumber, percent, UNKNOWN } from "../format.js";
import { locale, t } from "../words.js";

export function costs(place, total, { currency }) {
  const cost = total.cost;
  show(place, Boolean(cost));
  if (!cost) return place.replaceChildren();
  const money = new Intl.NumberFormat(locale, currency ? { style: "currency", currency } : { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const amount = (value) => (isNumber(value) ? money.format(value) : UNKNOWN);
  const net = isNumber(cost.paid) && isNumber(cost.earned) ? cost.paid - cost.earned : null;
  const facts = [
    [t("Paid for energy from the grid"), cost.paid],
    [t("Earned with energy to the grid"), cost.earned],
    [t("Net"), net],
    [t("Saved by the battery"), cost.saved_by_battery],
    [t("Saved by solar and battery"), cost.saved_by_solar],
  ];
  const list = facts.map(([title, value]) => el("div", null, el("dt", null, title), el("dd", null, amount(value))));
  const part = isNumber(cost.coverage) && cost.coverage < 0.995 ? `${t("Prices are known for {percent} of the energy from the grid.", { percent: percent(cost.coverage * 100) })} ` : "";
  const how = t("Saved by the battery: what the same home would have paid with the same sun but no battery. Saved by solar and battery: with neither. Calculated for each quarter of an hour.");
  place.replaceChildren(el("h2", null, t("Costs")), el("dl", { class: "facts" }, list), el("p", { class: "hint" }, part + how));
}
