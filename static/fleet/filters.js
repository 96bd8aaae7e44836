// What narrows the list: troubles with how many sites have them, words, a group, tags; and how it is sorted.

import { arrange, el, mark, say, show } from "../dom.js";
import { t } from "../words.js";
import { SORTS, TROUBLES as KINDS, VIEWS, isFiltered } from "./asked.js";
import { TROUBLES, count } from "./words.js";

/** Typing pauses this long before anything is asked. Milliseconds */
const PAUSE = 200;
/** Tags that are there to be pressed; the search finds the others. */
const MOST_TAGS = 12;
/** How often the names of the groups are asked for. Milliseconds */
const RARELY = 60_000;

const SORTED = { worst: t("Worst first"), name: t("By name"), charge: t("Emptiest first"), firmware: t("Oldest firmware first"), since: t("Longest trouble first") };
const VIEWED = { sites: t("Sites"), groups: t("Groups"), inventory: t("Inventory") };

const options = (words, names) => names.map((name) => el("option", { value: name }, words[name]));

export class Filters {
  #asked;
  #change;
  #typing = null;
  #troubles = new Map();
  #tags = new Map();
  #groups = [];
  #field = el("input", { type: "search", id: "search", placeholder: t("Search"), "aria-label": t("Search by name, site, group, tag, firmware or DIN"), "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false", enterkeyhint: "search" });
  #group = el("select", { "aria-label": t("Group"), hidden: true });
  #sort = el("select", { "aria-label": t("Order of the list") }, options(SORTED, SORTS));
  #clear = el("button", { type: "button", class: "push" }, t("Show all"));
  #tagged = el("div", { class: "chips", role: "group", "aria-label": t("Tags"), hidden: true });
  #troubled = el("div", { class: "chips", role: "group", "aria-label": t("Troubles") });
  #views = new Map();

  /** `change(changes, isTyping)` when something else is asked for. */
  constructor(asked, change) {
    this.#asked = asked;
    this.#change = change;
    for (const kind of KINDS) this.#troubles.set(kind, this.#chip(() => change({ trouble: this.#asked.trouble === kind ? null : kind }), TROUBLES[kind].level));
    this.#troubled.append(...[...this.#troubles.values()].map(({ node }) => node));
    for (const view of VIEWS) this.#views.set(view, el("button", { type: "button", "data-view": view, on: { click: () => change({ view }) } }, VIEWED[view]));
    const views = el("div", { class: "views", role: "group", "aria-label": t("View") }, [...this.#views.values()]);
    this.#field.addEventListener("input", () => this.#type());
    this.#group.addEventListener("change", () => change({ group: this.#group.value === "all" ? null : this.#group.value.slice(1) }));
    this.#sort.addEventListener("change", () => change({ sort: this.#sort.value }));
    this.#clear.addEventListener("click", () => {
      change({ search: "", tags: [], group: null, trouble: null });
      this.#field.focus();
    });
    const searching = el("div", { class: "searching", role: "search" }, this.#field, this.#group, this.#sort, this.#clear);
    this.nodes = [el("div", { class: "first" }, views, this.#troubled), searching, this.#tagged];
    this.#askGroups();
    setInterval(() => this.#askGroups(), RARELY);
  }

  get field() {
    return this.#field;
  }

  #chip(click, level) {
    const [name, number] = [el("span"), el("b")];
    const node = el("button", { type: "button", class: "chip", "data-level": level, on: { click } }, name, number);
    const set = (text, sites, isPressed) => {
      say(name, text);
      say(number, count(sites));
      mark(node, "aria-pressed", String(isPressed));
      mark(node, "data-none", sites === 0 ? "" : null);
    };
    return { node, set };
  }

  #type() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => {
      this.#typing = null;
      this.#change({ search: this.#field.value }, true);
    }, PAUSE);
  }

  async #askGroups() {
    if (document.hidden) return;
    try {
      const answer = await fetch("api/fleet/groups", { cache: "no-store" });
      if (answer.ok) this.#groups = (await answer.json()).groups.map(({ group }) => group);
      this.#drawGroups();
    } catch {
      // The list that is asked for each second says so.
    }
  }

  #drawGroups() {
    const { group } = this.#asked;
    const named = [...new Set([...this.#groups, ...(group ? [group] : [])])].filter((one) => one !== null && one !== "");
    named.sort((one, other) => one.localeCompare(other));
    const has = this.#groups.includes(null) || group === "";
    const wanted = [["all", t("All groups")], ...named.map((one) => [`=${one}`, one]), ...(has ? [["=", t("Without a group")]] : [])];
    wanted.forEach(([value, text], place) => {
      const option = this.#group.children[place] ?? this.#group.appendChild(el("option"));
      mark(option, "value", value);
      say(option, text);
    });
    while (this.#group.children.length > wanted.length) this.#group.lastChild.remove();
    const chosen = group === null ? "all" : `=${group}`;
    if (this.#group.value !== chosen) this.#group.value = chosen;
    show(this.#group, named.length > 0);
  }

  /** What is asked for, without what is being typed. */
  set(asked) {
    this.#asked = asked;
    if (this.#typing === null && this.#field.value.trim() !== asked.search.trim()) this.#field.value = asked.search;
    if (this.#sort.value !== asked.sort) this.#sort.value = asked.sort;
    for (const [view, node] of this.#views) mark(node, "aria-pressed", String(view === asked.view));
    show(this.#sort, asked.view === "sites");
    show(this.#clear, isFiltered(asked));
    this.#drawGroups();
  }

  draw({ troubles, tags }) {
    const asked = this.#asked;
    for (const [kind, { set }] of this.#troubles) set(TROUBLES[kind].name, troubles[kind] ?? 0, asked.trouble === kind);
    const known = new Map(tags.map(({ tag, sites }) => [tag, sites]));
    const shown = [...new Set([...asked.tags, ...known.keys()])].slice(0, Math.max(MOST_TAGS, asked.tags.length));
    for (const tag of shown) if (!this.#tags.has(tag)) this.#tags.set(tag, this.#chip(() => this.#toggle(tag), null));
    for (const [tag, { node }] of this.#tags) {
      if (shown.includes(tag)) continue;
      node.remove();
      this.#tags.delete(tag);
    }
    for (const tag of shown) this.#tags.get(tag).set(tag, known.get(tag) ?? 0, asked.tags.includes(tag));
    arrange(this.#tagged, shown.map((tag) => this.#tags.get(tag).node));
    show(this.#tagged, shown.length > 0);
  }

  #toggle(tag) {
    const { tags } = this.#asked;
    this.#change({ tags: tags.includes(tag) ? tags.filter((one) => one !== tag) : [...tags, tag] });
  }
}
