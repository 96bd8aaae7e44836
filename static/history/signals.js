// Strings, units, temperatures and fans over the period, one kind at a time.

import { el, mark, show } from "../dom.js";
import { decimal, isNumber, UNKNOWN } from "../format.js";
import { ask, path } from "./ask.js";
import { locale, t } from "../words.js";

const DEGREES = "pw_history_temp_unit";
const COLOURS = ["solar", "load", "battery", "grid"];
const DASHES = [[], [8, 5], [2, 4], [10, 4, 2, 4]];

function kept() {
  try {
    return localStorage.getItem(DEGREES) === "F" ? "F" : "C";
  } catch {
    return "C";
  }
}

export class Signals {
  #place;
  #plot = null;
  #group = null;
  #degrees = kept();
  #asked = null;
  #catalogue = null;
  #found = null;

  constructor(place) {
    this.#place = place;
    this.canvas = el("div", { class: "plot" });
    new ResizeObserver(([{ contentRect: { width, height } }]) => this.#plot?.setSize({ width, height })).observe(this.canvas);
  }

  /** A period without a signal shows none. */
  async load(asked, signal) {
    this.#asked = asked;
    try {
      this.#catalogue ??= await ask("api/timeseries/signals", signal);
      const gateways = Object.keys(asked.days.gateways);
      const groups = this.#groups(gateways);
      show(this.#place, groups.length > 0);
      if (groups.length === 0) return;
      if (!groups.some(([id]) => id === this.#group)) this.#group = groups[0][0];
      await this.#draw(groups, signal);
    } catch {
      // The figures above stand without them.
      if (!signal.aborted) show(this.#place, false);
    }
  }

  /** The kinds of which anything was recorded, in the order of the catalogue. */
  #groups(gateways) {
    const { metrics, groups, series } = this.#catalogue;
    const there = new Set(series.filter(({ gateway }) => gateways.includes(gateway)).map(({ metric }) => metrics[metric]?.group));
    return Object.entries(groups).filter(([id]) => there.has(id)).sort(([, one], [, other]) => one.order - other.order);
  }

  async #draw(groups, signal) {
    const { metrics } = this.#catalogue;
    const wanted = Object.keys(metrics).filter((id) => metrics[id].group === this.#group);
    const from = Object.values(this.#asked.days.gateways)[0];
    const query = { start: from.start, end: from.end, gateway: this.#asked.gateway, metrics: wanted.join(",") };
    this.#found = await ask(path("api/timeseries/signal_trend", query), signal);
    this.#render(groups);
  }

  #render(groups) {
    const { metrics } = this.#catalogue;
    const found = this.#found.series.filter(({ points }) => points.length > 0);
    const isCourse = found.some(({ points }) => points.length > 1);
    const [, group] = groups.find(([id]) => id === this.#group);
    const isHeat = found.some(({ unit }) => unit === "°C");
    const isFahrenheit = isHeat && this.#degrees === "F";
    const value = (number) => (isNumber(number) && isFahrenheit ? number * 1.8 + 32 : number);
    const unit = isFahrenheit ? "°F" : (found[0]?.unit ?? metrics[Object.keys(metrics)[0]].unit);
    const chips = groups.map(([id, { label }]) => el("button", { type: "button", "aria-pressed": String(id === this.#group), on: { click: () => this.#choose(id, groups) } }, label));
    const swap = isHeat && el("button", { type: "button", on: { click: () => this.#swap(groups) } }, isFahrenheit ? t("in °C") : t("in °F"));
    const several = new Set(found.map(({ gateway }) => gateway)).size > 1;
    const name = ({ label, powerwall, gateway, device }) => [several && gateway, powerwall ?? device.split("--").at(-1), label].filter(Boolean).join(" ");
    const write = (number) => (isNumber(number) ? `${decimal(value(number), group.decimals ?? 1)}\u00a0${unit}` : UNKNOWN);
    const rows = found.map((series, index) => {
      const all = series.points;
      const weight = all.reduce((sum, { n }) => sum + n, 0);
      const mean = all.reduce((sum, { avg, n }) => sum + avg * n, 0) / weight;
      const cells = [Math.min(...all.map(({ min }) => min)), mean, Math.max(...all.map(({ max }) => max))];
      const line = el("s", { class: `of-${COLOURS[index % 4]}`, "data-dash": Math.floor(index / 4) % 4 });
      return el("tr", null, el("th", { scope: "row" }, line, name(series)), cells.map((cell) => el("td", { "data-number": true }, write(cell))));
    });
    const head = el("tr", null, ["", t("Lowest"), t("Mean"), t("Highest")].map((title, index) => el("th", { scope: "col", "data-number": index > 0 }, title)));
    const step = this.#found.bucket_seconds;
    const how = this.#found.resolution === "daily" ? t("One point per day") : step ? t("Means of {time}", { time: `${Math.round(step / 60)} min` }) : "";
    const nothing = found.length === 0 ? el("p", { class: "hint" }, t("Nothing was recorded in this period.")) : null;
    this.#place.replaceChildren(
      ...[el("h2", null, t("Parts")), el("div", { class: "legend", role: "group", "aria-label": t("Kinds") }, chips, swap), nothing, isCourse && this.canvas, found.length > 0 && el("p", { class: "hint" }, how), found.length > 0 && el("div", { class: "table", tabindex: "0", role: "region", "aria-label": group.label }, el("table", null, el("thead", null, head), el("tbody", null, rows)))].filter(Boolean),
    );
    if (isCourse) this.#paint(found, value, unit, group);
  }

  #paint(found, value, unit, group) {
    this.#plot?.destroy();
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const letter = parseFloat(style.fontSize) * 0.8125;
    const axis = { stroke: colour("--quiet"), font: `500 ${letter}px ${style.fontFamily}`, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const times = [...new Set(found.flatMap(({ points }) => points.map(({ ts }) => ts)))].sort((one, other) => one - other);
    const data = found.map(({ points }) => {
      const known = new Map(points.map(({ ts, avg }) => [ts, value(avg)]));
      return times.map((at) => known.get(at) ?? null);
    });
    const zone = this.#asked.zone ?? undefined;
    const label = new Intl.DateTimeFormat(locale, times.at(-1) - times[0] > 3 * 86_400 ? { timeZone: zone, day: "numeric", month: "short" } : { timeZone: zone, hour: "numeric", minute: "2-digit" });
    const { width, height } = this.canvas.getBoundingClientRect();
    const options = {
      width: Math.max(1, width),
      height: Math.max(1, height),
      series: [{}, ...found.map((_, index) => ({ stroke: colour(`--fill-${COLOURS[index % 4]}`), width: 2, dash: DASHES[Math.floor(index / 4) % 4], points: { show: false } }))],
      axes: [
        { ...axis, grid: { show: false }, size: letter * 2.2, space: letter * 6, values: (_, splits) => splits.map((at) => label.format(new Date(at * 1000))) },
        { ...axis, size: letter * 5, values: (_, splits) => splits.map((split, place) => `${decimal(split, Number.isInteger(split) ? 0 : 1)}${place === splits.length - 1 ? ` ${unit}` : ""}`) },
      ],
      scales: { x: { time: true }, y: group.zero_based ? { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 1) * 1.05)] } : {} },
      legend: { show: false },
      cursor: { show: false },
      tzDate: (at) => window.uPlot.tzDate(new Date(at * 1000), zone),
    };
    this.#plot = new window.uPlot(options, [times, ...data], this.canvas);
    mark(this.canvas, "aria-hidden", "true");
  }

  #choose(id, groups) {
    this.#group = id;
    this.#draw(groups, new AbortController().signal).catch(() => {});
  }

  #swap(groups) {
    this.#degrees = this.#degrees === "F" ? "C" : "F";
    try {
      localStorage.setItem(DEGREES, this.#degrees);
    } catch {
      // Then it lasts as long as the page.
    }
    this.#render(groups);
  }
}
