//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write;

/// Longer labels are no names of anything; they come from a gateway gone wrong.
const LONGEST_LABEL: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page in the making, or a part of one.
#[derive(Default)]
pub(super) struct Exposition {
    pub text: String,
}

impl Exposition {
    /// Opens the family `name`; a family without a sample leaves no trace.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &'static str) -> Family<'_> {
        Family { text: &mut self.text, kind, name, help, is_open: false }
    }

    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(Kind::Gauge, name, help)
    }

    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(Kind::Counter, name, help)
    }
}

/// The samples of one name.
pub(super) struct Family<'a> {
    pub text: &'a mut String,
    pub kind: Kind,
    pub name: &'static str,
    pub help: &'static str,
    /// A sample has been written, and the lines that come before the first.
    pub is_open: bool,
}

/// Names and values of the labels of one sample.
pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Family<'_> {
    /// Adds a sample, unless its value is unknown.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Into<Option<f64>>) {
        self.suffixed("", labels, value);
    }

    /// Adds a sample of a histogram.
    pub fn suffixed(&mut self, suffix: &str, labels: Labels<'_>, value: impl Into<Option<f64>>) {
        let Some(value) = value.into().filter(|value| value.is_finite()) else { return };
        if labels.iter().any(|(_, value)| value.len() > LONGEST_LABEL) {
            return;
        }
        if !self.is_open {
            let kind = match self.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let _ = write!(self.text, "# HELP {0} {1}\n# TYPE {0} {kind}\n", self.name, self.help);
            self.is_open = true;
        }
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            escape(self.text, value);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// One sample for each of `states`: 1 for the present one, 0 for the others; nothing if it is unknown.
    pub fn states(&mut self, label: &'static str, states: &[&str], present: Option<&str>, more: Labels<'_>) {
        let Some(present) = present else { return };
        for state in states {
            let labels: Vec<_> = more.iter().copied().chain([(label, *state)]).collect();
            self.sample(&labels, f64::from(u8::from(*state == present)));
        }
    }
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_below_their_family_and_what_is_unknown_leaves_no_trace() {
        let mut page = Exposition::default();
        let mut family = page.gauge("power_watts", "Power.");
        family.sample(&[("gateway", "a\"b\\c\nd")], 1.5);
        family.sample(&[("gateway", "unknown")], None);
        family.sample(&[("gateway", "odd")], f64::NAN);
        family.sample(&[("gateway", "x".repeat(129).as_str())], 1.0);
        family.sample(&[], -0.25);
        page.counter("nothing_total", "Never.").sample(&[], None);
        page.gauge("grid", "Grid.").states("is", &["up", "down"], Some("down"), &[("gateway", "a")]);
        let expected = "# HELP power_watts Power.\n# TYPE power_watts gauge\n\
                        power_watts{gateway=\"a\\\"b\\\\c\\nd\"} 1.5\npower_watts -0.25\n\
                        # HELP grid Grid.\n# TYPE grid gauge\ngrid{gateway=\"a\",is=\"up\"} 0\n\
                        grid{gateway=\"a\",is=\"down\"} 1\n";
        assert_eq!(page.text, expected);
    }
}
