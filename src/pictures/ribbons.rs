//! Where the ribbons between the four run: geometry only, the same as in the pages' `ribbons.js`.

use super::known::Station::{self, Battery, Grid, Home, Solar};
use super::known::Stream;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
}

/// Sizes of ribbons, in pixels, and what the widest stands for.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub widest: f64,
    pub thinnest: f64,
    pub gap: f64,
    /// How long a point is at least.
    pub head: f64,
    /// W
    pub full: f64,
}

/// A ribbon from where power comes from to where it goes; without power, a thin line.
pub(super) struct Ribbon {
    pub from: Station,
    pub watts: f64,
    pub width: f64,
    /// How long its point is.
    pub tip: f64,
    /// Start, two points that pull, and end of a curve.
    pub points: [Point; 4],
}

/// Two stations that exchange power.
type Pair = (Station, Station);

const PAIRS: [Pair; 6] =
    [(Solar, Grid), (Solar, Battery), (Solar, Home), (Grid, Home), (Grid, Battery), (Battery, Home)];

/// In which order ribbons leave a station, so that they do not cross there, and which way.
fn edge(station: Station) -> ([Pair; 3], Point) {
    match station {
        Solar => ([(Solar, Grid), (Solar, Battery), (Solar, Home)], Point { x: 0.0, y: 1.0 }),
        Battery => ([(Grid, Battery), (Solar, Battery), (Battery, Home)], Point { x: 0.0, y: -1.0 }),
        Grid => ([(Solar, Grid), (Grid, Home), (Grid, Battery)], Point { x: 1.0, y: 0.0 }),
        Home => ([(Solar, Home), (Grid, Home), (Battery, Home)], Point { x: -1.0, y: 0.0 }),
    }
}

/// What the full width stands for, W: the most that flows, in steps.
pub(super) fn reach(streams: &[Stream]) -> f64 {
    let most = streams.iter().map(|stream| stream.watts).fold(0.0, f64::max);
    ((most / 2500.0).ceil() * 2500.0).max(5000.0)
}

/// Ribbons between the stations that have a place; those with power lie on top.
pub(super) fn ribbons(
    place: impl Fn(Station) -> Option<Point>,
    streams: &[Stream],
    scale: Scale,
) -> Vec<Ribbon> {
    // The larger of two that run against each other, as they can in a sum.
    let stream = |(one, other): Pair| {
        let between = streams.iter().filter(|stream| {
            (stream.from, stream.to) == (one, other) || (stream.from, stream.to) == (other, one)
        });
        between.max_by(|one, other| one.watts.total_cmp(&other.watts)).copied()
    };
    let width = |pair: Pair| {
        let flowing = |stream: Stream| (stream.watts / scale.full).min(1.0) * scale.widest;
        stream(pair).map_or(scale.thinnest, |stream| flowing(stream).max(scale.thinnest * 2.5))
    };
    let port = |station: Station, pair: Pair| {
        let (order, out) = edge(station);
        let mut at = place(station)?;
        let aside = order.iter().position(|known| *known == pair)? as f64 - 1.0;
        let off = aside * (width(order[1]) / 2.0 + scale.gap + width(pair) / 2.0);
        // Where power arrives there is a point.
        let arrives = stream(pair).is_some_and(|stream| stream.to == station);
        let room = if arrives { scale.head.max(width(pair) * 0.6) } else { 0.0 };
        at.x += out.x * room + if out.x == 0.0 { off } else { 0.0 };
        at.y += out.y * room + if out.y == 0.0 { off } else { 0.0 };
        Some((at, out))
    };
    let mut found: Vec<Ribbon> = PAIRS
        .into_iter()
        .filter_map(|pair| {
            let known = stream(pair);
            let (from, to) = known.map_or(pair, |stream| (stream.from, stream.to));
            let points = bend(port(from, pair)?, port(to, pair)?);
            let watts = known.map_or(0.0, |stream| stream.watts);
            Some(Ribbon { from, watts, width: width(pair), tip: scale.head.max(width(pair) * 0.6), points })
        })
        .collect();
    found.sort_by_key(|ribbon| ribbon.watts > 0.0);
    found
}

/// Leaves and arrives at right angles to the edges.
fn bend((start, leaving): (Point, Point), (end, arriving): (Point, Point)) -> [Point; 4] {
    let is_corner = (leaving.x == 0.0) != (arriving.x == 0.0);
    let reach = if is_corner { 0.86 } else { 0.5 };
    let (dx, dy) = ((end.x - start.x).abs() * reach, (end.y - start.y).abs() * reach);
    let pull = |from: Point, out: Point| Point { x: from.x + out.x * dx, y: from.y + out.y * dy };
    [start, pull(start, leaving), pull(end, arriving), end]
}
