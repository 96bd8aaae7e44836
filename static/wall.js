// The display on the wall: one site or all of them, as large as the screen allows.

import { Banner } from "./banner.js";
import { orderLines } from "./control/wall.js";
import { arrange, el, icon, mark, say, show, vary } from "./dom.js";
import { Flow } from "./flow.js";
import { age, isNumber, percent, power, time } from "./format.js";
import { hang } from "./kiosk.js";
import { follow } from "./live.js";
import { News } from "./notices.js";
import { address, dress, isEmbedded, options, shows } from "./options.js";
import { Ribbon } from "./ribbon.js";
import { doing, gateway, ids, isFlowing, isLow, MODES, NAMES, SOURCES, theirTime, view } from "./site.js";
import { Today } from "./today.js";
import { t, within } from "./words.js";

dress();
const $ = (id) => document.getElementById(id);
const flow = new Flow();
const news = new News();
const banner = new Banner(news, { sound: options.sound, most: 3, isPlain: true, isKept: (id) => today.knows([id]), onChange: () => drawSoon() });
const tiles = new Map();
/** More sites than this get smaller tiles. */
const ROOM = 4;
/** How long a touch shows another site in a kiosk. */
const ASIDE = 60_000;
let focus = options.site;
const today = new Today(() => drawSoon());

const ribbon = new Ribbon();
$("stage").append(flow.node, ribbon.node);
flow.animate(options.anim);
const lamp = options.isKiosk ? hang(options.dim) : null;
show($("title"), shows("title"));
show($("clock"), shows("clock"));
// Links in a frame would open in the frame.
show($("links"), !isEmbedded && shows("links"));
$("kiosk").href = address({ kiosk: "1" });
for (const link of $("links").children) say(link, t(link.textContent));
for (const part of document.querySelectorAll("body [aria-label]")) mark(part, "aria-label", t(part.getAttribute("aria-label")));

let back = null;

/** What a touch chooses on a wall is left by itself, so that nobody finds the wrong site there. */
function choose(id) {
  focus = id;
  if (options.isKiosk) {
    clearTimeout(back);
    back = setTimeout(() => {
      focus = options.site;
      draw();
    }, ASIDE);
  } else history.replaceState(null, "", address({ site: id }));
  draw();
}

/** `/kiosk` is next to `/`, wherever that is. */
function leave() {
  location.href = `./${address({ kiosk: null }).replace(/^[^?]*/, "")}`;
}

if (lamp) {
  const everyone = () => ids(live.state);
  const sites = () => [[null, t("All sites")], ...everyone().map((id) => [id, gateway(live.state, id).name])].slice(everyone().length > 1 ? 0 : 1);
  import("./overlay.js").then(({ overlay }) => overlay({ sites, focus: () => focus, choose, lamp, leave }));
}

function tile(id) {
  const parts = { name: el("span", { class: "of" }), soe: el("span", { class: "soe" }), level: el("i"), note: el("span", { class: "note" }), powers: {} };
  const powers = SOURCES.map((of) => {
    parts.powers[of] = el("span", { class: `of-${of}`, "data-of": of }, icon(of), el("b"));
    return parts.powers[of];
  });
  const press = () => choose(focus === id ? null : id);
  parts.node = el(
    "button",
    { class: "site", type: "button", "data-site": id, "aria-pressed": "false", on: { click: press } },
    parts.name,
    parts.soe,
    el("span", { class: "bar" }, parts.level),
    el("span", { class: "powers" }, powers),
    parts.note,
  );
  return parts;
}

function drawTile(id, live, now, isLost) {
  if (!tiles.has(id)) tiles.set(id, tile(id));
  const parts = tiles.get(id);
  const site = gateway(live.state, id);
  const isOld = isLost || site.freshness === "expired" || site.freshness === "never";
  say(parts.name, site.name);
  say(parts.soe, site.hasBattery ? percent(site.soe) : power(site.solar));
  parts.soe.classList.toggle("of-solar", !site.hasBattery);
  mark(parts.node, "data-low", isLow(site) ? "yes" : null);
  vary(parts.level, "--level", String(isNumber(site.soe) ? site.soe : 0));
  show(parts.level.parentNode, site.hasBattery);
  for (const of of SOURCES) {
    say(parts.powers[of].lastChild, power(site[of]));
    mark(parts.powers[of], "data-way", way(of, site));
    const does = of === "battery" || of === "grid" ? ` ${within(doing(of, site))}` : "";
    mark(parts.powers[of], "aria-label", `${within(NAMES[of])}${does} ${power(site[of])}`);
    show(parts.powers[of], of !== "battery" || site.hasBattery);
  }
  const [level, note] = tileNote(site, now, isLost);
  say(parts.note, note);
  mark(parts.node, "data-level", level);
  mark(parts.node, "aria-pressed", String(focus === id));
  parts.node.classList.toggle("aged", isOld);
}

/** Whether power comes from there or goes there; `null`: neither, or nobody knows. */
function way(of, site) {
  if ((of !== "battery" && of !== "grid") || !isFlowing(site[of])) return null;
  return site[of] > 0 ? "from" : "to";
}

function tileNote(site, now, isLost) {
  if (isLost && isNumber(site.takenAt)) return ["bad", t("Values of {time}", { time: time(site.takenAt, now) })];
  const old = isNumber(site.takenAt) ? age(now - site.takenAt) : null;
  if (site.freshness === "expired") return ["bad", old ? t("Offline, {age} old", { age: old }) : t("Offline, no values")];
  if (site.freshness === "never") return ["bad", t("No data yet")];
  if (site.isOutage) return ["alarm", t("Grid outage")];
  if (site.freshness === "stale") return ["warn", t("Delayed, {age} old", { age: old })];
  return ["good", site.hasBattery ? t("Live") : `${t("Solar only")} · ${t("Live")}`];
}

function drawTiles(live, now, isLost) {
  const everyone = ids(live.state);
  const isShown = everyone.length > 1 && shows("sites");
  show($("sites"), isShown);
  document.body.classList.toggle("many", isShown);
  document.body.classList.toggle("crowd", isShown && everyone.length > ROOM);
  for (const [id, parts] of tiles) {
    if (everyone.includes(id)) continue;
    parts.node.remove();
    tiles.delete(id);
  }
  for (const id of everyone) drawTile(id, live, now, isLost);
  arrange($("sites"), everyone.map((id) => tiles.get(id).node));
}

function draw() {
  const now = live.now();
  tick(now);
  if (live.link === "connecting" && !live.state.order) return;
  const everyone = ids(live.state);
  const site = view(live.state, focus);
  if (!shows("battery")) site.hasBattery = false;
  const shown = site.id === null ? everyone : [site.id];
  site.today = today.of(shown);
  const isLost = live.link === "lost" && performance.now() - live.lostAt > 20_000;
  if (site.freshness === "live") lamp?.sun(isNumber(site.solar) ? isFlowing(site.solar) : null, now);
  const isAlive = !isLost && (site.freshness === "live" || site.freshness === "stale");
  say($("title"), site.name);
  const included = live.state.total?.contributors?.length ?? 0;
  const scope = everyone.length > 1 ? t("{number} of {all} sites", { number: site.id === null ? included : 1, all: everyone.length }) : null;
  say($("scope"), [scope, MODES[site.mode]].filter(Boolean).join(" · "));
  document.title = `${isNumber(site.soe) ? `${percent(site.soe)} · ` : ""}${site.name}`;
  flow.node.classList.toggle("aged", !isAlive);
  flow.draw(site, theirTime(live.state, now), isAlive);
  banner.draw(site, live, now);
  orderLines($("orders"), shown, live.state, now);
  if (shows("ribbon")) ribbon.follow(site.id, today.knows(shown));
  drawTiles(live, now, isLost);
  document.body.dataset.ready = "yes";
}

function tick(now) {
  say($("clock"), time(theirTime(live.state, now), null));
}

let soon = null;
/** Many changes at once are one picture. */
function drawSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    draw();
  }, 50);
}

const live = follow({
  onState: ({ state }) => {
    news.watch(state, live.now());
    drawSoon();
  },
  onLink: () => drawSoon(),
});

// Ages go on while nothing is heard.
setInterval(draw, 1_000);

if (options.rotate) {
  setInterval(() => {
    const round = [null, ...ids(live.state)];
    if (banner.isOutage || round.length < 3) return;
    focus = round[(round.indexOf(focus) + 1) % round.length];
    draw();
  }, options.rotate * 1000);
}

addEventListener("keydown", ({ key }) => {
  if (key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (focus !== null) choose(null);
  else if (options.isKiosk) leave();
});
