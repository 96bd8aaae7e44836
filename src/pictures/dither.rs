//! Pixels as the few greys of an e-ink display: what is between two of them is made of both, so that the
//! light of an area stays the same (Floyd and Steinberg).

use std::sync::LazyLock;

/// How bright each value of sRGB is, 0 to 1.
static LIGHT: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|value| {
        let value = value as f32 / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    })
});

/// The rows of a PNG of greys with so many `bits` a pixel (1, 2 or 4), each beginning with a byte of its own.
/// `rgba`: four bytes a pixel, in rows of `width`.
pub(super) fn dithered(rgba: &[u8], width: usize, bits: u32) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    let levels: Vec<f32> = (0..=most).map(|level| LIGHT[level * 255 / most]).collect();
    // Where the next brighter level begins: halfway, as the light goes.
    let edges: Vec<f32> = levels.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
    let row_bytes = (width * bits as usize).div_ceil(8);
    let mut out = Vec::with_capacity(rgba.len() / 4 / width.max(1) * row_bytes);
    // What this row and the next one owe, with one pixel more on both sides.
    let (mut owed, mut next) = (vec![0.0_f32; width + 2], vec![0.0_f32; width + 2]);
    for row in rgba.chunks_exact(width * 4) {
        let start = out.len();
        out.resize(start + row_bytes, 0);
        for (x, pixel) in row.chunks_exact(4).enumerate() {
            let wanted = light(pixel) + owed[x + 1];
            let level = edges.iter().take_while(|edge| wanted > **edge).count();
            let shift = 8 - bits - (x as u32 * bits) % 8;
            out[start + x * bits as usize / 8] |= (level as u8) << shift;
            let error = wanted - levels[level];
            owed[x + 2] += error * (7.0 / 16.0);
            next[x] += error * (3.0 / 16.0);
            next[x + 1] += error * (5.0 / 16.0);
            next[x + 2] += error * (1.0 / 16.0);
        }
        std::mem::swap(&mut owed, &mut next);
        next.fill(0.0);
    }
    out
}

/// By how much each colour adds to what the eye takes for bright.
fn light(pixel: &[u8]) -> f32 {
    let of = |place: usize| LIGHT[usize::from(pixel[place])];
    0.2126 * of(0) + 0.7152 * of(1) + 0.0722 * of(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grey(values: &[u8]) -> Vec<u8> {
        values.iter().flat_map(|value| [*value, *value, *value, 255]).collect()
    }

    #[test]
    fn what_the_display_has_is_not_dithered() {
        assert_eq!(dithered(&grey(&[0, 255, 255, 0, 0, 0, 0, 255, 255]), 9, 1), [0b0110_0001, 0b1000_0000]);
        assert_eq!(dithered(&grey(&[0, 0x55, 0xaa, 0xff]), 4, 2), [0b0001_1011]);
        assert_eq!(dithered(&grey(&[0x11, 0xee, 0x77]), 3, 4), [0x1e, 0x70]);
    }

    proptest! {
        #[test]
        fn an_area_stays_as_bright_as_it_was(value: u8) {
            let side = 64;
            let out = dithered(&grey(&vec![value; side * side]), side, 1);
            let white: u32 = out.iter().map(|byte| byte.count_ones()).sum();
            let share = white as f32 / (side * side) as f32;
            prop_assert!((share - LIGHT[usize::from(value)]).abs() < 0.02, "{} of {}", share, value);
        }
    }
}
