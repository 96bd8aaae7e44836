// What is ordered or holds for a time only, as quiet lines on the display: no names, and nothing to press.

import { el, say, show } from "../dom.js";
import { time } from "../format.js";
import { nameOf, part } from "../site.js";
import { t } from "../words.js";
import { ordered, several } from "./words.js";

const MOST = 2;

/** Fills `list` with the orders of the gateways `ids`; with their names if there are several gateways. */
export function orderLines(list, ids, state, now) {
  const all = ids.flatMap((id) => {
    const { pending = [], leased = [] } = part(state, id, "orders") ?? {};
    const of = ids.length > 1 ? `${nameOf(state, id)} · ` : "";
    return [
      ...pending.map((one) => `${of}${ordered(one)} · ${t("ordered")}`),
      ...leased.map(({ settings, until }) => `${of}${t("{what} until {time}", { what: several(settings), time: time(until, now) })}`),
    ];
  });
  const lines = all.slice(0, MOST);
  if (all.length > MOST) lines[MOST - 1] = `${lines[MOST - 1]} · ${t("{number} more", { number: all.length - MOST })}`;
  while (list.children.length > lines.length) list.lastChild.remove();
  lines.forEach((text, place) => say(list.children[place] ?? list.appendChild(el("li")), text));
  show(list, lines.length > 0);
  document.body.classList.toggle("ordered", lines.length > 0);
}
