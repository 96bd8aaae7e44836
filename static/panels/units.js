// Powerwall units with their followers and expansions, and what else is measured: strings, fans, temperatures, meters.

import { el } from "../dom.js";
import { decimal, duration, energy, isNumber, measure, percent, power, share, UNKNOWN } from "../format.js";
import { gateway, NAMES } from "../site.js";
import { t } from "../words.js";
import { Facts, Table, tabled } from "./parts.js";

const RATED = 13_500; // Wh of a new unit
const KINDS = { powerwall3: "Powerwall 3", powerwall2: "Powerwall 2", expansion: t("Expansion") };
const fastest = (fans) => fans?.map(({ rpm }) => rpm).filter(isNumber).sort((a, b) => b - a)[0];
const hottest = (temps) => temps?.map(({ celsius }) => celsius).filter(isNumber).sort((a, b) => b - a)[0];
const list = (values, unit, digits) => (values ?? []).filter(isNumber).map((value) => decimal(value, digits)).join(" · ") + (values?.some(isNumber) ? `\u00a0${unit}` : UNKNOWN);

/** ↓ out of the battery, ↑ into it. */
function flow(watts) {
  if (!isNumber(watts)) return UNKNOWN;
  if (Math.abs(watts) < 10) return power(watts);
  return `${watts > 0 ? "↓" : "↑"}\u00a0${power(watts)}`;
}

/** What firmware calls the states of an inverter, by what is in the name. */
const STATES = [
  [/fault/i, t("Fault"), "bad"],
  [/grid_?following/i, t("Following the grid")],
  [/grid_?forming|island|off_?grid/i, t("Running without the grid")],
  [/countdown|wait|qualif|sync/i, t("Waiting to connect")],
  [/standby|idle|ready/i, t("Standby")],
  [/init|start|boot|wake/i, t("Starting")],
  [/disabled|off|shutdown|sleep/i, t("Off")],
  [/active|running/i, t("Running")],
  [/compliant/i, t("Grid within limits")],
];

/** In words; the name that the gateway gives it on demand. */
function stateOf(name) {
  if (!name) return UNKNOWN;
  const [, text, kind = null] = STATES.find(([which]) => which.test(name)) ?? [null, name.replaceAll("_", " ").toLowerCase()];
  return { text, kind, raw: name };
}

function row(unit) {
  const isPart = Boolean(unit.attached_to);
  const model = unit.name ?? KINDS[unit.kind] ?? UNKNOWN;
  const charge = isNumber(unit.full_wh) && unit.full_wh > 0 && isNumber(unit.remaining_wh) ? (unit.remaining_wh / unit.full_wh) * 100 : null;
  const health = isNumber(unit.full_wh) ? ` · ${percent((unit.full_wh / RATED) * 100)}` : "";
  const volts = isNumber(unit.voltage) ? measure(unit.voltage, "V") : list(unit.volts, "V", 0);
  return [
    { text: `${isPart ? "↳ " : ""}${unit.number}`, title: unit.serial ?? null },
    model,
    charge === null ? UNKNOWN : { text: percent(charge), level: charge, of: "battery", title: share(unit.remaining_wh, unit.full_wh) },
    isNumber(unit.full_wh) ? `${energy(unit.full_wh)}${health}` : UNKNOWN,
    { text: flow(unit.power), title: isNumber(unit.power) ? (unit.power > 0 ? t("discharging") : t("charging")) : null },
    volts,
    measure(unit.freq, "Hz", 2),
    { text: measure(hottest(unit.temps), "°C", 0), title: unit.temps?.map(({ name, celsius }) => `${name} ${measure(celsius, "°C", 1)}`).join("\n") || null },
    { text: measure(fastest(unit.fans), "rpm"), title: unit.fans?.map(({ name, rpm, duty }) => `${name} ${measure(rpm, "rpm")}, ${measure(duty, "%")}`).join("\n") || null },
    stateOf(unit.state ?? unit.grid_state ?? null),
  ];
}

export function units() {
  const facts = new Facts();
  const table = new Table(t("Batteries"), [t("Unit"), t("Model"), `#${t("Charge, measured")}`, `#${t("Capacity, of new")}`, `#${t("Power")}`, `#${t("Voltage")}`, `#${t("Frequency")}`, `#${t("Warmest")}`, `#${t("Fan")}`, t("State")]);
  facts.node.classList.add("wide");
  const draw = (context, id) => {
    const site = gateway(context.state, id);
    const found = context.state[`gateway/${id}/units`] ?? [];
    if (!site.hasBattery && found.length === 0) return false;
    const { soe_raw: measured, time_remaining_h: hours } = context.state[`gateway/${id}/energy`] ?? {};
    table.rows(found.map(row));
    facts.set([
      [t("Stored"), share(site.stored, site.capacity)],
      [t("Charge, as in the app"), percent(site.soe)],
      [t("Charge, measured"), { text: percent(measured), title: t("Of all that the battery holds. The app leaves out the lowest 5 %, which is kept in reserve for the battery itself.") }],
      [t("Reserve, as in the app"), percent(site.reserve)],
      [t("Time remaining"), isNumber(hours) ? duration(hours * 3600) : UNKNOWN],
    ]);
    return true;
  };
  return { node: el("div", null, facts.node, table.node), draw };
}

/** Where a string is not connected, its state says no more. */
function stringState({ connected, state }) {
  const text = connected === false ? t("Not connected") : connected ? t("Connected") : UNKNOWN;
  return { text, kind: connected === false ? "quiet" : null, raw: state ?? null };
}

function stringRow(string) {
  const { name, voltage, current, power: watts, connected } = string;
  const product = isNumber(voltage) && isNumber(current) ? voltage * current : null;
  return [name, { text: power(watts ?? product), of: "solar", kind: connected ? null : "quiet" }, measure(voltage, "V", 1), measure(current, "A", 2), stringState(string)];
}

/** Inputs that nothing is connected to share a row. */
function stringRows(found) {
  const unused = found.filter(({ connected }) => connected === false);
  if (unused.length < 2) return found.map(stringRow);
  const raw = [...new Set(unused.map(({ state }) => state).filter(Boolean))].join(" ") || null;
  const names = unused.map(({ name }) => name).join(", ");
  return [...found.filter((string) => !unused.includes(string)).map(stringRow), [{ text: names, kind: "quiet" }, "", "", "", { text: t("Not connected"), kind: "quiet", raw }]];
}

export const strings = () =>
  tabled("strings", t("Solar strings"), [t("String"), `#${t("Power")}`, `#${t("Voltage")}`, `#${t("Current")}`, t("State")], stringRows);

export const fans = () =>
  tabled("fans", t("Fans"), [t("Fan"), `#${t("Speed")}`, `#${t("Target")}`, `#${t("Duty")}`], (found) =>
    found.map(({ name, rpm, target_rpm, duty }) => [name, measure(rpm, "rpm"), measure(target_rpm, "rpm"), measure(duty, "%")]),
  );

export const temps = () =>
  tabled("temps", t("Temperatures"), [t("Unit"), `#${t("Temperature")}`], (found) =>
    found.map(({ number, name, celsius }) => [number ?? name ?? UNKNOWN, measure(celsius, "°C", 1)]),
  );

const METERS = { site: NAMES.grid, load: NAMES.load, battery: NAMES.battery, solar: NAMES.solar, main: t("Grid side"), home: t("Home side") };

export const meters = () =>
  tabled("meters", t("Voltages and frequencies"), [t("Meter"), `#${t("Voltage")}`, `#${t("Current")}`, `#${t("Frequency")}`], (found) =>
    Object.keys(METERS).filter((key) => found[key]).map((key) => {
      const meter = found[key];
      const volts = isNumber(meter.voltage) ? measure(meter.voltage, "V", 1) : list(meter.volts, "V", 1);
      const amps = isNumber(meter.current) ? measure(meter.current, "A", 1) : list(meter.currents, "A", 1);
      return [METERS[key], volts, key === "main" || key === "home" ? "" : amps, measure(meter.frequency, "Hz", 2)];
    }),
  );
