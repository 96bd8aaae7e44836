// Powerwall units with their followers and expansions, and what else is measured: strings, fans, temperatures, meters.

import { el } from "../dom.js";
import { duration, isNumber, measure, percent, power, share, UNKNOWN } from "../format.js";
import { gateway } from "../site.js";
import { Facts, Groups, Table, tables } from "./parts.js";

const RATED = 13_500; // Wh of a new unit
const KINDS = { powerwall3: "Powerwall 3", powerwall2: "Powerwall 2", expansion: "Expansion" };
const fastest = (fans) => fans?.map(({ rpm }) => rpm).filter(isNumber).sort((a, b) => b - a)[0];
const hottest = (temps) => temps?.map(({ celsius }) => celsius).filter(isNumber).sort((a, b) => b - a)[0];
const list = (values, unit, digits) => (values ?? []).filter(isNumber).map((value) => value.toFixed(digits)).join(" · ") + (values?.some(isNumber) ? `\u00a0${unit}` : UNKNOWN);

/** ↓ out of the battery, ↑ into it. */
function flow(watts) {
  if (!isNumber(watts)) return UNKNOWN;
  if (Math.abs(watts) < 10) return power(watts);
  return `${watts > 0 ? "↓" : "↑"}\u00a0${power(watts)}`;
}

/** What firmware calls the states of an inverter, by what is in the name. */
const STATES = [
  [/fault/i, "Fault", "bad"],
  [/grid_?following/i, "Follows the grid"],
  [/grid_?forming|island|off_?grid/i, "Makes its own grid"],
  [/countdown|wait|qualif/i, "Waits to connect"],
  [/standby|idle|ready/i, "Standby"],
  [/init|start|boot|wake/i, "Starting"],
  [/disabled|off|shutdown|sleep/i, "Off"],
  [/compliant/i, "Grid in order"],
];

function stateOf(name) {
  if (name === null) return UNKNOWN;
  const [, text, kind = null] = STATES.find(([which]) => which.test(name)) ?? [null, name.replaceAll("_", " ").toLowerCase()];
  return { text, kind, title: name };
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
    isNumber(unit.full_wh) ? `${(unit.full_wh / 1000).toFixed(1)}\u00a0kWh${health}` : UNKNOWN,
    { text: flow(unit.power), title: isNumber(unit.power) ? (unit.power > 0 ? "discharging" : "charging") : null },
    volts,
    measure(unit.freq, "Hz", 2),
    { text: measure(hottest(unit.temps), "°C", 0), title: unit.temps?.map(({ name, celsius }) => `${name} ${measure(celsius, "°C", 1)}`).join("\n") || null },
    { text: measure(fastest(unit.fans), "rpm"), title: unit.fans?.map(({ name, rpm, duty }) => `${name} ${measure(rpm, "rpm")}, ${measure(duty, "%")}`).join("\n") || null },
    stateOf(unit.state ?? unit.grid_state ?? null),
  ];
}

export function units() {
  const groups = new Groups(() => {
    const facts = new Facts();
    const table = new Table(["Unit", "Model", "#Charge, measured", "#Capacity, of new", "#Power", "#Voltage", "#Frequency", "#Warmest", "#Fan", "State"]);
    facts.node.classList.add("wide");
    const draw = (context, id) => {
      const site = gateway(context.state, id);
      const found = context.state[`gateway/${id}/units`] ?? [];
      if (!site.hasBattery && found.length === 0) return false;
      const energy = context.state[`gateway/${id}/energy`] ?? {};
      table.rows(found.map(row));
      facts.set([
        ["Stored", share(site.stored, site.capacity)],
        ["Charge, as in the app", percent(site.soe)],
        ["Charge, measured", { text: percent(energy.soe_raw), title: "Of all that the battery holds. The app leaves out the lowest 5 %, which nobody can use." }],
        ["Reserve, as in the app", percent(site.reserve)],
        ["Time remaining", isNumber(energy.time_remaining_h) ? duration(energy.time_remaining_h * 3600) : UNKNOWN],
      ]);
      return true;
    };
    return { node: el("div", null, facts.node, table.node), draw };
  });
  return { id: "powerwall", title: "Powerwall units", isWide: true, node: groups.node, draw: (context) => groups.draw(context) };
}

export const strings = () =>
  tables("strings", "Solar strings", "strings", ["String", "#Power", "#Voltage", "#Current", "State"], (found) =>
    found.map(({ name, voltage, current, power: watts, state, connected }) => [
      name,
      { text: power(watts ?? (isNumber(voltage) && isNumber(current) ? voltage * current : null)), of: "solar", kind: connected ? null : "quiet" },
      measure(voltage, "V", 1),
      measure(current, "A", 2),
      { text: connected === false ? "Not connected" : connected ? "Connected" : UNKNOWN, kind: connected === false ? "quiet" : null, title: state ?? null },
    ]),
  );

export const fans = () =>
  tables("fans", "Fans", "fans", ["Fan", "#Speed", "#Target", "#Duty"], (found) =>
    found.map(({ name, rpm, target_rpm, duty }) => [name, measure(rpm, "rpm"), measure(target_rpm, "rpm"), measure(duty, "%")]),
  );

export const temps = () =>
  tables("temps", "Temperatures", "temps", ["Unit", "#Temperature"], (found) =>
    found.map(({ number, name, celsius }) => [number ?? name ?? UNKNOWN, measure(celsius, "°C", 1)]),
  );

const METERS = [["site", "Grid"], ["load", "Home"], ["battery", "Battery"], ["solar", "Solar"], ["main", "Grid side"], ["home", "Home side"]];

export const meters = () =>
  tables("meters", "Frequencies and voltages", "meters", ["Meter", "#Voltage", "#Current", "#Frequency"], (found) =>
    METERS.filter(([key]) => found[key]).map(([key, name]) => {
      const meter = found[key];
      const volts = isNumber(meter.voltage) ? measure(meter.voltage, "V", 1) : list(meter.volts, "V", 1);
      const amps = isNumber(meter.current) ? measure(meter.current, "A", 1) : list(meter.currents, "A", 1);
      return [name, volts, key === "main" || key === "home" ? "" : amps, measure(meter.frequency, "Hz", 2)];
    }),
  );
