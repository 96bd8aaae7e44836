// The console in two layers, for the chosen gateway or for all: the flow, today, the chart and one line about how
// everything is; below, a card for each gateway and what concerns the service itself.

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
import { energy } from "./panels/energy.js";
import { Gateways } from "./panels/gateways.js";
import { mqtt, service } from "./panels/health.js";
import { SECTIONS } from "./panels/sections.js";
import { status } from "./panels/status.js";
import { gateway, ids, nameOf, theirTime, view } from "./site.js";
import { Today } from "./today.js";
import { Trend } from "./trend.js";
import { t } from "./words.js";

const HIDDEN = "pw_console_hidden_cards";
const KIOSK = "pw_console_kiosk";
/** The cards of the upper layer. */
const UPPER = ["power-flow", "energy"];
/** More sites than this are chosen from a list instead of buttons. */
const MOST_TABS = 8;
/** From so many sites on, they have a page of their own. */
const FLEET = 5;
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
  return { id: "power-flow", title: t("Power flow"), node: flow.node, draw };
}

let soon = null;
const ordering = [control(drawSoon), journal(drawSoon)].filter(Boolean);
const panels = [flowPanel(), energy(), ...ordering, mqtt(), service()];
const gateways = new Gateways(drawSoon);
$("layer").append(gateways.node);
const cards = new Map();
for (const panel of panels) {
  const card = el("section", { class: panel.isWide ? "card wide" : "card", "data-card": panel.id, "aria-label": panel.title }, el("h2", null, panel.title), panel.node);
  cards.set(panel.id, card);
  $(UPPER.includes(panel.id) ? "cards" : "more").append(card);
}

const saved = kept(HIDDEN, []);
const hidden = new Set(options.hide ?? (Array.isArray(saved) ? saved : []));
let isKiosk = options.kioskAsked ?? (options.isKiosk || kept(KIOSK, false) === true);
let focus = options.site;
const news = new News();
const banner = new Banner(news, { sound: options.sound, most: 12, isPlain: false, isKept: (id) => today.knows([id]), onChange: drawSoon });
const aside = { stats: null, mqtt: null };
const active = new Set([...panels, ...SECTIONS].map(({ id }) => id));
for (const link of document.querySelectorAll("#links > a, #links > button, #leave, summary")) say(link, t(link.textContent));
for (const node of document.querySelectorAll("header [aria-label], body > [aria-label], #status")) mark(node, "aria-label", t(node.getAttribute("aria-label")));

// The menu of what is shown.
const boxes = new Map();
/** What can be hidden: the cards, all gateways, and parts of a gateway's card. */
const choices = [...panels.slice(0, 2), { id: "gateways", title: t("Gateways") }, ...SECTIONS, ...panels.slice(2)];
for (const panel of choices) {
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
$("choices").append(el("button", { type: "button", on: { click: showAll } }, t("Show everything")));

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

const list = el("select", { "aria-label": t("Site"), on: { change: () => choose(list.value || null) } });

function drawTabs(state, everyone) {
  show($("sites"), everyone.length > 1);
  show($("fleet"), everyone.length >= FLEET);
  if (everyone.length > MOST_TABS) return drawList(state, everyone);
  const wanted = [null, ...everyone];
  list.remove();
  for (const [id, node] of tabs) {
    if (wanted.includes(id)) continue;
    node.remove();
    tabs.delete(id);
  }
  for (const id of wanted) {
    const node = tab(id);
    say(node, id === null ? t("All") : nameOf(state, id));
    mark(node, "aria-pressed", String(id === focus));
    mark(node, "data-level", id === null ? null : trouble(gateway(state, id)));
  }
  arrange($("sites"), wanted.map(tab));
}

const SIGNS = { alarm: " ◆", bad: " ◆", warn: " ○" };

function drawList(state, everyone) {
  if (list.parentNode === null) {
    tabs.clear();
    $("sites").replaceChildren(list);
  }
  [null, ...everyone].forEach((id, place) => {
    const option = list.children[place] ?? list.appendChild(el("option"));
    mark(option, "value", id ?? "");
    say(option, id === null ? t("All sites") : nameOf(state, id) + (SIGNS[trouble(gateway(state, id))] ?? ""));
  });
  while (list.children.length > everyone.length + 1) list.lastChild.remove();
  if (list.value !== (focus ?? "")) list.value = focus ?? "";
}

/** Shown by a sign beside the name. */
function trouble(site) {
  if (site.isOutage) return "alarm";
  if (site.freshness === "live") return null;
  return site.freshness === "stale" ? "warn" : "bad";
}

function drawStatus(context) {
  const pieces = status(context);
  const node = $("status");
  while (node.children.length > pieces.length) node.lastChild.remove();
  pieces.forEach(({ level, text }, place) => {
    const piece = node.children[place] ?? node.appendChild(el("li"));
    say(piece, text);
    mark(piece, "data-kind", level);
  });
}

function drawPanels(context) {
  for (const panel of panels) {
    if (!hidden.has(panel.id)) settle(panel.id, panel.draw(context) !== false);
    show(cards.get(panel.id), !hidden.has(panel.id) && active.has(panel.id));
  }
  show(gateways.node, !hidden.has("gateways"));
  const parts = hidden.has("gateways") ? null : gateways.draw(context, hidden);
  if (parts !== null) for (const { id } of SECTIONS) settle(id, parts.has(id));
  for (const [id, { box, note }] of boxes) {
    if (box.checked === hidden.has(id)) box.checked = !hidden.has(id);
    say(note, id === "gateways" || active.has(id) ? "" : t("nothing to show"));
  }
}

/** Whether there is anything to show of it. */
function settle(id, isActive) {
  if (isActive) active.add(id);
  else active.delete(id);
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
  drawStatus(context);
  drawPanels(context);
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
