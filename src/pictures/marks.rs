//! The small marks that both layouts draw: icons, arrows, and a number with its unit.

use super::pen::{Anchor, Pen, Type, extent};

pub(super) const SUN: &str = "M12 7.2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6M12 1.6v2.6M12 19.8v2.6M1.6 \
    12h2.6M19.8 12h2.6M4.65 4.65l1.85 1.85M17.5 17.5l1.85 1.85M4.65 19.35l1.85-1.85M17.5 6.5l1.85-1.85";
pub(super) const HOUSE: &str = "M2.5 11.6 12 3.2l9.5 8.4M5.2 9.4v10.9h13.6V9.4M9.7 20.3v-6.1h4.6v6.1";
pub(super) const CELL: &str = "M6.2 5.2h11.6v16H6.2zM9.4 5.2V2.6h5.2v2.6M12.8 9.2 9.8 13.6h4.4l-3 4.4";
pub(super) const PYLON: &str =
    "M12 2.2 7.2 21.8M12 2.2l4.8 19.6M4.4 8.6h15.2M6.2 13h11.6M10.4 8.6l5.2 8.6M13.6 8.6l-5.2 8.6";

/// A number with its unit; `x` is where its left end, middle or right end is.
pub(super) fn number(
    pen: &mut Pen,
    figure: (&str, &str),
    (x, y): (f64, f64),
    size: f64,
    look: (Anchor, &str),
) {
    let ((digits, unit), (anchor, ink)) = (figure, look);
    let small = size * 0.44;
    let wide = extent(digits, true) * size;
    let whole = wide + if unit.is_empty() { 0.0 } else { 0.12 * size + extent(unit, false) * small };
    let left = match anchor {
        Anchor::Start => x,
        Anchor::Middle => x - whole / 2.0,
        Anchor::End => x - whole,
    };
    let style = Type { size, is_bold: true, anchor: Anchor::Start, ink, room: f64::INFINITY };
    pen.text(digits, (left, y), style);
    let quiet = pen.palette.quiet;
    let style = Type { size: small, is_bold: false, ink: quiet, ..style };
    if !unit.is_empty() {
        pen.text(unit, (left + wide + 0.12 * size, y), style);
    }
}

/// An arrow around a point, to the right if it is not turned.
pub(super) fn arrow(pen: &mut Pen, (x, y): (f64, f64), size: f64, turn: f64, ink: &str) {
    let scale = size / 10.0;
    pen.raw(format_args!(
        "<path transform=\"translate({x:.1} {y:.1}) rotate({turn}) scale({scale:.3})\" \
         d=\"M-5 0H4M0-4L4 0L0 4\" fill=\"none\" stroke=\"{ink}\" stroke-width=\"2\"/>"
    ));
}
