// The last 24 hours under the display: sun, home, charge, and when the grid was away. From the history; nothing where
// none is kept.

import { el, mark, say, show, svg, vary } from "./dom.js";
import { duration, isNumber, time } from "./format.js";
import { locale, t } from "./words.js";

const REFRESH = 300_000;
const DAY = 86_400;
const SLOT = 900;
/** Of the picture, in units of its own. */
const [WIDE, HIGH] = [1440, 100];
/** Hours that are named below. */
const NAMED = 6;
const CLOCK = new Intl.DateTimeFormat(locale, { hour: "numeric" });

/** Stretches of `rows` in which `value` is known, as points of the picture. */
function runs(rows, from, value) {
  const found = [];
  let last = null;
  for (const row of rows) {
    const high = value(row);
    if (!isNumber(high)) continue;
    if (last === null || row.start - last > SLOT * 1.5) found.push([]);
    last = row.start;
    found.at(-1).push([(((row.start + SLOT / 2 - from) / DAY) * WIDE).toFixed(1), ((1 - high) * HIGH).toFixed(1)]);
  }
  return found;
}

const line = (stretches) => stretches.map((points) => `M${points.map((point) => point.join(" ")).join("L")}`).join("");
const area = (stretches) => stretches.map((points) => `M${points[0][0]} ${HIGH}L${points.map((point) => point.join(" ")).join("L")}L${points.at(-1)[0]} ${HIGH}Z`).join("");

export class Ribbon {
  #solar = svg("path", { class: "sun" });
  #load = svg("path", { class: "home" });
  #soe = svg("path", { class: "charge" });
  #gone = svg("g", { class: "gone" });
  #picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img" }, this.#gone, this.#solar, this.#load, this.#soe);
  #hours = el("div", { class: "hours", "aria-hidden": "true" });
  #said = el("figcaption");
  node = el("figure", { id: "ribbon", hidden: true }, this.#picture, this.#hours, this.#said);
  #site;
  #asked = -Infinity;

  /** `id`: of a site; `null`: of all. `isKept`: whether there is a history of it. */
  async follow(id, isKept) {
    if (this.#site !== id || !isKept) show(this.node, false);
    if (!isKept) this.#site = undefined;
    if (!isKept || document.hidden || (this.#site === id && performance.now() - this.#asked < REFRESH)) return;
    [this.#site, this.#asked] = [id, performance.now()];
    const to = Math.floor(Date.now() / 1000);
    try {
      const site = id === null ? "" : `&gateway=${encodeURIComponent(id)}`;
      const answer = await fetch(`api/history?bucket=slot&start=${to - DAY}&end=${to}${site}`, { cache: "no-store" });
      if (id === this.#site) this.#draw(answer.ok ? await answer.json() : null, to);
    } catch {
      // The live feed says that the server is gone.
    }
  }

  #draw(found, to) {
    const gateways = Object.values(found?.gateways ?? {});
    const isOne = gateways.length === 1;
    // A sum of which something is missing is none.
    const rows = isOne ? gateways[0].rows : (found?.sum.rows ?? []).filter(({ missing }) => missing.length === 0);
    show(this.node, rows.length > 1);
    if (rows.length < 2) return;
    const from = to - DAY;
    const most = Math.max(0.25, ...rows.flatMap(({ solar_kwh, home_kwh }) => [solar_kwh ?? 0, home_kwh ?? 0]));
    mark(this.#solar, "d", area(runs(rows, from, ({ solar_kwh: energy }) => (isNumber(energy) ? energy / most : null))));
    mark(this.#load, "d", line(runs(rows, from, ({ home_kwh: energy }) => (isNumber(energy) ? energy / most : null))));
    mark(this.#soe, "d", isOne ? line(runs(rows, from, ({ soe }) => (isNumber(soe) ? soe / 100 : null))) : "");
    const outages = gateways.flatMap(({ outages }) => outages).map(([start, end]) => [Math.max(start ?? from, from), end ?? to]);
    this.#gone.replaceChildren(...outages.map(([start, end]) => svg("rect", { x: ((start - from) / DAY) * WIDE, width: Math.max(2, ((end - start) / DAY) * WIDE), y: 0, height: HIGH })));
    this.#name(from, to);
    const words = outages.map(([start, end]) => t("Power was out for {time} at {when}", { time: duration(end - start), when: time(start, to) }));
    say(this.#said, words.join(" · "));
    mark(this.#picture, "aria-label", [t("The last 24 hours of sun, home and charge"), ...words].join(". "));
  }

  /** Names whole hours by the clock of this browser. */
  #name(from, to) {
    const hours = [];
    const first = new Date(from * 1000);
    first.setMinutes(60, 0, 0);
    for (const at = first; at / 1000 < to; at.setHours(at.getHours() + 1)) {
      const place = (at / 1000 - from) / DAY;
      if (at.getHours() % NAMED === 0 && place > 0.03 && place < 0.97) {
        hours.push(el("span", null, CLOCK.format(at)));
        vary(hours.at(-1), "--at", place.toFixed(4));
      }
    }
    this.#hours.replaceChildren(...hours);
  }
}
