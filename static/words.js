// The words of a page in the language of who looks: `?lang=`, else that of the browser. English is in the code itself;
// the tables of another language are loaded before anything is drawn.

/** Those that there is a table for, beside English. */
const TABLES = ["de", "fr", "es", "it", "nl"];

const base = (tag) => tag.toLowerCase().split("-")[0];
const speaks = (tag) => base(tag) === "en" || TABLES.includes(base(tag));
const root = document.documentElement;
const asked = new URLSearchParams(location.search).get("lang");

/** The tag of the language to speak. A page without tables speaks English. */
function choose() {
  const preferred = navigator.languages ?? [navigator.language];
  if (!root.hasAttribute("data-translated")) return "en";
  if (asked === null || !speaks(asked)) return preferred.find(speaks) ?? "en";
  // Of the same language, the browser knows which country's.
  return preferred.find((tag) => base(tag) === base(asked)) ?? base(asked);
}

const chosen = choose();
const language = base(chosen);
const own = new Intl.DateTimeFormat().resolvedOptions().locale;

/** By which numbers and dates are written; `undefined`: as the browser does, which knows its country best. */
export const locale = !root.hasAttribute("data-translated") || base(own) === language ? undefined : chosen;

/** Of every page, and of this one alone. */
const tables = ["", ...(root.dataset.translated ?? "").split(" ").filter(Boolean)];
let table = {};
if (TABLES.includes(language)) {
  try {
    const loaded = await Promise.all(tables.map((name) => import(`./words/${name ? `${name}/` : ""}${language}.js`)));
    table = Object.assign({}, ...loaded.map((one) => one.default));
    root.lang = language;
  } catch {
    // Without its table the page is in English.
  }
}

/** `text` with `values` in the place of their names in braces. */
export function t(text, values) {
  const words = table[text] ?? text;
  return values ? words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole) : words;
}

/** In the middle of a sentence; not every language begins words small there. */
export const within = (text) => (root.lang === "de" ? text : text.charAt(0).toLowerCase() + text.slice(1));
