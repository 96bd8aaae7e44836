//! The battery as a tank with its reserve marked.

use super::marks::{CELL, number};
use super::pen::{Anchor, Pen, Type, extent};
use super::scene::Scene;

/// Draws it at `place`: left, top, width, height.
pub(super) fn tank(pen: &mut Pen, scene: &Scene, unit: f64, place: [f64; 4]) {
    let [left, top, width, height] = place;
    let (palette, known) = (pen.palette, &scene.known);
    let round = 1.1 * unit;
    pen.rect(place, round, palette.raised);
    let level = known.charge.unwrap_or(0.0).clamp(0.0, 100.0) / 100.0 * width;
    let fill = match (known.is_alive(), known.is_low()) {
        (false, _) => palette.line,
        (true, _) => palette.level,
    };
    // Hard edges: what is old is drawn as an edge alone.
    if known.charge.is_some() && (known.is_alive() || !palette.is_hard) {
        pen.raw(format_args!(
            "<clipPath id=\"tank\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\" rx=\"{round:.1}\"/></clipPath><g clip-path=\"url(#tank)\"><rect \
             x=\"{left:.1}\" y=\"{top:.1}\" width=\"{level:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/></g>"
        ));
    }
    let edge = if palette.is_hard { 0.16 } else { 0.1 };
    pen.frame(
        place,
        round,
        if palette.is_hard { palette.text } else { palette.line },
        (edge * unit).max(1.0),
    );
    reserve(pen, scene, unit, place);

    let ink = match () {
        () if !known.is_alive() => palette.quiet,
        () if known.is_low() => palette.warn,
        () => palette.inks[2],
    };
    let (inside, bottom) = (1.3 * unit, top + height);
    let style = Type { size: 1.5 * unit, is_bold: false, anchor: Anchor::Start, ink, room: width * 0.4 };
    let x = left + inside;
    pen.icon(CELL, (x - 0.2 * unit, top + 0.6 * unit), 2.0 * unit, ink);
    pen.text(scene.battery.name, (x + 2.4 * unit, top + 2.15 * unit), style);
    let sign = if known.charge.is_some() { "%" } else { "" };
    let size = (height - 4.0 * unit).clamp(4.3 * unit, 5.8 * unit);
    number(pen, (&scene.charge, sign), (x, bottom - 2.3 * unit), size, (Anchor::Start, ink));
    let over = if palette.is_hard { palette.text } else { contrast(pen, known.is_alive()) };
    let style = Type { size: 1.3 * unit, ink: over, ..style };
    pen.text(&scene.stored, (x, bottom - 0.75 * unit), style);

    let x = left + width - inside;
    let style = Type { size: 1.5 * unit, anchor: Anchor::End, ink, room: width * 0.52, ..style };
    pen.text(&scene.battery.what, (x, top + 2.15 * unit), style);
    let figure = (&*scene.battery.number, scene.battery.unit);
    let digits = if known.is_alive() { palette.text } else { palette.quiet };
    number(pen, figure, (x, bottom - 2.3 * unit), size * 0.8, (Anchor::End, digits));
    let style = Type { size: 1.3 * unit, ink: palette.text, ..style };
    pen.text(&scene.ahead, (x, bottom - 0.75 * unit), style);
}

/// What can be read on the full part and beside it.
fn contrast(pen: &Pen, is_alive: bool) -> &'static str {
    if is_alive { pen.palette.text } else { pen.palette.quiet }
}

fn reserve(pen: &mut Pen, scene: &Scene, unit: f64, [left, top, width, height]: [f64; 4]) {
    let (Some(words), Some(reserve)) = (&scene.reserve, scene.known.reserve) else { return };
    let ink = pen.palette.text;
    let x = left + reserve.min(100.0) / 100.0 * width;
    let thick = 0.2 * unit;
    for (y, long) in [(top, 0.7 * unit), (top + height - 0.4 * unit, 0.4 * unit)] {
        pen.rect([x - thick / 2.0, y, thick, long], 0.0, ink);
    }
    let wide = extent(words, false) * 1.2 * unit;
    let x = (x - thick / 2.0).min(left + width - wide);
    let style =
        Type { size: 1.2 * unit, is_bold: false, anchor: Anchor::Start, ink: pen.palette.quiet, room: width };
    pen.text(words, (x, top + height + 1.3 * unit), style);
}
