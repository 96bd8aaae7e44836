//! Pixels of an SVG, and the PNG of them with as many colours as a display has.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, WriteOptions, fontdb};

use super::asked::Colors;
use super::dither::dithered;

/// The fonts of the pages, reduced to what Europe writes; `static/fonts/OFL.txt` is their licence.
const FONTS: [&[u8]; 2] = [include_bytes!("fonts/barlow-500.ttf"), include_bytes!("fonts/barlow-600.ttf")];

static LOADED: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for font in FONTS {
        fonts.load_font_data(font.to_vec());
    }
    Arc::new(fonts)
});

/// A picture could not be made: our own SVG is not one, or there is no memory.
#[derive(Debug, thiserror::Error)]
pub enum Undrawn {
    #[error("the picture cannot be drawn: {0}")]
    Svg(#[from] resvg::usvg::Error),
    #[error("there is no memory for {0} × {1} pixels")]
    Memory(u32, u32),
    #[error("the picture cannot be written: {0}")]
    Png(#[from] png::EncodingError),
}

fn tree(svg: &str) -> Result<Tree, Undrawn> {
    let options = Options { fontdb: LOADED.clone(), ..Options::default() };
    Ok(Tree::from_str(svg, &options)?)
}

/// The same SVG with outlines in the place of texts, for readers that do not have the font. `title` says in
/// words what it shows.
pub(super) fn outlined(svg: &str, title: &str) -> Result<Vec<u8>, Undrawn> {
    let options = WriteOptions {
        coordinates_precision: 2,
        transforms_precision: 4,
        indent: resvg::usvg::Indent::None,
        ..WriteOptions::default()
    };
    let outlined = tree(svg)?.to_string(&options);
    let title = format!("<title>{}</title>", super::pen::escaped(title));
    Ok(match outlined.find('>') {
        Some(end) => [&outlined[..=end], &title, &outlined[end + 1..]].concat().into_bytes(),
        None => outlined.into_bytes(),
    })
}

/// `svg` as a PNG.
pub(super) fn png(svg: &str, (width, height): (u32, u32), colors: Colors) -> Result<Vec<u8>, Undrawn> {
    let mut pixels = Pixmap::new(width, height).ok_or(Undrawn::Memory(width, height))?;
    resvg::render(&tree(svg)?, Transform::identity(), &mut pixels.as_mut());
    // Everything is painted over, so that nothing is transparent.
    let rgba = pixels.data();
    let (kind, depth, data) = match colors {
        Colors::Full => {
            let rgb = rgba.chunks_exact(4).flat_map(|pixel| pixel.iter().take(3).copied()).collect();
            (png::ColorType::Rgb, png::BitDepth::Eight, rgb)
        }
        Colors::Two => (png::ColorType::Grayscale, png::BitDepth::One, dithered(rgba, width as usize, 1)),
        Colors::Four => (png::ColorType::Grayscale, png::BitDepth::Two, dithered(rgba, width as usize, 2)),
        Colors::Sixteen => {
            (png::ColorType::Grayscale, png::BitDepth::Four, dithered(rgba, width as usize, 4))
        }
    };
    let mut out = Vec::with_capacity(32 << 10);
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(kind);
    encoder.set_depth(depth);
    encoder.set_compression(if colors == Colors::Full {
        png::Compression::Fast
    } else {
        png::Compression::Balanced
    });
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&data)?;
    writer.finish()?;
    Ok(out)
}
