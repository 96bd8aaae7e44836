// What must be said in words: outages, gateways that are missing, a server that is gone, restarts, new firmware.

import { age, duration, isNumber, percent, time } from "./format.js";
import { gateway, ids, isLow, nameOf, part } from "./site.js";
import { inPassing } from "./troubles.js";
import { t } from "./words.js";

/** For how long something that happened is worth a line. Seconds */
const NEWS = 1800;

/** Two starts of a gateway closer than this are one, read twice. Seconds */
const SAME_START = 90;

/** Remembers what changed while the page was open. */
export class News {
  #before = new Map();
  #news = [];

  watch(state, now) {
    for (const id of ids(state)) {
      const status = part(state, id, "status");
      if (!status) continue;
      const before = this.#before.get(id) ?? {};
      const report = (text) => this.#news.push({ id, text, at: now });
      if (isNumber(before.boot) && status.boot_at > before.boot + SAME_START) report(t("gateway restarted"));
      if (before.firmware && status.firmware && before.firmware !== status.firmware)
        report(t("firmware changed from {before} to {after}", { before: before.firmware, after: status.firmware }));
      if (isNumber(before.restarts) && status.restarts > before.restarts) report(t("monitor restarted"));
      this.#before.set(id, {
        boot: status.boot_at ?? before.boot,
        firmware: status.firmware ?? before.firmware,
        restarts: status.restarts ?? before.restarts,
        from: before.from ?? now,
        outage: this.#outageOf(before, part(state, id, "energy")?.grid, this.#before.has(id) ? now : null, now, report),
      });
    }
    for (const id of this.#before.keys()) if (!ids(state).includes(id)) this.#before.delete(id);
    this.#news = this.#news.filter(({ at }) => now - at < NEWS).slice(-8);
  }

  /** The outage that a gateway is in: until its grid is back, whatever it says in between. */
  #outageOf(before, grid, since, now, report) {
    if (grid === "DOWN") return before.outage ?? { since };
    if (grid !== "UP") return before.outage ?? null;
    // Of one that had begun before the page was opened, only the end is known.
    if (before.outage) report(before.outage.since === null ? t("power is back") : t("power was out for {time}", { time: duration(now - before.outage.since) }));
    return null;
  }

  outageSince(id) {
    return this.#before.get(id)?.outage?.since ?? null;
  }

  /** Since when a gateway is cut off that was so when the page was opened. */
  learn(id, since) {
    const outage = this.#before.get(id)?.outage;
    if (outage) outage.since ??= since;
  }

  /** When this page was told first of a gateway. */
  watchedFrom(id) {
    return this.#before.get(id)?.from ?? null;
  }

  latest() {
    return this.#news.slice().reverse();
  }
}

/** Why a gateway has no fresh values, in a few words. */
export function trouble(status, now, isPlain) {
  if (!status || status.freshness === "live") return null;
  const why = isPlain ? inPassing(status.error) : (status.error?.message ?? null);
  const last = isNumber(status.taken_at) ? t("last values {age} old", { age: age(now - status.taken_at) }) : t("waiting for the first answer");
  return [why, last].filter(Boolean).join(" · ");
}

/** When the gateway is asked again, if it is known. */
export function nextTry(status, now) {
  const at = status?.cooldown_until ?? status?.next_attempt_at;
  return isNumber(at) && at > now ? age(Math.ceil(at - now)) : null;
}

export function freshness(site, live, now) {
  if (live.link === "connecting") return { level: "quiet", text: t("Connecting") };
  if (live.link === "lost") {
    const rest = live.retryAt === null ? 0 : Math.ceil((live.retryAt - performance.now()) / 1000);
    return { level: "bad", text: rest > 1 ? t("Server gone, trying again in {time}", { time: age(rest) }) : t("Server gone, trying again") };
  }
  const old = isNumber(site.takenAt) ? now - site.takenAt : null;
  switch (site.freshness) {
    case "live":
      return { level: "good", text: old === null ? t("Live") : `${t("Live")} · ${age(old)}` };
    case "stale":
      return { level: "warn", text: t("Delayed · {age} old", { age: age(old) }) };
    case "expired":
      return { level: "bad", text: isNumber(site.takenAt) ? t("Offline · values of {time}", { time: time(site.takenAt, now) }) : t("Offline") };
    default:
      return { level: "quiet", text: t("No data yet") };
  }
}

/** The gateways of this view that are cut off from the grid. */
export function cutOff(site, state) {
  const those = site.id === null ? ids(state) : [site.id];
  return those.filter((id) => part(state, id, "energy")?.grid === "DOWN" && part(state, id, "status")?.freshness !== "never");
}

/** `{ level, title, text }`, the worst first. `isPlain`: without the words of errors. */
export function notices(site, live, news, now, isPlain) {
  const { state } = live;
  const found = [];
  for (const gone of site.missing) {
    const status = part(state, gone.id, "status");
    const last = gone.last_seen_at ?? status?.taken_at;
    const seen = isNumber(last) ? t("last heard {age} ago", { age: age(now - last) }) : t("never heard");
    const title = t("Without {name}", { name: nameOf(state, gone.id) || gone.name });
    const why = isPlain ? inPassing(status?.error) : (status?.error?.message ?? gone.reason);
    found.push({ level: "warn", title, text: [why, seen].filter(Boolean).join(" · ") });
  }
  for (const id of site.id === null ? ids(state) : [site.id]) {
    const one = gateway(state, id);
    if ((one.freshness !== "live" && one.freshness !== "stale") || !isLow(one)) continue;
    const isBelow = isNumber(one.reserve) && one.soe < one.reserve;
    const shares = { percent: percent(one.soe), reserve: percent(one.reserve) };
    const text = isBelow ? t("{percent} charged, below its reserve of {reserve}", shares) : t("{percent} charged", shares);
    found.push({ level: "warn", title: site.id === null ? one.name : isBelow ? t("Below reserve") : t("Nearly empty"), text });
  }
  if (site.status && site.freshness !== "live") {
    const again = nextTry(site.status, now);
    const level = site.freshness === "stale" ? "warn" : "bad";
    const title = { stale: t("Delayed"), never: t("No data") }[site.freshness] ?? t("Offline");
    found.push({ level, title, text: [trouble(site.status, now, isPlain), again && t("asked again in {time}", { time: again })].filter(Boolean).join(" · ") });
  }
  for (const { id, text, at } of news.latest()) {
    if (site.id !== null && site.id !== id) continue;
    found.push({ level: "info", title: nameOf(state, id), text: `${text}, ${time(at, now)}` });
  }
  return found;
}

/** What the house lives on while the grid is away. */
export function lifeline(site) {
  if (!isNumber(site.soe)) return t("The charge of the battery is not known");
  return t("Running on battery and solar, {percent} charged", { percent: percent(site.soe) });
}
