//! The two percent scales of a Powerwall, as types so that one cannot be taken for the other.
//!
//! The gateway counts from 0 to 100 with the bottom 5 % held back (*raw*); the phone app hides that part (*app*).

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

    /// Reserve: `raw/0.95 − 5/0.95`, never below 0, in the rounding of the reference library.
    pub fn to_app_reserve(self) -> AppPercent {
        AppPercent((self.0 / 0.95 - HIDDEN / 0.95).max(0.0))
    }
}

impl AppPercent {
    /// The raw percent to write to a gateway, 5…100.
    pub fn to_raw(self) -> RawPercent {
        RawPercent((self.0 * 0.95 + HIDDEN).clamp(HIDDEN, 100.0))
    }
}
