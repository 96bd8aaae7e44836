// The control card: what each gateway can take, how its settings are, what was ordered and what became of it.

import { arrange, el, mark, say, show } from "../dom.js";
import { time } from "../format.js";
import { Groups } from "../panels/parts.js";
import { nameOf } from "../site.js";
import { t } from "../words.js";
import { confirmed } from "./dialog.js";
import { Door } from "./door.js";
import { KINDS, Line } from "./forms.js";
import { ask, isSignedIn, mayControl, newKey, onChange, order } from "./holder.js";
import { leased, ordered, outcome } from "./words.js";

/** How often what changes is asked for: while an order is under way, and else. Milliseconds */
const SOON = 1_500;
const LATER = 10_000;
/** How often it is asked whether orders are taken at all. Milliseconds */
const RARELY = 60_000;
const MOST_ORDERS = 5;
/** Whether the service takes orders; where it does not, no gateway is asked about. */
class Service {
  isEnabled = false;
  #next = 0;

  look(changed) {
    if (performance.now() < this.#next || document.hidden) return;
    this.#next = performance.now() + RARELY;
    ask("control/status").then((answer) => {
      if (answer?.status === 200) this.isEnabled = answer.body?.enabled === true;
      else this.#next = performance.now() + LATER;
      changed();
    });
  }
}

/** One line with an outcome and its reason. */
function item(list, place) {
  return list.children[place] ?? list.appendChild(el("li", null, el("b"), el("span", { class: "outcome" }), el("small")));
}

/** Reuses the items of `list`. */
function fill(list, rows) {
  while (list.children.length > rows.length) list.lastChild.remove();
  rows.forEach(({ title, state, kind, why }, place) => {
    const [name, word, reason] = item(list, place).children;
    say(name, title);
    say(word, state);
    mark(word, "data-kind", kind);
    say(reason, why ?? "");
    show(reason, Boolean(why));
  });
  show(list, rows.length > 0);
}

class Gateway {
  #lines = new Map();
  #settings = el("div", { class: "lines" });
  #leases = el("ul", { class: "leases", "aria-label": t("Temporary settings") });
  #orders = el("ul", { class: "orders", "aria-label": t("Recent orders") });
  #said = el("p", { class: "said", role: "status" });
  #again = el("button", { type: "button", class: "push", hidden: true }, t("Ask again"));
  #control = null;
  #recent = [];
  #next = 0;
  #isAsking = false;
  #isBusy = false;
  #changed;
  #id = null;
  #name = "";

  constructor(changed) {
    this.#changed = changed;
    this.node = el("div", { class: "control" }, this.#settings, this.#said, this.#again, this.#leases, this.#orders);
    onChange(() => {
      this.#next = 0;
      this.#recent = [];
      say(this.#said, "");
      show(this.#again, false);
    });
  }

  draw(context, id) {
    this.#id = id;
    this.#name = nameOf(context.state, id);
    if (performance.now() >= this.#next && !this.#isAsking && !document.hidden && !context.isLost) this.#look();
    const control = this.#control;
    if (!control?.enabled) return false;
    for (const capability of control.orders) this.#line(capability.order)?.draw(capability, control.present, this.#offer(capability));
    arrange(this.#settings, KINDS.filter((kind) => this.#lines.has(kind)).map((kind) => this.#lines.get(kind).node));
    const leases = control.leases.map((lease) => {
      const kind = lease.state === "restore_failed" ? "bad" : "quiet";
      return { title: "", state: leased(lease, context.now), kind, why: lease.message };
    });
    fill(this.#leases, leases);
    fill(this.#orders, this.#recent.map((one) => this.#told(one, context.now)));
    return true;
  }

  #told(one, now) {
    const { text, kind } = outcome(one);
    return { title: `${ordered(one)}${one.restores ? ` ${t("(restoring)")}` : ""}`, state: `${text} · ${time(one.asked_at, now)}`, kind, why: one.evidence };
  }

  #offer(capability) {
    return { isOffered: isSignedIn() && capability.may === true, isBusy: this.#isBusy };
  }

  #line(kind) {
    if (!KINDS.includes(kind)) return null;
    if (!this.#lines.has(kind)) this.#lines.set(kind, new Line(kind, (action, body, danger) => this.#give(action, body, danger)));
    return this.#lines.get(kind);
  }

  async #look() {
    this.#isAsking = true;
    const at = encodeURIComponent(this.#id);
    const control = await ask(`api/gateways/${at}/control`);
    const recent = isSignedIn() && control?.status === 200 ? await ask(`api/orders?gateway=${at}&limit=${MOST_ORDERS}`) : null;
    if (control?.status === 200) this.#control = control.body;
    this.#recent = isSignedIn() && recent?.status === 200 ? recent.body.orders : recent === null && isSignedIn() ? this.#recent : [];
    this.#isAsking = false;
    const isOpen = this.#recent.some(({ final }) => !final);
    this.#next = performance.now() + (isOpen ? SOON : LATER);
    this.#changed();
  }

  async #give(action, body, danger) {
    if (danger !== null) {
      if (!(await confirmed(this.#name, danger))) return;
      body.confirm = true;
    }
    await this.#send(action, body, newKey());
  }

  async #send(action, body, key) {
    this.#isBusy = true;
    show(this.#again, false);
    say(this.#said, t("Asking the gateway"));
    mark(this.#said, "data-kind", "quiet");
    this.#changed();
    const answer = await order(this.#id, action, body, key);
    this.#isBusy = false;
    this.#next = 0;
    if (answer?.status === 400 && /confirm/.test(answer.body?.detail ?? "") && !body.confirm) {
      say(this.#said, "");
      const why = answer.body.detail.replace(/; confirm it.*$/s, "");
      if (await confirmed(this.#name, `${why.charAt(0).toUpperCase()}${why.slice(1)}.`)) await this.#send(action, { ...body, confirm: true }, newKey());
    } else this.#hear(answer, action, body, key);
    this.#changed();
  }

  #hear(answer, action, body, key) {
    if (answer === null) {
      // The same key: whatever has arrived is not given again.
      this.#again.onclick = () => this.#send(action, body, key);
      show(this.#again, true);
      this.#say(t("No answer. The order may have arrived; asking again does not send it twice."), "warn");
    } else if (answer.status === 200 || answer.status === 202) this.#say("", "quiet");
    else if (answer.body?.order) this.#say("", "quiet");
    else this.#say(answer.body?.detail ?? t("Not sent (status {status})", { status: answer.status }), "bad");
  }

  #say(text, kind) {
    say(this.#said, text);
    mark(this.#said, "data-kind", kind);
  }

  get role() {
    return this.#control?.role ?? null;
  }
}

/** `null` where control has no place: in a frame, or in a window that another page has opened. */
export function control(changed) {
  if (!mayControl) return null;
  const all = new Set();
  const door = new Door();
  const service = new Service();
  const groups = new Groups(() => {
    const one = new Gateway(changed);
    all.add(one);
    return one;
  });
  onChange(changed);
  return {
    id: "control",
    title: t("Control"),
    node: el("div", null, door.node, groups.node),
    isWide: true,
    draw(context) {
      if (!context.isLost) service.look(changed);
      if (!service.isEnabled) return false;
      const isShown = groups.draw(context);
      const role = [...all].map((one) => one.role).find(Boolean) ?? null;
      if (context.ids.length > 0) door.draw(context.ids[0], role);
      return isShown;
    },
  };
}
