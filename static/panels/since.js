// Since when an alert has been active: from the server's journal, which takes a token, else as far as this page saw.

import { time } from "../format.js";
import { ask, isSignedIn, onChange } from "../control/holder.js";
import { theirTime } from "../site.js";
import { t } from "../words.js";

/** How often the journal is asked, ms. */
const EVERY = 15_000;
const MOST = 1000;

const key = (id, name) => `${id} ${name}`;
const opened = new Map(); // gateway → when its alerts were seen first, Unix seconds
const seen = new Map(); // alert → when it was seen to begin
let journal = new Map(); // alert → when it began, as the server noted it
let due = 0;

onChange(() => {
  journal = new Map();
  due = 0;
});

async function look() {
  due = performance.now() + EVERY;
  const answer = await ask(`api/journal?kind=alert&limit=${MOST}`);
  if (answer?.status !== 200) return;
  const found = new Map();
  // The newest first: what comes later was before.
  for (const { gateway, detail } of answer.body.entries) {
    const of = key(gateway, detail.alert);
    if (!found.has(of)) found.set(of, detail.state === "began" ? detail.since : null);
  }
  journal = found;
}

/** Notes which alerts of a gateway are active. */
export function watch(id, names, now) {
  if (isSignedIn() && performance.now() >= due) look();
  const isFirst = !opened.has(id);
  if (isFirst) opened.set(id, now);
  for (const of of seen.keys()) if (of.startsWith(`${id} `) && !names.includes(of.slice(id.length + 1))) seen.delete(of);
  for (const name of names) if (!seen.has(key(id, name))) seen.set(key(id, name), isFirst ? null : now);
}

/** In words. Of an alert that was there before the page was, only that is known. */
export function since(id, name, state, now) {
  const at = (seconds) => time(theirTime(state, seconds), theirTime(state, now));
  const began = journal.get(key(id, name)) ?? seen.get(key(id, name)) ?? null;
  if (began !== null) return t("since {time}", { time: at(began) });
  return t("since before {time}", { time: at(opened.get(id) ?? now) });
}
