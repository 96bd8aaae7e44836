//! Words and numbers of a picture in one of six languages: the tables are those of the pages.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What stands for an unknown value.
pub(super) const UNKNOWN: &str = "–";
/// Keeps a number and its unit on one line.
const TIED: char = '\u{a0}';

/// Languages other than English, with the tables of the pages.
const TABLES: [(&str, &str); 5] = [
    ("de", include_str!("../../static/words/de.js")),
    ("fr", include_str!("../../static/words/fr.js")),
    ("es", include_str!("../../static/words/es.js")),
    ("it", include_str!("../../static/words/it.js")),
    ("nl", include_str!("../../static/words/nl.js")),
];

type Table = HashMap<String, String>;

static READ: LazyLock<[Table; 5]> = LazyLock::new(|| TABLES.map(|(_, text)| table(text)));

/// A table, as its script has it: a line for each text.
fn table(script: &str) -> Table {
    let entries = script.lines().filter(|line| line.starts_with("  \""));
    let pair = |line: &str| -> Option<Table> {
        serde_json::from_str(&format!("{{{}}}", line.trim().trim_end_matches(','))).ok()
    };
    entries.filter_map(pair).flatten().collect()
}

/// The language of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Language(
    /// Its place among the tables; `None`: English.
    Option<u8>,
);

impl Language {
    /// By its tag, such as `de` or `de-AT`; `None`: there is no table for it.
    pub fn of(tag: &str) -> Option<Self> {
        let base = tag.split('-').next()?.to_ascii_lowercase();
        if base == "en" {
            return Some(Self(None));
        }
        let place = TABLES.iter().position(|(name, _)| *name == base)?;
        u8::try_from(place).ok().map(|place| Self(Some(place)))
    }

    /// Its tag.
    pub fn tag(self) -> &'static str {
        self.0.and_then(|place| TABLES.get(usize::from(place))).map_or("en", |(name, _)| name)
    }

    /// `text` in this language.
    pub(super) fn say(self, text: &'static str) -> &'static str {
        let table = self.0.and_then(|place| READ.get(usize::from(place)));
        table.and_then(|table| table.get(text)).map_or(text, String::as_str)
    }

    /// The same, with `values` in the place of their names in braces.
    pub(super) fn fill(self, text: &'static str, values: &[(&str, &str)]) -> String {
        let mut words = self.say(text).to_owned();
        for (name, value) in values {
            words = words.replace(&format!("{{{name}}}"), value);
        }
        words
    }

    /// A number with so many digits behind the point, as people write it.
    fn written(self, value: f64, digits: usize) -> String {
        let written = format!("{value:.digits$}");
        if self.0.is_some() { written.replace('.', ",") } else { written }
    }

    /// Watts without their sign, as number and unit: words and arrows say the direction.
    pub(super) fn power_parts(self, watts: Option<f64>) -> (String, &'static str) {
        let Some(size) = watts.map(f64::abs) else { return (UNKNOWN.into(), "") };
        match size {
            size if size < 995.0 => (format!("{size:.0}"), "W"),
            size => (self.written(size / 1000.0, if size < 9995.0 { 2 } else { 1 }), "kW"),
        }
    }

    /// The same as one text.
    pub(super) fn power(self, watts: Option<f64>) -> String {
        let (number, unit) = self.power_parts(watts);
        if unit.is_empty() { number } else { format!("{number}{TIED}{unit}") }
    }

    /// Watt-hours.
    pub(super) fn energy(self, watt_hours: f64) -> String {
        format!("{}{TIED}kWh", self.written(watt_hours / 1000.0, 1))
    }

    /// What is stored, and of how much if that is known.
    pub(super) fn share(self, stored: f64, capacity: Option<f64>) -> String {
        let Some(capacity) = capacity.filter(|capacity| *capacity > 0.0) else { return self.energy(stored) };
        let part = self.written(stored / 1000.0, 1);
        self.fill("{part} of {whole}", &[("part", &part), ("whole", &self.energy(capacity))])
    }

    /// Seconds in words that change at most once a minute: pictures are rendered when something changes.
    pub(super) fn age(self, seconds: f64) -> String {
        let minutes = (seconds.max(0.0) / 60.0).floor();
        match minutes {
            minutes if minutes < 1.0 => format!("<{TIED}1{TIED}min"),
            minutes if minutes < 100.0 => format!("{minutes:.0}{TIED}min"),
            minutes if minutes < 2880.0 => format!("{:.0}{TIED}h", minutes / 60.0),
            minutes => self.fill("{number} days", &[("number", &format!("{:.0}", minutes / 1440.0))]),
        }
    }

    /// Seconds of something that lies ahead: hours and minutes.
    pub(super) fn duration(self, seconds: f64) -> String {
        // To five minutes: what is foreseen is no more exact, and a picture need not change with it.
        let minutes = ((seconds / 300.0).round() * 5.0).max(5.0);
        let (hours, rest) = ((minutes / 60.0).floor(), minutes % 60.0);
        match minutes {
            minutes if minutes < 60.0 => format!("{minutes:.0}{TIED}min"),
            minutes if minutes >= 2880.0 => {
                self.fill("{number} days", &[("number", &format!("{:.0}", minutes / 1440.0))])
            }
            minutes if minutes >= 1440.0 || rest < 1.0 => format!("{:.0}{TIED}h", minutes / 60.0),
            _ => format!("{hours:.0}{TIED}h{TIED}{rest:.0}{TIED}min"),
        }
    }
}

/// Percent as people read it.
pub(super) fn percent(value: f64) -> String {
    format!("{value:.0}{TIED}%")
}

/// Hour and minute at Unix seconds `at`, with the date if that is another one than at `now`.
pub(super) fn clock(at: f64, now: f64, zone: &TimeZone) -> String {
    let civil = |at: f64| {
        let at = Timestamp::from_second(at.floor() as i64).ok()?;
        Some(at.to_zoned_datetime(zone.clone()).datetime())
    };
    let (Some(then), Some(now)) = (civil(at), civil(now)) else { return UNKNOWN.into() };
    let time = format!("{:02}:{:02}", then.hour(), then.minute());
    if then.date() == now.date() { time } else { format!("{} {time}", then.date()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each text that `source` asks a table for.
    fn asked(source: &str) -> Vec<String> {
        let source = source.split("\n#[cfg(test)]").next().unwrap();
        let starts = ["say(\"", "fill(\"", "say(\n", "fill(\n"];
        let found = starts.iter().flat_map(|start| {
            source.match_indices(start).filter_map(|(at, start)| {
                let rest = source[at + start.len()..].trim_start().trim_start_matches('"');
                rest.split('"').next().map(str::to_owned)
            })
        });
        found.collect()
    }

    #[test]
    fn the_pages_have_a_table_with_every_text_that_a_picture_needs() {
        let sources = [include_str!("words.rs"), include_str!("scene.rs"), include_str!("doing.rs")];
        let texts: Vec<String> = sources.iter().flat_map(|source| asked(source)).collect();
        assert!(texts.len() > 25, "{texts:?}");
        for (table, (language, _)) in READ.iter().zip(TABLES) {
            for text in &texts {
                assert!(table.contains_key(text), "{language}: {text}");
            }
        }
    }

    #[test]
    fn numbers_are_written_as_on_the_pages() {
        let (english, german) = (Language::default(), Language::of("de-AT").unwrap());
        assert_eq!(english.power(Some(-2754.0)), "2.75\u{a0}kW");
        assert_eq!(german.power(Some(12_340.0)), "12,3\u{a0}kW");
        assert_eq!(english.power(Some(994.4)), "994\u{a0}W");
        assert_eq!(english.power(None), "–");
        assert_eq!(german.share(7100.0, Some(13_500.0)), "7,1 von 13,5\u{a0}kWh");
        assert_eq!(english.age(59.0), "<\u{a0}1\u{a0}min");
        assert_eq!(english.age(7200.0), "2\u{a0}h");
        assert_eq!(english.duration(5.0 * 3600.0 + 1210.0), "5\u{a0}h\u{a0}20\u{a0}min");
        assert_eq!(Language::of("pl"), None);
        assert_eq!(german.tag(), "de");
    }

    #[test]
    fn a_time_of_another_day_has_its_date() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(clock(1_795_000_000.0, 1_795_000_060.0, &zone), "12:06");
        assert_eq!(clock(1_795_000_000.0, 1_795_100_000.0, &zone), "2026-11-18 12:06");
    }
}
