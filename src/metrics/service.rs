//! How the service itself is: what it was asked, who listens, since when it runs.

use super::exposition::Exposition;
use crate::audience::{AudienceCounts, Cut, NoPlace};
use crate::connections::ConnectionCounts;
use crate::link::broker::standing::{Goods, Side};
use crate::link::tesla::account::Usage;

/// What the service counts of itself.
#[derive(Clone, Debug, Default)]
pub struct ServiceFigures {
    /// Unix seconds.
    pub started_at: f64,
    /// Requests by route. Routes are paths of the table of routes, so there are as many as it has.
    pub requests: Vec<(&'static str, u64)>,
    /// Answers with a status of 400 or more.
    pub errors: u64,
    /// Memory in use; `None` where the system does not say.
    pub resident_bytes: Option<u64>,
    pub audience: AudienceCounts,
    pub connections: ConnectionCounts,
    /// Clients that were disconnected because they did not take their answer.
    pub cuts: u64,
    /// What Tesla's cloud was asked, by account.
    pub tesla: Vec<Usage>,
    /// How this program stands with the broker of a fleet, by side.
    pub broker: [(&'static str, Option<Side>); 2],
}

pub(super) fn put(page: &mut Exposition, service: &ServiceFigures) {
    page.gauge("powerwall_server_build_info", "Always 1; the label says which version this is.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let mut requests = page.counter("powerwall_server_requests_total", "Requests by route.");
    for (route, count) in &service.requests {
        requests.sample(&[("route", route)], *count as f64);
    }
    page.counter("powerwall_server_error_responses_total", "Answers with a status of 400 or more.")
        .sample(&[], service.errors as f64);
    put_connections(page, &service.connections);
    let audience = &service.audience;
    page.gauge("powerwall_server_websocket_clients", "Clients that listen by WebSocket.")
        .sample(&[], audience.clients as f64);
    let counts = [
        ("powerwall_server_websocket_frames_total", "Frames sent to WebSocket clients.", audience.frames),
        (
            "powerwall_server_websocket_frames_dropped_total",
            "Changes that a WebSocket client did not see because a newer one was there before its turn came.",
            audience.dropped,
        ),
    ];
    page.counter(
        "powerwall_server_clients_cut_total",
        "Clients that were disconnected because they did not take the answer to a request.",
    )
    .sample(&[], service.cuts as f64);
    for (name, help, count) in counts {
        page.counter(name, help).sample(&[], count as f64);
    }
    let mut cut = page.counter(
        "powerwall_server_websocket_clients_cut_total",
        "Clients that were disconnected, by reason: stalled (took nothing any more), lost (the connection \
         broke, or the system gave it up because nothing was taken), too_much, too_large or protocol (what \
         they sent).",
    );
    for (why, count) in Cut::ALL.into_iter().zip(audience.cut) {
        cut.sample(&[("reason", why.name())], count as f64);
    }
    let mut refused = page.counter(
        "powerwall_server_websocket_clients_refused_total",
        "Clients for which there was no place, by reason: full (all places are taken) or share (those of the \
         client's address are).",
    );
    for (why, count) in NoPlace::ALL.into_iter().zip(audience.refused) {
        refused.sample(&[("reason", why.name())], count as f64);
    }
    put_tesla(page, &service.tesla);
    put_broker(page, &service.broker);
    page.gauge("process_start_time_seconds", "When the program started, since the Unix epoch.")
        .sample(&[], service.started_at);
    page.gauge("process_resident_memory_bytes", "Memory in use.")
        .sample(&[], service.resident_bytes.map(|bytes| bytes as f64));
}

fn put_connections(page: &mut Exposition, connections: &ConnectionCounts) {
    page.gauge("powerwall_server_connections", "Connections of clients that are open.")
        .sample(&[], connections.open as f64);
    page.counter(
        "powerwall_server_connections_refused_total",
        "Connections for which there was no place: those of the client's address, or all, were taken.",
    )
    .sample(&[], connections.refused as f64);
    page.counter(
        "powerwall_server_connections_overdue_total",
        "Connections that were closed because a request, the client's taking of an answer, or nothing at all \
         took too long.",
    )
    .sample(&[], connections.overdue as f64);
}

fn put_tesla(page: &mut Exposition, accounts: &[Usage]) {
    if accounts.is_empty() {
        return;
    }
    let mut requests = page.gauge(
        "powerwall_server_tesla_requests_today",
        "Requests to Tesla's cloud or a provider since midnight UTC, by kind: data, command, token.",
    );
    for (index, usage) in accounts.iter().enumerate() {
        let (account, today) = (index.to_string(), usage.today);
        for (kind, count) in [("data", today.data), ("command", today.commands), ("token", today.tokens)] {
            let labels = [("account", account.as_str()), ("server", usage.account.as_str()), ("kind", kind)];
            requests.sample(&labels, count as f64);
        }
    }
    let mut dollars = page.gauge(
        "powerwall_server_tesla_dollars_today",
        "What they would cost by Tesla's list of prices, if they are billed.",
    );
    for (index, usage) in accounts.iter().enumerate() {
        let account = index.to_string();
        let labels = [("account", account.as_str()), ("server", usage.account.as_str())];
        dollars.sample(&labels, usage.today.dollars());
    }
}

fn put_broker(page: &mut Exposition, sides: &[(&'static str, Option<Side>)]) {
    let sides: Vec<_> = sides.iter().filter_map(|(name, side)| Some((*name, side.as_ref()?))).collect();
    if sides.is_empty() {
        return;
    }
    let mut connected = page.gauge(
        "powerwall_server_broker_connected",
        "1 while there is a connection to the broker of a fleet; side: as a site, or as a centre.",
    );
    for (name, side) in &sides {
        connected.sample(&[("side", name)], f64::from(side.is_connected));
    }
    let mut obstacles = page.gauge(
        "powerwall_server_broker_obstacles",
        "Kinds of messages that do not go over the broker at present; /api/broker says why.",
    );
    for (name, side) in &sides {
        obstacles.sample(&[("side", name)], side.obstacles.len() as f64);
    }
    let mut messages = page.counter(
        "powerwall_server_broker_messages_total",
        "What went over the broker, by kind: reports, slots (quarters of an hour), entries (of the journal), \
         orders.",
    );
    for (name, side) in &sides {
        for (goods, count) in Goods::ALL.iter().zip(side.counts) {
            messages.sample(&[("side", name), ("kind", goods.word())], count as f64);
        }
    }
}
