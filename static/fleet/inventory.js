// What the sites are made of: firmware, models and capacity, and all of it as a file.

import { el, mark, say, show, vary } from "../dom.js";
import { isNumber, UNKNOWN } from "../format.js";
import { t } from "../words.js";
import { ofSome } from "./sums.js";
import { count, energies } from "./words.js";

function line() {
  const [name, number, bar] = [el("th", { scope: "row" }), el("td", { "data-number": "" }), el("i")];
  return { name, number, bar, node: el("tr", null, name, number, el("td", { class: "share" }, el("span", { class: "bar", "aria-hidden": "true" }, bar))) };
}

/** A table of how many there are of each. */
class Counted {
  #lines = [];
  #body = el("tbody");
  #none = el("p", { class: "none" }, t("Unknown"));

  constructor(title, columns, step) {
    this.step = step;
    const head = el("tr", null, columns.map((text, place) => el("th", { scope: "col", "data-number": place > 0 }, text)), el("td"));
    this.node = el("section", { class: "card", "aria-label": title }, el("h2", null, title), this.#none, el("div", { class: "table", tabindex: "0", role: "group", "aria-label": title }, el("table", null, el("thead", null, head), this.#body)));
  }

  draw(rows) {
    const most = Math.max(1, ...rows.map(({ number }) => number));
    const shown = rows.slice(0, this.step);
    while (this.#lines.length > shown.length) this.#lines.pop().node.remove();
    shown.forEach(({ name, number, level }, place) => {
      if (!this.#lines[place]) {
        this.#lines[place] = line();
        this.#body.append(this.#lines[place].node);
      }
      const { name: title, number: value, bar } = this.#lines[place];
      say(title, name);
      mark(title, "data-kind", level ?? null);
      say(value, count(number));
      vary(bar, "--level", String((100 * number) / most));
    });
    show(this.#none, rows.length === 0);
    show(this.node.lastChild, rows.length > 0);
  }
}

export class Inventory {
  #firmware = new Counted(t("Firmware"), [t("Version"), t("Sites")], 100);
  #models = new Counted(t("Models"), [t("Model"), t("Batteries")], 50);
  #capacity = el("p", { class: "figure" });
  #known = el("p", { class: "none" });
  #file = el("a", { class: "push", download: "" }, t("Download as CSV"));

  constructor() {
    const capacity = el("section", { class: "card", "aria-label": t("Capacity") }, el("h2", null, t("Capacity")), this.#capacity, this.#known, this.#file);
    this.nodes = [el("div", { class: "inventory" }, this.#firmware.node, this.#models.node, capacity)];
  }

  /** `query`: the filters, as the server takes them. */
  draw({ firmware, models, capacity, sites }, query) {
    const versions = firmware.map(({ version, sites: number, old }) => ({
      name: version === null ? t("Unknown") : old ? t("{version}, old", { version }) : version,
      number,
      level: old ? "warn" : null,
    }));
    this.#firmware.draw(versions);
    this.#models.draw(models.map(({ model, batteries }) => ({ name: model ?? t("Unknown"), number: batteries })));
    say(this.#capacity, isNumber(capacity.sum) ? energies(capacity.sum) : UNKNOWN);
    say(this.#known, ofSome(capacity.of, sites) || t("of all {number} sites", { number: count(sites) }));
    mark(this.#file, "href", `api/fleet/inventory.csv${query ? `?${query}` : ""}`);
  }
}
