// What was lately, for as long as a browser remembers: a value every 20 s for a day, for the sum and for every gateway.

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
    }
    return this.#series.get(id);
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
