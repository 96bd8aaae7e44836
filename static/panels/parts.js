// What panels are made of: tables and lists whose cells change in place, one group for each gateway.

import { arrange, el, mark, say, show, vary } from "../dom.js";
import { nameOf } from "../site.js";

/** A cell is text, or `{ text, kind, of, level, title, raw }`; `raw` is what the gateway itself calls it. */
function fill(node, cell) {
  const { text, kind = null, of = null, level = null, title = null, raw = null } = typeof cell === "object" ? cell : { text: cell };
  const words = level === null ? node : (node.querySelector("b") ?? node.appendChild(el("b")));
  if (level === null) {
    say(node, text);
  } else {
    say(words, text);
    if (!node.querySelector(".meter")) node.append(el("span", { class: "meter" }, el("i")));
    vary(node.querySelector("i"), "--level", String(level));
  }
  mark(node, "data-kind", kind);
  mark(node, "class", of === null ? null : `of-${of}`);
  mark(node, "title", title);
  mark(node, "data-raw", raw);
}

function trim(parent, count) {
  while (parent.children.length > count) parent.lastChild.remove();
}

export class Table {
  node;
  #body = el("tbody");

  /** `title`: what it is a table of. `columns`: headings; one that starts with `#` is of numbers. */
  constructor(title, columns) {
    const heads = columns.map((text) => el("th", { scope: "col", "data-number": text.startsWith("#") }, text.replace("#", "")));
    this.columns = columns;
    this.node = el("div", { class: "table", tabindex: "0", role: "group", "aria-label": title }, el("table", null, el("thead", null, el("tr", null, heads)), this.#body));
  }

  /** Each row: cells, the first is its heading. */
  rows(rows) {
    trim(this.#body, rows.length);
    rows.forEach((cells, index) => {
      const row = this.#body.children[index] ?? this.#body.appendChild(this.#row());
      cells.forEach((cell, place) => fill(row.children[place], cell));
    });
    show(this.node, rows.length > 0);
  }

  #row() {
    return el(
      "tr",
      null,
      this.columns.map((text, place) =>
        place === 0 ? el("th", { scope: "row" }) : el("td", { "data-number": text.startsWith("#") }),
      ),
    );
  }
}

/** Pairs of a name and a value; those whose value is `null` are left out. */
export class Facts {
  node = el("dl", { class: "facts" });

  set(facts) {
    const those = facts.filter(([, value]) => value !== null);
    trim(this.node, those.length);
    those.forEach(([name, value], index) => {
      const pair = this.node.children[index] ?? this.node.appendChild(el("div", null, el("dt"), el("dd")));
      say(pair.firstChild, name);
      fill(pair.lastChild, value);
    });
  }
}

/** One part of a panel for each gateway, with its name above it if there are several. */
export class Groups {
  node = el("div", { class: "groups" });
  #make;
  #groups = new Map();

  /** `make()`: `{ node, draw(context, id) }`; `draw` says whether there is anything to show. */
  constructor(make) {
    this.#make = make;
  }

  draw(context) {
    let shown = 0;
    for (const [id, { node }] of this.#groups) {
      if (context.ids.includes(id)) continue;
      node.remove();
      this.#groups.delete(id);
    }
    for (const id of context.ids) {
      const group = this.#groups.get(id) ?? this.#add(id);
      const isShown = group.part.draw(context, id) !== false;
      show(group.node, isShown);
      shown += Number(isShown);
      say(group.name, nameOf(context.state, id));
      show(group.name, context.isMany);
      const status = context.state[`gateway/${id}/status`];
      group.node.classList.toggle("aged", context.isLost || status?.freshness === "expired");
    }
    arrange(this.node, context.ids.map((id) => this.#groups.get(id).node));
    return shown > 0;
  }

  #add(id) {
    const part = this.#make();
    const name = el("h3");
    const group = { part, name, node: el("section", { "data-gateway": id }, name, part.node) };
    this.#groups.set(id, group);
    return group;
  }
}

/** A part of a gateway that is one table; `rows(value, context, id)` from the gateway's value under `key`. */
export function tabled(key, title, columns, rows) {
  const table = new Table(title, columns);
  const draw = (context, id) => {
    const value = context.state[`gateway/${id}/${key}`];
    const found = value ? rows(value, context, id) : [];
    table.rows(found);
    return found.length > 0;
  };
  return { node: table.node, draw };
}
