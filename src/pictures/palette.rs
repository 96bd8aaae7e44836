//! The colours of a picture: those of the pages, or greys that the levels of a display have.

use super::asked::{Colors, Theme};

/// Colours by what they are for.
#[derive(Debug)]
pub(super) struct Palette {
    pub ground: &'static str,
    /// Of surfaces that lie on the ground.
    pub raised: &'static str,
    /// Of what is there without meaning anything at present.
    pub line: &'static str,
    pub text: &'static str,
    /// Of what stands beside something, and of all that is old.
    pub quiet: &'static str,
    /// Of texts: solar, home, battery, grid.
    pub inks: [&'static str; 4],
    /// Of areas: solar, home, battery, grid.
    pub fills: [&'static str; 4],
    /// Of the part of the battery that is full.
    pub level: &'static str,
    pub warn: &'static str,
    pub alarm: &'static str,
    pub on_alarm: &'static str,
    /// Whether edges are hard, because there is nothing between the two colours.
    pub is_hard: bool,
}

const DARK: Palette = Palette {
    ground: "#0f1214",
    raised: "#181c1f",
    line: "#30373c",
    text: "#f3f1ec",
    quiet: "#acb4ba",
    inks: ["#f5bd48", "#7fbdf5", "#56cc92", "#bda6f4"],
    fills: ["#f2b033", "#58a6ee", "#36b87c", "#a487ee"],
    level: "#214a3a",
    warn: "#f7a35c",
    alarm: "#c8322b",
    on_alarm: "#ffffff",
    is_hard: false,
};
const LIGHT: Palette = Palette {
    ground: "#f6f4ef",
    raised: "#ffffff",
    line: "#d9d5cb",
    text: "#1c2023",
    quiet: "#5a6167",
    inks: ["#8a5a00", "#1a5fa0", "#14704a", "#6a47b0"],
    fills: ["#f2b033", "#58a6ee", "#36b87c", "#a487ee"],
    level: "#c2e9d7",
    warn: "#9a4a00",
    alarm: "#b3261e",
    on_alarm: "#ffffff",
    is_hard: false,
};
/// Greys that displays with 4 and with 16 levels have: nothing is dithered but edges.
const GREY: Palette = Palette {
    ground: "#ffffff",
    raised: "#ffffff",
    line: "#aaaaaa",
    text: "#000000",
    quiet: "#555555",
    inks: ["#000000"; 4],
    fills: ["#555555"; 4],
    level: "#aaaaaa",
    warn: "#000000",
    alarm: "#000000",
    on_alarm: "#ffffff",
    is_hard: false,
};
const DARK_GREY: Palette = Palette {
    ground: "#000000",
    raised: "#000000",
    line: "#555555",
    text: "#ffffff",
    quiet: "#aaaaaa",
    inks: ["#ffffff"; 4],
    fills: ["#aaaaaa"; 4],
    level: "#555555",
    warn: "#ffffff",
    alarm: "#ffffff",
    on_alarm: "#000000",
    is_hard: false,
};
/// Black and white; only the battery is dithered.
const HARD: Palette = Palette {
    line: "#000000",
    quiet: "#000000",
    fills: ["#000000"; 4],
    level: "#dddddd",
    is_hard: true,
    ..GREY
};
const DARK_HARD: Palette = Palette {
    line: "#ffffff",
    quiet: "#ffffff",
    fills: ["#ffffff"; 4],
    level: "#555555",
    is_hard: true,
    ..DARK_GREY
};

impl Palette {
    pub fn of(colors: Colors, theme: Theme) -> &'static Self {
        match (colors, theme) {
            (Colors::Full, Theme::Dark) => &DARK,
            (Colors::Full, Theme::Light) => &LIGHT,
            (Colors::Two, Theme::Dark) => &DARK_HARD,
            (Colors::Two, Theme::Light) => &HARD,
            (Colors::Four | Colors::Sixteen, Theme::Dark) => &DARK_GREY,
            (Colors::Four | Colors::Sixteen, Theme::Light) => &GREY,
        }
    }
}
