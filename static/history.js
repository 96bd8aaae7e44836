// The page of the history: which period is shown of which sites, and what is asked of the server for it.

import { el, mark, say, show } from "./dom.js";
import { isNumber, measure, percent } from "./format.js";
import { Problem, ask, path } from "./history/ask.js";
import { Chart, legend, powers } from "./history/chart.js";
import { costs } from "./history/costs.js";
import { figures, inWords } from "./history/figures.js";
import { health } from "./history/health.js";
import { TITLES, between, bucket, isDate, nameInWords, plus, read, span, step, today, words } from "./history/period.js";
import { Signals } from "./history/signals.js";
import { recovered, table } from "./history/table.js";
import { keep, kept } from "./kept.js";
import { dress } from "./options.js";
import { locale, t } from "./words.js";

const SECONDS = { slot: 900, hour: 3600, day: 0, month: 0 };
const REFRESH = 60_000;
const HIDDEN = "pw_history_hide";
const KEYS = { d: "day", w: "week", m: "month", y: "year", a: "all" };
/** A finger that goes this far, in px, within this time, in ms, turns the page. */
const SWEEP = { far: 60, fast: 400 };

dress();
for (const node of document.querySelectorAll("body [aria-label]")) mark(node, "aria-label", t(node.getAttribute("aria-label")));
for (const node of document.querySelectorAll("h1, #links a, #today, #range button, #table summary, #range span")) say(node, t(node.textContent));
const $ = (id) => document.getElementById(id);
let zone = null;
let shown = read(new URLSearchParams(location.search), today(zone));
let sites = [];
let isChosen = new URLSearchParams(location.search).has("date");
let asking = new AbortController();
let last = null;
const hidden = new Set(remembered());
const chart = new Chart($("chart"), (row) => say($("readout"), row ? reading(row) : hint()));
const signals = new Signals($("signals"));

function remembered() {
  const asked = new URLSearchParams(location.search).get("hide");
  if (asked !== null) return asked.split(",");
  return kept(HIDDEN, []);
}

// What is shown, and the address that says so.

function go(changes, isNew = true) {
  if ("date" in changes) isChosen = true;
  shown = { ...shown, ...changes };
  if (shown.period !== "range") shown.range = null;
  const query = new URLSearchParams(location.search);
  for (const name of ["range", "from", "to", "period", "date", "gateway", "site"]) query.delete(name);
  if (shown.period === "range") {
    query.set("from", shown.range[0]);
    query.set("to", shown.range[1]);
  } else {
    query.set("period", shown.period);
    if (isChosen && shown.period !== "all") query.set("date", shown.date);
  }
  if (shown.site) query.set("site", shown.site);
  history[isNew ? "pushState" : "replaceState"](null, "", `${location.pathname}?${query}`);
  load();
}

function turn(steps) {
  if (shown.period === "all") return;
  if (steps > 0 && isNewest()) return;
  if (shown.period === "range") {
    const [first, end] = shown.range;
    const days = steps * (between(first, end) + 1);
    return go({ range: [plus(first, days), plus(end, days)] });
  }
  go({ date: step(shown.period, shown.date, null, steps) });
}

const edges = () => span(shown.period, shown.date, shown.range);
/** Nothing lies behind what is shown. */
const isNewest = () => shown.period === "all" || edges()[1] >= today(zone);

function choose(period) {
  if (period === "range") return go({ period, range: [plus(shown.date, -29), shown.date] });
  const [, end] = edges();
  const now = today(zone);
  go({ period, date: end < now ? end : isChosen && shown.period !== "range" && shown.period !== "all" ? shown.date : now });
}

addEventListener("popstate", () => {
  isChosen = new URLSearchParams(location.search).has("date");
  shown = read(new URLSearchParams(location.search), today(zone));
  load();
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, summary, #periods, #sites, #lines")) return;
  if (event.key === "ArrowLeft") turn(-1);
  else if (event.key === "ArrowRight") turn(1);
  else if (event.key === "t") go({ date: today(zone), ...(shown.period === "range" ? { period: "day" } : {}) });
  else if (KEYS[event.key]) choose(KEYS[event.key]);
  else return;
  event.preventDefault();
});
$("back").addEventListener("click", () => turn(-1));
$("on").addEventListener("click", () => turn(1));
$("today").addEventListener("click", () => go({ date: today(zone), ...(["range", "all"].includes(shown.period) ? { period: "day" } : {}) }));
$("range").addEventListener("submit", (event) => {
  event.preventDefault();
  const days = [$("from").value, $("to").value].sort();
  if (days.every(isDate)) go({ range: days });
});
let finger = null;
$("chart").addEventListener("pointerdown", ({ pointerType, clientX, timeStamp }) => (finger = pointerType === "mouse" ? null : { clientX, timeStamp }));
$("chart").addEventListener("pointerup", ({ clientX, timeStamp }) => {
  if (!finger) return;
  const far = clientX - finger.clientX;
  if (Math.abs(far) > SWEEP.far && timeStamp - finger.timeStamp < SWEEP.fast) turn(far > 0 ? -1 : 1);
  finger = null;
});

// What is asked.

/** The same stretch of the period before; of one that has not ended, as much as has gone by. */
function before([first, end], now) {
  if (shown.period === "all") return null;
  const start = step(shown.period, first, shown.range, -1);
  const whole = plus(first, -1);
  if (end < now) return [start, whole];
  const gone = plus(start, between(first, now));
  return [start, gone < whole ? gone : whole];
}

async function load() {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  controls();
  const days = edges();
  const now = today(zone);
  const row = bucket(shown.period, days);
  const gateway = shown.site;
  const [start, end] = [days[0], days[1] < now ? days[1] : now];
  document.body.setAttribute("aria-busy", "true");
  try {
    if (start > now) throw new Problem(t("This period is in the future."));
    const earlier = before(days, now);
    const compare = earlier && ask(path("api/history", { start: earlier[0], end: untilSameHour(earlier, days, now), bucket: row === "slot" ? "slot" : "day", gateway }), signal);
    const [answer, prior] = await Promise.all([ask(path("api/history", { start, end, bucket: row, gateway }), signal), compare?.catch(() => null)]);
    const found = Object.values(answer.gateways)[0]?.zone ?? null;
    if (found !== zone) {
      zone = found;
      if (!isChosen && shown.period !== "range" && today(zone) !== shown.date) return go({ date: today(zone) }, false);
    }
    last = { answer, prior, days: [start, days[1]], row, earlier, drawn: drawn(answer) };
    show($("problem"), false);
    render();
    signals.load({ start, end, zone, gateway, days: answer }, signal);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) throw error;
    last = null;
    say($("problem"), error.message);
    show($("problem"), true);
    chart.draw(null);
    for (const part of ["figures", "costs", "signals", "recovered"]) $(part).replaceChildren();
  } finally {
    if (!signal.aborted) {
      document.body.setAttribute("aria-busy", "false");
      document.body.dataset.ready = "yes";
    }
  }
}

/** Where the stretch before ends: of a day that has not ended at the same time of the day. */
function untilSameHour([, end], [first, until], now) {
  if (first !== until || until !== now) return end;
  return Math.floor(Date.now() / 1000) - 86_400;
}

// What is seen.

const periods = Object.entries(TITLES).map(([period, title]) => el("button", { type: "button", "data-period": period, on: { click: () => choose(period) } }, title));
$("periods").append(...periods);

function controls() {
  for (const button of periods) mark(button, "aria-pressed", String(button.dataset.period === shown.period));
  say($("title"), words(shown.period, shown.date, shown.range));
  mark($("title"), "data-from", edges()[0]);
  $("back").disabled = shown.period === "all";
  $("on").disabled = isNewest();
  show($("range"), shown.period === "range");
  if (shown.range) [$("from").value, $("to").value] = shown.range;
  show($("sites"), sites.length > 1);
  const button = (id, name) => el("button", { type: "button", "aria-pressed": String(shown.site === id), on: { click: () => go({ site: id }) } }, name);
  $("sites").replaceChildren(button(null, t("All sites")), ...sites.map(({ id, name }) => button(id, name)));
  document.title = `${words(shown.period, shown.date, shown.range)} · ${t("History")}`;
}

/** Of a row that has not ended, coverage counts up to now. */
function soFar(row, now) {
  if (!isNumber(row.coverage) || row.end <= now || row.start >= now) return row;
  return { ...row, coverage: Math.min(1, (row.coverage * (row.end - row.start)) / (now - row.start)) };
}

/** The rows that are drawn, and what is known of them. */
function drawn(answer) {
  const gateways = Object.values(answer.gateways);
  const seconds = SECONDS[answer.bucket] ?? 0;
  const isOne = gateways.length === 1;
  const now = Date.now() / 1000;
  const rows = isOne ? gateways[0].rows.map((row) => soFar(row, now)) : answer.sum.rows.map((row) => ({ ...row, end: (row.start ?? 0) + seconds }));
  const total = isOne ? gateways[0].total : answer.sum.total;
  const hasCharge = isOne && seconds > 0 && rows.some(({ soe }) => isNumber(soe));
  return { gateways, rows, total, isOne, hasCharge, seconds, gaps: gateways.flatMap(({ gaps }) => gaps) };
}

function render() {
  const { answer, prior, days, row, earlier } = last;
  const { gateways, rows, total, isOne, hasCharge, seconds, gaps } = last.drawn;
  const isLines = seconds > 0;
  const missing = total.missing ?? [];
  show($("partial"), missing.length > 0);
  say($("partial"), t("Not everything is known of {names} in this period: the sums are of what is known.", { names: missing.map(nameOf).join(", ") }));
  const compared = earlier && words("range", null, earlier);
  const of = prior && (isOne ? Object.values(prior.gateways)[0] : prior.sum);
  const began = of?.rows[0]?.name;
  const since = earlier && began > earlier[0] ? nameInWords(began) : null;
  $("figures").replaceChildren(...figures(total, of?.total, { compared, since }));
  chart.draw(rows.length === 0 ? null : { rows, isLines, hasCharge, seconds, gaps, zone: zone ?? undefined, range: stretch(gateways, seconds), hidden: new Set(hidden) });
  mark($("chart"), "data-empty", rows.length === 0 ? "yes" : null);
  lines(isLines, hasCharge);
  say($("readout"), rows.length === 0 ? t("Nothing was recorded in this period.") : hint());
  costs($("costs"), total, answer);
  recovered($("recovered"), gateways, zone);
  table($("table").querySelector("div"), rows, zone);
  const csv = path("api/history", { start: days[0], end: days[1], bucket: row, gateway: shown.site, format: "csv" });
  $("download").replaceChildren(el("a", { href: csv, download: `powerwall-${days[0]}-${days[1]}.csv` }, t("Download as CSV")));
}

/** A whole day is drawn as one, also while it goes on. */
function stretch(gateways, seconds) {
  const { start, end } = gateways[0];
  const [first, until] = edges();
  const whole = (between(first, until) + 1) * 86_400;
  return seconds > 0 && end - start < whole - 3600 ? [start, start + whole] : [start, end];
}

const nameOf = (id) => sites.find((site) => site.id === id)?.name ?? id;

function lines(isLines, hasCharge) {
  const buttons = legend(isLines, hasCharge).map(([line, title, of]) => {
    const toggle = () => {
      if (!hidden.delete(line)) hidden.add(line);
      keep(HIDDEN, [...hidden]);
      render();
      $("lines").querySelector(`[data-line="${line}"]`).focus();
    };
    return el("button", { type: "button", class: `of-${of}`, "data-line": line, "aria-pressed": String(!hidden.has(line)), on: { click: toggle } }, el("s"), title);
  });
  $("lines").replaceChildren(...buttons);
}

function hint() {
  if (!last) return "";
  const { rows, gaps } = last.drawn;
  const isPartial = gaps.length > 0 || rows.some(({ coverage }) => isNumber(coverage) && coverage < 0.97);
  return isPartial ? t("Hatched: not everything was measured.") : "";
}

/** A row in words. */
function reading(row) {
  const { hasCharge, seconds } = last.drawn;
  if (seconds > 0) {
    const values = powers(row);
    const kilowatts = (value) => (isNumber(value) ? measure(value, "kW", 2) : "–");
    const parts = [["Solar", "solar"], ["Home", "load"], ["Battery", "battery"], ["Grid", "grid"]].map(([title, of]) => `${t(title)} ${kilowatts(values[of])}`);
    if (hasCharge) parts.push(`${t("Charge")} ${percent(values.soe)}`);
    return [zoned(row.start), ...parts].join(" · ");
  }
  const parts = [[t("Solar"), "solar"], [t("Home"), "home"], [t("From battery"), "discharge"], [t("Into battery"), "charge"], [t("From grid"), "import"], [t("To grid"), "export"]];
  return [nameInWords(row.name), ...parts.map(([title, flow]) => `${title} ${inWords(row[`${flow}_kwh`])}`)].join(" · ");
}

function zoned(at) {
  const format = new Intl.DateTimeFormat(locale, { timeZone: zone ?? undefined, weekday: "short", hour: "numeric", minute: "2-digit" });
  return format.format(new Date(at * 1000));
}

async function start() {
  try {
    const gateways = await ask("api/gateways", new AbortController().signal);
    sites = Object.entries(gateways).map(([id, { gateway }]) => ({ id, name: gateway?.name ?? id }));
  } catch {
    // The answers name them by their ids.
  }
  if (shown.site && !sites.some(({ id }) => id === shown.site)) shown.site = null;
  await load();
  health($("health"), sites);
}

setInterval(() => {
  if (!document.hidden && isNewest()) load();
}, REFRESH);
start();
