//! The layout for displays with room: four stations with ribbons between them, as the display of the pages
//! has it; landscape, portrait, and beside or below it the sites of a sum.

use super::known::Station::{self, Battery, Grid, Home, Solar};
use super::known::is_flowing;
use super::layout::Layout;
use super::marks::{HOUSE, PYLON, SUN, arrow, number};
use super::pen::{Anchor, Pen, Type, extent};
use super::ribbons::{Point, Scale, reach, ribbons};
use super::scene::{Figure, Scene, Weight};
use super::tank::tank;
use super::tiles::tiles;

/// The height of a station, in units: its name, its number and two lines below.
const STATION: f64 = 9.2;
/// The same with one line below.
const SHORT: f64 = 7.8;
/// With less than this between what is above and the battery, there is no room for a second line.
const TIGHT: f64 = 14.5;

/// Draws `scene` into `pen`.
pub(super) fn draw(pen: &mut Pen, scene: &Scene, layout: &Layout) {
    let unit = layout.unit;
    pen.rect([0.0, 0.0, layout.width, layout.height], 0.0, pen.palette.ground);
    header(pen, scene, layout);
    let top = notices(pen, scene, layout, 3.5 * unit);
    let (left, right) = (unit, layout.right);
    let (mut bottom, mut battery) = (layout.bottom, None);
    if scene.known.has_battery {
        let tall = if layout.is_portrait { 9.4 } else { 8.4 } * unit;
        let reserve = if scene.reserve.is_some() { 1.5 * unit } else { 0.0 };
        let place = [left, bottom - reserve - tall, right - left, tall];
        tank(pen, scene, unit, place);
        bottom = place[1];
        battery = Some(Point { x: (left + right) / 2.0, y: bottom - 0.2 * unit });
    }
    // The sun above, the two others as low as their ribbons allow.
    let is_tight = bottom - top < TIGHT * unit;
    let tall = if is_tight { SHORT } else { STATION } * unit;
    let sun = f64::min(top, bottom - tall);
    let beside = (bottom - tall - 0.2 * unit).min((top + bottom - tall) / 2.0 + 2.0 * unit);
    let middle = (left + right) / 2.0;
    let wide = (right - left) * 0.44;
    let below = if is_tight { 0.2 } else { 1.95 };
    let places = Places {
        solar: Point { x: middle, y: sun + (6.5 + below) * unit },
        grid: Point { x: left + figure_width(&scene.grid, unit) + 0.8 * unit, y: beside + 4.4 * unit },
        home: Point { x: right - figure_width(&scene.home, unit) - 0.8 * unit, y: beside + 4.4 * unit },
        battery,
    };
    flow(pen, scene, layout, &places);
    station(pen, scene, Solar, (middle, sun), (unit, wide, is_tight));
    station(pen, scene, Grid, (left, beside), (unit, wide, is_tight));
    station(pen, scene, Home, (right, beside), (unit, wide, is_tight));
    if let Some(place) = layout.sites {
        tiles(pen, scene, (unit, layout.is_portrait), place);
    }
}

/// Where ribbons begin and end.
struct Places {
    solar: Point,
    grid: Point,
    home: Point,
    battery: Option<Point>,
}

fn header(pen: &mut Pen, scene: &Scene, layout: &Layout) {
    let (unit, palette) = (layout.unit, pen.palette);
    let line = 2.4 * unit;
    let end = layout.width - unit;
    let style =
        Type { size: 1.8 * unit, is_bold: true, anchor: Anchor::End, ink: palette.text, room: 20.0 * unit };
    let mut right = end - pen.text(&scene.time, (end, line), style) - unit;
    if let Some(demo) = scene.demo {
        let style = Type { size: 1.3 * unit, ink: palette.warn, ..style };
        let wide = pen.text(demo, (right - 0.5 * unit, line), style) + unit;
        pen.frame([right - wide, line - 1.5 * unit, wide, 2.0 * unit], unit, palette.warn, unit * 0.1);
        right -= wide + unit;
    }
    let room = right - unit;
    let style = Type { anchor: Anchor::Start, room, ..style };
    let wide = pen.text(&scene.title, (unit, line), style);
    let style =
        Type { size: 1.3 * unit, is_bold: false, ink: palette.quiet, room: room - wide - unit, ..style };
    if style.room > 5.0 * unit {
        pen.text(&scene.scope, (2.0 * unit + wide, line), style);
    }
}

/// What is wrong, below the header: in one line, where there is room in two. Where what follows begins.
fn notices(pen: &mut Pen, scene: &Scene, layout: &Layout, mut top: f64) -> f64 {
    let (unit, palette) = (layout.unit, pen.palette);
    let all: Vec<&str> = scene.notices.iter().map(|(_, words)| words.as_str()).collect();
    let is_alarm = scene.notices.first().is_some_and(|(weight, _)| *weight == Weight::Alarm);
    let lines = match (layout.is_portrait, all.as_slice()) {
        (_, []) => return top,
        (true, [first, rest @ ..]) if !rest.is_empty() => vec![(*first).to_owned(), rest.join(" · ")],
        (_, all) => vec![all.join(" · ")],
    };
    for (place, words) in lines.iter().enumerate() {
        let is_alarm = is_alarm && place == 0;
        let place = [unit, top, layout.right - unit, 2.3 * unit];
        let ink = if is_alarm { palette.on_alarm } else { palette.warn };
        match is_alarm {
            true => pen.rect(place, 0.5 * unit, palette.alarm),
            false => pen.frame(place, 0.5 * unit, palette.warn, unit * 0.12),
        }
        let room = place[2] - 1.6 * unit;
        let style = Type { size: 1.5 * unit, is_bold: true, anchor: Anchor::Start, ink, room };
        pen.text(words, (place[0] + 0.8 * unit, top + 1.68 * unit), style);
        top += 2.7 * unit;
    }
    top
}

fn flow(pen: &mut Pen, scene: &Scene, layout: &Layout, places: &Places) {
    let (unit, palette) = (layout.unit, pen.palette);
    let place = |station: Station| match station {
        Solar => Some(places.solar),
        Grid => Some(places.grid),
        Home => Some(places.home),
        Battery => places.battery,
    };
    let scale = Scale {
        widest: 1.5 * unit,
        thinnest: 0.14 * unit,
        gap: 0.35 * unit,
        head: 0.9 * unit,
        full: reach(&scene.known.streams),
    };
    for ribbon in ribbons(place, &scene.known.streams, scale) {
        let [start, one, other, end] = ribbon.points;
        let is_idle = ribbon.watts <= 0.0;
        let ink = match (is_idle, scene.known.is_alive()) {
            (true, _) => palette.line,
            (false, true) => palette.fills[ribbon.from as usize],
            (false, false) => palette.quiet,
        };
        // Dashes are what is not: no flow, or one of some time ago.
        let dashes = match (is_idle, scene.known.is_alive()) {
            (true, _) if palette.is_hard => {
                format!(" stroke-dasharray=\"{:.1} {:.1}\"", 0.15 * unit, 0.7 * unit)
            }
            (false, false) => format!(" stroke-dasharray=\"{:.1} {:.1}\"", 0.4 * unit, 0.5 * unit),
            _ => String::new(),
        };
        pen.raw(format_args!(
            "<path d=\"M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}\" fill=\"none\" stroke=\"{ink}\" \
             stroke-width=\"{:.1}\"{dashes}/>",
            start.x,
            start.y,
            one.x,
            one.y,
            other.x,
            other.y,
            end.x,
            end.y,
            ribbon.width.max(1.0)
        ));
        if !is_idle {
            let angle = (end.y - other.y).atan2(end.x - other.x).to_degrees();
            let half = (ribbon.width * 0.5).max(ribbon.tip * 0.62);
            pen.raw(format_args!(
                "<path transform=\"translate({:.1} {:.1}) rotate({angle:.1})\" d=\"M-.5 {:.1}L{:.1} 0L-.5 \
                 {half:.1}Z\" fill=\"{ink}\"/>",
                end.x, end.y, -half, ribbon.tip
            ));
        }
    }
}

/// How wide a number with its unit is.
fn figure_width(figure: &Figure, unit: f64) -> f64 {
    let (size, small) = (NUMBER * unit, NUMBER * 0.44 * unit);
    let number = extent(&figure.number, true) * size + 0.12 * size + extent(figure.unit, false) * small;
    number.max(extent(figure.name, false) * 1.5 * unit + 2.6 * unit)
}

/// The size of a number, in units.
const NUMBER: f64 = 4.6;

/// One of the three that are no battery: `x` is its left end, its middle or its right end.
fn station(
    pen: &mut Pen,
    scene: &Scene,
    of: Station,
    (x, top): (f64, f64),
    (unit, room, is_tight): (f64, f64, bool),
) {
    let palette = pen.palette;
    let known = &scene.known;
    let (figure, icon, watts, anchor) = match of {
        Solar => (&scene.solar, SUN, known.watts.solar, Anchor::Middle),
        Grid => (&scene.grid, PYLON, known.watts.grid, Anchor::Start),
        _ => (&scene.home, HOUSE, known.watts.home, Anchor::End),
    };
    let ink = match of {
        _ if !known.is_alive() => palette.quiet,
        Grid if known.is_outage() => palette.warn,
        of => palette.inks[of as usize],
    };
    let (size, picture) = (1.5 * unit, 2.0 * unit);
    let wide = picture + 0.6 * unit + extent(figure.name, false) * size;
    let left = match anchor {
        Anchor::Start => x,
        Anchor::Middle => x - wide / 2.0,
        Anchor::End => x - wide,
    };
    let style = Type { size, is_bold: false, anchor: Anchor::Start, ink, room };
    pen.icon(icon, (left, top), picture, ink);
    pen.text(figure.name, (left + picture + 0.6 * unit, top + 1.55 * unit), style);
    let lively = known.is_alive() && is_flowing(watts);
    let digits = if lively { palette.text } else { palette.quiet };
    number(pen, (&figure.number, figure.unit), (x, top + 5.9 * unit), NUMBER * unit, (anchor, digits));
    if is_tight && of == Solar {
        return;
    }
    let style = Type { size: 1.35 * unit, is_bold: false, anchor, ink: palette.quiet, room };
    let is_alarm = of == Grid && known.is_outage();
    let mut line = top + 7.6 * unit;
    if is_alarm {
        pen.text(&figure.what, (x, line), Type { ink: palette.warn, is_bold: true, ..style });
        line += 1.6 * unit;
    } else if of != Solar || figure.today.is_empty() {
        pen.text(&figure.what, (x, line), style);
        line += 1.6 * unit;
    }
    if is_tight {
        return;
    }
    // Beside a ribbon in the middle of a narrow display, two energies need two lines.
    let step = if room < 14.0 * unit { Some(1.6 * unit) } else { None };
    today(pen, scene, figure, (x, line), (style, step));
}

/// What flowed today: one energy, or what came in and what went out, each with an arrow; `step`: in two
/// lines.
fn today(
    pen: &mut Pen,
    scene: &Scene,
    figure: &Figure,
    (x, line): (f64, f64),
    (style, step): (Type<'_>, Option<f64>),
) {
    let language = scene.language;
    match figure.today.as_slice() {
        [only] => {
            let words = language.fill("{energy} today", &[("energy", only)]);
            pen.text(&words, (x, line), style);
        }
        [into, out] => {
            let (mut left, mut line) = (x, line);
            for (energy, turn) in [(into, 0.0), (out, 180.0)] {
                let size = style.size;
                arrow(pen, (left + size * 0.4, line - size * 0.35), size * 0.8, turn, style.ink);
                let wide = pen.text(energy, (left + size, line), style);
                match step {
                    Some(step) => line += step,
                    None => left += wide + size * 1.8,
                }
            }
        }
        _ => {}
    }
}
