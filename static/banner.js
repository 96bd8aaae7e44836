// What both pages say above everything else: how fresh it is, an outage, notices.

import { el, mark, say, show, vary } from "./dom.js";
import { duration, time } from "./format.js";
import { alarm } from "./kiosk.js";
import { cutOff, freshness, lifeline, notices } from "./notices.js";
import { Outages } from "./outages.js";
import { gateway, nameOf, theirTime } from "./site.js";
import { t } from "./words.js";

/** How long the batteries last at the present load, of the first that is empty. */
function lasts(cut, state, now) {
  const sites = cut.map((id) => gateway(state, id)).filter(({ outlook, freshness: is }) => outlook?.what === "empty" && is !== "expired");
  const [first] = sites.sort((one, other) => one.outlook.seconds - other.outlook.seconds);
  if (!first) return null;
  const { seconds } = first.outlook;
  const text = t("lasts until about {when} ({time})", { when: time(theirTime(state, now) + seconds, theirTime(state, now)), time: duration(seconds) });
  return cut.length > 1 ? `${first.name}: ${text}` : text;
}

export class Banner {
  #news;
  #sound;
  #most;
  #isPlain;
  #outages;
  isOutage = false;

  /**
   * `sound`: whether an outage is heard, too. `most`: how many notices there is room for. `isPlain`: without the words
   * of errors. `isKept(id)`: whether there is a history of it. `onChange()`: something has become known.
   */
  constructor(news, { sound, most, isPlain, isKept, onChange }) {
    this.#news = news;
    this.#sound = sound;
    this.#most = most;
    this.#isPlain = isPlain;
    this.#outages = new Outages(isKept, onChange);
  }

  draw(site, live, now) {
    const fresh = freshness(site, live, now);
    const node = document.getElementById("freshness");
    say(node, fresh.text);
    mark(node, "data-level", fresh.level);
    // Heard when it changes, not with every second that passes.
    say(document.getElementById("spoken"), fresh.text.split(/ · |, /)[0]);
    const demo = document.getElementById("demo");
    show(demo, Boolean(live.state.service?.demo));
    say(demo, `${t("Demo")} · ${time(theirTime(live.state, now), null)}`);
    this.#outage(site, live.state, now);
    this.#notices(notices(site, live, this.#news, now, this.#isPlain));
  }

  #outage(site, state, now) {
    const cut = cutOff(site, state);
    const node = document.getElementById("outage");
    const isOutage = cut.length > 0;
    this.#outages.keep(cut);
    show(node, isOutage);
    if (isOutage) {
      const one = cut.length === 1 ? gateway(state, cut[0]) : site;
      const facts = [
        site.id === null ? cut.map((id) => nameOf(state, id)).join(", ") : null,
        lifeline(one),
        lasts(cut, state, now),
        this.#since(cut, state, now),
      ];
      say(node.firstElementChild, t("Grid outage"));
      vary(node, "--letters", String(t("Grid outage").length));
      say(node.lastElementChild, facts.filter(Boolean).join(" · "));
      if (!this.isOutage && this.#sound) alarm();
    }
    this.isOutage = isOutage;
  }

  /** Since when the first of `cut` is without the grid, as far as that is known. */
  #since(cut, state, now) {
    const times = cut.map((id) => {
      if (this.#news.outageSince(id) === null) this.#news.learn(id, this.#outages.since(id, now));
      return this.#news.outageSince(id);
    });
    const known = times.filter((at) => at !== null);
    const at = (seconds) => time(theirTime(state, seconds), theirTime(state, now));
    if (known.length > 0) return t("since {time}", { time: at(Math.min(...known)) });
    const from = this.#news.watchedFrom(cut[0]);
    return from === null ? null : t("since before {time}", { time: at(from) });
  }

  #notices(list) {
    const shown = list.slice(0, this.#most);
    if (list.length > shown.length) shown.push({ level: "info", title: t("{number} more", { number: list.length - shown.length }), text: "" });
    const node = document.getElementById("notices");
    while (node.children.length > shown.length) node.lastChild.remove();
    shown.forEach(({ level, title, text }, index) => {
      const line = node.children[index] ?? node.appendChild(el("li", null, el("b"), el("span")));
      mark(line, "data-level", level);
      say(line.firstChild, title);
      say(line.lastChild, text);
    });
  }
}
