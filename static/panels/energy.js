// The four powers and the charge, now and lately.

import { el, icon, mark, say, show } from "../dom.js";
import { decimal, energy as kilowattHours, isNumber, percent, power, powerParts, signed, time, UNKNOWN } from "../format.js";
import { doing, isFlowing, NAMES, SOURCES } from "../site.js";
import { LINES, STEP } from "../trend.js";
import { t } from "../words.js";

const RANGES = [["30 min", 1800], ["1 h", 3600], ["3 h", 10_800], ["6 h", 21_600], ["12 h", 43_200], ["24 h", 86_400]];
const STORE = "pw_console_range";
const TITLES = { ...NAMES, soe: t("Charge") };

function remembered() {
  const kept = Number(localStorage.getItem(STORE));
  return RANGES.some(([, seconds]) => seconds === kept) ? kept : 3600;
}

/** A round number of watts above `watts`. */
function ceiling(watts) {
  const size = 10 ** Math.floor(Math.log10(Math.max(1, watts)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * size).find((step) => step >= watts) ?? 10 * size;
}

export function energy() {
  const figures = Object.fromEntries(SOURCES.map((of) => [of, { number: el("b"), unit: el("i"), what: el("span"), today: el("span", { class: "today" }) }]));
  const cards = SOURCES.map((of) => {
    const { number, unit, what, today } = figures[of];
    const label = el("span", { class: "label" }, icon(of), NAMES[of]);
    return el("div", { class: `now of-${of}`, "data-of": of }, label, el("span", { class: "value" }, number, unit), what, today);
  });
  const generator = { number: el("b"), unit: el("i"), what: el("span") };
  generator.card = el("div", { class: "now", "data-of": "generator" }, el("span", { class: "label" }, t("Generator")), el("span", { class: "value" }, generator.number, generator.unit), generator.what);
  const nows = el("div", { class: "nows" }, cards, generator.card);
  let range = remembered();
  let wanted = true;
  const shown = new Set(LINES);
  const canvas = el("canvas", { role: "img" });
  const readout = el("p", { class: "readout", "aria-live": "off" });
  const ranges = RANGES.map(([text, seconds]) => {
    const choose = () => {
      range = seconds;
      localStorage.setItem(STORE, String(seconds));
      wanted = true;
      paint();
    };
    return el("button", { type: "button", "data-range": seconds, on: { click: choose } }, text);
  });
  const legend = LINES.map((line) => {
    const toggle = () => {
      if (!shown.delete(line)) shown.add(line);
      wanted = true;
      paint();
    };
    const of = line === "soe" ? "battery" : line;
    return el("button", { type: "button", class: `of-${of}`, "data-line": line, on: { click: toggle } }, el("s"), TITLES[line]);
  });
  const node = el(
    "div",
    { class: "energy" },
    nows,
    el("div", { class: "choices" }, el("div", { role: "group", "aria-label": t("Range") }, ranges), el("div", { role: "group", "aria-label": t("Lines") }, legend)),
    el("div", { class: "chart" }, canvas),
    readout,
  );
  let context = null;
  let pointed = null; // share of the width
  let paintedSlot = null;
  const size = { width: 0, height: 0 };

  canvas.addEventListener("pointermove", ({ offsetX }) => {
    pointed = offsetX / size.width;
    wanted = true;
    paint();
  });
  canvas.addEventListener("pointerleave", () => {
    pointed = null;
    wanted = true;
    paint();
  });
  new ResizeObserver(([{ contentRect }]) => {
    size.width = contentRect.width;
    size.height = contentRect.height;
    wanted = true;
    paint();
  }).observe(canvas);

  function paint() {
    if (!context || size.width === 0) return;
    const slot = Math.floor(context.now / STEP);
    if (!wanted && slot === paintedSlot) return;
    wanted = false;
    paintedSlot = slot;
    for (const button of ranges) mark(button, "aria-pressed", String(Number(button.dataset.range) === range));
    for (const button of legend) mark(button, "aria-pressed", String(shown.has(button.dataset.line)));
    const series = context.trend.of(context.focus, context.now);
    const count = Math.round(range / STEP);
    const steps = Math.max(1, Math.floor(count / size.width));
    draw(canvas, series, { size, slot, count, steps, shown, pointed, now: context.now });
    let known = 0;
    for (let back = 0; back < count; back += 1) if (LINES.some((line) => !Number.isNaN(series.at(line, slot - back)))) known += 1;
    const at = pointed === null ? null : slotAt(pointed * size.width, canvas, size.width, slot, count);
    say(readout, at === null ? hint(series, known, count) : inWords(series, at));
    mark(canvas, "aria-label", t("Power over the last {time}", { time: RANGES.find(([, seconds]) => seconds === range)[0] }));
  }

  function inWords(series, slot) {
    const values = LINES.filter((line) => shown.has(line)).map((line) => {
      const value = series.at(line, slot);
      const text = Number.isNaN(value) ? UNKNOWN : line === "soe" ? percent(value) : line === "battery" || line === "grid" ? signed(value) : power(value);
      return `${TITLES[line]} ${text}`;
    });
    return [time(slot * STEP, context.now), ...values].join(" · ");
  }

  return {
    id: "energy",
    title: t("Power and energy"),
    isWide: true,
    node,
    draw(next) {
      if (context?.focus !== next.focus || context?.theme !== next.theme) wanted = true;
      context = next;
      const { site } = next;
      for (const of of SOURCES) {
        const [number, unit] = powerParts(site[of]);
        say(figures[of].number, number);
        say(figures[of].unit, unit);
        const charge = isNumber(site.soe) ? ` · ${percent(site.soe)}` : "";
        const own = site.selfPowered === null ? "" : t("Self-powered {percent}", { percent: percent(site.selfPowered) });
        say(figures[of].what, { solar: "", load: own, battery: doing(of, site) + charge, grid: doing(of, site) }[of]);
        say(figures[of].today, ofToday(of, site.today));
      }
      show(generator.card, site.generator !== null);
      if (site.generator !== null) {
        const { power: watts = null } = site.generator;
        const [number, unit] = powerParts(watts);
        say(generator.number, number);
        say(generator.unit, unit);
        say(generator.what, !isNumber(watts) ? t("Unknown") : isFlowing(watts) ? t("Running") : t("Off"));
      }
      cards[2].hidden = !site.hasBattery;
      cards[3].toggleAttribute("data-bad", site.isOutage);
      nows.classList.toggle("aged", !next.isAlive);
      paint();
      return true;
    },
  };
}

/** Where the lines come from, if they are not all there. */
function hint(series, known, count) {
  if (series.isRecorded) return "";
  return known < count - 2 ? t("{time} so far, recorded by this browser", { time: `${Math.round((known * STEP) / 60)} min` }) : t("Recorded by this browser");
}

/** What one of the four has come to today, as far as the history knows. */
function ofToday(of, today) {
  const part = (value, write) => (isNumber(value) ? write(kilowattHours(value)) : null);
  if (of === "grid") {
    const [bought, sold] = [part(today?.imported, (energy) => t("{energy} in", { energy })), part(today?.exported, (energy) => t("{energy} out", { energy }))];
    const both = [bought, sold].filter(Boolean).join(", ");
    return both && t("{energy} today", { energy: both });
  }
  return part(today?.[of], (energy) => t("{energy} today", { energy })) ?? "";
}

/** What lies beside the lines: letters on both sides. */
function margins(size) {
  return { top: size * 0.8, bottom: size * 1.9, left: size * 3.6, right: size * 3.4 };
}

/** The slot that is drawn at `x`. */
function slotAt(x, canvas, width, slot, count) {
  const { left, right } = margins(parseFloat(getComputedStyle(canvas).fontSize));
  const share = (x - left) / Math.max(1, width - left - right);
  return slot - count + 1 + Math.round(Math.max(0, Math.min(1, share)) * (count - 1));
}

function draw(canvas, series, { size: { width, height }, slot, count, steps, shown, pointed, now }) {
  const style = getComputedStyle(canvas);
  const scale = Math.min(2, devicePixelRatio || 1);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const ink = canvas.getContext("2d");
  ink.scale(scale, scale);
  const size = parseFloat(style.fontSize);
  ink.font = `500 ${size}px ${style.fontFamily}`;
  const { top, bottom, left, right } = margins(size);
  const [wide, high] = [width - left - right, height - top - bottom];
  const first = slot - count + 1;
  let [most, least] = [500, 0];
  for (const line of LINES) {
    if (line === "soe" || !shown.has(line)) continue;
    for (let each = first; each <= slot; each++) {
      const value = series.at(line, each);
      if (value > most) most = value;
      if (value < least) least = value;
    }
  }
  const up = ceiling(most);
  const down = least < -20 ? ceiling(-least) : 0;
  const x = (each) => left + ((each - first) / Math.max(1, count - 1)) * wide;
  const y = (watts) => top + ((up - watts) / (up + down)) * high;
  const colour = (name) => style.getPropertyValue(name).trim();
  const quiet = colour("--quiet");

  ink.lineWidth = 1;
  ink.textBaseline = "middle";
  const ticks = new Set([up, up / 2, 0, ...(down ? [-down] : [])]);
  for (const tick of ticks) {
    ink.strokeStyle = colour("--line");
    ink.globalAlpha = tick === 0 ? 1 : 0.5;
    ink.beginPath();
    ink.moveTo(left, y(tick));
    ink.lineTo(width - right, y(tick));
    ink.stroke();
    ink.globalAlpha = 1;
    ink.fillStyle = quiet;
    ink.textAlign = "right";
    const number = decimal(tick / 1000, Number.isInteger(tick / 1000) ? 0 : 1);
    ink.fillText(tick === up ? `${number} kW` : number, left - size * 0.5, y(tick));
  }
  ink.textAlign = "left";
  if (shown.has("soe")) for (const share of [0, 50, 100]) ink.fillText(share === 100 ? "100 %" : String(share), width - right + size * 0.5, top + (1 - share / 100) * high);
  ink.textBaseline = "alphabetic";
  const marks = Math.max(2, Math.min(6, Math.floor(wide / (size * 7))));
  for (let index = 0; index <= marks; index++) {
    ink.textAlign = index === 0 ? "left" : index === marks ? "right" : "center";
    const each = first + Math.round((index / marks) * (count - 1));
    ink.fillText(index === marks ? t("now") : time(each * STEP, null), x(each), height - size * 0.3);
  }

  const trace = (line, place) => {
    ink.beginPath();
    let isDown = false;
    for (let each = first; each <= slot; each += steps) {
      const value = series.at(line, each);
      if (Number.isNaN(value)) isDown = false;
      else if (isDown) ink.lineTo(x(each), place(value));
      else {
        ink.moveTo(x(each), place(value));
        isDown = true;
      }
    }
  };
  ink.lineJoin = "round";
  if (shown.has("solar")) area(ink, series, { first, slot, steps, x, y, fill: colour("--fill-solar") });
  for (const line of LINES) {
    if (!shown.has(line)) continue;
    const isCharge = line === "soe";
    ink.strokeStyle = colour(isCharge ? "--battery" : `--fill-${line}`);
    ink.lineWidth = isCharge ? Math.max(1.5, size * 0.1) : Math.max(2, size * 0.14);
    ink.setLineDash(isCharge ? [size * 0.4, size * 0.35] : []);
    trace(line, isCharge ? (share) => top + (1 - share / 100) * high : y);
    ink.stroke();
  }
  ink.setLineDash([]);
  if (pointed !== null) {
    ink.strokeStyle = quiet;
    ink.lineWidth = 1;
    ink.beginPath();
    ink.moveTo(pointed * width, top);
    ink.lineTo(pointed * width, height - bottom);
    ink.stroke();
  }
}

/** The sun's part is filled. */
function area(ink, series, { first, slot, steps, x, y, fill }) {
  ink.fillStyle = fill;
  ink.globalAlpha = 0.18;
  ink.beginPath();
  let from = null;
  for (let each = first; each <= slot + steps; each += steps) {
    const value = series.at("solar", each);
    if (Number.isNaN(value) || each > slot) {
      if (from !== null) ink.lineTo(x(each - steps), y(0));
      from = null;
      continue;
    }
    if (from === null) {
      from = each;
      ink.moveTo(x(each), y(0));
    }
    ink.lineTo(x(each), y(value));
  }
  ink.fill();
  ink.globalAlpha = 1;
}
