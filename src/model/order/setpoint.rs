//! The settings of a site that orders change and leases restore: reserve, mode, charging from the grid,
//! export.

use std::fmt;

use super::{ExportRule, Mode, Reserve};
use crate::model::{RawPercent, Readings};

/// Settings as an order names them; `None`: it leaves that one alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Setpoint {
    pub reserve: Option<Reserve>,
    pub mode: Option<Mode>,
    /// Whether charging from the grid is allowed.
    pub charging: Option<bool>,
    pub export: Option<ExportRule>,
}

/// Settings as they were read; `None`: unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Present {
    /// Raw scale, as stored in the gateway.
    pub reserve: Option<RawPercent>,
    /// In the gateway's words, which may be ones that nobody has described.
    pub mode: Option<String>,
    pub charging: Option<bool>,
    pub export: Option<String>,
}

/// How settings that were asked for compare with what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// How many are as asked.
    pub same: usize,
    /// What is there instead of each that is not, for a person.
    pub instead: Vec<String>,
}

/// Whose value stands in a gateway while a lease holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// What the lease has set.
    Leased,
    /// What was there before.
    Former,
    /// Something else, so that somebody else has set it.
    Other,
    Unknown,
}

impl Present {
    pub fn of(readings: &Readings) -> Self {
        Self {
            reserve: readings.reserve,
            mode: readings.mode.clone(),
            charging: readings.grid_charging,
            export: readings.grid_export.clone(),
        }
    }
}

impl Setpoint {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many settings it names.
    pub fn len(&self) -> usize {
        [self.reserve.is_some(), self.mode.is_some(), self.charging.is_some(), self.export.is_some()]
            .into_iter()
            .filter(|named| *named)
            .count()
    }

    /// Compares with what was read.
    pub fn compare(&self, read: &Present) -> Comparison {
        let mut comparison = Comparison { same: 0, instead: Vec::new() };
        let mut note = |is_same: bool, what: &str, instead: Option<String>| match is_same {
            true => comparison.same += 1,
            false => comparison.instead.push(match instead {
                Some(value) => format!("{what} {value}"),
                None => format!("no {what}"),
            }),
        };
        if let Some(asked) = self.reserve {
            let is_same = read.reserve.is_some_and(|stored| asked.is(stored));
            let instead = read.reserve.map(|stored| format!("{:.2} %", stored.to_app_reserve().0));
            note(is_same, "backup reserve", instead.map(|percent| percent.replace(".00 %", " %")));
        }
        if let Some(asked) = self.mode {
            let stored = read.mode.as_deref();
            note(stored == Some(asked.word()), "mode", stored.map(str::to_owned));
        }
        if let Some(asked) = self.charging {
            let instead = read.charging.map(|allowed| allowance(allowed).to_owned());
            note(read.charging == Some(asked), "charging from the grid", instead);
        }
        if let Some(asked) = self.export {
            let stored = read.export.as_deref();
            note(stored == Some(asked.word()), "export rule", stored.map(str::to_owned));
        }
        comparison
    }

    /// The same settings as they are in `read`, to be asked for again later; `None` if one is unknown or is
    /// something that nobody may ask for.
    pub fn former(&self, read: &Present) -> Option<Self> {
        let mode = |_| Mode::parse(read.mode.as_deref()?);
        let export = |_| ExportRule::parse(read.export.as_deref()?);
        let former = Self {
            reserve: self.reserve.and_then(|_| Reserve::of_stored(read.reserve?)),
            mode: self.mode.and_then(mode),
            charging: self.charging.and(read.charging),
            export: self.export.and_then(export),
        };
        (former.len() == self.len()).then_some(former)
    }

    /// Without the settings that `other` names as well.
    pub fn without(mut self, other: &Self) -> Self {
        self.reserve = self.reserve.filter(|_| other.reserve.is_none());
        self.mode = self.mode.filter(|_| other.mode.is_none());
        self.charging = self.charging.filter(|_| other.charging.is_none());
        self.export = self.export.filter(|_| other.export.is_none());
        self
    }

    /// Of this, the settings that `other` names as well.
    pub fn within(self, other: &Self) -> Self {
        self.without(&self.without(other))
    }

    /// Where `over` names a setting, its value.
    pub fn overlaid(mut self, over: &Self) -> Self {
        self.reserve = over.reserve.or(self.reserve);
        self.mode = over.mode.or(self.mode);
        self.charging = over.charging.or(self.charging);
        self.export = over.export.or(self.export);
        self
    }

    /// Each setting as a setpoint of its own.
    pub fn each(self) -> impl Iterator<Item = Self> {
        let none = Self::default();
        let each = [
            Self { reserve: self.reserve, ..none },
            Self { mode: self.mode, ..none },
            Self { charging: self.charging, ..none },
            Self { export: self.export, ..none },
        ];
        each.into_iter().filter(|setting| !setting.is_empty())
    }

    /// Whose value stands in `read`, of the one setting that this names: this, which was set, or `former`.
    pub fn stands(&self, former: &Self, read: &Present) -> Stands {
        let is = |asked: &Self, is_reserve: fn(Reserve, RawPercent) -> bool| -> Option<bool> {
            if let Some(reserve) = asked.reserve {
                return read.reserve.map(|stored| is_reserve(reserve, stored));
            }
            let comparison = asked.compare(read);
            let is_unknown = (asked.mode.is_some() && read.mode.is_none())
                || (asked.charging.is_some() && read.charging.is_none())
                || (asked.export.is_some() && read.export.is_none());
            (!is_unknown).then_some(comparison.instead.is_empty())
        };
        // What was there before had been read, so that nothing was made of it on the way.
        match (is(self, Reserve::still_stands_as), is(former, Reserve::is_about)) {
            (None, _) | (_, None) => Stands::Unknown,
            (Some(true), _) => Stands::Leased,
            (_, Some(true)) => Stands::Former,
            _ => Stands::Other,
        }
    }
}

fn allowance(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "not allowed" }
}

impl fmt::Display for Setpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reserve = self.reserve.map(|reserve| format!("backup reserve {reserve}"));
        let mode = self.mode.map(|mode| format!("mode {mode}"));
        let charging = self.charging.map(|allowed| format!("charging from the grid {}", allowance(allowed)));
        let export = self.export.map(|rule| format!("export rule {rule}"));
        let parts: Vec<String> = [reserve, mode, charging, export].into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AppPercent;

    fn reserve(app: f64) -> Option<Reserve> {
        Reserve::new(AppPercent(app))
    }

    fn present() -> Present {
        Present {
            reserve: Some(RawPercent(24.0)),
            mode: Some("autonomous".into()),
            charging: Some(true),
            export: Some("pv_only".into()),
        }
    }

    #[test]
    fn every_setting_is_compared() {
        let same = Setpoint {
            reserve: reserve(20.0),
            mode: Some(Mode::Autonomous),
            charging: Some(true),
            export: Some(ExportRule::SolarOnly),
        };
        assert_eq!(same.compare(&present()), Comparison { same: 4, instead: Vec::new() });
        let other = Setpoint {
            reserve: reserve(24.0),
            mode: Some(Mode::Backup),
            charging: Some(false),
            export: Some(ExportRule::Nothing),
        };
        let expected = [
            "backup reserve 20 %",
            "mode autonomous",
            "charging from the grid allowed",
            "export rule pv_only",
        ];
        assert_eq!(other.compare(&present()).instead, expected);
        assert_eq!(other.compare(&Present::default()).instead.len(), 4, "unknown is not as asked");
    }

    #[test]
    fn a_former_state_is_known_whole_or_not_at_all() {
        let asked = Setpoint { reserve: reserve(50.0), mode: Some(Mode::Backup), ..Setpoint::default() };
        let former = asked.former(&present()).unwrap();
        assert!(former.reserve.unwrap().is(RawPercent(24.0)) && former.charging.is_none());
        assert_eq!(former.mode, Some(Mode::Autonomous));
        assert_eq!(asked.former(&Present { mode: None, ..present() }), None);
        assert_eq!(asked.former(&Present { mode: Some("scheduler".into()), ..present() }), None);
        assert_eq!(asked.former(&Present { reserve: None, ..present() }), None);
    }

    #[test]
    fn whose_value_stands_is_judged_setting_by_setting() {
        let leased = Setpoint { reserve: reserve(90.0), ..Setpoint::default() };
        let former = Setpoint { reserve: reserve(20.0), ..Setpoint::default() };
        let at = |app: f64| Present { reserve: Some(AppPercent(app).to_raw()), ..Present::default() };
        assert_eq!(leased.stands(&former, &at(80.0)), Stands::Leased, "the cap of the cloud");
        assert_eq!(leased.stands(&former, &at(90.3)), Stands::Leased);
        assert_eq!(leased.stands(&former, &at(20.2)), Stands::Former);
        assert_eq!(leased.stands(&former, &at(50.0)), Stands::Other);
        assert_eq!(former.stands(&leased, &at(80.0)), Stands::Other, "90 was there before, not 80");
        assert_eq!(leased.stands(&former, &Present::default()), Stands::Unknown);
        let mode = |mode| Setpoint { mode: Some(mode), ..Setpoint::default() };
        assert_eq!(mode(Mode::Backup).stands(&mode(Mode::Autonomous), &present()), Stands::Former);
        assert_eq!(mode(Mode::Backup).stands(&mode(Mode::SelfConsumption), &present()), Stands::Other);
        assert_eq!(mode(Mode::Backup).stands(&mode(Mode::Autonomous), &at(1.0)), Stands::Unknown);
    }

    #[test]
    fn settings_are_taken_apart_and_put_together() {
        let both = Setpoint { reserve: reserve(50.0), mode: Some(Mode::Backup), ..Setpoint::default() };
        let mode = Setpoint { mode: Some(Mode::Autonomous), ..Setpoint::default() };
        assert_eq!(both.without(&mode), Setpoint { reserve: reserve(50.0), ..Setpoint::default() });
        assert_eq!(both.within(&mode), Setpoint { mode: Some(Mode::Backup), ..Setpoint::default() });
        assert_eq!(both.overlaid(&mode).mode, Some(Mode::Autonomous));
        assert_eq!(both.each().count(), 2);
        assert!(both.without(&both).is_empty());
    }
}
