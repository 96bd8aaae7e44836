// Holds the token that was typed, where no other page finds it, and makes requests with it.
//
// It stands in a variable of this module and nowhere else: not in the window, the document or a storage. Nothing
// exported here gives it away.

// Taken before anything else runs, so that nobody who replaces it later hears the token.
const fetch = window.fetch.bind(window);
const { parse } = JSON;
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

let token = null;
const heard = new Set();

/** Whether a page may give orders: one that another page frames or has opened may not. */
export const mayControl = window.parent === window && window.top === window && window.opener === null;

export const isSignedIn = () => token !== null;

export function onChange(listener) {
  heard.add(listener);
}

export function signOut() {
  token = null;
  for (const listener of heard) listener();
}

async function send(path, options, secret) {
  const headers = { ...options.headers };
  if (secret !== null) headers.authorization = `Bearer ${secret}`;
  const answer = await fetch(path, { cache: "no-store", credentials: "same-origin", redirect: "error", ...options, headers });
  let body = null;
  try {
    body = parse(await answer.text());
  } catch {
    // An answer of something that stands between.
  }
  return { status: answer.status, body };
}

/** Why a token is not taken, or `null` if it is. */
export async function signIn(field, path) {
  const typed = field.value.trim();
  field.value = "";
  if (!mayControl || typed === "") return "Type a token";
  try {
    const { status, body } = await send(path, {}, typed);
    if (status !== 200 || !body?.role) return body?.detail ?? "This token is not accepted";
  } catch {
    return "The server does not answer";
  }
  token = typed;
  for (const listener of heard) listener();
  return null;
}

/** `{ status, body }`, or `null` if nothing answers. `path` is one of this service, relative to the page. */
export async function ask(path) {
  try {
    const answer = await send(path, {}, token);
    // Not asked again with it: too many of those lock the client out.
    if (answer.status === 401 && token !== null) signOut();
    return answer;
  } catch {
    return null;
  }
}

/** A key for an order, for as long as that order is asked for. */
export const newKey = random;

/** Asks for an order; `null` if nobody answers. The same key and body are the same order. */
export async function order(gateway, action, body, key) {
  const headers = { "content-type": "application/json", "idempotency-key": key };
  const path = `api/gateways/${encodeURIComponent(gateway)}/control/${action}?wait=2`;
  try {
    return await send(path, { method: "POST", headers, body: JSON.stringify(body) }, token);
  } catch {
    return null;
  }
}

/** Asks for an order to several gateways; without a key, what would become of it. As `order`. */
export async function orderSeveral(body, key) {
  const headers = { "content-type": "application/json" };
  if (key !== null) headers["idempotency-key"] = key;
  try {
    return await send("api/fleet/orders", { method: "POST", headers, body: JSON.stringify(body) }, token);
  } catch {
    return null;
  }
}
