// The journal card: what happened, the newest first.

import { el, mark, say, show } from "../dom.js";
import { duration, isNumber, time } from "../format.js";
import { linkName } from "../panels/health.js";
import { nameOf } from "../site.js";
import { ask, isSignedIn, mayControl, onChange } from "./holder.js";
import { bare, ordered, outcome } from "./words.js";

const KINDS = {
  order: "Orders",
  outcome: "Outcomes",
  lease: "Temporary settings",
  outage: "Gateway lost",
  grid: "Grid outages",
  alert: "Alerts",
  firmware: "Firmware",
  link: "Links",
  grid_services: "Grid services",
  low_charge: "Low battery",
};
const PAGE = 30;
/** Milliseconds */
const EVERY = 15_000;

const links = (names) => (names ?? []).map(linkName).join(", ");

const asked = ({ detail }) => ({ order: detail.kind, value: detail.value, for_seconds: detail.lease });

function state(what, { state: word, seconds }) {
  if (word === "began") return `${what} began`;
  return isNumber(seconds) ? `${what} ended after ${duration(seconds)}` : `${what} ended`;
}

/** One entry as a sentence and its reason; `about` is the entry of the order that it belongs to, if known. */
function told({ kind, detail }, about) {
  const of = about ? `${ordered(asked(about))}: ` : "";
  switch (kind) {
    case "order": {
      const what = ordered(asked({ detail }));
      return [`${what}${detail.restores ? " (restoring)" : ""}`, detail.asked_by && `by ${detail.asked_by}`];
    }
    case "outcome":
      return [of + (of ? outcome(detail).text.toLowerCase() : outcome(detail).text), detail.evidence];
    case "lease": {
      const words = { holds: `Holds for a time, then back to ${bare(detail.former)}`, restored: "Restored", superseded: "Ended early", restore_failed: "Not restored" };
      return [words[detail.state] ?? detail.state, detail.evidence];
    }
    case "outage":
      return [state("Loss of the gateway", detail), detail.message];
    case "grid":
      if (detail.state === "listed") return [`Grid outage of ${duration(detail.seconds)}, ${time(detail.since)}`, "listed by Tesla"];
      return [state("Grid outage", detail)];
    case "alert":
      return [state(`Alert ${String(detail.alert).replace(/([a-z])([A-Z])/g, "$1 $2")}`, detail)];
    case "firmware":
      return [`Firmware ${detail.from} replaced by ${detail.to}`];
    case "link":
      return [`Reached over ${links(detail.to)} instead of ${links(detail.from)}`, detail.why];
    case "low_charge":
      return [state("Low battery during an outage", detail)];
    case "grid_services":
      return [state("Grid services", detail)];
    default:
      return [String(kind)];
  }
}

/** `null` where control has no place. */
export function journal(changed) {
  if (!mayControl) return null;
  const filter = el("select", { "aria-label": "Kind" }, el("option", { value: "" }, "Everything"), Object.entries(KINDS).map(([value, text]) => el("option", { value }, text)));
  const list = el("ol", { class: "journal" });
  const more = el("button", { type: "button", class: "push" }, "Older");
  const note = el("p", { class: "none" });
  let entries = [];
  let next = null;
  let due = 0;
  let isAsking = false;
  let focus = null;
  let round = 0;

  const path = (before, of) => {
    const query = new URLSearchParams({ limit: PAGE });
    if (of !== null) query.set("gateway", of);
    if (filter.value !== "") query.set("kind", filter.value);
    if (before !== null) query.set("before", before);
    return `api/journal?${query}`;
  };

  async function look(before = null) {
    isAsking = true;
    const mine = ++round;
    const answer = await ask(path(before, focus));
    // Meanwhile something else was asked for.
    if (mine !== round) return;
    isAsking = false;
    due = performance.now() + EVERY;
    if (answer?.status === 200) {
      const fresh = answer.body.entries;
      const oldest = fresh.at(-1)?.id ?? Infinity;
      const rest = entries.filter(({ id }) => id < oldest);
      entries = before === null ? [...fresh, ...rest] : [...entries, ...fresh];
      if (before !== null || rest.length === 0) next = answer.body.next;
      say(note, entries.length === 0 ? "Nothing yet" : "");
    } else say(note, answer?.body?.detail ?? "The journal cannot be read");
    changed();
  }

  function anew() {
    entries = [];
    next = null;
    due = 0;
    round += 1;
    isAsking = false;
    say(note, "");
    changed();
  }
  filter.addEventListener("change", anew);
  more.addEventListener("click", () => look(next));
  onChange(anew);

  function row(place) {
    return list.children[place] ?? list.appendChild(el("li", null, el("time"), el("span", { class: "of" }), el("b"), el("small")));
  }

  return {
    id: "journal",
    title: "Journal",
    node: el("div", { class: "book" }, filter, note, list, more),
    isWide: true,
    draw(context) {
      if (!isSignedIn()) return false;
      const wanted = context.isMany ? null : (context.ids[0] ?? null);
      if (wanted !== focus) {
        focus = wanted;
        entries = [];
        due = 0;
        round += 1;
        isAsking = false;
      }
      if (performance.now() >= due && !isAsking && !document.hidden && !context.isLost) look();
      while (list.children.length > entries.length) list.lastChild.remove();
      entries.forEach((entry, place) => {
        const [at, of, what, why] = row(place).children;
        const about = entries.find(({ id, kind }) => id === entry.about && kind === "order");
        const [text, reason] = told(entry, about);
        say(at, time(entry.at, context.now));
        say(of, context.isMany ? nameOf(context.state, entry.gateway ?? "") : "");
        show(of, context.isMany);
        say(what, text);
        say(why, reason ?? "");
        show(why, Boolean(reason));
        mark(row(place), "data-of", entry.kind);
      });
      show(more, next !== null);
      show(note, note.textContent !== "");
      return true;
    },
  };
}
