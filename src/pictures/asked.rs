//! What a client wants: size, colours, turn, language, and of which site.

use std::borrow::Cow;

use super::words::Language;

/// The largest picture, in pixels: one of 1920 × 1080 fits.
pub const MOST_PIXELS: u32 = 2 << 20;
/// Anything smaller has no room for a number.
const LEAST: u32 = 80;
/// Of a widescreen display of the cheap kind.
const USUAL: (u32, u32) = (800, 480);

/// How many colours the display has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Colors {
    /// Black and white.
    Two,
    /// Levels of grey.
    Four,
    /// Levels of grey.
    Sixteen,
    #[default]
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Theme {
    Dark,
    Light,
}

/// How a picture is turned, clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Turn {
    #[default]
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

/// A picture, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// Pixels of the display, as it is built: a turned picture has these too.
    pub width: u32,
    pub height: u32,
    pub colors: Colors,
    pub theme: Theme,
    pub turn: Turn,
    pub language: Language,
    /// Id of a gateway; `None`: all together.
    pub site: Option<String>,
}

/// Why a question is refused, for the person who asked it.
pub type Refused = Cow<'static, str>;

impl Asked {
    /// Reads the parameter of each name, as `get` has it. An empty one is as good as none.
    ///
    /// # Errors
    /// With what is wrong with a parameter.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Refused> {
        let get = |name: &str| get(name).map(str::trim).filter(|text| !text.is_empty());
        let (width, height) =
            (side("width", get("width"), USUAL.0)?, side("height", get("height"), USUAL.1)?);
        if width.saturating_mul(height) > MOST_PIXELS {
            return Err(format!(
                "width times height is at most {MOST_PIXELS} (2 megapixels); {width} times {height} is more"
            )
            .into());
        }
        let colors = match get("colors") {
            None | Some("full") => Colors::Full,
            Some("2") => Colors::Two,
            Some("4") => Colors::Four,
            Some("16") => Colors::Sixteen,
            Some(_) => return Err("colors is 2, 4, 16 or full".into()),
        };
        let theme = match get("theme") {
            // Displays without light of their own are like paper.
            None if colors != Colors::Full => Theme::Light,
            None | Some("dark") => Theme::Dark,
            Some("light") => Theme::Light,
            Some(_) => return Err("theme is dark or light".into()),
        };
        let turn = match get("rotate") {
            None | Some("0") => Turn::None,
            Some("90") => Turn::Quarter,
            Some("180") => Turn::Half,
            Some("270") => Turn::ThreeQuarters,
            Some(_) => return Err("rotate is 0, 90, 180 or 270".into()),
        };
        let language = get("lang").map(|tag| Language::of(tag).ok_or("lang is en, de, fr, es, it or nl"));
        let language = language.transpose()?.unwrap_or_default();
        Ok(Self { width, height, colors, theme, turn, language, site: get("site").map(str::to_owned) })
    }

    /// Width and height as somebody sees them who looks at the display.
    pub(super) fn upright(&self) -> (f64, f64) {
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        match self.turn {
            Turn::None | Turn::Half => (width, height),
            Turn::Quarter | Turn::ThreeQuarters => (height, width),
        }
    }
}

fn side(name: &str, text: Option<&str>, usual: u32) -> Result<u32, Refused> {
    let Some(text) = text else { return Ok(usual) };
    let side = text.parse().ok().filter(|side| (LEAST..=MOST_PIXELS / LEAST).contains(side));
    side.ok_or_else(|| {
        format!("{name} is a number of pixels, from {LEAST} to {}", MOST_PIXELS / LEAST).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(parameters: &[(&str, &str)]) -> Result<Asked, Refused> {
        Asked::read(|name| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    #[test]
    fn a_turned_picture_has_the_pixels_of_the_display() {
        let asked = read(&[("width", "800"), ("height", "480"), ("rotate", "90"), ("colors", "4")]).unwrap();
        assert_eq!((asked.width, asked.height), (800, 480));
        assert_eq!(asked.upright(), (480.0, 800.0));
        assert_eq!(asked.theme, Theme::Light);
        assert!(read(&[("width", "1920"), ("height", "1080")]).is_ok());
        assert!(read(&[("width", "2000"), ("height", "2000")]).unwrap_err().contains("2 megapixels"));
        assert!(read(&[("width", "4294967295"), ("height", "4294967295")]).is_err());
        for wrong in [("width", "10"), ("colors", "3"), ("rotate", "45"), ("lang", "tlh"), ("theme", "pink")]
        {
            assert!(read(&[wrong]).unwrap_err().contains(wrong.0), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_is_refused_or_small_enough(
            width in "[0-9]{0,11}|\\PC{0,9}", height in "[0-9]{0,11}", colors in "2|4|16|full|\\PC{0,3}",
            rotate in "0|90|180|270|\\PC{0,3}", site in "\\PC{0,12}",
        ) {
            let given = [("width", &*width), ("height", &height), ("colors", &colors), ("rotate", &rotate),
                ("site", &site)];
            if let Ok(asked) = read(&given) {
                prop_assert!(asked.width * asked.height <= MOST_PIXELS);
                prop_assert!(asked.width >= LEAST && asked.height >= LEAST);
            }
        }
    }
}
