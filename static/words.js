// The words of a page in the language of who looks: `?lang=`, else that of the browser. English is in the code itself;
// the table of another language is loaded before anything is drawn.

/** Those that there is a table for, beside English. */
const TABLES = ["de", "fr", "es", "it", "nl"];

const base = (tag) => tag.toLowerCase().split("-")[0];
const speaks = (tag) => base(tag) === "en" || TABLES.includes(base(tag));
const root = document.documentElement;
const asked = new URLSearchParams(location.search).get("lang");

/** `undefined`: the browser's own. A page without tables is in English. */
function choose() {
  if (!root.hasAttribute("data-translated")) return undefined;
  const preferred = navigator.languages ?? [navigator.language];
  if (asked === null || !speaks(asked)) return preferred.find(speaks);
  // Of the same language, the browser knows which country's.
  return preferred.find((tag) => base(tag) === base(asked)) ?? base(asked);
}

/** By which numbers and dates are written; `undefined`: as the browser does. */
export const locale = choose();
const language = base(locale ?? "en");

let table = {};
if (language !== "en" && TABLES.includes(language)) {
  try {
    ({ default: table } = await import(`./words/${language}.js`));
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
