//! The layout for small displays: the charge, and three numbers with their directions.

use super::known::Station::{self, Battery, Grid, Home, Solar};
use super::known::is_flowing;
use super::marks::{CELL, HOUSE, PYLON, SUN, arrow, number};
use super::pen::{Anchor, Pen, Type, extent};
use super::scene::{Scene, Weight};

/// Draws `scene` into `pen`.
pub(super) fn draw(pen: &mut Pen, scene: &Scene, (width, height): (f64, f64)) {
    pen.rect([0.0, 0.0, width, height], 0.0, pen.palette.ground);
    let is_tall = height > width;
    let line = (width.min(height) / 8.0).clamp(11.0, 20.0);
    let margin = line * 0.35;
    let top = header(pen, scene, (width, margin), line);
    let rest = [margin, top, width - 2.0 * margin, height - top - margin];
    let all: &[Station] =
        if scene.known.has_battery { &[Solar, Home, Grid, Battery] } else { &[Solar, Home, Grid] };
    if !scene.known.has_battery {
        return rows(pen, scene, all, rest);
    }
    let [left, top, wide, tall] = rest;
    match is_tall {
        true => {
            let part = (tall * 0.36).min(wide * 0.9);
            charge(pen, scene, [left, top, wide, part]);
            rows(pen, scene, all, [left, top + part + margin, wide, tall - part - margin]);
        }
        false => {
            let part = wide * 0.46;
            charge(pen, scene, [left, top, part, tall]);
            let gap = margin * 2.0;
            rows(pen, scene, all, [left + part + gap, top, wide - part - gap, tall]);
        }
    }
}

/// The name and the time, or what is wrong in the place of the name; where what follows begins.
fn header(pen: &mut Pen, scene: &Scene, (width, margin): (f64, f64), line: f64) -> f64 {
    let palette = pen.palette;
    let (words, is_wrong) = match scene.notices.first() {
        Some((_, words)) => (words, true),
        None => (&scene.title, false),
    };
    let is_alarm = scene.notices.first().is_some_and(|(weight, _)| *weight == Weight::Alarm);
    let ink = if is_alarm { palette.on_alarm } else { palette.text };
    if is_alarm {
        pen.rect([0.0, 0.0, width, line * 1.3], 0.0, palette.alarm);
    }
    let style = Type { size: line, is_bold: is_wrong, anchor: Anchor::End, ink, room: width * 0.4 };
    let wide = pen.text(&scene.time, (width - margin, line), style);
    let style = Type { anchor: Anchor::Start, room: width - wide - 3.0 * margin, ..style };
    pen.text(words, (margin, line), style);
    if !is_alarm {
        pen.rect([0.0, line * 1.25, width, 1.0], 0.0, palette.line);
    }
    line * 1.3 + margin
}

/// The battery: its charge as large as it can be, what it does, and a bar.
fn charge(pen: &mut Pen, scene: &Scene, [left, top, width, height]: [f64; 4]) {
    let (palette, known) = (pen.palette, &scene.known);
    let sign = if known.charge.is_some() { "%" } else { "" };
    let wide = extent(&scene.charge, true) + 0.12 + extent(sign, false) * 0.44;
    let size = (width / wide).min(height * 0.58);
    let ink = if known.is_alive() { palette.inks[2] } else { palette.quiet };
    number(pen, (&scene.charge, sign), (left, top + size * 0.78), size, (Anchor::Start, ink));
    let bar = (height * 0.12).max(5.0);
    let place = [left, top + height - bar, width, bar];
    pen.frame(place, 0.0, if palette.is_hard { palette.text } else { palette.quiet }, 1.0);
    let level = known.charge.unwrap_or(0.0).clamp(0.0, 100.0) / 100.0 * width;
    pen.rect(
        [left, place[1], level, bar],
        0.0,
        if known.is_alive() { palette.fills[2] } else { palette.line },
    );
    if let Some(reserve) = known.reserve.filter(|reserve| *reserve > 0.0) {
        let x = left + reserve.min(100.0) / 100.0 * width;
        pen.rect([x - 1.0, place[1] - bar * 0.4, 2.0, bar * 1.8], 0.0, palette.text);
    }
    let room = place[1] - bar * 0.4 - (top + size * 0.85);
    let words = if room > 24.0 && !scene.ahead.is_empty() { 2.0 } else { 1.0 };
    let size = (room / words * 0.8).min(18.0);
    let style = Type { size, is_bold: false, anchor: Anchor::Start, ink: palette.text, room: width };
    if size >= 8.0 {
        let line = place[1] - bar * 0.4 - size * 0.35;
        pen.text(&scene.battery.what, (left, line - (words - 1.0) * size * 1.15), style);
        if words > 1.5 {
            pen.text(&scene.ahead, (left, line), style);
        }
    }
}

/// Each power in a row: its icon, its number, and where it goes.
fn rows(pen: &mut Pen, scene: &Scene, all: &[Station], [left, top, width, height]: [f64; 4]) {
    let (palette, known) = (pen.palette, &scene.known);
    let tall = height / all.len() as f64;
    for (place, station) in all.iter().enumerate() {
        let (icon, figure, watts) = match station {
            Solar => (SUN, &scene.solar, known.watts.solar),
            Home => (HOUSE, &scene.home, known.watts.home),
            Grid => (PYLON, &scene.grid, known.watts.grid),
            Battery => (CELL, &scene.battery, known.watts.battery),
        };
        let middle = top + (place as f64 + 0.5) * tall;
        let picture = (tall * 0.72).min(width * 0.22);
        let ink = if known.is_alive() { palette.inks[*station as usize] } else { palette.quiet };
        pen.icon(icon, (left, middle - picture / 2.0), picture, ink);
        let wide = extent(&figure.number, true) + 0.12 + extent(figure.unit, false) * 0.44;
        let size = (tall * 0.82).min((width - picture * 2.1) / wide);
        let digits = if known.is_alive() { palette.text } else { palette.quiet };
        let right = (left + width, middle + size * 0.35);
        number(pen, (&figure.number, figure.unit), right, size, (Anchor::End, digits));
        let x = left + picture * 1.5;
        match station {
            Grid if known.is_outage() => cross(pen, (x, middle), picture * 0.5, palette.text),
            // From the grid or the battery into the house, or the other way round.
            Grid | Battery if is_flowing(watts) => {
                let turn = if watts > Some(0.0) { 0.0 } else { 180.0 };
                arrow(pen, (x, middle), picture * 0.6, turn, palette.text);
            }
            _ => {}
        }
    }
}

fn cross(pen: &mut Pen, (x, y): (f64, f64), size: f64, ink: &str) {
    let half = size / 2.0;
    pen.raw(format_args!(
        "<path transform=\"translate({x:.1} {y:.1})\" d=\"M{:.1} {:.1}L{half:.1} {half:.1}M{half:.1} \
         {:.1}L{:.1} {half:.1}\" stroke=\"{ink}\" stroke-width=\"2\"/>",
        -half, -half, -half, -half
    ));
}
