// The journal card: what happened, the newest first.

import { el, mark, say, show } from "../dom.js";
import { duration, isNumber, time } from "../format.js";
import { linkName } from "../panels/health.js";
import { sentence } from "../panels/sentences.js";
import { nameOf, part } from "../site.js";
import { t, within } from "../words.js";
import { ask, isSignedIn, mayControl, onChange } from "./holder.js";
import { bare, ordered, outcome } from "./words.js";

const KINDS = {
  order: t("Orders"),
  outcome: t("Outcomes"),
  lease: t("Temporary settings"),
  outage: t("Gateway lost"),
  grid: t("Grid outages"),
  alert: t("Alerts"),
  firmware: t("Firmware"),
  link: t("Links"),
  grid_services: t("Grid services"),
  low_charge: t("Low battery"),
};
const PAGE = 30;
/** Milliseconds */
const EVERY = 15_000;

const links = (names) => (names ?? []).map(linkName).join(", ");

const asked = ({ detail }) => ({ order: detail.kind, value: detail.value, for_seconds: detail.lease });

function state(what, { state: word, seconds }) {
  if (word === "began") return t("{what} began", { what });
  return isNumber(seconds) ? t("{what} ended after {time}", { what, time: duration(seconds) }) : t("{what} ended", { what });
}

/** One entry as a sentence and its reason; `about` is the entry of the order that it belongs to, if known. */
function told({ kind, detail }, about) {
  const of = about ? `${ordered(asked(about))}: ` : "";
  switch (kind) {
    case "order": {
      const what = ordered(asked({ detail }));
      return [`${what}${detail.restores ? ` ${t("(restoring)")}` : ""}`, detail.asked_by && t("by {name}", { name: detail.asked_by })];
    }
    case "outcome":
      return [of + (of ? within(outcome(detail).text) : outcome(detail).text), detail.evidence];
    case "lease": {
      const words = { holds: t("Holds for a time, then back to {value}", { value: bare(detail.former) }), restored: t("Restored"), superseded: t("Ended early"), restore_failed: t("Not restored") };
      return [words[detail.state] ?? detail.state, detail.evidence];
    }
    case "outage":
      return [state(t("Loss of the gateway"), detail), detail.message];
    case "grid":
      if (detail.state === "listed") return [t("Grid outage of {time}, {when}", { time: duration(detail.seconds), when: time(detail.since) }), t("listed by Tesla")];
      return [state(t("Grid outage"), detail)];
    case "alert":
      return [state(t("Alert “{text}”", { text: sentence(String(detail.alert)).text.replace(/\.$/, "") }), detail)];
    case "firmware":
      return [t("Firmware {from} replaced by {to}", detail)];
    case "link":
      return [t("Reached over {to} instead of {from}", { to: links(detail.to), from: links(detail.from) }), detail.why];
    case "low_charge":
      return [state(t("Low battery during an outage"), detail)];
    case "grid_services":
      return [state(t("Grid services"), detail)];
    default:
      return [String(kind)];
  }
}

/** `null` where control has no place. */
export function journal(changed) {
  if (!mayControl) return null;
  const filter = el("select", { "aria-label": t("Kind") }, el("option", { value: "" }, t("Everything")), Object.entries(KINDS).map(([value, text]) => el("option", { value }, text)));
  const list = el("ol", { class: "journal" });
  const more = el("button", { type: "button", class: "push" }, t("Older"));
  const note = el("p", { class: "none" });
  let entries = [];
  let next = null;
  let due = 0;
  let isAsking = false;
  let focus = null;
  // Of a gateway that another instance reports, the journal is at the broker.
  let isElsewhere = false;
  let round = 0;

  const path = (before, of) => {
    const query = new URLSearchParams({ limit: PAGE });
    if (of !== null) query.set("gateway", of);
    if (filter.value !== "") query.set("kind", filter.value);
    if (before !== null) query.set("before", before);
    return `${isElsewhere ? "api/fleet/journal" : "api/journal"}?${query}`;
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
      say(note, entries.length === 0 ? t("Nothing yet") : "");
    } else say(note, answer?.body?.detail ?? t("The journal cannot be read"));
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
    title: t("Journal"),
    node: el("div", { class: "book" }, filter, note, list, more),
    isWide: true,
    draw(context) {
      if (!isSignedIn()) return false;
      const wanted = context.isMany ? null : (context.ids[0] ?? null);
      if (wanted !== focus) {
        focus = wanted;
        const links = wanted === null ? null : part(context.state, wanted, "links");
        isElsewhere = links?.some(({ kind }) => kind === "broker") ?? false;
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
