// Making and changing elements. Data becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** Touches the document only if something changes. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** As `say`, for an attribute; `null` takes it away. */
export function mark(node, name, value) {
  if (value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Parts of a picture have no property `hidden`; the attribute they have as everything else. */
export function show(node, visible) {
  if (node.hasAttribute("hidden") === visible) node.toggleAttribute("hidden", !visible);
}

/** Puts `nodes` into this order, touching only what is elsewhere. */
export function arrange(parent, nodes) {
  nodes.forEach((node, place) => {
    if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] ?? null);
  });
}

/** Lets a property of style sheets say `value`. */
export function vary(node, name, value) {
  if (node.style.getPropertyValue(name) !== value) node.style.setProperty(name, value);
}

const ICONS = {
  solar:
    "M12 7.2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6M12 1.6v2.6M12 19.8v2.6M1.6 12h2.6M19.8 12h2.6M4.65 4.65l1.85 1.85M17.5 17.5l1.85 1.85M4.65 19.35l1.85-1.85M17.5 6.5l1.85-1.85",
  load: "M2.5 11.6 12 3.2l9.5 8.4M5.2 9.4v10.9h13.6V9.4M9.7 20.3v-6.1h4.6v6.1",
  battery: "M6.2 5.2h11.6v16H6.2zM9.4 5.2V2.6h5.2v2.6M12.8 9.2 9.8 13.6h4.4l-3 4.4",
  grid: "M12 2.2 7.2 21.8M12 2.2l4.8 19.6M4.4 8.6h15.2M6.2 13h11.6M10.4 8.6l5.2 8.6M13.6 8.6l-5.2 8.6",
};

/** The picture of one of the four sources. */
export const icon = (of) =>
  svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[of] }));
