//! The SVG of a picture: one for what is sent as SVG and for what is sent in pixels.

use super::asked::{Asked, Turn};
use super::large;
use super::layout::Layout;
use super::palette::Palette;
use super::pen::Pen;
use super::scene::Scene;
use super::small;

/// `scene` as it was `asked` for. Texts are texts, in the fonts of [`super::raster`].
pub(super) fn template(scene: &Scene, asked: &Asked) -> String {
    let palette = Palette::of(asked.colors, asked.theme);
    let mut pen = Pen::new(palette);
    let (width, height) = (asked.width, asked.height);
    // Hard edges of texts can be read; dithered ones cannot.
    let edges = match palette.is_hard {
        true => " text-rendering=\"optimizeSpeed\" shape-rendering=\"crispEdges\"",
        false => "",
    };
    let turn = match asked.turn {
        Turn::None => String::new(),
        Turn::Quarter => format!(" transform=\"translate({width} 0) rotate(90)\""),
        Turn::Half => format!(" transform=\"translate({width} {height}) rotate(180)\""),
        Turn::ThreeQuarters => format!(" transform=\"translate(0 {height}) rotate(270)\""),
    };
    pen.raw(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"Barlow Semi Condensed\"{edges}><g{turn}>"
    ));
    match Layout::of(asked.upright(), scene.tiles.len()) {
        Some(layout) => large::draw(&mut pen, scene, &layout),
        None => small::draw(&mut pen, scene, asked.upright()),
    }
    pen.raw(format_args!("</g></svg>"));
    pen.finish()
}
