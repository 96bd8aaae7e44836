// Periods of the calendar: dates without a clock, so that no zone and no summer time can shift them.

import { locale, t } from "../words.js";

/** Names of periods, each with the bucket that it is shown in. */
export const PERIODS = { day: "slot", week: "hour", month: "day", year: "month", all: "month", range: null };
export const TITLES = { day: t("Day"), week: t("Week"), month: t("Month"), year: t("Year"), all: t("All"), range: t("From … to …") };
/** The first day that anything can be of. */
const FIRST = "2015-01-01";
const DAY = 86_400_000;
const PATTERN = /^\d{4}-\d\d-\d\d$/;

const at = (date) => new Date(`${date}T00:00:00Z`);
const named = (moment) => moment.toISOString().slice(0, 10);

/** Whether `text` is a date of the calendar. */
export function isDate(text) {
  return PATTERN.test(text ?? "") && !Number.isNaN(at(text).getTime()) && named(at(text)) === text;
}

export const plus = (date, days) => named(new Date(at(date).getTime() + days * DAY));
/** Days from one date to another. */
export const between = (from, to) => Math.round((at(to) - at(from)) / DAY);

/** The date in `zone`; where it is unknown, that of this browser. */
export function today(zone) {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone ?? undefined, year: "numeric", month: "2-digit", day: "2-digit" });
  return parts.format(new Date());
}

/** Another month; the day stays, or is the last one. */
function monthsOn(date, months) {
  const [year, month, day] = date.split("-").map(Number);
  const last = new Date(Date.UTC(year, month - 1 + months + 1, 0));
  return named(new Date(Date.UTC(last.getUTCFullYear(), last.getUTCMonth(), Math.min(day, last.getUTCDate()))));
}

/** The first and the last day of the period that `date` is in. Weeks begin on Monday. */
export function span(period, date, range) {
  if (period === "range") return range;
  const [year, month] = date.split("-");
  if (period === "day") return [date, date];
  if (period === "week") {
    const first = plus(date, -((at(date).getUTCDay() + 6) % 7));
    return [first, plus(first, 6)];
  }
  if (period === "month") return [`${year}-${month}-01`, plus(monthsOn(`${year}-${month}-01`, 1), -1)];
  if (period === "year") return [`${year}-01-01`, `${year}-12-31`];
  return [FIRST, date];
}

/** The day that a period begins with which lies `steps` periods ahead. */
export function step(period, date, range, steps) {
  const [first, last] = span(period, date, range);
  if (period === "month") return monthsOn(first, steps);
  if (period === "year") return monthsOn(first, 12 * steps);
  return plus(first, steps * (between(first, last) + 1));
}

/** What a range of days is shown in. */
export function bucket(period, [first, last]) {
  if (PERIODS[period]) return PERIODS[period];
  const days = between(first, last) + 1;
  if (days <= 2) return "slot";
  if (days <= 14) return "hour";
  return days <= 92 ? "day" : "month";
}

const format = (options) => new Intl.DateTimeFormat(locale, { timeZone: "UTC", ...options });
const LONG = format({ weekday: "short", day: "numeric", month: "long", year: "numeric" });
const SHORT = format({ day: "numeric", month: "short", year: "numeric" });
const MONTH = format({ month: "long", year: "numeric" });

/** The period in words. */
export function words(period, date, range) {
  const [first, last] = span(period, date, range);
  if (period === "day") return LONG.format(at(date));
  if (period === "month") return MONTH.format(at(first));
  if (period === "year") return first.slice(0, 4);
  if (period === "all") return t("Everything recorded");
  return first === last ? SHORT.format(at(first)) : SHORT.formatRange(at(first), at(last));
}

/** A day or a month by its name. */
export const nameInWords = (name) => (name.length === 7 ? MONTH.format(at(`${name}-01`)) : LONG.format(at(name)));

/** What servers before called their ranges. */
const LEGACY = { "1h": "day", "6h": "day", "1d": "day", "7d": "week", "30d": "month", "90d": "range", "1y": "year", all: "all" };

/** What the address asks for. */
export function read(query, now) {
  const [from, to] = [query.get("from"), query.get("to")];
  const isRange = isDate(from) && isDate(to) && from <= to;
  const asked = query.get("period") ?? LEGACY[query.get("range")];
  const period = isRange ? "range" : Object.keys(PERIODS).includes(asked) ? asked : "day";
  const date = isDate(query.get("date")) ? query.get("date") : now;
  const range = isRange ? [from, to] : period === "range" ? [plus(date, -89), date] : null;
  return { period, date, range, site: query.get("site") ?? query.get("gateway") };
}
