//! What Prometheus scrapes: every reading of every gateway with its unit in its name, their sum, and how the
//! service itself is. Rendered from the boards when it is asked for, so that nothing is there that no longer
//! counts: a value that is unknown or expired is absent, never 0.
//!
//! Labels are ids of gateways, words of this program, and names of devices and strings, of which a site has
//! few; what a gateway makes up beyond that is cut off. Serves nothing: [`crate::web`] does.

mod devices;
mod exposition;
mod polling;
mod readings;
mod series;
mod service;
mod sums;

use std::sync::{Arc, LazyLock};

use bytes::{BufMut, BytesMut};
use tokio::time::Instant;

use crate::directory::Selection;
use crate::model::{Aggregate, Readings, Site, Snapshot, Telemetry};
use crate::pieces::Render;
use exposition::{Exposition, Family};
use series::Series;
pub use service::ServiceFigures;

/// Of this kind is the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What gateways read, and then how polling of them goes. The sums stand between.
static SERIES: LazyLock<[Vec<Series>; 2]> = LazyLock::new(|| {
    let read = readings::all().into_iter().chain(devices::all());
    [read.collect(), polling::all()]
});

/// A gateway as it is at the moment of asking.
struct Gateway<'a> {
    id: &'a str,
    snapshot: &'a Snapshot,
    /// `None`: nothing that may still be shown.
    telemetry: Option<&'a Arc<Telemetry>>,
    now: Instant,
}

impl<'a> Gateway<'a> {
    fn readings(&self) -> Option<&'a Readings> {
        self.telemetry.map(|telemetry| &*telemetry.readings)
    }

    fn site(&self) -> Option<&'a Site> {
        self.telemetry.map(|telemetry| telemetry.site())
    }
}

/// The page, written family by family and gateway by gateway.
pub struct Page {
    selection: Selection,
    parts: std::vec::IntoIter<Part>,
    /// The family that is being written, and the place of the gateway that is next.
    family: Option<(&'static Series, usize)>,
    /// A sample of that family has been written.
    is_open: bool,
    /// Kept for its memory.
    text: String,
}

enum Part {
    Family(&'static Series),
    Text(String),
}

impl Page {
    pub fn new(selection: Selection, sum: &Aggregate, service: &ServiceFigures) -> Self {
        let text = |write: &dyn Fn(&mut Exposition)| {
            let mut page = Exposition::default();
            write(&mut page);
            Part::Text(page.text)
        };
        let [read, polled] = &*SERIES;
        let mut parts: Vec<Part> = read.iter().map(Part::Family).collect();
        parts.push(text(&|page| sums::put(page, sum)));
        parts.extend(polled.iter().map(Part::Family));
        parts.push(text(&|page| service::put(page, service)));
        let (parts, text) = (parts.into_iter(), String::new());
        Self { selection, parts, family: None, is_open: false, text }
    }

    /// The samples that `series` has of one gateway.
    fn samples(&mut self, series: &Series, place: usize, now: Instant) -> bool {
        let Some(entry) = self.selection.get(place) else { return false };
        let snapshot = entry.board.read();
        let (id, telemetry) = (&snapshot.gateway.id, snapshot.telemetry(now));
        let gateway = Gateway { id, snapshot: &snapshot, telemetry, now };
        let Series { kind, name, help, put } = series;
        let (kind, is_open) = (*kind, self.is_open);
        let mut family = Family { text: &mut self.text, kind, name, help, is_open };
        put(&mut family, &gateway);
        self.is_open = family.is_open;
        true
    }
}

impl Render for Page {
    fn part(&mut self, out: &mut BytesMut) -> bool {
        let Some((series, place)) = self.family.take() else {
            match self.parts.next() {
                Some(Part::Family(series)) => (self.family, self.is_open) = (Some((series, 0)), false),
                Some(Part::Text(text)) => out.put_slice(text.as_bytes()),
                None => return false,
            }
            return true;
        };
        self.text.clear();
        if self.samples(series, place, Instant::now()) {
            self.family = Some((series, place + 1));
            out.put_slice(self.text.as_bytes());
        }
        true
    }
}

/// The words of a grid status.
const GRID_STATES: [&str; 3] = ["up", "syncing", "down"];

fn grid_state(grid: crate::model::GridStatus) -> &'static str {
    match grid {
        crate::model::GridStatus::Up => "up",
        crate::model::GridStatus::Syncing => "syncing",
        crate::model::GridStatus::Down => "down",
    }
}
