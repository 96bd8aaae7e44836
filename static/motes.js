// Lights that travel along the ribbons. Each is one watt-hour: all are equally fast, and 3.6 kW sends one a second.

import { walk } from "./ribbons.js";

const FRAME = 50; // ms; 20 frames a second
const STEPS = 160;
/** Most pixels that are painted; a large screen gets a coarser picture. */
const MOST_PIXELS = 1_500_000;

export class Motes {
  #canvas;
  #ink;
  #scale = 1;
  /** One per flowing ribbon; kept by pair, so that lights do not jump when powers change. */
  #tracks = new Map();
  #timer = null;
  #before = 0;
  #wanted = true;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  /** Pixels per second. */
  #speed = 60;
  #radius = 3;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#ink = canvas.getContext("2d");
    document.addEventListener("visibilitychange", () => this.#settle());
    this.#still.addEventListener("change", () => this.#settle());
  }

  /** Whether there may be motion at all. */
  allow(wanted) {
    this.#wanted = wanted;
    this.#settle();
  }

  resize(width, height, unit) {
    const scale = Math.min(devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / Math.max(1, width * height)));
    this.#scale = scale;
    this.#canvas.width = Math.max(1, Math.round(width * scale));
    this.#canvas.height = Math.max(1, Math.round(height * scale));
    this.#speed = unit * 4.2;
    this.#radius = Math.max(1.6, unit * 0.2);
  }

  /** `colour` by source. */
  follow(ribbons, colour) {
    const flowing = ribbons.filter(({ watts }) => watts > 0);
    const kept = new Set(flowing.map(({ pair }) => pair));
    for (const pair of this.#tracks.keys()) if (!kept.has(pair)) this.#tracks.delete(pair);
    for (const { pair, from, watts, points } of flowing) {
      const track = this.#tracks.get(pair) ?? { phase: Math.random() };
      if (track.from !== undefined && track.from !== from) track.phase = 1 - track.phase;
      Object.assign(track, walk(points, STEPS), { from, watts, colour: colour(from) });
      this.#tracks.set(pair, track);
    }
    this.#settle();
  }

  #settle() {
    const moves = this.#wanted && !this.#still.matches && !document.hidden && this.#tracks.size > 0;
    if (moves && this.#timer === null) {
      this.#before = performance.now();
      this.#timer = setInterval(() => this.#frame(), FRAME);
    } else if (!moves && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
      this.#clear();
    }
    this.#canvas.dataset.moves = String(moves);
  }

  #clear() {
    this.#ink.setTransform(1, 0, 0, 1, 0, 0);
    this.#ink.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  #frame() {
    const now = performance.now();
    const passed = Math.min(0.25, (now - this.#before) / 1000);
    this.#before = now;
    this.#clear();
    const ink = this.#ink;
    ink.setTransform(this.#scale, 0, 0, this.#scale, 0, 0);
    for (const track of this.#tracks.values()) {
      // The phase counts watt-hours that have left.
      track.phase = (track.phase + (track.watts / 3600) * passed) % 1;
      const between = (this.#speed * 3600) / track.watts;
      ink.fillStyle = track.colour;
      for (let way = track.phase * between; way < track.length; way += between) {
        const place = Math.min(STEPS - 1, Math.round((way / track.length) * (STEPS - 1))) * 2;
        // They come out of one station and go into the other.
        const edge = Math.min(way, track.length - way) / (this.#radius * 6);
        ink.globalAlpha = Math.min(1, edge);
        ink.beginPath();
        ink.arc(track.places[place], track.places[place + 1], this.#radius, 0, 2 * Math.PI);
        ink.fill();
      }
    }
    ink.globalAlpha = 1;
  }
}
