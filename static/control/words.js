// Orders, leases and what became of them, in plain words.

import { duration, isNumber, percent, power, time, UNKNOWN } from "../format.js";

export const NAMES = {
  reserve: "Backup reserve",
  reserve_hold: "Hold the charge",
  mode: "Mode",
  operation: "Settings",
  grid_charging: "Charging from the grid",
  grid_export: "Export",
  max_backup: "Max backup",
  storm_watch: "Storm watch",
  vehicle_reserve: "Reserve for cars off grid",
  tariff: "Tariff",
  islanding: "Grid connection",
  dispatch: "Battery power",
  resume: "Normal operation",
};

export const CHOICES = {
  mode: { self_consumption: "Self-consumption", autonomous: "Time-based", backup: "Backup" },
  grid_charging: { true: "Allowed", false: "Not allowed" },
  grid_export: { battery_ok: "Solar and battery", pv_only: "Solar only", never: "Never" },
  storm_watch: { true: "On", false: "Off" },
  islanding: { off_grid: "Disconnected from the grid", on_grid: "Connected to the grid" },
};

const OUTCOMES = {
  pending: ["Under way", "quiet"],
  not_sent: ["Not sent", "bad"],
  refused: ["Refused by the gateway", "bad"],
  accepted: ["Accepted", "quiet"],
  stored: ["Stored by the gateway", "good"],
  in_effect: ["In effect", "good"],
  unknown: ["Unknown: it may have reached the gateway", "warn"],
};

export const named = (kind) => NAMES[kind] ?? String(kind).replaceAll("_", " ");

/** The value of an order or a setting. */
export function valued(kind, value) {
  if (value === null || value === undefined) return kind === "reserve_hold" || kind === "resume" ? "" : UNKNOWN;
  if (kind === "tariff") return value.name ?? "without a name";
  if (kind === "reserve" || kind === "vehicle_reserve") return percent(value);
  if (kind === "max_backup") return value === "cancel" ? "cancelled" : `for ${duration(value.duration_seconds)}`;
  if (kind === "dispatch") {
    const way = value.power_watts > 0 ? "discharging" : value.power_watts < 0 ? "charging" : "idle";
    return `${way === "idle" ? way : `${power(value.power_watts)} ${way}`} for ${duration(value.duration_seconds)}`;
  }
  if (typeof value === "object") return several(value);
  return CHOICES[kind]?.[String(value)] ?? String(value);
}

/** Settings by name. */
export const several = (settings) =>
  Object.entries(settings ?? {}).map(([kind, value]) => `${named(kind)}: ${valued(kind, value)}`).join(", ");

/** Settings without their names where one is meant. */
export const bare = (settings) => {
  const entries = Object.entries(settings ?? {});
  return entries.length === 1 ? valued(...entries[0]) : several(settings);
};

/** An order in one line, without what became of it. */
export function ordered({ order, value, for_seconds: seconds }) {
  const what = order === "operation" ? several(value) : [named(order), valued(order, value)].filter(Boolean).join(": ");
  return isNumber(seconds) ? `${what} for ${duration(seconds)}` : what;
}

/** What became of an order, as `{ text, kind }`. */
export function outcome({ outcome: word, final }) {
  const [text, kind] = OUTCOMES[word] ?? [String(word), "quiet"];
  const isOpen = !final && (word === "accepted" || word === "unknown");
  return { text: isOpen ? `${text}; reading it back` : text, kind };
}

/** What a lease holds and what follows it. */
export function leased({ state, value, former, ends_at: ends }, now) {
  if (state === "holds") return `${several(value)} until ${time(ends, now)}, then back to ${bare(former)}`;
  if (state === "restores") return `Restoring ${several(former)}`;
  const how = { restored: "Restored", superseded: "Ended early", restore_failed: "Not restored" }[state] ?? state;
  return `${how}: ${several(former)}`;
}
