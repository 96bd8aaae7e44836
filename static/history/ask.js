// What is asked of the server: each question has an end, and only the newest answer counts.

import { t } from "../words.js";

const PATIENCE = 30_000;

/** Says what is wrong in words for people. */
export class Problem extends Error {}

/** The document at `path`. */
export async function ask(path, signal) {
  let answer;
  try {
    answer = await fetch(path, { signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]), cache: "no-cache" });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Problem(t("The server does not answer."));
  }
  if (answer.ok) return answer.json();
  const text = await answer.json().then(({ detail }) => detail, () => null);
  if (answer.status === 401 || answer.status === 403) throw new Problem(t("This page needs a login: open the display first."));
  throw new Problem(text ? `${text[0].toUpperCase()}${text.slice(1)}.` : t("The server answers with {status}.", { status: answer.status }));
}

/** The address of a question. */
export function path(route, values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== undefined));
  return `${route}?${query}`;
}
