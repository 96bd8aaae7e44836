// The one line that says how everything is, before anything is looked at closely.

import { age, isNumber } from "../format.js";
import { gateway, MODES } from "../site.js";
import { t } from "../words.js";
import { warnings } from "./alerts.js";
import { linkName } from "./health.js";

const counted = (number, one, many) => (number === 1 ? one : many.replace("{number}", number));

function alertsOf(state, ids) {
  const many = ids.reduce((sum, id) => sum + warnings(state, id).length, 0);
  if (many > 0) return { level: "warn", text: counted(many, t("1 warning"), t("{number} warnings")) };
  return ids.some((id) => state[`gateway/${id}/alerts`]) ? { level: "good", text: t("No warnings") } : null;
}

function ofOne({ state, now }, id) {
  const site = gateway(state, id);
  const links = state[`gateway/${id}/links`] ?? [];
  const used = links.filter((one) => one.in_use).map((one) => linkName(one.kind));
  const over = used.length > 0 ? t("Connected over {links}", { links: used.join(", ") }) : t("Connected");
  const old = isNumber(site.takenAt) ? age(now - site.takenAt) : null;
  const how = {
    live: { level: "good", text: over },
    stale: { level: "warn", text: t("Delayed, {age} old", { age: old }) },
    expired: { level: "bad", text: old ? t("Offline, {age} old", { age: old }) : t("Offline, no values") },
  }[site.freshness] ?? { level: "quiet", text: t("No data yet") };
  const mode = MODES[site.mode] ?? null;
  return [site.isOutage && { level: "bad", text: t("Grid outage") }, how, mode && { level: null, text: mode }].filter(Boolean);
}

function ofMany({ state, ids }) {
  const sites = ids.map((id) => gateway(state, id));
  const with_ = (freshness) => sites.filter((site) => site.freshness === freshness).length;
  const [live, gone] = [with_("live") + with_("stale"), with_("expired")];
  const cut = sites.filter((site) => site.isOutage && site.freshness !== "never").length;
  const all = { level: live === ids.length ? "good" : "warn", text: t("{number} of {all} gateways report", { number: live, all: ids.length }) };
  return [
    cut > 0 && { level: "bad", text: t("Grid outage at {number} of {all}", { number: cut, all: ids.length }) },
    all,
    gone > 0 && { level: "bad", text: t("{number} offline", { number: gone }) },
  ].filter(Boolean);
}

/** Its pieces, each `{ level, text }`. */
export function status(context) {
  if (context.isLost) return [{ level: "bad", text: t("The server does not answer; these are the last values") }];
  const pieces = context.isMany ? ofMany(context) : context.ids.length === 1 ? ofOne(context, context.ids[0]) : [];
  return [...pieces, alertsOf(context.state, context.ids)].filter(Boolean);
}
