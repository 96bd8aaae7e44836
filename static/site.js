// What the state of the service means for one gateway or for all of them together. No documents, only values.

import { isNumber, power } from "./format.js";
import { t } from "./words.js";

export const SOURCES = ["solar", "load", "battery", "grid"];
export const NAMES = { solar: t("Solar"), load: t("Home"), battery: t("Battery"), grid: t("Grid") };

/** Below this a meter makes something of nothing. W */
const DEAD_BAND = 20;
export const isFlowing = (watts) => isNumber(watts) && Math.abs(watts) >= DEAD_BAND;

/** The lowest twentieth of a battery is kept from the owner; the app's 0 % is there. */
const USABLE = 0.95;
/** Longer than this is not a forecast. Seconds */
const TOO_FAR = 4 * 86_400;

const orNull = (value) => value ?? null;

function powers(power) {
  return {
    solar: orNull(power?.solar),
    load: orNull(power?.load),
    battery: orNull(power?.battery),
    grid: orNull(power?.site),
  };
}

/**
 * The time of the gateways, Unix seconds: `now`, or in a demo that of its sites, laid on the day of who looks.
 */
export function theirTime(state, now) {
  const { demo, started_at: start } = state.service ?? {};
  if (!demo) return now;
  const midnight = new Date(now * 1000).setHours(0, 0, 0, 0) / 1000;
  return midnight + demo.hour * 3600 + (now - start) * demo.speed;
}

export const ids = (state) => (Array.isArray(state.order) ? state.order : []);

export const part = (state, id, name) => state[`gateway/${id}/${name}`] ?? null;

/** What the operator calls it; else what the gateway calls its site. */
export function nameOf(state, id) {
  const status = part(state, id, "status");
  const isChosen = status?.name && status.name !== id && status.name !== "Default Gateway";
  return (isChosen && status.name) || status?.site_name || status?.name || id;
}

/** One gateway. */
export function gateway(state, id) {
  const status = part(state, id, "status") ?? {};
  const energy = part(state, id, "energy") ?? {};
  return finish({
    id,
    name: nameOf(state, id),
    ...powers(part(state, id, "power")),
    soe: orNull(energy.soe),
    stored: orNull(energy.remaining_wh),
    capacity: orNull(energy.full_wh),
    reserve: orNull(energy.reserve),
    mode: orNull(energy.mode),
    gridState: orNull(energy.grid),
    generator: part(state, id, "meters")?.generator ?? null,
    hasBattery: status.kind !== "inverter",
    freshness: status.freshness ?? "never",
    takenAt: orNull(status.taken_at),
    missing: [],
    status,
  });
}

/** Reserve of several batteries together, weighted by what they hold; unknown if one is. */
function sharedReserve(state, contributors) {
  let [held, all] = [0, 0];
  for (const id of contributors) {
    const energy = part(state, id, "energy");
    if (part(state, id, "status")?.kind === "inverter" || !isNumber(energy?.full_wh)) continue;
    if (!isNumber(energy.reserve)) return null;
    held += energy.reserve * energy.full_wh;
    all += energy.full_wh;
  }
  return all > 0 ? held / all : null;
}

/** The sum says the worst; they are all cut off only if each is. */
function sharedGrid(state, contributors, worst) {
  const states = contributors.map((id) => part(state, id, "energy")?.grid);
  return worst === "UP" || states.every((state) => state === worst) ? worst : null;
}

/** The generators of all who have one; its power is unknown if that of one of them is. */
function sharedGenerator(state, contributors) {
  const meters = contributors.map((id) => part(state, id, "meters")?.generator).filter(Boolean);
  if (meters.length === 0) return null;
  const isKnown = meters.every(({ power }) => isNumber(power));
  return { power: isKnown ? meters.reduce((sum, { power }) => sum + power, 0) : null };
}

/** All gateways together. */
export function total(state) {
  const everyone = ids(state);
  const sum = state.total ?? {};
  const contributors = sum.contributors ?? [];
  const last = everyone.map((id) => part(state, id, "status")?.taken_at).filter(isNumber);
  const oldest = contributors.map((id) => part(state, id, "status")?.taken_at).filter(isNumber);
  // Of those that are all silent, the last values stand, as old as they are.
  const shown = contributors.length > 0 ? contributors : everyone.filter((id) => isNumber(part(state, id, "status")?.taken_at));
  const sites = shown.map((id) => gateway(state, id));
  const all = {
    id: null,
    name: everyone.length === 1 ? nameOf(state, everyone[0]) : t("All sites"),
    ...(contributors.length > 0 ? { ...powers(sum), soe: orNull(sum.soe), stored: orNull(sum.charge_wh), capacity: orNull(sum.capacity_wh) } : lastOf(sites)),
    reserve: sharedReserve(state, contributors),
    mode: null,
    generator: sharedGenerator(state, contributors),
    gridState: sharedGrid(state, contributors, orNull(sum.grid)),
    hasBattery: everyone.length === 0 || everyone.some((id) => part(state, id, "status")?.kind !== "inverter"),
    freshness: contributors.length === 0 && sites.length > 0 ? "expired" : (sum.freshness ?? "never"),
    takenAt: oldest.length ? Math.min(...oldest) : last.length ? Math.max(...last) : null,
    missing: sum.missing ?? [],
    status: null,
  };
  return everyone.length > 1 ? together(all, sites) : finish(all);
}

/** The sums of what several sites reported last; unknown where it is of one of them. */
function lastOf(sites) {
  const sum = (list, of) => (list.length > 0 && list.every((site) => isNumber(site[of])) ? list.reduce((all, site) => all + site[of], 0) : null);
  const batteries = sites.filter(({ hasBattery }) => hasBattery);
  const [stored, capacity] = [sum(batteries, "stored"), sum(batteries, "capacity")];
  const held = batteries.every(({ soe }) => isNumber(soe)) ? batteries.reduce((all, { soe, capacity: full }) => all + soe * full, 0) : null;
  return { solar: sum(sites, "solar"), load: sum(sites, "load"), battery: sum(batteries, "battery"), grid: sum(sites, "grid"), soe: held !== null && capacity > 0 ? held / capacity : null, stored, capacity };
}

/**
 * What several sites do together is what each of them does, added up: one that exports and one that imports are not
 * idle, and nobody's battery is full because the others' are.
 */
function together(all, sites) {
  const added = new Map();
  for (const { from, to, watts } of sites.flatMap((site) => site.flows)) {
    const route = `${from} ${to}`;
    added.set(route, { from, to, watts: (added.get(route)?.watts ?? 0) + watts });
  }
  const sum = (of) => sites.reduce((watts, site) => watts + of(site), 0);
  const isKnown = sites.length > 0 && sites.every(({ grid }) => isNumber(grid));
  const exchange = isKnown ? { imported: sum(({ grid }) => Math.max(0, grid)), exported: sum(({ grid }) => Math.max(0, -grid)) } : null;
  const ahead = sites.filter((site) => site.outlook).sort((one, other) => one.outlook.seconds - other.outlook.seconds);
  const first = ahead.find((site) => site.outlook.what !== "full") ?? ahead[0] ?? null;
  return {
    ...all,
    isOutage: all.gridState === "DOWN",
    exchange,
    flows: [...added.values()],
    // A countdown is that of one site: the others cannot help it.
    outlook: first && { ...first.outlook, of: first.name },
    selfPowered: exchange && selfPowered({ load: all.load, grid: exchange.imported }),
  };
}

/** The only gateway speaks for itself. */
export function view(state, focus) {
  const everyone = ids(state);
  if (focus !== null && everyone.includes(focus)) return gateway(state, focus);
  return everyone.length === 1 ? gateway(state, everyone[0]) : total(state);
}

function finish(site) {
  site.isOutage = site.gridState === "DOWN";
  site.flows = flows(site);
  site.outlook = outlook(site);
  site.selfPowered = selfPowered(site);
  return site;
}

/**
 * Who gives how much to whom, W. Solar serves the home, then the battery, then the grid; the battery serves the home,
 * then the grid; the grid what is left. What is unknown gives and takes nothing.
 */
export function flows({ solar, load, battery, grid }) {
  const give = { solar: solar ?? 0, battery: battery ?? 0, grid: grid ?? 0 };
  const take = { load: load ?? 0, battery: -(battery ?? 0), grid: -(grid ?? 0) };
  const found = [];
  const routes = ["solar load", "solar battery", "solar grid", "battery load", "battery grid", "grid load", "grid battery"];
  for (const route of routes) {
    const [from, to] = route.split(" ");
    const watts = Math.min(give[from], take[to]);
    if (watts <= 0) continue;
    give[from] -= watts;
    take[to] -= watts;
    if (watts >= DEAD_BAND) found.push({ from, to, watts });
  }
  return found;
}

/** When, at the present rate, the battery is full, at its reserve, or empty: `{ what, seconds }`. */
export function outlook({ soe, capacity, battery, reserve, gridState }) {
  if (!isNumber(soe) || !isNumber(capacity) || capacity <= 0 || !isFlowing(battery)) return null;
  const seconds = (percents) => ((percents / 100) * USABLE * capacity * 3600) / Math.abs(battery);
  const toEmpty = gridState === "DOWN" || !isNumber(reserve) || soe <= reserve;
  const [what, left] =
    battery < 0 ? ["full", 100 - soe] : toEmpty ? ["empty", soe] : ["reserve", soe - reserve];
  const ahead = seconds(left);
  return left > 0.2 && ahead < TOO_FAR ? { what, seconds: ahead } : null;
}

/** Share of the load that does not come from the grid, percent. */
function selfPowered({ load, grid }) {
  if (!isNumber(load) || !isNumber(grid) || load < DEAD_BAND) return null;
  return Math.max(0, Math.min(1, 1 - Math.max(0, grid) / load)) * 100;
}

/** Less than this is little where no reserve says what is. App percent */
const LITTLE = 10;

/** Whether the battery has come below what is meant to stay in it, or is nearly empty. */
export function isLow({ soe, reserve, hasBattery }) {
  return hasBattery && isNumber(soe) && (soe < LITTLE || (isNumber(reserve) && soe < reserve - 1));
}

export const MODES = { self_consumption: t("Self-consumption"), autonomous: t("Time-based"), backup: t("Backup only") };

/** Within this many percent a battery is where it is to stay. App percent */
const AT = 1;

/** What the battery does, and why where that is plain. */
function batteryDoes({ id, battery, soe, reserve, flows, gridState }) {
  const watts = (from, to) => flows?.find((flow) => flow.from === from && flow.to === to)?.watts ?? 0;
  if (isFlowing(battery)) {
    if (battery > 0) return watts("battery", "grid") > battery / 2 ? t("Feeding the grid") : t("Discharging");
    return watts("grid", "battery") > -battery / 2 ? t("Charging from the grid") : t("Charging");
  }
  // Of several batteries together, none of that holds for each.
  if (id === null || !isNumber(soe)) return t("Idle");
  if (soe >= 100 - AT) return t("Full");
  if (isNumber(reserve) && Math.abs(soe - reserve) <= AT && gridState !== "DOWN") return t("Held at reserve");
  return t("Idle");
}

/** What one of the four does at these watts. */
export function doing(of, site) {
  const watts = site[of];
  if (of === "grid" && site.gridState === "DOWN") return t("Outage");
  if (of === "grid" && site.gridState === "SYNCING") return t("Reconnecting");
  if (!isNumber(watts)) return t("Unknown");
  const { exchange } = site;
  if (of === "grid" && exchange && isFlowing(exchange.imported) && isFlowing(exchange.exported)) {
    return t("Importing {imported}, exporting {exported}", { imported: power(exchange.imported), exported: power(exchange.exported) });
  }
  if (of === "battery") return batteryDoes(site);
  if (of === "grid") return isFlowing(watts) ? (watts > 0 ? t("Importing") : t("Exporting")) : t("Idle");
  if (of === "solar") return isFlowing(watts) ? t("Producing") : t("No sun");
  return t("Using");
}
