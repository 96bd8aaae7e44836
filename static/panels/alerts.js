// Alerts of every gateway, the ones that matter first.

import { el, mark, say } from "../dom.js";
import { Groups } from "./parts.js";

const NOTICE = ["FWUpdateSucceeded", "SystemConnectedToGrid", "GridCodesWrite", "PodCommissionTime"];
const INFO = ["ScheduledIslandContactorOpen", "SelfTest"];
const ORDER = ["warning", "info", "notice"];

export const kindOf = (name) => (NOTICE.includes(name) ? "notice" : INFO.includes(name) ? "info" : "warning");

/** `PVAC_W_Over_Temp` → words that break where people would break them. */
const words = (name) => name.replaceAll("_", " ").replace(/([a-z])([A-Z])/g, "$1 $2");

export function alerts() {
  const groups = new Groups(() => {
    const list = el("ul", { class: "alerts" });
    const draw = ({ state }, id) => {
      const names = state[`gateway/${id}/alerts`] ?? [];
      const sorted = [...names].sort((a, b) => ORDER.indexOf(kindOf(a)) - ORDER.indexOf(kindOf(b)) || a.localeCompare(b));
      while (list.children.length > sorted.length) list.lastChild.remove();
      sorted.forEach((name, index) => {
        const item = list.children[index] ?? list.appendChild(el("li", null, el("span"), el("b")));
        mark(item, "data-kind", kindOf(name));
        mark(item, "title", name);
        say(item.firstChild, kindOf(name));
        say(item.lastChild, words(name));
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
