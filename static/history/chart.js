// The chart: power as lines where a period is short, energy as stacked bars where it is long. What is not known is
// hatched.

import { decimal, isNumber } from "../format.js";
import { locale, t } from "../words.js";

/** Flows above the line come from a source, those below go somewhere; the first lies on the line. */
const ABOVE = [["solar", "solar"], ["discharge", "battery"], ["import", "grid"]];
const BELOW = [["home", "load"], ["charge", "battery"], ["export", "grid"]];
const LINES = [["solar", "solar"], ["load", "load"], ["battery", "battery"], ["grid", "grid"], ["soe", "battery"]];
/** Less of a row than this was measured: part of it is a gap. */
const WHOLE = 0.97;

/** What can be hidden, in the order of the legend. */
export const legend = (isLines, hasCharge) =>
  isLines
    ? [["solar", t("Solar"), "solar"], ["load", t("Home"), "load"], ["battery", t("Battery"), "battery"], ["grid", t("Grid"), "grid"], ...(hasCharge ? [["soe", t("Charge"), "battery"]] : [])]
    : [["solar", t("Solar"), "solar"], ["discharge", t("From battery"), "battery"], ["import", t("From grid"), "grid"], ["home", t("Home"), "load"], ["charge", t("Into battery"), "battery"], ["export", t("To grid"), "grid"]];

const least = (a, b) => (isNumber(a) && isNumber(b) ? a - b : isNumber(a) ? a : isNumber(b) ? -b : null);

/** Mean powers of a row in kW: battery + gives, grid + takes from it. */
export function powers(row) {
  const hours = (row.end - row.start) / 3600;
  const kilowatts = (energy) => (isNumber(energy) ? energy / hours : null);
  return {
    solar: kilowatts(row.solar_kwh),
    load: kilowatts(row.home_kwh),
    battery: kilowatts(least(row.discharge_kwh, row.charge_kwh)),
    grid: kilowatts(least(row.import_kwh, row.export_kwh)),
    soe: row.soe ?? null,
  };
}

/** Rows of equal length with an empty one for each that is missing, so that no line crosses a gap. */
function filled(rows, seconds) {
  const all = [];
  for (const row of rows) {
    const last = all.at(-1);
    if (last && row.start - last.start > seconds * 1.5) all.push({ start: last.start + seconds, end: last.start + 2 * seconds });
    all.push(row);
  }
  return all;
}

/** Sums from the line outwards; `null` where nothing is known. */
function stack(rows, flows, hidden, sign) {
  const sums = rows.map(() => 0);
  return flows.map(([flow]) =>
    rows.map((row, place) => {
      const value = row[`${flow}_kwh`];
      if (isNumber(value) && !hidden.has(flow)) sums[place] += sign * value;
      return isNumber(value) && !hidden.has(flow) ? sums[place] : null;
    }),
  );
}

/** Diagonal strokes, as a fill. */
function hatching(ink, colour, scale) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8 * scale;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = scale;
  pen.beginPath();
  pen.moveTo(0, 8 * scale);
  pen.lineTo(8 * scale, 0);
  pen.stroke();
  return ink.createPattern(tile, "repeat");
}

/** Stretches of which something is not known. */
export function unknown(rows, gaps) {
  const partly = rows.filter(({ coverage }) => isNumber(coverage) && coverage < WHOLE).map(({ start, end }) => [start, end]);
  return [...gaps, ...partly];
}

export class Chart {
  #place;
  #plot = null;
  #drawn = null;
  #size = { width: 0, height: 0 };

  /** `onPoint` gets the row below the pointer, or `null`. */
  constructor(place, onPoint) {
    this.#place = place;
    this.onPoint = onPoint;
    new ResizeObserver(([{ contentRect: { width, height } }]) => {
      this.#size = { width, height };
      if (this.#plot) this.#plot.setSize(this.#size);
      else if (this.#drawn) this.#build();
    }).observe(place);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.#build());
  }

  /** `seconds` is the length of a row, 0 for days and months; `zone` is that of the clock below. */
  draw(shown) {
    this.#drawn = shown;
    this.#build();
  }

  #build() {
    const { width } = this.#size;
    this.#plot?.destroy();
    this.#plot = null;
    if (!this.#drawn || width < 1) return;
    const { isLines, seconds, rows } = this.#drawn;
    const all = isLines ? filled(rows, seconds) : rows;
    this.rows = all;
    this.#plot = new window.uPlot(this.#options(all), isLines ? this.#lines(all) : this.#bars(all), this.#place);
    this.#touch();
  }

  #lines(rows) {
    const values = rows.map(powers);
    const times = rows.map(({ start, end }) => (start + end) / 2);
    return [times, ...LINES.map(([line]) => values.map((value) => (this.#drawn.hidden.has(line) ? null : value[line])))];
  }

  #bars(rows) {
    const { hidden } = this.#drawn;
    const above = stack(rows, ABOVE, hidden, 1);
    const below = stack(rows, BELOW, hidden, -1);
    // The outermost is drawn first and the next one over it.
    return [rows.map((_, place) => place), ...above.toReversed(), ...below.toReversed()];
  }

  #options(rows) {
    const { isLines, hasCharge } = this.#drawn;
    const style = getComputedStyle(this.#place);
    const colour = (name) => style.getPropertyValue(name).trim();
    const letter = parseFloat(style.fontSize) * 0.8125;
    const font = `500 ${letter}px ${style.fontFamily}`;
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--quiet"), font, grid, ticks: { show: false } };
    const unit = isLines ? "kW" : "kWh";
    const wide = letter * 4.2;
    const series = isLines ? lineSeries(colour, letter) : barSeries(colour);
    const axes = [
      { ...axis, grid: { show: false }, size: letter * 2.2, space: letter * 6, ...(isLines ? clock(this.#drawn) : { values: (_, splits) => splits.map((split) => (Number.isInteger(split) && rows[split] ? short(rows[split].name, rows.length > 12) : "")), incrs: [1, 2, 3, 5, 7, 14, 31, 60, 120] }) },
      { ...axis, size: wide, values: (_, splits) => splits.map((value, place) => `${tick(value, isLines)}${place === splits.length - 1 ? ` ${unit}` : ""}`) },
    ];
    if (hasCharge) axes.push({ ...axis, scale: "%", side: 1, size: letter * 3.4, grid: { show: false }, values: (_, splits) => splits.map((value) => (value === 100 ? "100 %" : String(value))), splits: () => [0, 50, 100] });
    const x = isLines ? { time: true, range: () => this.#drawn.range } : { time: false, range: () => [-0.6, Math.max(0, rows.length - 1) + 0.6] };
    return {
      ...this.#size,
      series: [{}, ...series],
      axes,
      scales: { x, y: { range: (_, low, high) => bounds(low, high, isLines ? 0.5 : 1) }, "%": { range: [0, 100] } },
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
      tzDate: (at) => window.uPlot.tzDate(new Date(at * 1000), this.#drawn.zone),
      hooks: { drawClear: [(plot) => this.#hatch(plot, colour("--line"))], setCursor: [({ cursor: { idx } }) => this.onPoint(idx === null || idx === undefined ? null : (this.rows[idx] ?? null))] },
      padding: [letter, 4, 0, 0],
    };
  }

  #hatch(plot, colour) {
    const { isLines, gaps, rows } = this.#drawn;
    const scale = window.devicePixelRatio || 1;
    const { left, top, width, height } = plot.bbox;
    plot.ctx.save();
    plot.ctx.beginPath();
    plot.ctx.rect(left, top, width, height);
    plot.ctx.clip();
    plot.ctx.fillStyle = hatching(plot.ctx, colour, scale);
    const stretches = isLines ? unknown(rows, gaps) : rows.flatMap((row, place) => (isNumber(row.coverage) && row.coverage < WHOLE ? [[place - 0.5, place + 0.5]] : []));
    for (const [from, to] of stretches) {
      const [begin, end] = [plot.valToPos(from, "x", true), plot.valToPos(to, "x", true)];
      plot.ctx.fillRect(begin, top, Math.max(2 * scale, end - begin), height);
    }
    plot.ctx.restore();
  }

  /** A finger that rests reads; one that sweeps is the business of the page. */
  #touch() {
    const { over } = this.#plot;
    over.addEventListener("pointerdown", ({ pointerType, clientX }) => {
      if (pointerType === "mouse") return;
      const { left } = over.getBoundingClientRect();
      this.#plot.setCursor({ left: clientX - left, top: 10 });
    });
  }
}

/** A number beside the lines; below the line of bars there is no minus, because they are amounts. */
function tick(value, isLines) {
  const digits = Math.abs(value) >= 10 ? 0 : [0, 1, 2].find((places) => Math.abs(value - Number(value.toFixed(places))) < 1e-6) ?? 2;
  return decimal(isLines ? value : Math.abs(value), digits);
}

/** A little room above and below; never less than `least`. */
function bounds(low, high, least) {
  const top = Math.max(high ?? 0, least);
  const bottom = Math.min(low ?? 0, 0);
  return [bottom < -0.02 ? bottom * 1.06 : 0, top * 1.06];
}

function lineSeries(colour, letter) {
  return LINES.map(([line, of]) => {
    if (line === "soe") return { scale: "%", stroke: colour("--battery"), width: Math.max(1.5, letter * 0.1), dash: [letter * 0.4, letter * 0.35], points: { show: false } };
    const fill = line === "solar" ? { fill: `${colour("--fill-solar")}2e` } : {};
    return { stroke: colour(`--fill-${of}`), width: Math.max(2, letter * 0.14), points: { show: false }, ...fill };
  });
}

function barSeries(colour) {
  const paths = window.uPlot.paths.bars({ size: [0.72, 64], gap: 0 });
  const one = ([flow, of]) => {
    const fill = flow === "charge" || flow === "export" ? mixed(colour(`--fill-${of}`), colour("--raised")) : colour(`--fill-${of}`);
    return { paths, width: 0, fill, stroke: fill, points: { show: false } };
  };
  return [...ABOVE.toReversed(), ...BELOW.toReversed()].map(one);
}

/** Three parts of one colour and two of another, both as `#rrggbb`: opaque, because bars lie on each other. */
function mixed(one, other) {
  const parts = [1, 3, 5].map((at) => [one, other].map((colour) => Number.parseInt(colour.slice(at, at + 2), 16)));
  return `rgb(${parts.map(([some, more]) => Math.round(some * 0.6 + more * 0.4)).join(" ")})`;
}

/** Times below the lines: hours of a few days, else days. */
function clock({ zone, range: [start, end] }) {
  const isLong = end - start > 3 * 86_400;
  const format = new Intl.DateTimeFormat(locale, { timeZone: zone, ...(isLong ? { weekday: "short", day: "numeric" } : { hour: "numeric", minute: "2-digit" }) });
  const incrs = isLong ? [1, 2, 7, 14].map((days) => days * 86_400) : [1, 2, 3, 4, 6, 8, 12, 24].map((hours) => hours * 3600);
  // Where the last day ends, none begins.
  const values = (_, splits) => splits.map((at) => (isLong && at >= end - 3600 ? "" : format.format(new Date(at * 1000))));
  return { incrs, values };
}

/** A day by its number, a month by its letters; the first of a year by that, where there are several. */
function short(name, isLong) {
  if (name.length !== 7) return String(Number(name.slice(8)));
  const month = new Intl.DateTimeFormat(locale, { timeZone: "UTC", month: "short" });
  const moment = new Date(`${name}-01T00:00:00Z`);
  return isLong && name.endsWith("-01") ? name.slice(0, 4) : month.format(moment);
}
