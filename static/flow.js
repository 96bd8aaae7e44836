// The picture of who gives power to whom: four stations, ribbons as wide as the power between them, the battery as a
// tank with its reserve mark.

import { el, icon, mark, say, show, svg, vary } from "./dom.js";
import { duration, energy, isNumber, percent, power, powerParts, share, time, UNKNOWN } from "./format.js";
import { Motes } from "./motes.js";
import { path, reach, ribbons } from "./ribbons.js";
import { doing, isFlowing, isLow, NAMES, SOURCES } from "./site.js";
import { t, within } from "./words.js";

const OUTLOOK = { full: t("Full in {time}"), reserve: t("At reserve in {time}"), empty: t("Empty in {time}") };
/** Within this many seconds an hour needs no day. */
const NEAR = 20 * 3600;
const WORDS = { solar: t("the sun"), load: t("the home"), battery: t("the battery"), grid: t("the grid") };

function station(of) {
  const parts = { number: el("b"), unit: el("i"), what: el("span", { class: "what" }) };
  parts.node = el(
    "div",
    { class: `station of-${of}`, "data-of": of },
    el("div", { class: "label" }, icon(of), el("span", { class: "name" }, NAMES[of])),
    el("div", { class: "figure" }, parts.number, parts.unit),
    parts.what,
  );
  return parts;
}

export class Flow {
  node;
  #stations = Object.fromEntries(["solar", "load", "grid"].map((of) => [of, station(of)]));
  #tank;
  #picture = svg("svg", { class: "ribbons", "aria-hidden": "true" });
  #paths = new Map();
  #canvas = el("canvas", { class: "motes", "aria-hidden": "true" });
  #words = el("ul", { class: "unseen", "aria-label": t("Flows of power") });
  #motes = new Motes(this.#canvas);
  #anchors = null;
  #unit = 16;
  #full = 5_000;
  #site = null;

  constructor() {
    const tank = {
      level: el("div", { class: "level" }),
      reserve: el("div", { class: "reserve" }, el("span")),
      soe: el("b"),
      sign: el("i"),
      what: el("span", { class: "what" }),
      power: el("b"),
      unit: el("i"),
      outlook: el("span", { class: "outlook" }),
      stored: el("span", { class: "stored" }),
    };
    tank.node = el(
      "div",
      { class: "station tank of-battery", "data-of": "battery" },
      el("div", { class: "glass" }, tank.level),
      tank.reserve,
      el(
        "div",
        { class: "charge" },
        el("div", { class: "label" }, icon("battery"), el("span", { class: "name" }, NAMES.battery)),
        el("div", { class: "figure" }, tank.soe, tank.sign),
        tank.stored,
      ),
      el(
        "div",
        { class: "rate" },
        tank.what,
        el("div", { class: "figure" }, tank.power, tank.unit),
        tank.outlook,
      ),
    );
    this.#tank = tank;
    const { solar, load, grid } = this.#stations;
    this.node = el("div", { class: "flow", role: "group", "aria-label": t("Power flow") });
    this.node.append(this.#picture, this.#canvas, solar.node, grid.node, load.node, tank.node, this.#words);
    // Runs after the browser has laid everything out: asking before that would make it do so twice.
    const sizes = new ResizeObserver(() => this.#measure());
    for (const node of [this.node, solar.node, grid.node, load.node, tank.node]) sizes.observe(node);
  }

  /** Motion, for those who want it. */
  animate(wanted) {
    this.#motes.allow(wanted);
  }

  /** `now`: unix seconds. `isAlive`: whether this is what happens now; else nothing moves. */
  draw(site, now, isAlive) {
    this.#site = site;
    for (const of of ["solar", "load", "grid"]) {
      const parts = this.#stations[of];
      const [number, unit] = powerParts(site[of]);
      say(parts.number, number);
      say(parts.unit, unit);
      say(parts.what, says(of, site));
      mark(parts.node, "data-state", state(of, site));
    }
    this.#fill(site, now, isAlive);
    show(this.#tank.node, site.hasBattery);
    this.#describe(site);
    this.#alive = isAlive;
    this.#lay();
  }
  #alive = true;

  #fill(site, now, isAlive) {
    const tank = this.#tank;
    const isKnown = isNumber(site.soe);
    say(tank.soe, isKnown ? String(Math.round(site.soe)) : UNKNOWN);
    say(tank.sign, isKnown ? "%" : "");
    const level = isKnown ? Math.max(0, Math.min(100, site.soe)) : 0;
    vary(tank.level, "--level", String(level));
    mark(tank.level, "data-known", isKnown ? "yes" : "no");
    const hasReserve = isNumber(site.reserve) && site.reserve > 0;
    show(tank.reserve, hasReserve);
    if (hasReserve) {
      vary(tank.reserve, "--level", String(Math.min(100, site.reserve)));
      mark(tank.reserve, "data-side", site.reserve > 60 ? "left" : "right");
      say(tank.reserve.firstChild, t("Reserve {percent}", { percent: percent(site.reserve) }));
    }
    const [number, unit] = powerParts(site.battery);
    say(tank.what, doing("battery", site));
    say(tank.power, number);
    say(tank.unit, unit);
    const outlook = isAlive ? site.outlook : null;
    const whose = outlook?.of ? `${outlook.of}: ` : "";
    say(tank.outlook, outlook ? `${whose}${OUTLOOK[outlook.what].replace("{time}", duration(outlook.seconds))} · ${time(now + outlook.seconds, outlook.seconds < NEAR ? null : now)}` : "");
    say(tank.stored, isNumber(site.stored) ? share(site.stored, site.capacity) : "");
    mark(tank.node, "data-state", state("battery", site));
    mark(tank.node, "data-low", isLow(site) ? "yes" : null);
  }

  /** The picture in words. */
  #describe(site) {
    const said = SOURCES.map((of) => {
      const what = of === "solar" || of === "load" ? "" : ` ${within(doing(of, site))}`;
      return `${NAMES[of]}${what} ${isNumber(site[of]) ? power(site[of]) : within(t("Unknown"))}`;
    });
    said.push(`${t("Charge")} ${isNumber(site.soe) ? percent(site.soe) : within(t("Unknown"))}`);
    for (const { from, to, watts } of site.flows) said.push(t("{power} from {from} to {to}", { power: power(watts), from: WORDS[from], to: WORDS[to] }));
    while (this.#words.children.length > said.length) this.#words.lastChild.remove();
    said.forEach((words, index) => {
      if (!this.#words.children[index]) this.#words.append(el("li"));
      say(this.#words.children[index], words);
    });
  }

  /** Where the stations stand; only when something has another size. */
  #measure() {
    const { width, height } = this.node.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    this.#unit = parseFloat(getComputedStyle(this.node).getPropertyValue("font-size"));
    this.#picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#motes.resize(width, height, this.#unit);
    this.#anchors = this.#find();
    this.#lay();
  }

  #find() {
    const box = (node) => ({ x: node.offsetLeft, y: node.offsetTop, w: node.offsetWidth, h: node.offsetHeight });
    const space = this.#unit * 0.9;
    const [sun, home, grid] = ["solar", "load", "grid"].map((of) => box(this.#stations[of].node));
    const anchors = {
      solar: { x: sun.x + sun.w / 2, y: sun.y + sun.h + space * 0.4 },
      load: { x: home.x - space, y: home.y + home.h / 2 },
      grid: { x: grid.x + grid.w + space, y: grid.y + grid.h / 2 },
    };
    const tank = box(this.#tank.node);
    if (tank.h > 0) anchors.battery = { x: anchors.solar.x, y: tank.y };
    return anchors;
  }

  #lay() {
    if (!this.#anchors || !this.#site) return;
    const unit = this.#unit;
    const flows = this.#alive ? this.#site.flows : [];
    this.#full = reach(flows, this.#full);
    const laid = ribbons(this.#anchors, flows, { widest: unit * 1.9, thinnest: Math.max(1, unit * 0.1), gap: unit * 0.35, full: this.#full, head: unit * 0.75 });
    const kept = new Set(laid.map(({ pair }) => pair));
    for (const [pair, { group }] of this.#paths) show(group, kept.has(pair));
    for (const ribbon of laid) this.#stroke(ribbon);
    this.#motes.follow(laid, (of) => this.#colours()[of]);
  }

  /** Of the lights; looked up once for each theme. */
  #colours() {
    const { theme } = document.documentElement.dataset;
    if (this.#theme !== theme) {
      this.#theme = theme;
      const style = getComputedStyle(document.documentElement);
      for (const of of SOURCES) this.#palette[of] = style.getPropertyValue(`--mote-${of}`).trim();
    }
    return this.#palette;
  }
  #theme = null;
  #palette = {};

  #stroke({ pair, from, watts, width, tip, points }) {
    if (!this.#paths.has(pair)) {
      const parts = { line: svg("path", { class: "ribbon" }), head: svg("path", { class: "head" }) };
      parts.group = svg("g", { "data-pair": pair }, parts.line, parts.head);
      this.#paths.set(pair, parts);
      this.#picture.append(parts.group);
    }
    const { group, line, head } = this.#paths.get(pair);
    const kind = watts > 0 ? `flowing of-${from}` : "idle";
    if (group.getAttribute("class") !== kind) {
      group.setAttribute("class", kind);
      // What flows lies over what does not.
      if (watts > 0) this.#picture.append(group);
      else this.#picture.prepend(group);
    }
    if (group.hasAttribute("hidden")) group.removeAttribute("hidden");
    mark(line, "d", path(points));
    mark(line, "stroke-width", width.toFixed(1));
    if (watts <= 0) return mark(head, "d", null);
    const [, , before, end] = points;
    const angle = (Math.atan2(end.y - before.y, end.x - before.x) * 180) / Math.PI;
    const half = Math.max(width * 0.5, tip * 0.62);
    mark(head, "d", `M-.5 ${-half}L${tip} 0L-.5 ${half}Z`);
    mark(head, "transform", `translate(${end.x.toFixed(1)} ${end.y.toFixed(1)}) rotate(${angle.toFixed(1)})`);
  }
}

/** What stands below a figure. */
function says(of, site) {
  if (of === "grid") return doing(of, site);
  if (!isNumber(site[of])) return t("Unknown");
  if (of === "load") return site.selfPowered === null ? "" : t("Self-powered {percent}", { percent: percent(site.selfPowered) });
  return isNumber(site.today?.solar) ? t("{energy} today", { energy: energy(site.today.solar) }) : "";
}

function state(of, site) {
  if (of === "grid" && site.isOutage) return "outage";
  if (!isNumber(site[of])) return "unknown";
  return isFlowing(site[of]) ? "flowing" : "idle";
}
