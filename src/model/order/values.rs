//! The values that orders set, each with its range: percent on a scale, modes, rules, watts, seconds.

use std::fmt;

use crate::model::{AppPercent, RawPercent};

/// A backup reserve that a gateway takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reserve(AppPercent);

impl Reserve {
    /// Stored values this close to the one asked for are that value: a gateway may keep fewer digits.
    const CLOSE: f64 = 0.01;
    /// Points of app percent that nobody has changed: gateways and clouds round.
    const NO_CHANGE: f64 = 0.5;
    /// Tesla's cloud stores everything from above this up to 100, exclusive, as this.
    const CAP: f64 = 80.0;

    /// `None` unless `percent` is a number from 0 to 100.
    pub fn new(percent: AppPercent) -> Option<Self> {
        (0.0..=100.0).contains(&percent.0).then_some(Self(percent))
    }

    /// What a gateway has stored, as an order that asks for it again.
    pub fn of_stored(stored: RawPercent) -> Option<Self> {
        let app = stored.to_app_reserve().0.min(100.0);
        Self::new(AppPercent(app)).filter(|_| stored.0.is_finite())
    }

    /// The whole percents of a charge, to be held.
    pub fn holding(charge: RawPercent) -> Option<Self> {
        let app = (charge.to_app_clamped().0 + Self::CLOSE).floor().min(100.0);
        Self::new(AppPercent(app)).filter(|_| charge.0.is_finite())
    }

    /// As the phone app shows it.
    pub fn app(self) -> AppPercent {
        self.0
    }

    /// As the gateway counts it.
    pub fn raw(self) -> RawPercent {
        self.0.to_raw()
    }

    /// Whether `stored` is what this asks for.
    pub fn is(self, stored: RawPercent) -> bool {
        (self.raw().0 - stored.0).abs() < Self::CLOSE
    }

    /// Whether `stored` differs from this by no more than roundings.
    pub fn is_about(self, stored: RawPercent) -> bool {
        (self.0.0 - stored.to_app_reserve().0).abs() <= Self::NO_CHANGE
    }

    /// Whether nobody can have changed it to `stored` after this was asked for: roundings are no change, nor
    /// is 80 where 81 to 99 was asked for.
    pub fn still_stands_as(self, stored: RawPercent) -> bool {
        let is_capped = self.0.0 > Self::CAP && self.0.0 < 100.0;
        self.is_about(stored) || (is_capped && Self(AppPercent(Self::CAP)).is_about(stored))
    }
}

impl fmt::Display for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", (self.0.0 * 100.0).round() / 100.0)
    }
}

/// Defines an enum of words that gateways and clients share.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable word for it, in bodies and towards gateways.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Reads what [`Self::word`] writes, and nothing else.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(super) use words;

words! {
    /// How a gateway decides when to charge and discharge.
    Mode {
        SelfConsumption = "self_consumption",
        /// Time-based control.
        Autonomous = "autonomous",
        /// Everything is kept for an outage.
        Backup = "backup",
    }
}

words! {
    /// What may flow into the grid.
    ExportRule {
        BatteryAndSolar = "battery_ok",
        SolarOnly = "pv_only",
        Nothing = "never",
    }
}

words! {
    /// Which way the contactor between grid and home is moved.
    Islanding {
        OffGrid = "off_grid",
        OnGrid = "on_grid",
    }
}

/// A manual backup event: the gateway charges, and keeps everything for an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxBackup {
    Schedule(BackupWindow),
    Cancel,
}

/// When a manual backup event holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupWindow {
    start: Option<i64>,
    seconds: u32,
}

impl BackupWindow {
    /// Shorter ones are not taken by gateways.
    pub const SHORTEST: u32 = 60;

    /// `start`: Unix seconds, not negative; `None`: at once. `None` unless it lasts for at least a minute.
    pub fn new(start: Option<i64>, seconds: u32) -> Option<Self> {
        let is_right = seconds >= Self::SHORTEST && start.is_none_or(|start| start >= 0);
        is_right.then_some(Self { start, seconds })
    }

    pub fn start(self) -> Option<i64> {
        self.start
    }

    pub fn seconds(self) -> u32 {
        self.seconds
    }
}

/// A power that the battery is to run at, and for how long. The gateway ends it by its own timer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dispatch {
    watts: f64,
    seconds: u32,
}

impl Dispatch {
    /// The longest that is taken: a day.
    pub const LONGEST: u32 = 86_400;

    /// `watts`: + discharges, − charges, 0 holds. `None` unless it is a number and lasts from 1 s to a day.
    pub fn new(watts: f64, seconds: u32) -> Option<Self> {
        let is_right = watts.is_finite() && (1..=Self::LONGEST).contains(&seconds);
        // −0 is 0, which protobuf leaves out.
        is_right.then_some(Self { watts: watts + 0.0, seconds })
    }

    pub fn watts(self) -> f64 {
        self.watts
    }

    pub fn seconds(self) -> u32 {
        self.seconds
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_percents_are_a_reserve() {
        for junk in [f64::NAN, f64::INFINITY, -0.1, 100.1, -f64::INFINITY] {
            assert_eq!(Reserve::new(AppPercent(junk)), None, "{junk}");
        }
        assert!(Reserve::new(AppPercent(0.0)).is_some() && Reserve::new(AppPercent(100.0)).is_some());
    }

    #[test]
    fn a_reserve_on_the_wrong_scale_is_another_one() {
        for percent in 0..100 {
            let reserve = Reserve::new(AppPercent(percent.into())).unwrap();
            assert!(reserve.is(reserve.raw()) && !reserve.is(RawPercent(reserve.app().0)), "{percent}");
        }
    }

    #[test]
    fn half_a_point_and_the_cap_of_the_cloud_are_no_change() {
        let stands = |asked: f64, stored: f64| {
            let stored = AppPercent(stored).to_raw();
            Reserve::new(AppPercent(asked)).unwrap().still_stands_as(stored)
        };
        assert!(stands(20.0, 20.0) && stands(20.0, 20.4) && stands(20.0, 19.6));
        assert!(!stands(20.0, 21.0) && !stands(20.0, 19.0));
        assert!(stands(81.0, 80.0) && stands(99.0, 80.0) && stands(90.0, 90.0));
        assert!(!stands(100.0, 80.0) && !stands(79.0, 80.0) && !stands(90.0, 81.0));
    }

    #[test]
    fn a_charge_is_held_at_its_whole_percents() {
        let held = |raw: f64| Reserve::holding(RawPercent(raw)).unwrap().app().0;
        assert_eq!(
            [held(2.0), held(5.0), held(52.9), held(100.0), held(101.0)],
            [0.0, 0.0, 50.0, 100.0, 100.0]
        );
        // A charge of exactly 33 % in the app is 33 %, whatever its binary digits.
        for percent in 0..=100_u8 {
            assert_eq!(held(AppPercent(percent.into()).to_raw().0), f64::from(percent));
        }
        assert_eq!(Reserve::holding(RawPercent(f64::NAN)), None);
    }

    #[test]
    fn powers_and_windows_have_a_range() {
        assert!(Dispatch::new(f64::NAN, 60).is_none() && Dispatch::new(f64::INFINITY, 60).is_none());
        assert!(Dispatch::new(0.0, 0).is_none() && Dispatch::new(0.0, 86_401).is_none());
        assert!(Dispatch::new(-0.0, 86_400).unwrap().watts().is_sign_positive());
        assert!(BackupWindow::new(None, 59).is_none() && BackupWindow::new(Some(-1), 60).is_none());
    }

    proptest! {
        #[test]
        fn what_is_stored_can_be_asked_for_again(app in 0.0..=100.0_f64) {
            let reserve = Reserve::new(AppPercent(app)).unwrap();
            prop_assert!(Reserve::of_stored(reserve.raw()).unwrap().is(reserve.raw()));
            prop_assert!(reserve.still_stands_as(reserve.raw()));
        }
    }
}
