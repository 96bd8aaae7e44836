// Alerts of every gateway as sentences, the ones that matter first.

import { el, mark, say } from "../dom.js";
import { time } from "../format.js";
import { Groups } from "./parts.js";
import { sentence } from "./sentences.js";

const ORDER = ["warning", "info", "notice"];

export function alerts() {
  const groups = new Groups(() => {
    const list = el("ul", { class: "alerts" });
    /** When each was seen first, Unix seconds; `null`: it was there when the page was opened. */
    const since = new Map();
    let isFirst = true;
    const draw = ({ state, now }, id) => {
      const names = state[`gateway/${id}/alerts`] ?? [];
      for (const name of since.keys()) if (!names.includes(name)) since.delete(name);
      for (const name of names) if (!since.has(name)) since.set(name, isFirst ? null : now);
      isFirst = state[`gateway/${id}/alerts`] === undefined && isFirst;
      const sorted = names
        .map((name) => ({ name, ...sentence(name) }))
        .sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind) || a.name.localeCompare(b.name));
      while (list.children.length > sorted.length) list.lastChild.remove();
      sorted.forEach(({ name, kind, text }, index) => {
        const item = list.children[index] ?? list.appendChild(el("li", null, el("span"), el("div", null, el("b"), " ", el("small"), el("details", null, el("summary", null, "Name"), el("code")))));
        const [b, , small, details] = item.lastChild.childNodes;
        mark(item, "data-kind", kind);
        say(item.firstChild, kind);
        say(b, text);
        say(small, since.get(name) === null ? "" : `since ${time(since.get(name), now)}`);
        say(details.lastChild, name);
      });
      return sorted.length > 0;
    };
    return { node: list, draw };
  });
  const none = el("p", { class: "none" });
  const node = el("div", null, groups.node, none);
  return {
    id: "alerts",
    title: "Alerts",
    node,
    draw(context) {
      none.hidden = groups.draw(context);
      say(none, context.ids.some((id) => context.state[`gateway/${id}/alerts`]) ? "No alerts" : "Not known");
      return true;
    },
  };
}
