//! The two percent scales of a Powerwall, as types so that one cannot be taken for the other.
//!
//! The gateway counts from 0 to 100 with the bottom 5 % held back (*raw*); the phone app hides that part
//! (*app*).

use serde::Serialize;

const HIDDEN: f64 = 5.0;
const USABLE: f64 = 95.0;

/// Percent as the gateway counts it, 0…100, including the 5 % it never gives away.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub struct RawPercent(pub f64);

/// Percent as the phone app shows it: raw 5 is 0, raw 100 is 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub struct AppPercent(pub f64);

impl RawPercent {
    /// State of energy for display: clamped to 0…100 (contract 0.13, section 5.4).
    pub fn to_app_clamped(self) -> AppPercent {
        AppPercent(((self.0 - HIDDEN) / USABLE * 100.0).clamp(0.0, 100.0))
    }

    /// Reserve: `raw/0.95 − 5/0.95`, 0…100, in the rounding of the reference library. What it makes of 100 is
    /// a little more.
    pub fn to_app_reserve(self) -> AppPercent {
        AppPercent((self.0 / 0.95 - HIDDEN / 0.95).clamp(0.0, 100.0))
    }
}

impl AppPercent {
    /// The raw percent to write to a gateway, 5…100.
    pub fn to_raw(self) -> RawPercent {
        RawPercent((self.0 * 0.95 + HIDDEN).clamp(HIDDEN, 100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_ends_of_the_scales_meet() {
        assert_eq!(RawPercent(5.0).to_app_clamped(), AppPercent(0.0));
        assert_eq!(RawPercent(100.0).to_app_clamped(), AppPercent(100.0));
        assert_eq!(AppPercent(0.0).to_raw(), RawPercent(5.0));
        assert_eq!(AppPercent(100.0).to_raw(), RawPercent(100.0));
        // What is held back is empty to the app, not negative.
        assert_eq!(RawPercent(3.0).to_app_clamped(), AppPercent(0.0));
        assert_eq!(RawPercent(3.0).to_app_reserve(), AppPercent(0.0));
        for full in [100.0, 100.000_000_000_000_03] {
            assert_eq!(RawPercent(full).to_app_reserve(), AppPercent(100.0));
        }
    }

    proptest! {
        #[test]
        fn app_percent_survives_the_way_to_the_gateway_and_back(app in 0.0..=100.0_f64) {
            let raw = AppPercent(app).to_raw();
            prop_assert!((5.0..=100.0).contains(&raw.0));
            prop_assert!((raw.to_app_clamped().0 - app).abs() < 1e-9);
            prop_assert!((raw.to_app_reserve().0 - app).abs() < 1e-9);
        }

        #[test]
        fn whole_percents_come_back_whole(app in 0..=100_u8) {
            let back = AppPercent(app.into()).to_raw().to_app_reserve().0;
            prop_assert_eq!(back.round(), f64::from(app));
        }

        #[test]
        fn the_scales_never_change_the_order(one in -10.0..110.0_f64, other in -10.0..110.0_f64) {
            let (low, high) = if one <= other { (one, other) } else { (other, one) };
            prop_assert!(RawPercent(low).to_app_clamped() <= RawPercent(high).to_app_clamped());
            prop_assert!(AppPercent(low).to_raw() <= AppPercent(high).to_raw());
        }

        #[test]
        fn what_is_shown_and_written_stays_on_the_scale(any in proptest::num::f64::NORMAL) {
            prop_assert!((0.0..=100.0).contains(&RawPercent(any).to_app_clamped().0));
            prop_assert!((5.0..=100.0).contains(&AppPercent(any).to_raw().0));
            prop_assert!(RawPercent(any).to_app_reserve().0 >= 0.0);
        }
    }
}
