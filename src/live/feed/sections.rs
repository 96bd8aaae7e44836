//! All sections of the feed as bytes: a gateway is rendered again only if something about it changed.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::journal::Section;
use crate::clock::unix_time;
use crate::model::{Aggregate, Freshness, Snapshot, Telemetry};
use crate::views::live as view;
use crate::views::status::Moment;

/// The wall clock may be corrected; then times are sent anew. Smaller corrections are not worth a change.
const CLOCK_TOLERANCE: f64 = 1.0;

/// What is rendered, and what it was rendered from. Moves to the blocking pool for each rendering, and back.
pub(super) struct Sections {
    /// Both clocks at one moment: the same instant is the same Unix time in each rendering, so that no
    /// section changes because clocks wander apart.
    anchor: Moment,
    /// By id of the gateway.
    gateways: HashMap<String, Gateway>,
}

/// What stands on the boards.
pub(super) struct Boards {
    pub snapshots: Vec<Arc<Snapshot>>,
    pub sum: Arc<Aggregate>,
    /// The `service` section.
    pub service: Bytes,
}

struct Gateway {
    /// What decides whether the status and the links are rendered again.
    seen: Seen,
    /// The data is rendered again when it is not this any more.
    telemetry: Option<Arc<Telemetry>>,
    about: Vec<Section>,
    data: Vec<Section>,
}

#[derive(Clone, Copy, PartialEq)]
struct Seen {
    sequence: u64,
    freshness: Freshness,
    /// Whether the gateway is being left alone.
    cooling: bool,
    /// The times were derived from this anchor.
    anchor: f64,
}

impl Sections {
    pub fn new() -> Self {
        Self { anchor: Moment { now: Instant::now(), unix: unix_time() }, gateways: HashMap::new() }
    }

    fn moment(&mut self) -> Moment {
        let (now, unix) = (Instant::now(), unix_time());
        let since = now.saturating_duration_since(self.anchor.now).as_secs_f64();
        if (self.anchor.unix + since - unix).abs() > CLOCK_TOLERANCE {
            self.anchor = Moment { now, unix };
        }
        Moment { now, unix: self.anchor.unix + now.saturating_duration_since(self.anchor.now).as_secs_f64() }
    }

    /// All sections as of now, in their order. May take long: documents are derived from telemetry.
    pub fn render(&mut self, boards: &Boards) -> Vec<Section> {
        let at = self.moment();
        let snapshots = &boards.snapshots;
        let ids: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.gateway.id.as_str()).collect();
        let configured: HashSet<&str> = ids.iter().copied().collect();
        self.gateways.retain(|id, _| configured.contains(id.as_str()));
        for snapshot in snapshots {
            // Whatever is wrong with what one gateway said must not keep the others from being shown.
            let rendered = catch_unwind(AssertUnwindSafe(|| self.gateway(snapshot, at)));
            if rendered.is_err() {
                let id = snapshot.gateway.id.as_str();
                log::error!(gateway = id; "gateway {id}: its data cannot be rendered for the live feed");
            }
        }
        let total = view::total(&boards.sum, snapshots.iter().map(Arc::as_ref), at.now);
        let head = [("service", boards.service.clone()), ("order", bytes(&ids)), ("total", bytes(&total))];
        let mut sections: Vec<Section> = head.into_iter().map(|(key, value)| (key.into(), value)).collect();
        for gateway in ids.iter().filter_map(|id| self.gateways.get(*id)) {
            sections.extend(gateway.about.iter().chain(&gateway.data).cloned());
        }
        sections
    }

    fn gateway(&mut self, snapshot: &Snapshot, at: Moment) {
        let id = &snapshot.gateway.id;
        let key = |name: &str| -> Arc<str> { format!("gateway/{id}/{name}").into() };
        let freshness = snapshot.freshness(at.now);
        let cooling = snapshot.health.cooldown_until.is_some_and(|until| until > at.now);
        let seen = Seen { sequence: snapshot.sequence, freshness, cooling, anchor: self.anchor.unix };
        let known = self.gateways.get(id);
        if known.is_some_and(|known| known.seen == seen) {
            return;
        }
        let telemetry = snapshot.reading.as_ref().map(|reading| reading.telemetry.clone());
        let data = match (known, &telemetry) {
            (Some(known), Some(newest))
                if known.telemetry.as_ref().is_some_and(|old| Arc::ptr_eq(old, newest)) =>
            {
                known.data.clone()
            }
            (_, Some(newest)) => {
                view::data(newest.site()).iter().map(|(name, value)| (key(name), bytes(value))).collect()
            }
            (_, None) => Vec::new(),
        };
        let mut about = vec![
            (key("status"), bytes(&view::status(snapshot, freshness, at))),
            (key("links"), bytes(&view::links(snapshot, at))),
        ];
        about.extend(view::orders(snapshot, at).map(|orders| (key("orders"), bytes(&orders))));
        self.gateways.insert(id.clone(), Gateway { seen, telemetry, about, data });
    }
}

pub(super) fn bytes(value: &impl Serialize) -> Bytes {
    // Serialising a tree of values into memory cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}
