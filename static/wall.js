// The display on the wall: one site or all of them, as large as the screen allows.

import { el, icon, mark, say, show, vary } from "./dom.js";
import { Flow } from "./flow.js";
import { age, duration, isNumber, percent, power, time } from "./format.js";
import { alarm, hang } from "./kiosk.js";
import { follow } from "./live.js";
import { cutOff, freshness, lifeline, News, notices } from "./notices.js";
import { address, dress, isEmbedded, options, shows } from "./options.js";
import { gateway, ids, nameOf, SOURCES, view } from "./site.js";

dress();
const $ = (id) => document.getElementById(id);
const flow = new Flow();
const news = new News();
const tiles = new Map();
let focus = options.site;
let hadOutage = false;

$("stage").append(flow.node);
flow.animate(options.anim);
if (options.isKiosk) hang(options.dim);
show($("title"), shows("title"));
show($("clock"), shows("clock"));
// Links in a frame would open in the frame.
show($("links"), !isEmbedded && shows("links"));
$("kiosk").href = address({ kiosk: "1" });

function choose(id) {
  focus = id;
  history.replaceState(null, "", address({ site: id }));
  draw();
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

function drawTile(id, live, now) {
  if (!tiles.has(id)) {
    tiles.set(id, tile(id));
  }
  const parts = tiles.get(id);
  const site = gateway(live.state, id);
  const isOld = site.freshness === "expired" || site.freshness === "never";
  say(parts.name, site.name);
  say(parts.soe, site.hasBattery ? percent(site.soe) : power(site.solar));
  parts.soe.classList.toggle("of-solar", !site.hasBattery);
  vary(parts.level, "--level", String(isNumber(site.soe) ? site.soe : 0));
  show(parts.level.parentNode, site.hasBattery);
  for (const of of SOURCES) {
    say(parts.powers[of].lastChild, power(site[of]));
    mark(parts.powers[of], "aria-label", `${of === "load" ? "home" : of} ${power(site[of])}`);
    show(parts.powers[of], of !== "battery" || site.hasBattery);
  }
  const [level, note] = tileNote(site, now);
  say(parts.note, note);
  mark(parts.node, "data-level", level);
  mark(parts.node, "aria-pressed", String(focus === id));
  parts.node.classList.toggle("aged", isOld);
}

function tileNote(site, now) {
  const old = isNumber(site.takenAt) ? age(now - site.takenAt) : null;
  if (site.freshness === "expired") return ["bad", `Offline, ${old ?? "no values"}${old ? " old" : ""}`];
  if (site.freshness === "never") return ["bad", "No data yet"];
  if (site.isOutage) return ["alarm", "Grid outage"];
  if (site.freshness === "stale") return ["warn", `Delayed, ${old} old`];
  return ["good", `${site.hasBattery ? "" : "Solar only · "}Live`];
}

function drawTiles(live, now) {
  const everyone = ids(live.state);
  const isShown = everyone.length > 1 && shows("sites");
  show($("sites"), isShown);
  document.body.classList.toggle("many", isShown);
  for (const [id, parts] of tiles) {
    if (everyone.includes(id)) continue;
    parts.node.remove();
    tiles.delete(id);
  }
  for (const [place, id] of everyone.entries()) {
    drawTile(id, live, now);
    const { node } = tiles.get(id);
    if ($("sites").children[place] !== node) $("sites").insertBefore(node, $("sites").children[place] ?? null);
  }
}

function drawOutage(site, live, now) {
  const cut = cutOff(site, live.state);
  const isOutage = cut.length > 0;
  show($("outage"), isOutage);
  if (isOutage) {
    const [title, text] = $("outage").children;
    say(title, "Grid outage");
    const since = news.outageSince(cut[0]);
    const names = site.id === null ? `${cut.map((id) => nameOf(live.state, id)).join(", ")}` : null;
    const life = cut.length === 1 ? gateway(live.state, cut[0]) : site;
    const left = life.outlook?.what === "empty" ? `empty in ${duration(life.outlook.seconds)}` : null;
    say(text, [names, lifeline(life), left, since && `since ${time(since, now)}`].filter(Boolean).join(" · "));
  }
  if (isOutage && !hadOutage && options.sound) alarm();
  hadOutage = isOutage;
}

function drawNotices(list) {
  const shown = list.slice(0, 3);
  if (list.length > 3) shown.push({ level: "info", title: `${list.length - 3} more`, text: "" });
  const node = $("notices");
  while (node.children.length > shown.length) node.lastChild.remove();
  shown.forEach(({ level, title, text }, index) => {
    if (!node.children[index]) node.append(el("li", null, el("b"), el("span")));
    const line = node.children[index];
    mark(line, "data-level", level);
    say(line.firstChild, title);
    say(line.lastChild, text);
  });
}

function draw() {
  const now = live.now();
  tick(now);
  if (live.link === "connecting" && !live.state.order) return;
  const everyone = ids(live.state);
  const site = view(live.state, focus);
  if (!shows("battery")) site.hasBattery = false;
  const isLost = live.link === "lost" && performance.now() - live.lostAt > 20_000;
  const isAlive = !isLost && (site.freshness === "live" || site.freshness === "stale");
  say($("title"), site.name);
  const included = live.state.total?.contributors?.length ?? 0;
  const scope = site.id === null ? `${included} of ${everyone.length} sites` : everyone.length > 1 ? `1 of ${everyone.length} sites` : "";
  say($("scope"), scope);
  document.title = `${isNumber(site.soe) ? `${percent(site.soe)} · ` : ""}${site.name}`;
  flow.node.classList.toggle("aged", !isAlive);
  flow.draw(site, now, isAlive);
  const fresh = freshness(site, live, now);
  say($("freshness"), fresh.text);
  mark($("freshness"), "data-level", fresh.level);
  drawOutage(site, live, now);
  drawNotices(notices(site, live, news, now));
  drawTiles(live, now);
  document.body.dataset.ready = "yes";
}

function tick(now) {
  say($("clock"), time(now, now));
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
    if (hadOutage || round.length < 3) return;
    focus = round[(round.indexOf(focus) + 1) % round.length];
    draw();
  }, options.rotate * 1000);
}

addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && focus !== null) choose(null);
  else if (key === "Escape" && options.isKiosk) location.search = address({ kiosk: null }).split("?")[1] ?? "";
});
