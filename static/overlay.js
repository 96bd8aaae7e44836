// What a touch opens in a kiosk: which site, theme, size, dimming, the way out. It closes by itself.

import { el, mark, say } from "./dom.js";
import { rescale, retheme, settled } from "./options.js";
import { t } from "./words.js";

/** Nobody has touched it for so long. ms */
const IDLE = 60_000;
const STEP = 0.1;

const THEMES = { dark: t("Dark"), light: t("Light"), auto: t("Automatic") };

/**
 * `sites()`: `[id, name]` of all that can be shown, `null` is all of them; `focus()`: which one is. `choose(id)`;
 * `lamp`: what dims; `leave()`: ends the kiosk.
 */
export function overlay({ sites, focus, choose, lamp, leave }) {
  const button = (text, click, more) => el("button", { type: "button", ...more, on: { click } }, text);
  const row = (title, ...those) => el("div", { role: "group", "aria-label": title }, el("h2", null, title), ...those);
  const places = el("span");
  const themes = Object.entries(THEMES).map(([theme, name]) => button(name, () => retheme(theme), { "data-theme-choice": theme }));
  const size = el("output");
  const grow = (by) => button(by > 0 ? t("Larger") : t("Smaller"), () => rescale(settled.scale + by * STEP));
  const dim = button(t("Dim now"), () => lamp.toggle(), { id: "dim" });
  const node = el(
    "dialog",
    { id: "overlay", "aria-label": t("Kiosk") },
    row(t("Site"), places),
    row(t("Theme"), themes),
    row(t("Size"), grow(-1), size, grow(1)),
    row(t("Brightness"), dim),
    el("div", { class: "ends" }, button(t("Leave kiosk"), leave, { id: "leave" }), button(t("Close"), () => node.close(), { id: "close" })),
  );
  document.body.append(node);
  let idle;

  function fill() {
    const all = sites();
    node.firstChild.hidden = all.length < 2;
    if (places.children.length !== all.length) places.replaceChildren(...all.map(([id]) => button("", () => choose(id))));
    all.forEach(([id, name], index) => {
      say(places.children[index], name);
      mark(places.children[index], "aria-pressed", String(focus() === id));
    });
    for (const one of themes) mark(one, "aria-pressed", String(one.dataset.themeChoice === settled.theme));
    mark(dim, "aria-pressed", String(lamp.isDim()));
    say(size, `${Math.round(settled.scale * 100)}\u00a0%`);
  }

  function stay() {
    clearTimeout(idle);
    idle = setTimeout(() => node.close(), IDLE);
    // After what was pressed has had its effect.
    setTimeout(fill, 0);
  }

  function open() {
    if (node.open) return;
    places.replaceChildren();
    fill();
    node.showModal();
    stay();
  }

  for (const event of ["pointerdown", "click", "keydown"]) node.addEventListener(event, stay);
  node.addEventListener("close", () => clearTimeout(idle));
  // Beside it is a way out of it.
  node.addEventListener("click", ({ target }) => target === node && node.close());
  document.addEventListener("click", ({ target }) => !target.closest("dialog, .site, a") && open());
  document.addEventListener("keydown", ({ key, target }) => {
    if ((key === "Enter" || key === " ") && target === document.body) open();
  });
}
