// The page of a fleet: what is asked for, as its address says, and what of the answer is shown.

import { el, mark, say, show } from "./dom.js";
import { time } from "./format.js";
import { ROWS, addressed, filtered, isFiltered, paged, read } from "./fleet/asked.js";
import { Filters } from "./fleet/filters.js";
import { Groups } from "./fleet/groups.js";
import { Inventory } from "./fleet/inventory.js";
import { Ordering } from "./fleet/ordering.js";
import { Rows } from "./fleet/rows.js";
import { Totals } from "./fleet/sums.js";
import { Watch } from "./fleet/watch.js";
import { count } from "./fleet/words.js";
import { dress } from "./options.js";
import { t } from "./words.js";

/** What has not been confirmed for so long is shown as old. Milliseconds */
const OLD = 5_000;

dress();
const $ = (id) => document.getElementById(id);
const main = document.querySelector("main");
for (const node of document.querySelectorAll("h1, #links a, #freshness")) say(node, t(node.textContent));
for (const node of document.querySelectorAll("body [aria-label]")) mark(node, "aria-label", t(node.getAttribute("aria-label")));

let asked = read(new URLSearchParams(location.search));
const watch = new Watch(draw);
const other = new Watch(draw);
const ordering = new Ordering($("chosen"), () => filtered(asked), draw);
const totals = new Totals();
const filters = new Filters(asked, go);
const rows = new Rows(ordering.picked, turn);
const groups = new Groups((group) => go({ group, view: "sites" }));
const inventory = new Inventory();
const views = { sites: rows.nodes, groups: groups.nodes, inventory: inventory.nodes };
const nothing = el("p", { class: "nothing", role: "status" });
const shown = Object.entries(views).map(([view, nodes]) => {
  const node = el("div", { class: "view", "data-of": view, hidden: true }, nodes);
  return { view, node };
});
$("sums").append(...totals.nodes);
for (const node of totals.nodes) show(node, false);
$("filters").append(...filters.nodes);
main.append(nothing, ...shown.map(({ node }) => node));

/** Asks for something else. While somebody types, the way back does not stop at each letter. */
function go(changes, isTyping = false) {
  asked = { ...asked, page: 1, ...changes };
  history[isTyping ? "replaceState" : "pushState"](null, "", addressed(asked));
  settle();
}

function turn(steps) {
  const matching = watch.body?.matching ?? 0;
  const last = Math.max(1, Math.ceil(matching / ROWS));
  const page = Math.min(last, Math.max(1, asked.page + steps));
  if (page === asked.page) return;
  go({ page });
  scrollTo({ top: Math.min(scrollY, main.offsetTop) });
}

function settle() {
  filters.set(asked);
  watch.follow(`api/fleet?${paged(asked)}`);
  const query = filtered(asked).toString();
  const path = { groups: "api/fleet/groups", inventory: "api/fleet/inventory" }[asked.view] ?? null;
  if (other.view !== asked.view) other.forget();
  other.view = asked.view;
  other.follow(path === null ? null : `${path}${query ? `?${query}` : ""}`);
  draw();
}

addEventListener("popstate", () => {
  asked = read(new URLSearchParams(location.search));
  settle();
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "/" && !event.target.closest("input:not([type=checkbox]), select")) {
    filters.field.focus();
    filters.field.select();
  } else if (event.target !== filters.field) return;
  else if (event.key === "ArrowDown") rows.focus();
  else if (event.key === "Escape" && filters.field.value !== "") {
    filters.field.value = "";
    go({ search: "" });
  } else return;
  event.preventDefault();
});

/** How old what is shown is, in words. */
function drawFreshness(now) {
  const node = $("freshness");
  const { body, lostAt, heardAt } = watch;
  const isOld = body !== null && Date.now() - heardAt > OLD;
  document.body.classList.toggle("aged", isOld);
  const since = (lostAt ?? heardAt) / 1000;
  const isLost = lostAt !== null || isOld;
  mark(node, "data-level", isLost ? (isOld || body === null ? "bad" : "warn") : body === null ? "quiet" : "good");
  say(node, isLost ? t("Server gone since {time}", { time: time(since, now) }) : body === null ? t("Connecting") : t("Live"));
  const refusal = watch.refusal ?? other.refusal;
  show($("problem"), refusal !== null || isOld);
  say($("problem"), refusal ?? (isOld ? t("The server does not answer; these are the last values") : ""));
}

/** Why there are no rows, or `null` if there are. */
function emptiness({ all, matching }) {
  if (all === 0) return t("No sites are configured yet.");
  return matching === 0 ? t("Nothing matches. Show all, or search for something else.") : null;
}

function draw() {
  const { body } = watch;
  const now = Date.now() / 1000;
  drawFreshness(now);
  if (body === null) return;
  // Fewer sites than there were: the last page that is left.
  const isBehind = body.sites.length === 0 && body.matching > 0 && body.offset === (asked.page - 1) * ROWS;
  if (isBehind) return go({ page: Math.ceil(body.matching / ROWS) }, true);
  const context = { now, passed: (Date.now() - watch.cameAt) / 1000, isOld: document.body.classList.contains("aged") };
  totals.draw(body.sums, body.all);
  filters.draw(body);
  const why = emptiness(body);
  say(nothing, why ?? "");
  show(nothing, why !== null);
  show($("filters"), body.all > 1 || isFiltered(asked));
  for (const { view, node } of shown) {
    const isReady = view === "sites" || (other.body !== null && other.view === view);
    show(node, view === asked.view && why === null && isReady);
  }
  if (asked.view === "sites") rows.draw(body, context);
  else if (other.body?.groups && asked.view === "groups") groups.draw(other.body);
  else if (other.body?.firmware && asked.view === "inventory") inventory.draw(other.body, filtered(asked).toString());
  ordering.draw({ matching: body.matching, isFiltered: isFiltered(asked), count: count(body.matching) });
  mark(document.body, "data-ready", "yes");
}

setInterval(() => {
  if (!document.hidden) draw();
}, 1_000);
settle();
