// What the energy of a period cost, and what battery and sun have saved.

import { el, show } from "../dom.js";
import { isNumber, percent, UNKNOWN } from "../format.js";

export function costs(place, total, { currency }) {
  const cost = total.cost;
  show(place, Boolean(cost));
  if (!cost) return place.replaceChildren();
  const money = new Intl.NumberFormat(undefined, currency ? { style: "currency", currency } : { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const amount = (value) => (isNumber(value) ? money.format(value) : UNKNOWN);
  const net = isNumber(cost.paid) && isNumber(cost.earned) ? cost.paid - cost.earned : null;
  const facts = [
    ["Paid for energy from the grid", cost.paid],
    ["Earned with energy to the grid", cost.earned],
    ["Net", net],
    ["Saved by the battery", cost.saved_by_battery],
    ["Saved by solar and battery", cost.saved_by_solar],
  ];
  const list = facts.map(([title, value]) => el("div", null, el("dt", null, title), el("dd", null, amount(value))));
  const part = isNumber(cost.coverage) && cost.coverage < 0.995 ? `Prices are known for ${percent(cost.coverage * 100)} of the energy from the grid. ` : "";
  const how = "Saved by the battery: what the same home would have paid with the same sun and no battery. Saved by solar and battery: with neither. Worked out quarter of an hour by quarter of an hour.";
  place.replaceChildren(el("h2", null, "Costs"), el("dl", { class: "facts" }, list), el("p", { class: "hint" }, part + how));
}
