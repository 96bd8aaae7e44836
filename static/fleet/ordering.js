// The selected sites below the list, and the way to an order to them.

import { el, say, show } from "../dom.js";
import { ask, mayControl } from "../control/holder.js";
import { t } from "../words.js";
import { OrderDialog, remembered } from "./order.js";
import { MOST, Picked } from "./picked.js";
import { count } from "./words.js";

/** How often it is asked whether orders are taken at all. Milliseconds */
const RARELY = 60_000;

export class Ordering {
  picked;
  #place;
  #query;
  #changed;
  #number = el("b");
  #matching = el("button", { type: "button", class: "push" });
  #order = el("button", { type: "button", class: "push main" }, t("Order…"));
  #clear = el("button", { type: "button", class: "push" }, t("Select none"));
  #before = el("button", { type: "button", class: "push" }, t("What became of the last order"));
  #dialog;

  /** `query()`: the filters, as the server takes them. */
  constructor(place, query, changed) {
    this.#place = place;
    this.#query = query;
    this.#changed = changed;
    this.picked = new Picked(changed);
    this.#dialog = new OrderDialog(changed);
    this.#matching.addEventListener("click", () => this.#pickAll());
    this.#clear.addEventListener("click", () => this.picked.clear());
    this.#order.addEventListener("click", () => this.#dialog.open(this.picked.ids));
    this.#before.addEventListener("click", () => this.#dialog.recall());
    place.append(this.#number, el("div", { class: "answers" }, this.#before, this.#matching, this.#clear, this.#order));
    this.#look();
    setInterval(() => this.#look(), RARELY);
  }

  /** Whether the service takes orders. */
  async #look() {
    if (!mayControl || document.hidden) return;
    const answer = await ask("control/status");
    if (answer?.status !== 200) return;
    this.picked.isPossible = answer.body?.enabled === true;
    this.#changed();
  }

  async #pickAll() {
    const query = this.#query();
    query.set("limit", MOST);
    const answer = await ask(`api/fleet?${query}`);
    if (answer?.status === 200) this.picked.replace(answer.body.sites);
  }

  draw({ matching }) {
    const { size, isPossible } = this.picked;
    const isLeft = remembered() !== null;
    show(this.#place, isPossible && (size > 0 || isLeft));
    say(this.#number, size === 0 ? "" : size === 1 ? t("1 site selected") : t("{number} sites selected", { number: count(size) }));
    const isMany = matching > MOST;
    say(this.#matching, isMany ? t("Select the first {number} that match", { number: count(MOST) }) : t("Select all {number} that match", { number: count(matching) }));
    show(this.#matching, size > 0 && size < Math.min(matching, MOST));
    show(this.#clear, size > 0);
    show(this.#order, size > 0);
    show(this.#before, isLeft);
  }
}
