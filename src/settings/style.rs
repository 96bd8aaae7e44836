//! How the page at `/` looks inside a frame: the names that dashboards have been using.

use super::values::Refusal;

/// A look of the page. What each name means in colours is up to the page (`static/options.js`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Transparent.
    #[default]
    Clear,
    Black,
    White,
    Grafana,
    GrafanaDark,
    Dakboard,
    /// Without the battery.
    Solar,
}

const NAMES: [(&str, Style); 7] = [
    ("clear", Style::Clear),
    ("black", Style::Black),
    ("white", Style::White),
    ("grafana", Style::Grafana),
    ("grafana-dark", Style::GrafanaDark),
    ("dakboard", Style::Dakboard),
    ("solar", Style::Solar),
];

impl Style {
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, style)| *style == self).map_or("clear", |(name, _)| name)
    }

    pub(super) fn named(text: &str) -> Result<Self, Refusal> {
        let known = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        known.map(|(_, style)| *style).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("{text:?} is none of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_is_found_by_its_name() {
        for (name, style) in NAMES {
            assert_eq!((style.name(), Style::named(name)), (name, Ok(style)));
        }
        assert!(Style::named("<script>").is_err());
    }
}
