// How each gateway is reached, how old its data is, and when it is asked again; how the service itself is.

import { el } from "../dom.js";
import { age, duration, isNumber, measure, time, UNKNOWN } from "../format.js";
import { nextTry } from "../notices.js";
import { MODES, part } from "../site.js";
import { Facts, Groups, Table } from "./parts.js";

const LINKS = { tedapi: "TEDAPI", bearer: "TEDAPI, as installer", v1r: "TEDAPI v1r", local: "Customer API", cloud: "Owners cloud", fleet_api: "FleetAPI", relay: "v1r through Tesla", fleet: "FleetAPI" };
const WORDS = { live: "Live", stale: "Delayed", expired: "Offline", never: "No data yet" };

export const linkName = (kind) => LINKS[kind] ?? kind;
const isOk = (link) => isNumber(link.last_success_at) && !link.last_error;

function link(link, now) {
  const seen = isNumber(link.last_success_at) ? `${age(now - link.last_success_at)} ago` : "never";
  const state = isOk(link) ? "healthy" : isNumber(link.last_success_at) ? "failing" : "not reached";
  const again = nextTry({ next_attempt_at: link.next_try_at }, now);
  const text = [`${state}, ${seen}`, again && `left alone for ${again}`, link.why].filter(Boolean).join(" · ");
  return { text, kind: isOk(link) ? "good" : "warn", title: link.last_error?.message ?? null };
}

function freshness(status, now) {
  const text = WORDS[status.freshness] ?? UNKNOWN;
  const old = isNumber(status.taken_at) ? `, ${age(now - status.taken_at)} old` : "";
  // Who has not been asked yet has done nothing wrong.
  const isStarting = (status.freshness ?? "never") === "never" && !status.error;
  return { text: text + old, kind: isStarting ? null : ({ live: "good", stale: "warn" }[status.freshness] ?? "bad") };
}

function about(context, id) {
  const { state, now } = context;
  const status = part(state, id, "status") ?? {};
  const energy = part(state, id, "energy") ?? {};
  const links = part(state, id, "links") ?? [];
  const pause = nextTry({ cooldown_until: status.cooldown_until }, now);
  const failures = status.consecutive_failures > 0;
  return [
    ["Data", freshness(status, now)],
    ...links.map((one) => [`${linkName(one.kind)}${one.in_use && links.length > 1 ? " (in use)" : ""}`, link(one, now)]),
    ["Failures in a row", failures ? { text: String(status.consecutive_failures), kind: "warn" } : null],
    ["Failing for", failures && isNumber(status.failing_since) ? age(now - status.failing_since) : null],
    ["Asked again in", failures ? (nextTry(status, now) ?? "now") : null],
    ["Left alone for", pause && { text: pause, kind: "warn" }],
    ["Last error", status.error ? { text: status.error.message, kind: "bad" } : null],
    ["Latency", measure(status.latency_ms, "ms")],
    ["Mode", energy.mode ? (MODES[energy.mode] ?? energy.mode) : status.kind === "inverter" ? null : UNKNOWN],
    ["Firmware", status.firmware ?? UNKNOWN],
    ["Running for", isNumber(status.boot_at) ? duration(now - status.boot_at) : (status.uptime ?? UNKNOWN)],
    ["Monitor restarts", status.restarts > 0 ? { text: `${status.restarts} times`, kind: "warn" } : null],
  ];
}

export function health() {
  const groups = new Groups(() => {
    const facts = new Facts();
    return { node: facts.node, draw: (context, id) => facts.set(about(context, id)) };
  });
  const service = new Facts();
  const node = el("div", null, groups.node, el("h3", null, "This service"), service.node);
  return {
    id: "health",
    title: "System health",
    node,
    draw(context) {
      groups.draw(context);
      const { state, now, stats, live } = context;
      const started = state.service?.started_at;
      const sum = state.total ?? {};
      service.set([
        ["Gateways online", isNumber(sum.online) ? `${sum.online} of ${sum.gateways}` : UNKNOWN],
        ["Version", state.service?.version ?? UNKNOWN],
        ["Running since", isNumber(started) ? time(started, now) : UNKNOWN],
        ["This page hears by", live.way ?? UNKNOWN],
        ["Requests", isNumber(stats?.gets) ? (stats.gets + (stats.posts ?? 0)).toLocaleString() : null],
        ["Errors", isNumber(stats?.errors) ? `${stats.errors.toLocaleString()}, ${(stats.timeout ?? 0).toLocaleString()} timeouts` : null],
        ["Memory", isNumber(stats?.mem) ? measure(stats.mem / 1024, "MB", 1) : null],
      ]);
      return true;
    },
  };
}

export function gateways() {
  const table = new Table(["Gateway", "State", "Reached by", "Firmware"]);
  return {
    id: "gateways",
    title: "Gateways",
    node: el("div", null, table.node),
    draw({ state, now, ids }) {
      table.rows(
        ids.map((id) => {
          const status = part(state, id, "status") ?? {};
          const used = (part(state, id, "links") ?? []).filter((one) => one.in_use).map((one) => linkName(one.kind));
          const what = status.powerwall3 ? " · Powerwall 3" : status.kind === "inverter" ? " · solar only" : "";
          return [
            `${status.name ?? id}${what}`,
            { ...freshness(status, now), title: status.error?.message ?? null },
            used.join(", ") || UNKNOWN,
            { text: status.firmware?.split(" ")[0] ?? UNKNOWN, title: status.firmware ?? null },
          ];
        }),
      );
      return ids.length > 0;
    },
  };
}

export function mqtt() {
  const facts = new Facts();
  return {
    id: "mqtt",
    title: "MQTT broker",
    node: facts.node,
    draw({ mqtt }) {
      if (!mqtt?.enabled) return false;
      const yes = (value) => (value ? "yes" : "no");
      facts.set([
        ["Connection", mqtt.connected ? { text: "Connected", kind: "good" } : { text: "Disconnected", kind: "bad" }],
        ["Broker", `${mqtt.host ?? UNKNOWN}:${mqtt.port ?? UNKNOWN}`],
        ["Topics below", mqtt.topic_prefix ?? UNKNOWN],
        ["Home Assistant discovery", yes(mqtt.ha_discovery)],
        ["QoS, retained, TLS", `${mqtt.qos ?? UNKNOWN}, ${yes(mqtt.retain)}, ${yes(mqtt.tls)}`],
        ["Last error", mqtt.last_error ? { text: String(mqtt.last_error), kind: "bad" } : null],
      ]);
      return true;
    },
  };
}
