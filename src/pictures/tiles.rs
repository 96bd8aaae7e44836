//! The sites of a sum, those in trouble first.

use super::pen::{Anchor, Pen, Type};
use super::scene::{Scene, Tile, Weight};

/// Draws as many as there is room for at `place`: left, top, width, height.
pub(super) fn tiles(
    pen: &mut Pen,
    scene: &Scene,
    (unit, is_portrait): (f64, bool),
    [left, top, width, height]: [f64; 4],
) {
    let tall = if is_portrait { 2.7 } else { 4.6 } * unit;
    let room = (height / tall + 0.01).floor() as usize;
    let all = scene.tiles.len();
    // The last place says how many there are besides.
    let shown = if all > room { room.saturating_sub(1) } else { all };
    for (place, tile) in scene.tiles.iter().take(shown).enumerate() {
        let place = [left, top + place as f64 * tall, width, tall - 0.5 * unit];
        match is_portrait {
            true => row(pen, tile, unit, place),
            false => card(pen, tile, unit, place),
        }
    }
    if shown < all {
        let words = (scene.more)(scene.language, all - shown);
        let style = Type {
            size: 1.3 * unit,
            is_bold: false,
            anchor: Anchor::Start,
            ink: pen.palette.quiet,
            room: width,
        };
        pen.text(&words, (left, top + shown as f64 * tall + 1.7 * unit), style);
    }
}

fn ink(pen: &Pen, tile: &Tile) -> &'static str {
    if tile.weight == Weight::Plain { pen.palette.quiet } else { pen.palette.warn }
}

fn bar(pen: &mut Pen, tile: &Tile, [left, top, width, height]: [f64; 4]) {
    let Some(charge) = tile.charge else { return };
    let palette = pen.palette;
    match palette.is_hard {
        true => pen.frame([left, top, width, height], 0.0, palette.line, 1.0),
        false => pen.rect([left, top, width, height], height / 2.0, palette.line),
    }
    let round = if palette.is_hard { 0.0 } else { height / 2.0 };
    pen.rect([left, top, charge.clamp(0.0, 100.0) / 100.0 * width, height], round, palette.fills[2]);
}

fn card(pen: &mut Pen, tile: &Tile, unit: f64, place: [f64; 4]) {
    let [left, top, width, _] = place;
    let palette = pen.palette;
    let style =
        Type { size: 1.4 * unit, is_bold: true, anchor: Anchor::End, ink: palette.text, room: width * 0.45 };
    let wide = pen.text(&tile.figure, (left + width, top + 1.4 * unit), style);
    let style = Type { anchor: Anchor::Start, room: width - wide - unit, ..style };
    pen.text(&tile.name, (left, top + 1.4 * unit), style);
    bar(pen, tile, [left, top + 1.95 * unit, width, 0.45 * unit]);
    let is_bold = tile.weight != Weight::Plain;
    let style = Type { size: 1.2 * unit, is_bold, ink: ink(pen, tile), room: width, ..style };
    pen.text(&tile.note, (left, top + 3.6 * unit), style);
}

fn row(pen: &mut Pen, tile: &Tile, unit: f64, place: [f64; 4]) {
    let [left, top, width, _] = place;
    let palette = pen.palette;
    let line = top + 1.5 * unit;
    let style = Type {
        size: 1.4 * unit,
        is_bold: true,
        anchor: Anchor::Start,
        ink: palette.text,
        room: width * 0.32,
    };
    pen.text(&tile.name, (left, line), style);
    let style = Type { anchor: Anchor::End, room: width * 0.25, ..style };
    pen.text(&tile.figure, (left + width, line), style);
    let is_bold = tile.weight != Weight::Plain;
    let style =
        Type { size: 1.2 * unit, is_bold, anchor: Anchor::Start, ink: ink(pen, tile), room: width * 0.4 };
    pen.text(&tile.note, (left + width * 0.35, line), style);
    bar(pen, tile, [left, top + 1.9 * unit, width, 0.25 * unit]);
}
