// Shows the sum of all sites, or one of them, as the service tells it; says how old everything is.

import { follow } from "./feed.js";
import { doing, draw } from "./flow.js";
import { age, percent, power, UNKNOWN } from "./format.js";

const sites = document.getElementById("sites");
const template = document.getElementById("site");
const cards = new Map();

let frame; // the newest
let received = 0; // when it came, by this page's clock
let chosen = location.hash ? decodeURIComponent(location.hash.slice(1)) : null;

const sinceFrame = () => (performance.now() - received) / 1000;

/** The figures of one gateway. */
function figures({ data }) {
  const meters = data?.aggregates;
  return {
    solar: meters?.solar?.instant_power,
    load: meters?.load?.instant_power,
    battery: meters?.battery?.instant_power,
    grid: meters?.site?.instant_power,
    charge: data?.soe,
    stored: data?.system_status?.nominal_energy_remaining,
    capacity: data?.system_status?.nominal_full_pack_energy,
    gridStatus: data?.grid_status,
  };
}

function sum() {
  return {
    solar: frame.total_solar_power,
    load: frame.total_load_power,
    battery: frame.total_battery_power,
    grid: frame.total_site_power,
    charge: frame.total_battery_percent,
    stored: frame.total_energy_remaining,
    capacity: frame.total_battery_capacity,
    gridStatus: frame.grid_status,
  };
}

function card(id) {
  const known = cards.get(id);
  if (known) return known;
  const made = template.content.firstElementChild.cloneNode(true);
  made.addEventListener("click", () => choose(chosen === id ? null : id));
  cards.set(id, made);
  sites.append(made);
  return made;
}

function choose(id) {
  chosen = id;
  history.replaceState(null, "", id === null ? location.pathname + location.search : `#${encodeURIComponent(id)}`);
  show();
}

const nameOf = (id) => frame.gateways[id].data?.site_name ?? frame.gateways[id].gateway.name;

function showCard(id, status) {
  const element = card(id);
  const site = figures(status);
  const text = (selector, value) => {
    element.querySelector(selector).textContent = value;
  };
  const hasBattery = status.gateway.type !== "inverter";
  element.className = `site ${status.freshness} ${status.gateway.type}`;
  element.setAttribute("aria-pressed", String(chosen === id));
  text(".name", nameOf(id));
  text(".charge-text", hasBattery ? `${percent(site.charge)} charged` : "Solar only");
  element.querySelector(".bar i").style.setProperty("--percent", site.charge ?? 0);
  for (const of of ["solar", "load", "battery", "grid"]) {
    text(`[data-of="${of}"] small`, doing(of, site[of], site.gridStatus));
    text(`[data-of="${of}"] b`, power(site[of]));
  }
  text(".trouble", status.online ? "" : (status.error ?? ""));
  showAge(id, status);
}

function showAge(id, status) {
  const seconds = status.age === null ? null : status.age + sinceFrame();
  const words = {
    live: `${age(seconds)} ago`,
    stale: `stale, ${age(seconds)} old`,
    expired: `no data for ${age(seconds)}`,
    never: "no data yet",
  };
  cards.get(id).querySelector(".badge").textContent = words[status.freshness] ?? UNKNOWN;
}

function showScope(ids) {
  const title = document.getElementById("title");
  const scope = document.getElementById("scope");
  if (chosen !== null) {
    title.textContent = nameOf(chosen);
    scope.textContent = ids.length > 1 ? "one of " + ids.length + " sites" : "";
  } else {
    title.textContent = ids.length === 1 ? nameOf(ids[0]) : "All sites";
    const missing = frame.missing.length ? `, without ${frame.missing.map(nameOf).join(", ")}` : "";
    scope.textContent = ids.length > 1 ? `${frame.contributors.length} of ${ids.length}${missing}` : "";
  }
  document.title = `${title.textContent} – Powerwall`;
}

function show() {
  const ids = Object.keys(frame.gateways);
  if (chosen !== null && !ids.includes(chosen)) chosen = null;
  for (const id of ids) showCard(id, frame.gateways[id]);
  for (const [id, element] of cards) {
    if (!ids.includes(id)) {
      element.remove();
      cards.delete(id);
    }
  }
  showScope(ids);
  draw(chosen === null ? sum() : figures(frame.gateways[chosen]));
  const shown = chosen === null ? ids : [chosen];
  document.body.classList.toggle("aged", !shown.some((id) => frame.gateways[id].freshness === "live"));
}

follow(
  "ws/aggregate",
  (next) => {
    frame = next;
    received = performance.now();
    show();
  },
  (state) => {
    document.body.classList.remove("waiting");
    document.body.classList.toggle("lost", state === "lost");
    const words = { open: "Connected", lost: "Connection lost, trying again" };
    document.getElementById("connection").textContent = words[state];
  },
);

// Ages go on while nothing is heard.
setInterval(() => {
  if (!frame) return;
  for (const [id, status] of Object.entries(frame.gateways)) showAge(id, status);
}, 1_000);
