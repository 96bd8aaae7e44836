//! Everything that is read has a contrast of at least 4.5 to what it stands on, worked out from the palette
//! itself.

use std::collections::HashMap;

const THEME: &str = include_str!("../../static/theme.css");
const OPTIONS: &str = include_str!("../../static/options.js");
/// What WCAG 2.1 asks of text, level AA.
const LEAST: f64 = 4.5;

type Colour = [f64; 3];

fn colour(text: &str) -> Option<Colour> {
    let digits = text.trim().strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok().map(f64::from);
    Some([part(0)?, part(2)?, part(4)?])
}

/// The tokens of one palette: `text` → its colour.
fn palette(name: &str) -> HashMap<&'static str, Colour> {
    let from = THEME.find(&format!("/* palette: {name} */")).unwrap();
    let block = &THEME[from..from + THEME[from..].find('}').unwrap()];
    let tokens = block.lines().filter_map(|line| {
        let (token, value) = line.trim().strip_prefix("--")?.split_once(':')?;
        Some((token, colour(value.trim_end_matches(';').trim_end_matches(" !important"))?))
    });
    tokens.collect()
}

fn luminance(colour: Colour) -> f64 {
    let linear = colour.map(|part| {
        let part = part / 255.0;
        if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

fn contrast(one: Colour, other: Colour) -> f64 {
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    one.max(other) / one.min(other)
}

/// A number that a rule of the style sheet sets.
fn opacity_of(rule: &str) -> f64 {
    let from = THEME.find(&format!("\n{rule} {{")).unwrap();
    let block = &THEME[from..from + THEME[from..].find('}').unwrap()];
    let (_, value) = block.split_once("opacity: ").unwrap();
    value.split(';').next().unwrap().parse().unwrap()
}

fn fill_of_the_battery(theme: &str) -> Colour {
    let from = if theme == "night" { THEME.find(":root.night {\n  --fill").unwrap() } else { 0 };
    let (_, value) = THEME[from..].split_once("--fill-battery: ").unwrap();
    colour(value.split(';').next().unwrap()).unwrap()
}

/// The grounds that styles bring along, by theme.
fn styled_grounds(theme: &str) -> Vec<Colour> {
    let styles = OPTIONS.lines().filter(|line| line.contains(&format!("theme: \"{theme}\", ground: \"#")));
    styles
        .map(|line| colour(line.split("ground: \"").nth(1).unwrap().split('"').next().unwrap()).unwrap())
        .collect()
}

#[test]
fn everything_can_be_read_on_every_ground() {
    for theme in ["dark", "light", "night"] {
        let tokens = palette(theme);
        let mut grounds = vec![tokens["ground"], tokens["raised"]];
        // At night the ground is black, whatever the style.
        if theme != "night" {
            let styled = styled_grounds(theme);
            assert!(!styled.is_empty());
            grounds.extend(styled);
        }
        for ink in ["text", "quiet", "solar", "load", "battery", "grid", "warn", "bad"] {
            for ground in &grounds {
                let found = contrast(tokens[ink], *ground);
                assert!(found >= LEAST, "{theme}: {ink} on {ground:?} is {found:.2}");
            }
        }
        let found = contrast(tokens["on-alarm"], tokens["alarm"]);
        assert!(found >= LEAST, "{theme}: on-alarm on alarm is {found:.2}");

        // What is in the tank is on its level, too.
        let rule = if theme == "night" { ":root.night .level" } else { ".level" };
        let (share, fill) = (opacity_of(rule), fill_of_the_battery(theme));
        let ground = tokens["raised"];
        let level = [0, 1, 2].map(|part| fill[part] * share + ground[part] * (1.0 - share));
        for ink in ["text", "quiet", "battery"] {
            let found = contrast(tokens[ink], level);
            assert!(found >= LEAST, "{theme}: {ink} on the level of the tank is {found:.2}");
        }
    }
}
