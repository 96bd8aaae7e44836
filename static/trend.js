// What was lately: a value every 20 s for a day, for the sum and for every gateway. What this browser has not seen comes
// from the history, where one is kept.

import { gateway, ids, total } from "./site.js";

export const STEP = 20;
const SLOTS = 4320;
/** Kept over a reload: one value a minute. */
const KEPT = 3;
const MOST = 12; // series
const SAVE = 300_000;
const STORE = "pw_trend";
export const LINES = ["solar", "load", "battery", "grid", "soe"];

/** Means of equal steps, in rings; NaN is unknown. */
class Series {
  rings = Object.fromEntries(LINES.map((line) => [line, new Float32Array(SLOTS).fill(NaN)]));
  #slot = null;
  #count = 0;

  add(site, now) {
    const slot = Math.floor(now / STEP);
    if (this.#slot !== slot) this.#open(slot);
    this.#count += 1;
    const place = slot % SLOTS;
    for (const line of LINES) {
      const value = site[line] ?? NaN;
      const ring = this.rings[line];
      ring[place] = this.#count === 1 ? value : ring[place] + (value - ring[place]) / this.#count;
    }
  }

  #open(slot) {
    const from = this.#slot === null ? slot : Math.max(this.#slot + 1, slot - SLOTS + 1);
    for (let each = from; each <= slot; each++) for (const line of LINES) this.rings[line][each % SLOTS] = NaN;
    this.#slot = slot;
    this.#count = 0;
  }

  /** Fills what was not seen with means of `seconds` in W and percent. */
  fill(means, seconds, now) {
    const newest = Math.floor(now / STEP);
    if (this.#slot === null) this.#open(newest);
    for (const { at, values } of means) {
      const first = Math.max(Math.floor(at / STEP), this.#slot - SLOTS + 1);
      const last = Math.min(first + Math.round(seconds / STEP) - 1, this.#slot);
      for (let slot = first; slot <= last; slot++) {
        for (const line of LINES) {
          const ring = this.rings[line];
          if (Number.isNaN(ring[slot % SLOTS])) ring[slot % SLOTS] = values[line] ?? NaN;
        }
      }
    }
    this.isRecorded = true;
  }
  /** Whether the history has filled it. */
  isRecorded = false;

  at(line, slot) {
    return this.#slot !== null && slot <= this.#slot && slot > this.#slot - SLOTS ? this.rings[line][slot % SLOTS] : NaN;
  }

  save() {
    const last = this.#slot ?? 0;
    const lines = LINES.map((line) => {
      const values = [];
      for (let slot = last - SLOTS + 1; slot <= last; slot += KEPT) {
        const value = this.rings[line][((slot % SLOTS) + SLOTS) % SLOTS];
        values.push(Number.isFinite(value) ? Math.round(value * (line === "soe" ? 10 : 1)) : "");
      }
      return values.join(",");
    });
    return { last, lines };
  }

  load({ last, lines }, now) {
    const slot = Math.floor(now / STEP);
    if (!Number.isInteger(last) || last > slot || last < slot - SLOTS) return;
    LINES.forEach((line, index) => {
      const values = String(lines[index] ?? "").split(",").slice(-SLOTS / KEPT);
      values.forEach((text, place) => {
        if (text === "") return;
        const value = Number(text) / (line === "soe" ? 10 : 1);
        const first = last - SLOTS + 1 + place * KEPT;
        for (let each = first; each < first + KEPT && each <= last; each++) this.rings[line][each % SLOTS] = value;
      });
    });
    this.#slot = last;
    this.#count = 1;
  }
}

export class Trend {
  #series = new Map();
  #saved = {};

  constructor(now) {
    try {
      this.#saved = JSON.parse(localStorage.getItem(STORE)) ?? {};
    } catch {
      // A browser that keeps nothing begins anew.
    }
    this.started = now;
    setInterval(() => this.#save(), SAVE);
    addEventListener("pagehide", () => this.#save());
  }

  add(state, now) {
    const alive = ids(state).slice(0, MOST);
    if (state.total?.contributors?.length) this.of(null, now).add(total(state), now);
    for (const id of alive) {
      const site = gateway(state, id);
      if (site.freshness === "live") this.of(id, now).add(site, now);
    }
    for (const key of this.#series.keys()) if (key !== null && !alive.includes(key)) this.#series.delete(key);
  }

  of(id, now) {
    if (!this.#series.has(id)) {
      const series = new Series();
      const saved = this.#saved[id ?? ""];
      if (saved && Array.isArray(saved.lines)) series.load(saved, now);
      this.#series.set(id, series);
      this.#recall(id, series, now);
    }
    return this.#series.get(id);
  }

  async #recall(id, series, now) {
    try {
      const answer = await fetch(`api/timeseries/trend?hours=24${id === null ? "" : `&gateway=${encodeURIComponent(id)}`}`, { cache: "no-store" });
      const { enabled, points, bucket_seconds: seconds } = answer.ok ? await answer.json() : {};
      if (!enabled) return;
      // A sum of which something is missing is none; a mean of levels is not the level of all batteries.
      const whole = points.filter(({ missing }) => !missing);
      const watts = (kilowatts) => (typeof kilowatts === "number" ? kilowatts * 1000 : null);
      const means = whole.map((point) => ({
        at: point.ts,
        values: { solar: watts(point.solar_kw), load: watts(point.home_kw), battery: watts(point.battery_kw), grid: watts(point.grid_kw), soe: id === null ? null : point.battery_level },
      }));
      series.fill(means, seconds, now);
    } catch {
      // Then it shows what this browser has seen.
    }
  }

  #save() {
    const all = {};
    for (const [id, series] of this.#series) all[id ?? ""] = series.save();
    try {
      localStorage.setItem(STORE, JSON.stringify(all));
    } catch {
      // No room: what is drawn stays in memory.
    }
  }
}
