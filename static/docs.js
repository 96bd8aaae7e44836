// The list of routes: reads the OpenAPI document of this service, and asks this service when a route is tried.

const root = document.documentElement.dataset.root;
const at = (id) => document.getElementById(id);

/** An element with attributes and children. Texts are only ever set as texts. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function resolve(document_, value) {
  if (!value || !value.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((part, key) => part[key], document_);
}

/** Whether a route cannot be had without a token, whatever the settings. */
const needsToken = (operation) => (
  Boolean(operation.security) && operation.security.every((scheme) => Object.keys(scheme).length > 0)
);

/** What a schema says, in a few words. */
function shape(document_, referred) {
  const schema = resolve(document_, referred);
  if (!schema) return "anything";
  if ("const" in schema) return `always ${JSON.stringify(schema.const)}`;
  if (schema.anyOf) return schema.anyOf.map((one) => shape(document_, one)).join(" or ");
  const types = [].concat(schema.type ?? "anything").sort((one, other) => (one === "null") - (other === "null"));
  const named = types.map((type) => {
    const values = schema.additionalProperties;
    if (type === "object" && typeof values === "object") return `object of ${shape(document_, values)} by name`;
    if (type === "array" && schema.items) return `list of ${shape(document_, schema.items)}`;
    return type;
  });
  return named.join(" or ");
}

/** What a key says beside its shape: its unit and scale. */
function about(document_, referred) {
  const schema = resolve(document_, referred);
  return schema?.description ? `: ${schema.description}` : "";
}

function properties(document_, referred) {
  const rows = Object.entries(resolve(document_, referred)?.properties ?? {});
  if (!rows.length) return [];
  const items = rows.map(([name, value]) => (
    element("li", {}, element("code", {}, name), ` ${shape(document_, value)}${about(document_, value)}`)
  ));
  return [element("h3", {}, "Keys"), element("ul", {}, ...items)];
}

/** The names of all keys below a schema. */
function keys(document_, referred, found = new Set(), seen = new Set()) {
  const schema = resolve(document_, referred);
  if (!schema || typeof schema !== "object" || seen.has(schema)) return found;
  seen.add(schema);
  for (const name of Object.keys(schema.properties ?? {})) found.add(name.toLowerCase());
  const parts = [schema.items, schema.additionalProperties, ...(schema.anyOf ?? [])];
  const named = [...Object.values(schema.properties ?? {}), ...Object.values(schema.patternProperties ?? {})];
  for (const part of [...parts, ...named]) keys(document_, part, found, seen);
  return found;
}

function responses(document_, operation) {
  const parts = [];
  for (const [status, referred] of Object.entries(operation.responses)) {
    const response = resolve(document_, referred);
    const [type, media] = Object.entries(response.content ?? {})[0] ?? [];
    parts.push(element("h3", {}, `${status} ${response.description}${type ? `, ${type}` : ""}`));
    if (status === "200" && media?.schema) {
      const schema = media.schema;
      parts.push(element("p", {}, shape(document_, schema) + about(document_, schema)), ...properties(document_, schema));
    }
    if (media?.example !== undefined) parts.push(element("pre", {}, pretty(media.example)));
  }
  return parts;
}

/** A form that asks the route, and the line that does the same in a shell. */
function trial(path, method, operation) {
  const inputs = new Map();
  const fields = (operation.parameters ?? []).map((parameter) => {
    const input = element("input", { value: parameter.example ?? "", size: 14 });
    inputs.set(parameter, input);
    return element("label", {}, parameter.name, input);
  });
  const token = element("input", { type: "password", autocomplete: "off", size: 20 });
  if (operation.security) {
    const name = needsToken(operation) ? "token" : "token, if reading needs one";
    fields.push(element("label", {}, name, token));
  }
  const line = element("pre");
  const outcome = element("pre", { hidden: true });
  const button = element("button", { type: "button" }, "Try it");

  function address() {
    let filled = path;
    const query = new URLSearchParams();
    for (const [parameter, input] of inputs) {
      if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, input.value.split("/").map(encodeURIComponent).join("/"));
      else if (input.value) query.set(parameter.name, input.value);
    }
    return new URL(root + filled.slice(1) + (query.size ? `?${query}` : ""), location.href).href;
  }

  function show() {
    const guard = needsToken(operation) || token.value ? " -H 'Authorization: Bearer <token>'" : "";
    line.textContent = `curl${method === "post" ? " -X POST" : ""}${guard} '${address().replaceAll("'", "%27")}'`;
  }

  async function ask() {
    outcome.hidden = false;
    outcome.textContent = "…";
    try {
      const headers = operation.security && token.value ? { authorization: `Bearer ${token.value}` } : {};
      const started = performance.now();
      const answer = await fetch(address(), { method: method.toUpperCase(), headers });
      const type = answer.headers.get("content-type") ?? "";
      const text = type.startsWith("image/") ? "(a picture)" : await answer.text();
      const took = Math.round(performance.now() - started);
      let body = text;
      if (type.startsWith("application/json")) {
        try { body = pretty(JSON.parse(text)); } catch { /* shown as it came */ }
      }
      outcome.className = answer.ok ? "" : "bad";
      outcome.textContent = `${answer.status} ${answer.statusText}, ${took} ms, ${type}\n\n${body.slice(0, 100_000)}`;
    } catch (error) {
      outcome.className = "bad";
      outcome.textContent = String(error);
    }
  }

  for (const input of [...inputs.values(), token]) input.addEventListener("input", show);
  button.addEventListener("click", ask);
  show();
  const isFeed = "101" in operation.responses;
  return [element("h3", {}, "Try"), line, element("div", { class: "try" }, ...fields, ...(isFeed ? [] : [button])), outcome];
}

function route(document_, path, method, operation) {
  const card = element("details", { id: operation.operationId }, element("summary", {},
    element("b", {}, method.toUpperCase()), element("code", {}, path), element("span", {}, operation.summary)));
  // Filled when it is first opened: there are many, and few are read.
  card.addEventListener("toggle", () => {
    if (!card.open || card.children.length > 1) return;
    card.append(element("div", { class: "body" }, ...trial(path, method, operation), ...responses(document_, operation)));
  });
  return card;
}

/** Where a chapter begins. */
const anchor = (name) => name.toLowerCase().replace(/[^a-z]+/g, "-");

function build(document_) {
  at("about").textContent = `${document_.info.title} ${document_.info.version}. ${document_.info.description}`;
  const chapters = new Map();
  const cards = [];
  for (const [path, item] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const name = operation.tags[0];
      if (!chapters.has(name)) chapters.set(name, element("section", { id: anchor(name) }, element("h2", {}, name)));
      const card = route(document_, path, method, operation);
      chapters.get(name).append(card);
      const media = Object.values(operation.responses["200"]?.content ?? {})[0];
      const words = `${method} ${path} ${operation.summary} ${name}`.toLowerCase();
      cards.push({ card, words, names: [...keys(document_, media?.schema)] });
    }
  }
  at("routes").append(...chapters.values());
  at("chapters").append(...[...chapters.keys()].map((name) => element("a", { href: `#${anchor(name)}` }, name)));

  function search() {
    const wanted = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { card, words, names } of cards) {
      card.hidden = !wanted.every((word) => words.includes(word) || names.some((name) => name.startsWith(word)));
      if (!card.hidden) found += 1;
    }
    for (const chapter of chapters.values()) chapter.hidden = !chapter.querySelector("details:not([hidden])");
    at("found").textContent = `${found} of ${cards.length} routes`;
  }

  at("search").addEventListener("input", search);
  search();
  document.body.dataset.ready = "yes";
  const linked = at(location.hash.slice(1));
  if (linked?.tagName === "DETAILS") linked.open = true;
  linked?.scrollIntoView();
}

try {
  build(await (await fetch(`${root}openapi.json`)).json());
} catch (error) {
  at("about").textContent = `openapi.json cannot be read: ${error}`;
}
