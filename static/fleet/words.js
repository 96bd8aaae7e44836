// What is the matter with a site, and what many of them add up to, in words.

import { energy, isNumber, measure, percent, power, time, UNKNOWN } from "../format.js";
import { sentence } from "../panels/sentences.js";
import { locale, t } from "../words.js";

const NUMBERS = new Intl.NumberFormat(locale);
/** How many of something. */
export const count = (number) => (isNumber(number) ? NUMBERS.format(number) : UNKNOWN);

/** Watts of many sites, without their sign. */
export function powers(watts) {
  if (!isNumber(watts) || Math.abs(watts) < 995_000) return power(watts);
  const size = Math.abs(watts) / 1e6;
  return measure(size, "MW", size < 9.995 ? 2 : 1);
}

/** Watt-hours of many sites. */
export function energies(wattHours) {
  if (!isNumber(wattHours) || wattHours < 995_000) return energy(wattHours);
  const size = wattHours / 1e6;
  return measure(size, "MWh", size < 9.995 ? 2 : 1);
}

/** Of each kind of trouble: its name and how bad it is. */
export const TROUBLES = {
  offline: { name: t("Offline"), level: "bad" },
  outage: { name: t("Grid outage"), level: "bad" },
  alert: { name: t("Alert"), level: "warn" },
  low_charge: { name: t("Low charge"), level: "warn" },
  old_firmware: { name: t("Old firmware"), level: "quiet" },
};

const SILENT = {
  site: t("the site does not report"),
  gateway: t("the gateway does not answer at its site"),
  broker: t("the broker is away"),
};

function alerts(names) {
  const serious = names.map(sentence).filter(({ kind }) => kind === "warning");
  if (serious.length === 0) return null;
  const [{ text }] = serious;
  return serious.length === 1 ? text : `${text} ${t("{number} more", { number: serious.length - 1 })}`;
}

const DETAILS = {
  offline: (site, { words }) => SILENT[site.silent] ?? words,
  outage: () => null,
  alert: (site, { words }) => alerts(site.alerts) ?? words,
  low_charge({ charge, reserve }) {
    const values = { percent: percent(charge), reserve: percent(reserve) };
    const isBelow = isNumber(reserve) && charge < reserve - 1;
    return isBelow ? t("{percent} charged, below its reserve of {reserve}", values) : t("{percent} charged", values);
  },
  old_firmware: ({ firmware }) => firmware,
};

/** What of a trouble is worth a line below its name. */
export function detail(site, trouble, now) {
  const since = isNumber(trouble.since) ? t("since {time}", { time: time(trouble.since, now) }) : null;
  const what = DETAILS[trouble.kind]?.(site, trouble) ?? null;
  return [since, what].filter(Boolean).join(" · ");
}
