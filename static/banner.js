// What both pages say above everything else: how fresh it is, an outage, notices.

import { el, mark, say, show, vary } from "./dom.js";
import { duration, time } from "./format.js";
import { alarm } from "./kiosk.js";
import { cutOff, freshness, lifeline, notices } from "./notices.js";
import { gateway, nameOf, theirTime } from "./site.js";
import { t } from "./words.js";

export class Banner {
  #news;
  #sound;
  #most;
  #isPlain;
  isOutage = false;

  /**
   * `sound`: whether an outage is heard, too. `most`: how many notices there is room for. `isPlain`: without the words
   * of errors.
   */
  constructor(news, { sound, most, isPlain }) {
    this.#news = news;
    this.#sound = sound;
    this.#most = most;
    this.#isPlain = isPlain;
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
    show(node, isOutage);
    if (isOutage) {
      const one = cut.length === 1 ? gateway(state, cut[0]) : site;
      const since = this.#news.outageSince(cut[0]);
      const facts = [
        site.id === null ? cut.map((id) => nameOf(state, id)).join(", ") : null,
        lifeline(one),
        one.outlook?.what === "empty" ? t("empty in {time}", { time: duration(one.outlook.seconds) }) : null,
        since === null ? null : t("since {time}", { time: time(since, now) }),
      ];
      say(node.firstElementChild, t("Grid outage"));
      vary(node, "--letters", String(t("Grid outage").length));
      say(node.lastElementChild, facts.filter(Boolean).join(" · "));
      if (!this.isOutage && this.#sound) alarm();
    }
    this.isOutage = isOutage;
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
