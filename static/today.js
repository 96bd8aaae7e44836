// The energies of today, from the history; nothing where none is kept.

import { isNumber } from "./format.js";

const REFRESH = 300_000;
/** A history that has just begun knows more soon. */
const BEGUN = 20_000;
const FLOWS = { solar: "solar_kwh", load: "home_kwh", imported: "grid_import_kwh", exported: "grid_export_kwh" };

export class Today {
  #gateways = {};

  constructor(onChange) {
    const ask = async () => {
      if (document.hidden) return;
      try {
        const answer = await fetch("api/timeseries/today", { cache: "no-cache" });
        const { enabled, gateways } = answer.ok ? await answer.json() : {};
        this.#gateways = gateways ?? {};
        if (enabled && Object.keys(this.#gateways).length === 0) setTimeout(ask, BEGUN);
        onChange();
      } catch {
        // The live feed says that the server is gone.
      }
    };
    ask();
    setInterval(ask, REFRESH);
  }

  /** Whether anything of today was recorded of one of `ids`. */
  knows(ids) {
    return ids.some((id) => Object.hasOwn(this.#gateways, id));
  }

  /** Wh of each flow, added up over `ids`; unknown where it is of one of them. */
  of(ids) {
    const days = ids.map((id) => this.#gateways[id]);
    const sum = (name) => (days.length > 0 && days.every((day) => isNumber(day?.[name])) ? days.reduce((all, day) => all + day[name] * 1000, 0) : null);
    return Object.fromEntries(Object.entries(FLOWS).map(([flow, name]) => [flow, sum(name)]));
  }
}
