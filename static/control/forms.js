// The fields of each order, made for what a gateway can take.

import { el, mark, say, show } from "../dom.js";
import { t } from "../words.js";
import { CHOICES, named, valued } from "./words.js";

const SPANS = [
  ["", t("until changed")],
  [1800, t("for {time}", { time: "30 min" })],
  [3600, t("for {time}", { time: "1 h" })],
  [7200, t("for {time}", { time: "2 h" })],
  [14_400, t("for {time}", { time: "4 h" })],
  [28_800, t("for {time}", { time: "8 h" })],
  [86_400, t("for {time}", { time: "24 h" })],
];
const LASTING = SPANS.slice(1);

const select = (label, choices) => el("select", { "aria-label": label }, choices.map(([value, text]) => el("option", { value }, text)));
const number = (label, attributes) => el("input", { type: "number", inputmode: "numeric", required: true, "aria-label": label, ...attributes });

/** A setting with its present value, a new one, and for how long. */
function setting(kind, input, read) {
  const span = select(t("{what}, for how long", { what: named(kind) }), SPANS);
  const body = () => (span.value === "" ? { value: read() } : { value: read(), for_seconds: Number(span.value) });
  return { fields: [input, span], buttons: [[t("Set"), kind, body]] };
}

function choice(kind, parse = (text) => text) {
  const input = select(named(kind), [["", t("Choose")], ...Object.entries(CHOICES[kind])]);
  input.required = true;
  return setting(kind, input, () => parse(input.value));
}

/** A setting that holds until somebody changes it. */
const lasting = ({ fields: [input], buttons: [[text, kind, body]] }) => ({ fields: [input], buttons: [[text, kind, () => ({ value: body().value })]] });

function percents(kind) {
  const input = number(named(kind), { min: 0, max: 100, step: 1, placeholder: "%" });
  return setting(kind, input, () => Number(input.value));
}

function backup() {
  const lasts = select(t("{what}, for how long", { what: named("max_backup") }), LASTING);
  return {
    fields: [lasts],
    buttons: [[t("Start"), "max_backup", () => ({ value: Number(lasts.value) })], [t("Cancel"), "max_backup", () => ({ value: "cancel" }), null, true]],
  };
}

function dispatch() {
  const way = select(t("Charge or discharge"), [["1", t("Discharge the battery")], ["-1", t("Charge the battery")]]);
  const kilowatts = number(t("Kilowatts"), { min: 0, max: 1000, step: 0.1, placeholder: "kW", inputmode: "decimal" });
  const lasts = select(t("{what}, for how long", { what: named("dispatch") }), LASTING);
  const body = () => ({ power_watts: Math.round(Number(way.value) * Number(kilowatts.value) * 1000), duration_seconds: Number(lasts.value) });
  return { fields: [way, kilowatts, lasts], buttons: [[t("Run"), "dispatch", body]] };
}

/** Of a button: its text, action, body, `danger`, and whether it needs no field. `danger`: what is asked before an order of this kind goes out, whatever the server thinks of it. */
const FORMS = {
  reserve: () => percents("reserve"),
  reserve_hold: () => ({ fields: [], buttons: [[t("Hold"), "reserve_hold", () => ({})]] }),
  mode: () => choice("mode"),
  grid_charging: () => choice("grid_charging", (text) => text === "true"),
  grid_export: () => choice("grid_export"),
  max_backup: backup,
  storm_watch: () => lasting(choice("storm_watch", (text) => text === "true")),
  vehicle_reserve: () => lasting(percents("vehicle_reserve")),
  islanding: () => ({
    fields: [],
    buttons: [
      [t("Disconnect"), "islanding", () => ({ value: "off_grid" }), t("This disconnects the house from the grid.")],
      [t("Reconnect"), "islanding", () => ({ value: "on_grid" })],
    ],
  }),
  dispatch,
  resume: () => ({ fields: [], buttons: [[t("Resume"), "resume", () => ({})]] }),
};

/** Every order that several gateways can get: `{ kind, text, fields, body }`. Houses leave the grid one at a time. */
export const forSeveral = () =>
  Object.entries(FORMS).flatMap(([kind, form]) => {
    const { fields, buttons } = form();
    const offered = buttons.filter(([, , , danger]) => !danger);
    const text = (own) => (buttons.length > 1 ? `${named(kind)}: ${own}` : named(kind));
    return offered.map(([own, action, body, , isFree]) => ({ kind: action, text: text(own), fields: isFree ? [] : fields, body }));
  });

/** The orders that have a form, in the order of the card. */
export const KINDS = Object.keys(FORMS);

/** One line of the card; `give(action, body, danger)` when a button is pressed. */
export class Line {
  #now = el("span", { class: "present" });
  #why = el("p", { class: "why" });
  #form;

  constructor(kind, give) {
    this.kind = kind;
    const { fields, buttons } = FORMS[kind]();
    const made = buttons.map(([text, action, body, danger, isFree]) => {
      const button = el("button", { type: "submit", class: danger ? "push danger" : "push" }, text);
      button.addEventListener("click", (event) => {
        event.preventDefault();
        if (isFree || this.#form.reportValidity()) give(action, body(), danger ?? null);
      });
      return button;
    });
    this.#form = el("form", { on: { submit: (event) => event.preventDefault() } }, fields, made);
    this.node = el("div", { class: "order", "data-order": kind }, el("div", { class: "heading" }, el("b", null, named(kind)), this.#now), this.#form, this.#why);
  }

  /** `capability` says whether the gateway can; `why` is another reason not to offer it. */
  draw(capability, present, { isOffered, isBusy }) {
    say(this.#now, this.kind in present ? valued(this.kind, present[this.kind]) : "");
    const isAble = capability.can && isOffered;
    show(this.#form, isAble);
    show(this.node, isAble || !capability.can || this.kind in present);
    for (const button of this.#form.querySelectorAll("button")) button.disabled = isBusy;
    say(this.#why, capability.can ? "" : (capability.message ?? t("Not possible at present")));
    show(this.#why, !capability.can);
    mark(this.node, "data-able", String(isAble));
  }
}
