// When the present outage of a gateway began, where this page has not seen it: from the history, if one is kept.

import { isNumber } from "./format.js";

/** How often it is asked for, ms. */
const EVERY = 60_000;
const DAY = 86_400;

export class Outages {
  #since = new Map();
  #due = new Map();
  #isKept;
  #onChange;

  /** `isKept(id)`: whether there is a history of it. `onChange()`: an answer has come. */
  constructor(isKept, onChange) {
    this.#isKept = isKept;
    this.#onChange = onChange;
  }

  /** Unix seconds; `null` while it is not known. */
  since(id, now) {
    if (!this.#since.has(id) && performance.now() >= (this.#due.get(id) ?? 0) && !document.hidden && this.#isKept(id)) this.#ask(id, now);
    return this.#since.get(id) ?? null;
  }

  /** Forgets the gateways that are not among `cut`: their grid is back. */
  keep(cut) {
    for (const id of this.#since.keys()) if (!cut.includes(id)) this.#since.delete(id);
  }

  async #ask(id, now) {
    this.#due.set(id, performance.now() + EVERY);
    const query = new URLSearchParams({ bucket: "slot", start: Math.floor(now) - DAY, end: Math.floor(now), gateway: id });
    try {
      const answer = await fetch(`api/history?${query}`, { cache: "no-store" });
      if (!answer.ok) return;
      const { gateways } = await answer.json();
      const open = gateways[id]?.outages.find(([start, end]) => end === null && isNumber(start));
      if (!open) return;
      this.#since.set(id, open[0]);
      this.#onChange();
    } catch {
      // The live feed says that the server is gone.
    }
  }
}
