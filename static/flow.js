// The picture of who gives power to whom.

import { energy, isFlowing, percent, power, UNKNOWN } from "./format.js";

const svg = document.getElementById("flow");
const wires = byName(".wire");
const nodes = byName(".node");
const ring = svg.querySelector(".charge");

const NAMES = { solar: "Solar", load: "Home", battery: "Battery", grid: "Grid" };

function byName(selector) {
  return Object.fromEntries([...svg.querySelectorAll(selector)].map((element) => [element.dataset.of, element]));
}

/** What each node does at these watts; battery + is discharging, grid + is importing. */
export function doing(of, watts, gridStatus) {
  if (of === "grid" && gridStatus === "DOWN") return "Outage";
  if (of === "grid" && gridStatus === "SYNCING") return "Reconnecting";
  if (!isFlowing(watts)) return NAMES[of];
  if (of === "battery") return watts > 0 ? "Discharging" : "Charging";
  if (of === "grid") return watts > 0 ? "Importing" : "Exporting";
  return NAMES[of];
}

function text(id, value) {
  document.getElementById(id).textContent = value;
}

/** Share of the load that does not come from the grid. */
function selfPowered({ load, grid }) {
  if (typeof load !== "number" || typeof grid !== "number" || load < 20) return UNKNOWN;
  return percent(Math.max(0, Math.min(1, 1 - Math.max(0, grid) / load)) * 100);
}

/** `site`: watts by name, `charge` in percent as the app shows it, `stored` and `capacity` in Wh, `gridStatus`. */
export function draw(site) {
  const outage = site.gridStatus === "DOWN";
  const told = [];
  for (const of of Object.keys(NAMES)) {
    const watts = site[of];
    const node = nodes[of];
    const wire = wires[of];
    node.querySelector(".power").textContent = power(watts);
    node.querySelector(".name").textContent = doing(of, watts, site.gridStatus);
    node.classList.toggle("unknown", typeof watts !== "number");
    node.classList.toggle("outage", of === "grid" && outage);
    wire.classList.toggle("busy", isFlowing(watts));
    // Wires are drawn from their node to the hub; only the home always takes.
    wire.classList.toggle("outward", of === "load" ? watts > 0 : watts < 0);
    if (isFlowing(watts)) {
      const pace = Math.max(0.35, Math.min(2.5, 2500 / Math.abs(watts)));
      wire.style.setProperty("--pace", `${pace.toFixed(2)}s`);
    }
    told.push(`${NAMES[of]} ${power(watts)}`);
  }
  ring.style.setProperty("--percent", site.charge ?? 0);
  ring.classList.toggle("none", !(site.charge > 0));
  text("charge", percent(site.charge));
  text("stored", energy(site.stored, site.capacity));
  const words = { UP: "Connected", DOWN: "Outage", SYNCING: "Reconnecting" };
  text("grid", words[site.gridStatus] ?? UNKNOWN);
  document.getElementById("grid").classList.toggle("bad", outage);
  text("self-powered", selfPowered(site));
  told.push(`charge ${percent(site.charge)}`, `grid ${words[site.gridStatus] ?? "unknown"}`);
  svg.querySelector("title").textContent = told.join(", ");
}
