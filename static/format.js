// Numbers as people read them. What is not known is a dash, never a zero.

import { locale, t } from "./words.js";

export const UNKNOWN = "–";

const WRITERS = new Map();

/** A number with so many digits behind the point, as people write it here. */
function written(value, digits) {
  if (!WRITERS.has(digits)) WRITERS.set(digits, new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  return WRITERS.get(digits).format(value);
}

/** As `written`, with no sign of thousands and a true minus; of nothing there is no minus. */
export function decimal(value, digits) {
  const key = `plain ${digits}`;
  if (!WRITERS.has(key)) WRITERS.set(key, new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false }));
  return WRITERS.get(key).format(value).replace(/^[-−](?=0[.,]?0*$)/, "").replace("-", "−");
}

/** Keeps a number and its unit on one line. */
const TIED = "\u00a0";

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Watts without their sign, as number and unit: words and arrows say the direction. */
export function powerParts(watts) {
  if (!isNumber(watts)) return [UNKNOWN, ""];
  const size = Math.abs(watts);
  if (size < 995) return [String(Math.round(size)), "W"];
  return [written(size / 1000, size < 9995 ? 2 : 1), "kW"];
}

export const power = (watts) => powerParts(watts).join(TIED).trim();

/** Watts of one thing where a sign matters: a true minus. */
export function signed(watts) {
  return isNumber(watts) && watts < 0 ? `−${power(watts)}` : power(watts);
}

export function energy(wattHours) {
  return isNumber(wattHours) ? `${written(wattHours / 1000, 1)}${TIED}kWh` : UNKNOWN;
}

/** What is stored, and of how much if that is known. */
export function share(wattHours, capacity) {
  if (!isNumber(wattHours)) return UNKNOWN;
  if (!isNumber(capacity) || capacity <= 0) return energy(wattHours);
  return t("{part} of {whole}", { part: written(wattHours / 1000, 1), whole: energy(capacity) }).replaceAll(" ", TIED);
}

export const percent = (value) => (isNumber(value) ? `${Math.round(value)}${TIED}%` : UNKNOWN);

/** A measured number with its unit. */
export function measure(value, unit, digits = 0) {
  return isNumber(value) ? `${decimal(value, digits)}${TIED}${unit}` : UNKNOWN;
}

const days = (number) => t("{number} days", { number: Math.round(number) }).replace(" ", TIED);

/** Seconds, roughly. */
export function age(seconds) {
  if (!isNumber(seconds)) return UNKNOWN;
  const whole = Math.max(0, seconds);
  if (whole < 100) return `${Math.round(whole)}${TIED}s`;
  if (whole < 6000) return `${Math.round(whole / 60)}${TIED}min`;
  if (whole < 172_800) return `${Math.round(whole / 3600)}${TIED}h`;
  return days(whole / 86_400);
}

/** Seconds of something that lies ahead: hours and minutes. */
export function duration(seconds) {
  if (!isNumber(seconds)) return UNKNOWN;
  const minutes = Math.max(1, Math.round(seconds / 60));
  if (minutes < 60) return `${minutes}${TIED}min`;
  if (minutes >= 2880) return days(minutes / 1440);
  const rest = minutes % 60;
  if (minutes >= 1440 || rest === 0) return `${Math.round(minutes / 60)}${TIED}h`;
  return `${Math.floor(minutes / 60)}${TIED}h${TIED}${rest}${TIED}min`;
}

const CLOCK = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "short" });

/** Unix seconds → hour and minute, with the day if it is another one than at `now`; without `now` never. */
export function time(at, now) {
  if (!isNumber(at)) return UNKNOWN;
  const then = new Date(at * 1000);
  const clock = CLOCK.format(then);
  if (now === null) return clock;
  const today = new Date(now * 1000);
  return then.toDateString() === today.toDateString() ? clock : `${DAY.format(then)}, ${clock}`;
}

export const date = (at) => (isNumber(at) ? DAY.format(new Date(at * 1000)) : UNKNOWN);
