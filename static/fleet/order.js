// One order to several gateways: what it is, what would become of it at each, and what became of it.

import { el, mark, say, show } from "../dom.js";
import { confirmed } from "../control/dialog.js";
import { Door } from "../control/door.js";
import { forSeveral } from "../control/forms.js";
import { ask, isSignedIn, newKey, onChange, orderSeveral } from "../control/holder.js";
import { ordered, outcome, valued } from "../control/words.js";
import { t } from "../words.js";
import { count } from "./words.js";

const KEPT = "pw_fleet_order";
/** How often outcomes are asked for while some are open. Milliseconds */
const SOON = 1_500;
const DONE = ["stored", "in_effect"];
const WOULD = { order: [t("Would be ordered"), "good"], nothing: [t("Has it already"), "quiet"], refused: [t("Not possible"), "bad"] };

/** The order that was given last, `{ key, body, id }`: with the same key and body it is given only once. */
export function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT));
  } catch {
    return null;
  }
}

function remember(order) {
  try {
    if (order === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, JSON.stringify(order));
  } catch {
    // Then it is known as long as the page.
  }
}

const isDone = (site) => site.final || DONE.includes(site.outcome);

/** A line for each site, and above them how many there are of each kind. */
class Lines {
  #sum = el("p", { class: "summary", role: "status" });
  #list = el("ul", { class: "outcomes", tabindex: "0", "aria-label": t("Sites") });
  nodes = [this.#sum, this.#list];

  /** `rows`: `{ name, text, kind, why }` of each site. */
  draw(rows) {
    const kinds = new Map();
    for (const { text } of rows) kinds.set(text, (kinds.get(text) ?? 0) + 1);
    say(this.#sum, [...kinds].map(([text, number]) => `${text}: ${count(number)}`).join(" · "));
    while (this.#list.children.length > rows.length) this.#list.lastChild.remove();
    rows.forEach(({ name, text, kind, why, now }, place) => {
      const item = this.#list.children[place] ?? this.#list.appendChild(el("li", null, el("b"), el("span", { class: "now" }), el("span", { class: "outcome" }), el("small")));
      const [title, before, word, reason] = item.children;
      say(title, name);
      say(before, now ?? "");
      say(word, text);
      mark(word, "data-kind", kind);
      say(reason, why ?? "");
      show(reason, Boolean(why));
    });
    for (const node of this.nodes) show(node, rows.length > 0);
  }
}

export class OrderDialog {
  #title = el("h2");
  #door = new Door();
  #choices = forSeveral();
  #kind = el("select", { "aria-label": t("Order") }, this.#choices.map(({ text }, place) => el("option", { value: place }, text)));
  #fields = el("span", { class: "fields" });
  #ask = el("button", { type: "submit", class: "push" }, t("Preview"));
  #form = el("form", { class: "ordered" }, this.#kind, this.#fields, this.#ask);
  #meant = el("input", { type: "checkbox" });
  #mean = el("label", { class: "meant" }, this.#meant, t("Also where it has to be confirmed"));
  #said = el("p", { class: "said", role: "status" });
  #lines = new Lines();
  #give = el("button", { type: "button", class: "push main" });
  #close = el("button", { type: "button", class: "push" }, t("Close"));
  #dialog;
  #changed;
  #ids = [];
  /** What was previewed last, with the key it would be given with. */
  #draft = null;
  /** What was given. */
  #given = null;
  #isBusy = false;
  #timer = null;

  constructor(changed) {
    this.#changed = changed;
    this.#dialog = el("dialog", { class: "several", "aria-label": t("Order to several sites") }, this.#title, this.#door.node, this.#form, this.#said, this.#lines.nodes, this.#mean, el("div", { class: "answers" }, this.#close, this.#give));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#preview();
    });
    this.#kind.addEventListener("change", () => this.#choose());
    this.#fields.addEventListener("input", () => this.#drop());
    this.#meant.addEventListener("change", () => this.#preview());
    this.#give.addEventListener("click", () => (this.#given === null ? this.#order() : this.#follow()));
    this.#close.addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#leave());
    onChange(() => this.#signed());
    document.body.append(this.#dialog);
    this.#choose();
  }

  /** For a new order to these gateways. */
  open(ids) {
    this.#ids = ids;
    this.#given = null;
    this.#meant.checked = false;
    this.#drop();
    this.#show();
  }

  /** What became of the order that was given last, or perhaps was. */
  recall() {
    const kept = remembered();
    if (kept === null) return;
    this.#ids = kept.body.gateways;
    // One that may not have arrived would go out now: somebody has to say so.
    this.#given = { ...kept, sites: null, isOpen: kept.id === null };
    this.#lines.draw([]);
    this.#say(kept.id === null ? t("No answer. The order may have arrived; asking again does not send it twice.") : "", "warn");
    this.#show();
    if (isSignedIn() && !this.#given.isOpen) this.#follow();
  }

  #show() {
    const number = this.#ids.length;
    say(this.#title, number === 1 ? t("Order to 1 site") : t("Order to {number} sites", { number: count(number) }));
    this.#draw();
    this.#dialog.showModal();
  }

  #signed() {
    if (!this.#dialog.open) return;
    if (this.#given !== null && !this.#given.isOpen && isSignedIn()) this.#follow();
    this.#draw();
  }

  #leave() {
    clearTimeout(this.#timer);
    if (this.#given?.sites?.every(isDone)) remember(null);
    this.#given = null;
    this.#changed();
  }

  #choose() {
    this.#fields.replaceChildren(...this.#choices[this.#kind.value].fields);
    this.#drop();
  }

  /** Another order is meant than the one that was previewed. */
  #drop() {
    this.#draft = null;
    this.#lines.draw([]);
    this.#say("", "quiet");
    this.#draw();
  }

  #draw() {
    const isGiven = this.#given !== null;
    this.#door.draw(this.#ids[0] ?? "", null);
    show(this.#form, isSignedIn() && !isGiven);
    this.#ask.disabled = this.#isBusy;
    const would = this.#draft?.sites.filter((site) => site.would === "order").length ?? 0;
    const isConfirmable = this.#meant.checked || (this.#draft?.sites.some(({ why }) => /'confirm'/.test(why ?? "")) ?? false);
    show(this.#mean, !isGiven && this.#draft !== null && isConfirmable);
    const isOpen = this.#given?.isOpen === true;
    show(this.#give, isSignedIn() && (isOpen || (!isGiven && would > 0)));
    this.#give.disabled = this.#isBusy;
    say(this.#give, isOpen ? t("Ask again") : would === 1 ? t("Order at 1 site") : t("Order at {number} sites", { number: count(would) }));
    if (!isGiven && this.#draft !== null && !isSignedIn()) this.#lines.draw([]);
  }

  #say(text, kind) {
    say(this.#said, text);
    mark(this.#said, "data-kind", kind);
    show(this.#said, text !== "");
  }

  /** What is wrong with an answer; `true` if nothing is. */
  #hear(answer, expected) {
    if (answer?.status === expected) return true;
    if (answer === null) this.#say(t("The server does not answer"), "warn");
    else this.#say(answer.body?.detail ?? t("Not sent (status {status})", { status: answer.status }), "bad");
    return false;
  }

  async #preview() {
    if (this.#isBusy || !this.#form.reportValidity()) return;
    const { kind, body } = this.#choices[this.#kind.value];
    const wanted = { ...body(), order: kind, ...(this.#meant.checked ? { confirm: true } : {}) };
    this.#drop();
    this.#busy(t("Asking what would become of it"));
    const answer = await orderSeveral({ ...wanted, gateways: this.#ids, preview: true }, null);
    this.#busy(null);
    if (this.#hear(answer, 200)) {
      const { order, value, sites } = answer.body;
      this.#draft = { wanted, title: ordered({ ...wanted, order, value }), sites, key: newKey() };
      this.#lines.draw(sites.map(({ name, now, would, why }) => ({ name, now: valued(order, now), text: WOULD[would][0], kind: WOULD[would][1], why })));
    }
    this.#draw();
  }

  #busy(words) {
    this.#isBusy = words !== null;
    this.#say(words ?? "", "quiet");
    this.#draw();
  }

  async #order() {
    const { wanted, title, sites, key } = this.#draft;
    const gateways = sites.filter(({ would }) => would === "order").map(({ id }) => id);
    const goes = gateways.length === 1 ? t("This is ordered at 1 site.") : t("This is ordered at {number} sites.", { number: count(gateways.length) });
    if (this.#isBusy || !(await confirmed(title, goes)) || this.#isBusy) return;
    // Before it is sent, so that a page that is loaded again asks for the same order and not for another one.
    this.#given = { key, body: { ...wanted, gateways }, id: null, sites: null };
    remember({ key, body: this.#given.body, id: null });
    await this.#follow();
  }

  /** Gives the order if it may not have arrived, and asks for its outcomes until all are known. */
  async #follow() {
    clearTimeout(this.#timer);
    const given = this.#given;
    if (given === null || this.#isBusy || !isSignedIn()) return;
    if (given.sites === null) this.#busy(t("Asking the gateways"));
    const answer = given.id === null ? await orderSeveral(given.body, given.key) : await ask(`api/fleet/orders/${encodeURIComponent(given.id)}`);
    this.#busy(null);
    if (this.#given !== given) return;
    if (answer === null) this.#say(t("No answer. The order may have arrived; asking again does not send it twice."), "warn");
    else if (this.#hear(answer, given.id === null ? 202 : 200)) this.#told(given, answer.body);
    else if (answer.status !== 429 && answer.status < 500 && answer.status !== 401) {
      // Another token may be good for it.
      if (answer.status !== 403) remember(null);
      return;
    }
    if (!given.sites?.every(isDone)) this.#timer = setTimeout(() => this.#follow(), answer === null ? 2 * SOON : SOON);
    this.#changed();
  }

  #told(given, { id, sites }) {
    given.id = id;
    given.isOpen = false;
    given.sites = sites;
    remember({ key: given.key, body: given.body, id });
    this.#draw();
    const told = (site) => ({ name: site.name, why: site.why ?? site.evidence, ...outcome(site) });
    this.#lines.draw(sites.map(told));
  }
}
