//! Writes the SVG of a picture, part by part, and knows how wide a text is.

use std::fmt::Write;

use super::palette::Palette;
use super::widths::WIDTHS;

/// Where a text stands: its left end, middle or right end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text is written.
#[derive(Clone, Copy)]
pub(super) struct Type<'a> {
    pub size: f64,
    pub is_bold: bool,
    pub anchor: Anchor,
    pub ink: &'a str,
    /// What it may be wide.
    pub room: f64,
}

/// A text is written smaller rather than cut, down to this part of its size.
const SMALLEST: f64 = 0.72;

pub(super) struct Pen {
    out: String,
    pub palette: &'static Palette,
}

/// What the fonts do not have is a question mark, so that nobody takes the name for complete.
fn drawable(text: &str) -> String {
    text.chars().map(|one| if width(one, false).is_some() { one } else { '?' }).collect()
}

fn width(character: char, is_bold: bool) -> Option<f64> {
    let place = WIDTHS.binary_search_by_key(&character, |(known, ..)| *known).ok()?;
    let (_, medium, bold) = WIDTHS.get(place)?;
    Some(f64::from(if is_bold { *bold } else { *medium }) / 1000.0)
}

/// How wide `text` is, as a multiple of its size.
pub(super) fn extent(text: &str, is_bold: bool) -> f64 {
    text.chars().map(|one| width(one, is_bold).unwrap_or(0.5)).sum()
}

impl Pen {
    pub fn new(palette: &'static Palette) -> Self {
        Self { out: String::with_capacity(8 << 10), palette }
    }

    pub fn finish(self) -> String {
        self.out
    }

    /// Something that has no method of its own.
    pub fn raw(&mut self, markup: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(markup);
    }

    pub fn rect(&mut self, [x, y, width, height]: [f64; 4], round: f64, fill: &str) {
        let (width, height) = (width.max(0.0), height.max(0.0));
        self.raw(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round:.1}\" \
             fill=\"{fill}\"/>"
        ));
    }

    /// The edge of a rectangle.
    pub fn frame(&mut self, [x, y, width, height]: [f64; 4], round: f64, ink: &str, thickness: f64) {
        self.raw(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round:.1}\" \
             fill=\"none\" stroke=\"{ink}\" stroke-width=\"{thickness:.1}\"/>"
        ));
    }

    /// One of the icons, `size` wide, with its upper left corner at `x`, `y`.
    pub fn icon(&mut self, path: &str, (x, y): (f64, f64), size: f64, ink: &str) {
        let scale = size / 24.0;
        self.raw(format_args!(
            "<path transform=\"translate({x:.1} {y:.1}) scale({scale:.3})\" d=\"{path}\" fill=\"none\" \
             stroke=\"{ink}\" stroke-width=\"2\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>"
        ));
    }

    /// A text on the line `y`; how wide it became.
    pub fn text(&mut self, text: &str, (x, y): (f64, f64), style: Type<'_>) -> f64 {
        let Type { mut size, is_bold, anchor, ink, room } = style;
        let mut shown = drawable(text);
        let wide = extent(&shown, is_bold) * size;
        if wide > room {
            size *= (room / wide).max(SMALLEST);
            while extent(&shown, is_bold) * size > room && shown.chars().count() > 2 {
                shown.truncate(shown.trim_end_matches('…').trim_end().len());
                shown.pop();
                shown.push('…');
            }
        }
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if is_bold { 600 } else { 500 };
        let wide = extent(&shown, is_bold) * size;
        let shown = escaped(&shown);
        self.raw(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size:.1}\" font-weight=\"{weight}\" \
             text-anchor=\"{anchor}\" fill=\"{ink}\">{shown}</text>"
        ));
        wide
    }
}

/// As the content of an element.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::asked::{Colors, Theme};

    #[test]
    fn a_name_is_never_markup_never_too_long_and_never_looks_complete_when_it_is_not() {
        let mut pen = Pen::new(Palette::of(Colors::Full, Theme::Dark));
        let style = Type { size: 20.0, is_bold: false, anchor: Anchor::Start, ink: "#000", room: 100.0 };
        let wide = pen.text(&"<b>&\u{5bb6}".repeat(30), (0.0, 0.0), style);
        assert!(wide <= 100.0, "{wide}");
        let out = pen.finish();
        assert!(out.contains("&lt;b&gt;&amp;?") && out.contains('…') && !out.contains("<b>"), "{out}");
        assert!((extent("1", true) - extent("7", true)).abs() < 0.3);
    }
}
