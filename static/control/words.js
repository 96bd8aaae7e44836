// Orders, leases and what became of them, in plain words.

import { duration, isNumber, percent, power, time, UNKNOWN } from "../format.js";
import { t } from "../words.js";

export const NAMES = {
  reserve: t("Backup reserve"),
  reserve_hold: t("Hold the charge"),
  mode: t("Mode"),
  operation: t("Settings"),
  grid_charging: t("Charging from the grid"),
  grid_export: t("Export"),
  max_backup: t("Max backup"),
  storm_watch: t("Storm watch"),
  vehicle_reserve: t("Reserve for cars off grid"),
  tariff: t("Tariff"),
  islanding: t("Grid connection"),
  dispatch: t("Battery power"),
  resume: t("Normal operation"),
};

export const CHOICES = {
  mode: { self_consumption: t("Self-consumption"), autonomous: t("Time-based"), backup: t("Backup") },
  grid_charging: { true: t("Allowed"), false: t("Not allowed") },
  grid_export: { battery_ok: t("Solar and battery"), pv_only: t("Solar only"), never: t("Never") },
  storm_watch: { true: t("On"), false: t("Off") },
  islanding: { off_grid: t("Disconnected from the grid"), on_grid: t("Connected to the grid") },
};

const OUTCOMES = {
  pending: [t("Under way"), "quiet"],
  not_sent: [t("Not sent"), "bad"],
  refused: [t("Refused by the gateway"), "bad"],
  accepted: [t("Accepted"), "quiet"],
  stored: [t("Stored by the gateway"), "good"],
  in_effect: [t("In effect"), "good"],
  unknown: [t("Unknown: it may have reached the gateway"), "warn"],
};

export const named = (kind) => NAMES[kind] ?? String(kind).replaceAll("_", " ");

/** The value of an order or a setting. */
export function valued(kind, value) {
  if (value === null || value === undefined) return kind === "reserve_hold" || kind === "resume" ? "" : UNKNOWN;
  if (kind === "tariff") return value.name ?? t("without a name");
  if (kind === "reserve" || kind === "vehicle_reserve") return percent(value);
  if (kind === "max_backup") return value === "cancel" ? t("cancelled") : t("for {time}", { time: duration(value.duration_seconds) });
  if (kind === "dispatch") {
    const way = value.power_watts > 0 ? t("discharging") : value.power_watts < 0 ? t("charging") : t("idle");
    const what = value.power_watts === 0 ? way : `${power(value.power_watts)} ${way}`;
    return t("{what} for {time}", { what, time: duration(value.duration_seconds) });
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
  return isNumber(seconds) ? t("{what} for {time}", { what, time: duration(seconds) }) : what;
}

/** What became of an order, as `{ text, kind }`. */
export function outcome({ outcome: word, final }) {
  const [text, kind] = OUTCOMES[word] ?? [String(word), "quiet"];
  const isOpen = !final && (word === "accepted" || word === "unknown");
  return { text: isOpen ? t("{what}; reading it back", { what: text }) : text, kind };
}

/** What a lease holds and what follows it. */
export function leased({ state, value, former, ends_at: ends }, now) {
  if (state === "holds") return t("{what} until {time}, then back to {value}", { what: several(value), time: time(ends, now), value: bare(former) });
  if (state === "restores") return t("Restoring {what}", { what: several(former) });
  const how = { restored: t("Restored"), superseded: t("Ended early"), restore_failed: t("Not restored") }[state] ?? state;
  return `${how}: ${several(former)}`;
}
