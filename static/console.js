// The console: every panel for the chosen gateway or for all, from the live feed.

import { Banner } from "./banner.js";
import { control } from "./control/card.js";
import { journal } from "./control/journal.js";
import { arrange, el, mark, say, show } from "./dom.js";
import { Flow } from "./flow.js";
import { keep, kept } from "./kept.js";
import { hang } from "./kiosk.js";
import { follow } from "./live.js";
import { News } from "./notices.js";
import { address, dress, options } from "./options.js";
import { alerts } from "./panels/alerts.js";
import { energy } from "./panels/energy.js";
import { gateways, health, mqtt } from "./panels/health.js";
import { fans, meters, strings, temps, units } from "./panels/units.js";
import { gateway, ids, nameOf, theirTime, view } from "./site.js";
import { Today } from "./today.js";
import { Trend } from "./trend.js";

const HIDDEN = "pw_console_hidden_cards";
const KIOSK = "pw_console_kiosk";
/** What the feed does not report is asked for now and then. */
const ASIDE = 30_000;

dress();
const $ = (id) => document.getElementById(id);
const root = document.documentElement;
document.body.style.setProperty("--ground-page", "var(--ground)");

function flowPanel() {
  const flow = new Flow();
  flow.animate(options.anim);
  const draw = ({ state, site, now, isAlive }) => {
    flow.node.classList.toggle("aged", !isAlive);
    flow.draw(site, theirTime(state, now), isAlive);
    return true;
  };
  return { id: "power-flow", title: "Power flow", node: flow.node, draw };
}

let soon = null;
const ordering = [control(drawSoon), journal(drawSoon)].filter(Boolean);
const panels = [flowPanel(), energy(), units(), alerts(), health(), strings(), gateways(), meters(), temps(), fans(), mqtt(), ...ordering];
const cards = new Map();
for (const panel of panels) {
  const card = el("section", { class: panel.isWide ? "card wide" : "card", "data-card": panel.id, "aria-label": panel.title }, el("h2", null, panel.title), panel.node);
  cards.set(panel.id, card);
  $(panel.isWide || panel.id === "power-flow" ? "cards" : "more").append(card);
}

const saved = kept(HIDDEN, []);
const hidden = new Set(options.hide ?? (Array.isArray(saved) ? saved : []));
let isKiosk = options.kioskAsked ?? (options.isKiosk || kept(KIOSK, false) === true);
let focus = options.site;
const news = new News();
const banner = new Banner(news, { sound: options.sound, most: 12, isPlain: false });
const aside = { stats: null, mqtt: null };
const active = new Set(panels.map(({ id }) => id));

// The menu of cards.
const boxes = new Map();
for (const panel of panels) {
  const change = ({ target }) => {
    if (target.checked) hidden.delete(panel.id);
    else hidden.add(panel.id);
    settleCards();
  };
  const box = el("input", { type: "checkbox", on: { change } });
  const note = el("small");
  boxes.set(panel.id, { box, note });
  $("choices").append(el("label", null, box, panel.title, note));
}
const showAll = () => {
  hidden.clear();
  settleCards();
};
$("choices").append(el("button", { type: "button", on: { click: showAll } }, "Show all cards"));

function settleCards() {
  keep(HIDDEN, [...hidden]);
  history.replaceState(null, "", address({ hide: hidden.size ? [...hidden].join(",") : null }));
  draw();
}

function setKiosk(wanted) {
  isKiosk = wanted;
  keep(KIOSK, wanted);
  history.replaceState(null, "", address({ kiosk: wanted ? "1" : null }));
  settleKiosk();
}

function settleKiosk() {
  root.classList.toggle("kiosk", isKiosk);
  show($("leave"), isKiosk);
}
$("kiosk").addEventListener("click", () => setKiosk(true));
$("leave").addEventListener("click", () => setKiosk(false));
settleKiosk();
if (isKiosk) hang(options.dim);

let touched;
addEventListener("pointerdown", ({ target }) => {
  if (!$("menu").contains(target)) $("menu").open = false;
  root.classList.add("touched");
  clearTimeout(touched);
  touched = setTimeout(() => root.classList.remove("touched"), 4_000);
});
addEventListener("keydown", ({ key }) => {
  if (key !== "Escape") return;
  if ($("menu").open) $("menu").open = false;
  else if (isKiosk) setKiosk(false);
});

// Which gateway.
const tabs = new Map();
function choose(id) {
  focus = id;
  history.replaceState(null, "", address({ site: id }));
  draw();
}

function tab(id) {
  if (!tabs.has(id)) tabs.set(id, el("button", { type: "button", on: { click: () => choose(id) } }));
  return tabs.get(id);
}

function drawTabs(state, everyone) {
  show($("sites"), everyone.length > 1);
  const wanted = [null, ...everyone];
  for (const [id, node] of tabs) {
    if (wanted.includes(id)) continue;
    node.remove();
    tabs.delete(id);
  }
  for (const id of wanted) {
    const node = tab(id);
    say(node, id === null ? "All" : nameOf(state, id));
    mark(node, "aria-pressed", String(id === focus));
    mark(node, "data-level", id === null ? null : trouble(gateway(state, id)));
  }
  arrange($("sites"), wanted.map(tab));
}

/** Shown by a sign beside the name. */
function trouble(site) {
  if (site.isOutage) return "alarm";
  if (site.freshness === "live") return null;
  return site.freshness === "stale" ? "warn" : "bad";
}

function draw() {
  const { state } = live;
  const now = live.now();
  if (!state.order && live.link !== "lost") return;
  const everyone = ids(state);
  if (focus !== null && !everyone.includes(focus)) focus = null;
  const site = view(state, focus);
  site.today = today.of(site.id === null ? everyone : [site.id]);
  const isLost = live.link === "lost" && performance.now() - live.lostAt > 20_000;
  const isAlive = !isLost && (site.freshness === "live" || site.freshness === "stale");
  const shown = focus === null ? everyone : [focus];
  const context = {
    state,
    now,
    site,
    focus: site.id ?? focus,
    ids: shown,
    isMany: shown.length > 1,
    isAlive,
    isLost,
    live,
    trend,
    theme: root.dataset.theme,
    ...aside,
  };
  drawTabs(state, everyone);
  banner.draw(site, live, now);
  for (const panel of panels) {
    const isHidden = hidden.has(panel.id);
    const isActive = isHidden ? active.has(panel.id) : panel.draw(context) !== false;
    if (isActive) active.add(panel.id);
    else active.delete(panel.id);
    show(cards.get(panel.id), !isHidden && isActive);
    const { box, note } = boxes.get(panel.id);
    if (box.checked === isHidden) box.checked = !isHidden;
    say(note, isActive ? "" : "nothing to show");
  }
  document.body.dataset.ready = "yes";
}

async function ask(path) {
  try {
    const answer = await fetch(path, { cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function askAside() {
  if (document.hidden || live.link === "lost") return;
  [aside.stats, aside.mqtt] = await Promise.all([ask("stats"), ask("api/mqtt/status")]);
  draw();
}

function drawSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    if (!document.hidden) draw();
  }, 100);
}

const live = follow({
  onState: ({ state }) => {
    const now = live.now();
    news.watch(state, now);
    trend.add(state, now);
    drawSoon();
  },
  onLink: () => drawSoon(),
});
const trend = new Trend(live.now());
const today = new Today(drawSoon);

setInterval(() => {
  if (!document.hidden) draw();
}, 1_000);
setInterval(askAside, ASIDE);
askAside();
