// The alerts of a gateway as sentences, those that matter first; their names where they are asked for.

import { el, mark, say, show } from "../dom.js";
import { t } from "../words.js";
import { sentence } from "./sentences.js";
import { since, watch } from "./since.js";

const ORDER = ["warning", "info", "notice"];
const KINDS = { warning: t("Warning"), info: t("Info"), notice: t("Notice") };

/** The alerts of a gateway that somebody should know of. */
export const warnings = (state, id) => (state[`gateway/${id}/alerts`] ?? []).filter((name) => sentence(name).kind === "warning");

function row() {
  return el("li", null, el("span"), el("div", null, el("b"), " ", el("small"), el("code")));
}

export function alerts() {
  const list = el("ul", { class: "alerts" });
  const none = el("p", { class: "none" });
  const draw = ({ state, now }, id) => {
    const names = state[`gateway/${id}/alerts`];
    if (names) watch(id, names, now);
    const sorted = (names ?? [])
      .map((name) => ({ name, ...sentence(name) }))
      .sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind) || a.name.localeCompare(b.name));
    while (list.children.length > sorted.length) list.lastChild.remove();
    sorted.forEach(({ name, kind, text }, index) => {
      const item = list.children[index] ?? list.appendChild(row());
      const [b, , small, code] = item.lastChild.childNodes;
      mark(item, "data-kind", kind);
      say(item.firstChild, KINDS[kind]);
      say(b, text);
      say(small, since(id, name, state, now));
      say(code, name);
    });
    show(list, sorted.length > 0);
    show(none, sorted.length === 0);
    say(none, names ? t("No alerts") : t("Unknown"));
    return true;
  };
  return { node: el("div", null, list, none), draw };
}
