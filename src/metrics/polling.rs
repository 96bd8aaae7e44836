//! State of polling, by gateway. Known also of a gateway that has no data.

use super::Gateway;
use super::exposition::Kind;
use super::series::{Series, counter, gauge, series};
use crate::model::{Freshness, GatewayKind};
use tokio::time::Instant;

const FRESHNESS: [&str; 4] = ["live", "stale", "expired", "never"];

/// A figure of one gateway; `None` where there is none.
type Figure = (Kind, &'static str, &'static str, fn(&Gateway<'_>) -> Option<f64>);

const FIGURES: [Figure; 9] = [
    (
        Kind::Gauge,
        "powerwall_gateway_up",
        "Whether the last poll succeeded, and not too long ago.",
        |gateway| Some(f64::from(u8::from(gateway.snapshot.freshness(gateway.now) == Freshness::Live))),
    ),
    (Kind::Gauge, "powerwall_data_age_seconds", "Time since the last good poll.", |gateway| {
        gateway.snapshot.age(gateway.now).map(|age| age.as_secs_f64())
    }),
    (Kind::Counter, "powerwall_polls_total", "Polls, however they ended.", |gateway| {
        Some(gateway.snapshot.health.polls as f64)
    }),
    (
        Kind::Gauge,
        "powerwall_consecutive_failures",
        "Polls that failed since the last good one.",
        |gateway| Some(gateway.snapshot.health.consecutive_failures.into()),
    ),
    (
        Kind::Gauge,
        "powerwall_outage_seconds",
        "How long polls have been failing; 0 while they succeed.",
        |gateway| {
            let since = gateway.snapshot.health.failing_since;
            Some(since.map_or(0.0, |since| gateway.now.saturating_duration_since(since).as_secs_f64()))
        },
    ),
    (
        Kind::Gauge,
        "powerwall_next_poll_seconds",
        "Time until the next poll; with failures, the pause left.",
        |gateway| gateway.snapshot.health.next_attempt.map(|next| seconds_until(next, gateway.now)),
    ),
    (
        Kind::Gauge,
        "powerwall_cooldown_seconds",
        "Time for which the gateway asked to be left alone (429, 503); 0 if it did not.",
        |gateway| {
            let until = gateway.snapshot.health.cooldown_until;
            Some(until.map_or(0.0, |until| seconds_until(until, gateway.now)))
        },
    ),
    (
        Kind::Counter,
        "powerwall_bare_connections_total",
        "Connections without TLS and login that were tried, one a tick, while the gateway did not answer.",
        |gateway| Some(gateway.snapshot.health.bare_connections as f64),
    ),
    (
        Kind::Counter,
        "powerwall_gateway_restarts_total",
        "How often the part of this program that asks the gateway died and was started again.",
        |gateway| Some(gateway.snapshot.health.restarts.into()),
    ),
];

pub(super) fn all() -> Vec<Series> {
    let info = gauge(
        "powerwall_gateway_info",
        "Always 1; the labels say which gateway this is.",
        |family, gateway| {
            let facts = &gateway.snapshot.gateway;
            let kind = match facts.kind {
                GatewayKind::Powerwall => "powerwall",
                GatewayKind::Inverter => "inverter",
            };
            let firmware = gateway.readings().and_then(|readings| readings.firmware.as_deref());
            let labels = [
                ("gateway", gateway.id),
                ("name", facts.name.as_str()),
                ("type", kind),
                ("firmware", firmware.unwrap_or_default()),
            ];
            family.sample(&labels, 1.0);
        },
    );
    let figures = FIGURES.into_iter().map(|(kind, name, help, figure)| {
        series(kind, name, help, move |family, gateway| {
            family.sample(&[("gateway", gateway.id)], figure(gateway));
        })
    });
    let freshness =
        gauge("powerwall_gateway_freshness", "1 for how fresh the data is.", |family, gateway| {
            let present = match gateway.snapshot.freshness(gateway.now) {
                Freshness::Live => "live",
                Freshness::Stale => "stale",
                Freshness::Expired => "expired",
                Freshness::Never => "never",
            };
            family.states("freshness", &FRESHNESS, Some(present), &[("gateway", gateway.id)]);
        });
    let failures = counter(
        "powerwall_poll_failures_total",
        "Polls that failed, by kind of error.",
        |family, gateway| {
            for (kind, count) in gateway.snapshot.health.failures_by_kind.iter() {
                family.sample(&[("gateway", gateway.id), ("kind", kind)], count as f64);
            }
        },
    );
    let rest = [freshness, failures, durations()].into_iter().chain(links());
    [info].into_iter().chain(figures).chain(rest).collect()
}

fn durations() -> Series {
    let name = "powerwall_poll_duration_seconds";
    series(Kind::Histogram, name, "How long polls took, however they ended.", |family, gateway| {
        let (id, times) = (gateway.id, &gateway.snapshot.health.poll_times);
        for (bound, count) in times.at_most() {
            family.suffixed("_bucket", &[("gateway", id), ("le", &bound.to_string())], count as f64);
        }
        family.suffixed("_bucket", &[("gateway", id), ("le", "+Inf")], times.count() as f64);
        family.suffixed("_sum", &[("gateway", id)], times.total().as_secs_f64());
        family.suffixed("_count", &[("gateway", id)], times.count() as f64);
    })
}

fn links() -> [Series; 2] {
    let up = gauge(
        "powerwall_link_up",
        "Whether a way to the gateway worked when it was tried last.",
        |family, gateway| {
            for link in &gateway.snapshot.health.links {
                let works = link.last_error.is_none() && link.last_success.is_some();
                let labels = [("gateway", gateway.id), ("link", link.kind.word())];
                family.sample(&labels, f64::from(u8::from(works)));
            }
        },
    );
    let in_use = gauge(
        "powerwall_link_in_use",
        "1 for the way to the gateway that brought the data.",
        |family, gateway| {
            for link in &gateway.snapshot.health.links {
                let is_used = link.in_use && link.last_success.is_some();
                let labels = [("gateway", gateway.id), ("link", link.kind.word())];
                family.sample(&labels, f64::from(u8::from(is_used)));
            }
        },
    );
    [up, in_use]
}

fn seconds_until(instant: Instant, now: Instant) -> f64 {
    instant.saturating_duration_since(now).as_secs_f64()
}
