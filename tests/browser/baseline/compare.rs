//! A picture, and whether it is the same as another one, as far as people see and another build of a browser
//! allows.

use std::collections::BTreeMap;
use std::io::Cursor;

/// What is compared is the mean of squares of so many pixels: edges of letters may differ.
const SQUARE: usize = 4;
/// How many colours a kept picture has.
const COLOURS: usize = 128;
/// By how much one channel of a mean may differ.
const TOLERANCE: u8 = 26;
/// Squares that may differ all the same: this many in ten thousand, and a few.
const STRAY: (usize, usize) = (6, 4);

#[derive(Clone)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// Three bytes a pixel.
    rgb: Vec<u8>,
}

/// By how much two colours differ in the channel where they differ most.
fn off(one: &[u8], other: &[u8]) -> u8 {
    (0..3).map(|part| one[part].abs_diff(other[part])).max().unwrap()
}

/// Some of `colours`, to one of which each is nearer than `apart`; `None`: it would take too many.
fn palette<'a>(colours: &[&'a [u8]], apart: u8) -> Option<Vec<&'a [u8]>> {
    let mut palette: Vec<&[u8]> = Vec::new();
    for colour in colours {
        if palette.iter().all(|known| off(known, colour) >= apart) {
            palette.push(colour);
        }
        if palette.len() > COLOURS {
            return None;
        }
    }
    Some(palette)
}

impl Picture {
    pub fn read(png: &[u8]) -> Self {
        let mut decoder = png::Decoder::new(Cursor::new(png));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
        let mut reader = decoder.read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut samples).unwrap();
        let rgb = match frame.color_type.samples() {
            1 => samples.iter().flat_map(|grey| [*grey; 3]).collect(),
            3 => samples,
            channels => samples.chunks_exact(channels).flat_map(|pixel| pixel[..3].to_vec()).collect(),
        };
        Self { width: frame.width as usize, height: frame.height as usize, rgb }
    }

    /// As a PNG with a palette of so few colours that each pixel is near one of them.
    pub fn small(&self) -> Vec<u8> {
        let mut often: BTreeMap<&[u8], usize> = BTreeMap::new();
        for pixel in self.rgb.chunks_exact(3) {
            *often.entry(pixel).or_default() += 1;
        }
        let mut colours: Vec<&[u8]> = often.keys().copied().collect();
        colours.sort_by_key(|colour| std::cmp::Reverse(often[colour]));
        let palette = (4..).step_by(3).find_map(|apart| palette(&colours, apart)).unwrap();
        let nearest =
            |colour: &&[u8]| (0..palette.len()).min_by_key(|place| off(palette[*place], colour)).unwrap();
        let places: BTreeMap<&[u8], u8> =
            colours.iter().map(|colour| (*colour, nearest(colour) as u8)).collect();
        let data: Vec<u8> = self.rgb.chunks_exact(3).map(|pixel| places[pixel]).collect();
        self.written(png::ColorType::Indexed, Some(palette.concat()), &data)
    }

    fn written(&self, colours: png::ColorType, palette: Option<Vec<u8>>, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width as u32, self.height as u32);
        encoder.set_color(colours);
        encoder.set_compression(png::Compression::High);
        if let Some(palette) = palette {
            encoder.set_palette(palette);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        out
    }

    /// The means of the square whose corner is at `x`, `y`; outside of the picture is its edge.
    fn mean(&self, x: isize, y: isize) -> [u8; 3] {
        let inside = |at: isize, end: usize| at.clamp(0, end as isize - 1) as usize;
        let mut sums = [0_u32; 3];
        for dy in 0..SQUARE as isize {
            for dx in 0..SQUARE as isize {
                let at = (inside(y + dy, self.height) * self.width + inside(x + dx, self.width)) * 3;
                for (part, sum) in sums.iter_mut().enumerate() {
                    *sum += u32::from(self.rgb[at + part]);
                }
            }
        }
        sums.map(|sum| (sum / (SQUARE * SQUARE) as u32) as u8)
    }

    /// The squares that look otherwise in `other`, by their corners. What moved by a pixel looks the same.
    fn differences(&self, other: &Self) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for y in (0..self.height).step_by(SQUARE) {
            for x in (0..self.width).step_by(SQUARE) {
                let (left, top) = (x as isize, y as isize);
                let here = self.mean(left, top);
                let near = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1), (1, -1), (-1, 1)];
                let same =
                    |(dx, dy): &(isize, isize)| off(&here, &other.mean(left + dx, top + dy)) <= TOLERANCE;
                if !near.iter().any(same) {
                    found.push((x, y));
                }
            }
        }
        found
    }

    /// How it differs from `was`; `None`: it looks the same.
    pub fn differs(&self, was: &Self) -> Option<Difference> {
        if (self.width, self.height) != (was.width, was.height) {
            let size = (was.width, was.height, self.width, self.height);
            let says = format!("{} × {} became {} × {}", size.0, size.1, size.2, size.3);
            return Some(Difference { says, shown: self.clone() });
        }
        let mut squares = self.differences(was);
        squares.extend(was.differences(self));
        squares.sort_unstable();
        squares.dedup();
        let all = (self.width / SQUARE) * (self.height / SQUARE);
        if squares.len() <= all * STRAY.0 / 10_000 + STRAY.1 {
            return None;
        }
        let mut shown = self.clone();
        shown.rgb.iter_mut().for_each(|value| *value = *value / 3 + 85);
        for (x, y) in &squares {
            for dy in 0..SQUARE.min(self.height - y) {
                for dx in 0..SQUARE.min(self.width - x) {
                    let at = ((y + dy) * self.width + x + dx) * 3;
                    shown.rgb[at..at + 3].copy_from_slice(&[255, 0, 90]);
                }
            }
        }
        Some(Difference { says: format!("{} of {all} squares differ", squares.len()), shown })
    }
}

/// What is different.
pub struct Difference {
    pub says: String,
    /// The picture, with what differs marked.
    pub shown: Picture,
}

/// A ground with a bar on it.
fn drawn(bar: (usize, usize), ink: u8) -> Picture {
    let (width, height) = (80, 60);
    let inside = |at: usize| (10..14).contains(&(at / width)) && (bar.0..bar.1).contains(&(at % width));
    let rgb = (0..width * height).flat_map(|at| [if inside(at) { ink } else { 15 }; 3]).collect();
    Picture { width, height, rgb }
}

#[test]
fn a_pixel_and_a_shade_are_no_difference_and_a_digit_is() {
    let was = drawn((20, 60), 240);
    assert!(drawn((20, 60), 240).differs(&was).is_none());
    assert!(drawn((21, 61), 240).differs(&was).is_none(), "moved by a pixel");
    assert!(drawn((20, 60), 225).differs(&was).is_none(), "another shade");
    assert!(drawn((20, 36), 240).differs(&was).is_some(), "shorter");
    assert!(was.differs(&drawn((20, 36), 240)).is_some(), "and the other way round");
    assert!(drawn((20, 60), 120).differs(&was).is_some(), "another colour");
    let kept = Picture::read(&was.small());
    assert!(kept.differs(&was).is_none() && was.small().len() < 300);
}
