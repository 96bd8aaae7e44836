// How a gateway is reached, how old its data is, and when it is asked again; how the service itself is.

import { age, duration, isNumber, measure, time, UNKNOWN } from "../format.js";
import { nextTry } from "../notices.js";
import { MODES, part } from "../site.js";
import { t } from "../words.js";
import { Facts } from "./parts.js";

const LINKS = {
  tedapi: t("TEDAPI"),
  bearer: t("TEDAPI, as installer"),
  v1r: t("TEDAPI v1r"),
  local: t("customer API"),
  cloud: t("owners API"),
  fleet_api: t("FleetAPI"),
  relay: t("v1r through Tesla"),
  fleet: t("FleetAPI"),
};
const WORDS = { live: t("Live"), stale: t("Delayed"), expired: t("Offline"), never: t("No data yet") };

export const linkName = (kind) => LINKS[kind] ?? kind;
const isOk = (link) => isNumber(link.last_success_at) && !link.last_error;

function link(link, now) {
  const seen = isNumber(link.last_success_at) ? t("{age} ago", { age: age(now - link.last_success_at) }) : t("never");
  const state = isOk(link) ? t("healthy") : isNumber(link.last_success_at) ? t("failing") : t("not reached");
  const again = nextTry({ next_attempt_at: link.next_try_at }, now);
  const text = [`${state}, ${seen}`, again && t("next try in {time}", { time: again }), link.why].filter(Boolean).join(" · ");
  return { text, kind: isOk(link) ? "good" : "warn", title: link.last_error?.message ?? null };
}

function freshness(status, now) {
  const text = WORDS[status.freshness] ?? UNKNOWN;
  const old = isNumber(status.taken_at) ? `, ${t("{age} old", { age: age(now - status.taken_at) })}` : "";
  // Who has not been asked yet has done nothing wrong.
  const isStarting = (status.freshness ?? "never") === "never" && !status.error;
  return { text: text + old, kind: isStarting ? null : ({ live: "good", stale: "warn" }[status.freshness] ?? "bad") };
}

/** What is only worth a line while something fails. */
function failures(status, now) {
  const isFailing = status.consecutive_failures > 0;
  const pause = nextTry({ cooldown_until: status.cooldown_until }, now);
  return [
    [t("Failures in a row"), isFailing ? { text: String(status.consecutive_failures), kind: "warn" } : null],
    [t("Failing for"), isFailing && isNumber(status.failing_since) ? age(now - status.failing_since) : null],
    [t("Next request in"), isFailing ? (nextTry(status, now) ?? t("now")) : null],
    [t("Paused for"), pause && { text: pause, kind: "warn" }],
    [t("Last error"), status.error ? { text: status.error.message, kind: "bad" } : null],
  ];
}

function about({ state, now }, id) {
  const status = part(state, id, "status") ?? {};
  const energy = part(state, id, "energy") ?? {};
  const links = part(state, id, "links") ?? [];
  const mode = MODES[energy.mode] ? { text: MODES[energy.mode], raw: energy.mode } : (energy.mode ?? UNKNOWN);
  return [
    [t("Data"), freshness(status, now)],
    ...links.map((one) => [`${linkName(one.kind)}${one.in_use && links.length > 1 ? ` ${t("(in use)")}` : ""}`, link(one, now)]),
    ...failures(status, now),
    [t("Latency"), measure(status.latency_ms, "ms")],
    [t("Mode"), !energy.mode && status.kind === "inverter" ? null : mode],
    [t("Model"), status.powerwall3 ? "Powerwall 3" : status.kind === "inverter" ? t("Solar only") : null],
    [t("Firmware"), status.firmware ? { text: status.firmware.split(" ")[0], raw: status.firmware.split(" ").slice(1).join(" ") || null } : UNKNOWN],
    [t("Running for"), isNumber(status.boot_at) ? duration(now - status.boot_at) : (status.uptime ?? UNKNOWN)],
    [t("Monitor restarts"), status.restarts > 0 ? { text: String(status.restarts), kind: "warn" } : null],
  ];
}

export function reached() {
  const facts = new Facts();
  const draw = (context, id) => {
    facts.set(about(context, id));
    return true;
  };
  return { node: facts.node, draw };
}

export function service() {
  const facts = new Facts();
  return {
    id: "service",
    title: t("This service"),
    node: facts.node,
    draw({ state, now, stats, live }) {
      const started = state.service?.started_at;
      const sum = state.total ?? {};
      facts.set([
        [t("Gateways online"), isNumber(sum.online) ? t("{part} of {whole}", { part: sum.online, whole: sum.gateways }) : UNKNOWN],
        [t("Version"), state.service?.version ?? UNKNOWN],
        [t("Running since"), isNumber(started) ? time(started, now) : UNKNOWN],
        [t("Live updates over"), live.way ?? UNKNOWN],
        [t("Requests"), isNumber(stats?.gets) ? (stats.gets + (stats.posts ?? 0)).toLocaleString() : null],
        [t("Errors"), isNumber(stats?.errors) ? t("{number}, {late} timeouts", { number: stats.errors.toLocaleString(), late: (stats.timeout ?? 0).toLocaleString() }) : null],
        [t("Memory"), isNumber(stats?.mem) ? measure(stats.mem / 1024, "MB", 1) : null],
      ]);
      return true;
    },
  };
}

const yes = (value) => (value ? t("yes") : t("no"));

export function mqtt() {
  const facts = new Facts();
  return {
    id: "mqtt",
    title: t("MQTT broker"),
    node: facts.node,
    draw({ mqtt }) {
      if (!mqtt?.enabled) return false;
      facts.set([
        [t("Connection"), mqtt.connected ? { text: t("Connected"), kind: "good" } : { text: t("Disconnected"), kind: "bad" }],
        [t("Broker"), `${mqtt.host ?? UNKNOWN}:${mqtt.port ?? UNKNOWN}`],
        [t("Topic prefix"), mqtt.topic_prefix ?? UNKNOWN],
        [t("Home Assistant discovery"), yes(mqtt.ha_discovery)],
        [t("QoS, retained, TLS"), `${mqtt.qos ?? UNKNOWN}, ${yes(mqtt.retain)}, ${yes(mqtt.tls)}`],
        [t("Last error"), mqtt.last_error ? { text: String(mqtt.last_error), kind: "bad" } : null],
      ]);
      return true;
    },
  };
}
