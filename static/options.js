// What the address and the server ask of a page. Everything is looked up in a fixed list; the rest is ignored.

const STYLES = {
  clear: { theme: "dark", ground: "transparent" },
  black: { theme: "dark", ground: "#000000" },
  white: { theme: "light", ground: "#ffffff" },
  grafana: { theme: "dark", ground: "#161719" },
  "grafana-dark": { theme: "dark", ground: "#111217" },
  dakboard: { theme: "dark", ground: "#000000" },
  solar: { theme: "dark", ground: "transparent", hide: ["battery"] },
};

const THEMES = ["dark", "light", "auto"];
const [SMALLEST, LARGEST] = [0.5, 3];

const query = new URLSearchParams(location.search);
const root = document.documentElement;

const listed = (list, value) => (list.includes(value) ? value : null);
const isOn = (value) => value !== null && !["0", "off", "no", "false"].includes(value.toLowerCase());

function number(name, least, most) {
  const value = Number(query.get(name) ?? NaN);
  return Number.isFinite(value) && value > 0 ? Math.min(most, Math.max(least, value)) : null;
}

/** `22-6`: from ten in the evening until six; `sun`: while it does not shine. */
function hours(text) {
  if (text === "sun") return "sun";
  const found = /^(\d{1,2})-(\d{1,2})$/.exec(text ?? "");
  if (!found) return null;
  const [from, until] = [Number(found[1]), Number(found[2])];
  return from < 24 && until < 24 && from !== until ? { from, until } : null;
}

export const isEmbedded = window.parent !== window;
const isKiosk = root.dataset.kiosk === "yes" || isOn(query.get("kiosk"));

// The server's style is meant for frames; a page of its own is whole unless its address says otherwise.
const asked = listed(Object.keys(STYLES), query.get("style"));
const style = asked ?? (isEmbedded ? listed(Object.keys(STYLES), root.dataset.style) : null);

export const options = {
  isKiosk,
  kioskAsked: query.get("kiosk") === null ? null : isKiosk,
  site: query.get("site"),
  rotate: number("rotate", 3, 3600),
  scale: number("scale", SMALLEST, LARGEST),
  anim: !(query.has("anim") && !isOn(query.get("anim"))),
  sound: isOn(query.get("sound")),
  dim: hours(query.get("dim")),
  /** `null`: the address says nothing. */
  hide: query.get("hide")?.split(",").map((word) => word.trim()).filter(Boolean) ?? null,
};

/** Whether the page shows `part`. */
export const shows = (part) => !options.hide?.includes(part) && !STYLES[style]?.hide?.includes(part);

/** What holds at present; a kiosk can change it. */
export const settled = { theme: listed(THEMES, query.get("theme")) ?? (style ? STYLES[style].theme : "auto"), scale: options.scale ?? 1 };
const prefersLight = matchMedia("(prefers-color-scheme: light)");

function colour() {
  root.dataset.theme = settled.theme === "auto" ? (prefersLight.matches ? "light" : "dark") : settled.theme;
}

/** Sets colours, ground and size. */
export function dress() {
  colour();
  prefersLight.addEventListener("change", colour);
  if (style) {
    root.style.setProperty("--ground", STYLES[style].ground);
    // A frame whose colour scheme is not that of the page around it would be painted opaque.
    if (STYLES[style].ground === "transparent") root.dataset.clear = "yes";
  }
  if (options.scale) root.style.setProperty("--scale", String(options.scale));
  root.classList.toggle("kiosk", isKiosk);
  root.classList.toggle("embedded", isEmbedded || style !== null);
}

/** Another theme, which the address keeps. */
export function retheme(theme) {
  settled.theme = theme;
  colour();
  history.replaceState(null, "", address({ theme }));
}

/** Another size, which the address keeps. */
export function rescale(scale) {
  settled.scale = Math.min(LARGEST, Math.max(SMALLEST, Math.round(scale * 10) / 10));
  root.style.setProperty("--scale", String(settled.scale));
  history.replaceState(null, "", address({ scale: String(settled.scale) }));
}

/** The address with other parameters; `null` takes one away. */
export function address(changes) {
  const next = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  return `${location.pathname}${text ? `?${text}` : ""}`;
}
