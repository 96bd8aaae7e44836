//! Lifetime energies as the gateway's customer API reports them: counters that are shown only as long as they
//! grow.

use bytes::Bytes;
use serde_json::Value;

use crate::link::bounds;
use crate::link::json::{Look, Unusable, object};
use crate::link::measured::is_silent;
use crate::model::Number;

const METERS: [&str; 4] = ["site", "battery", "load", "solar"];
/// Wh by which a counter may fall without meaning anything: gateways round.
const ROUNDING: f64 = 1.0;

/// A lifetime counter that does not fall because of one odd answer.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    /// Wh, as reported last without doubt; kept while nothing is reported.
    known: Option<Number>,
    /// Wh, as reported last, if it is less than what was known before. A second answer without a way back
    /// confirms that the counter was reset, as it is when a meter or the gateway is exchanged.
    doubted: Option<Number>,
}

impl Counter {
    fn take(&mut self, reported: &Value) {
        // No counter is negative; one that seems to be is not reported.
        let Some(reported) = reported.number().filter(|reported| reported.as_f64() >= 0.0) else { return };
        let fell_below = |former: Number| reported.as_f64() < former.as_f64() - ROUNDING;
        let fell = self.known.is_some_and(fell_below);
        let is_confirmed = self.doubted.is_some_and(|doubted| !fell_below(doubted));
        if fell && !is_confirmed {
            self.doubted = Some(reported);
            return;
        }
        let is_rounding = !fell && self.known.is_some_and(|known| reported.as_f64() < known.as_f64());
        if !is_rounding {
            self.known = Some(reported);
        }
        self.doubted = None;
    }
}

/// The two counters of a meter, Wh.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Energy {
    pub exported: Option<Number>,
    pub imported: Option<Number>,
}

impl Energy {
    pub fn is_known(&self) -> bool {
        self.exported.is_some() || self.imported.is_some()
    }
}

/// The counters of all meters: the last good answer to each.
#[derive(Clone, Debug, Default)]
pub(super) struct Energies {
    /// Exported and imported, in the order of [`METERS`].
    counters: [[Counter; 2]; METERS.len()],
}

impl Energies {
    /// Takes over what `/api/meters/aggregates` of the customer API reports. Meters and counters that it
    /// leaves out stay as they were.
    pub fn accept(&mut self, answer: &Bytes) -> Result<(), Unusable> {
        let document = object(answer, &bounds::METERS)?;
        if METERS.iter().all(|meter| !document.at(&[meter]).is_object()) {
            return Err(Unusable::NoMeters);
        }
        // What was never heard of has counted nothing.
        let heard =
            METERS.iter().zip(&mut self.counters).filter(|(meter, _)| !is_silent(document.at(&[meter])));
        for (meter, [exported, imported]) in heard {
            exported.take(document.at(&[meter, "energy_exported"]));
            imported.take(document.at(&[meter, "energy_imported"]));
        }
        Ok(())
    }

    /// Those of `meter`; unknown for a meter that there is not.
    pub fn of(&self, meter: &str) -> Energy {
        let at = METERS.iter().position(|known| *known == meter);
        let Some([exported, imported]) = at.map(|at| self.counters[at]) else { return Energy::default() };
        Energy { exported: exported.known, imported: imported.known }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn reported(energies: &mut Energies, solar: Value) -> Value {
        let answer = json!({ "solar": { "energy_exported": solar } }).to_string();
        energies.accept(&answer.into()).unwrap();
        energies.of("solar").exported.map_or(Value::Null, Value::from)
    }

    #[test]
    fn a_counter_falls_only_when_a_second_answer_confirms_it() {
        let mut energies = Energies::default();
        let reported: Vec<Value> = [
            json!(null),
            json!(true),
            json!("7"),
            json!(-3),
            json!(1000),
            json!(1000.5),
            json!(1000),
            json!(null),
            json!(0),
            json!(1001),
            json!(5),
            json!(6),
        ]
        .into_iter()
        .map(|value| reported(&mut energies, value))
        .collect();
        let expected = json!([null, null, null, null, 1000, 1000.5, 1000.5, 1000.5, 1000.5, 1001, 1001, 6]);
        assert_eq!(Value::from(reported), expected);
    }

    #[test]
    fn each_meter_has_its_own_and_what_is_left_out_stays() {
        let mut energies = Energies::default();
        let accept = |energies: &mut Energies, answer: Value| energies.accept(&answer.to_string().into());
        let answer = json!({ "site": { "energy_imported": 7, "energy_exported": 8.5 }, "load": [] });
        accept(&mut energies, answer).unwrap();
        accept(&mut energies, json!({ "battery": { "energy_imported": 1 } })).unwrap();
        let site = Energy { imported: Some(Number::Int(7)), exported: Some(Number::Float(8.5)) };
        assert_eq!(energies.of("site"), site);
        assert_eq!(energies.of("battery").imported, Some(Number::Int(1)));
        assert!(!energies.of("load").is_known());
        for unusable in [json!({}), json!({ "site": 3 }), json!([])] {
            assert!(accept(&mut energies, unusable).is_err());
        }
        assert_eq!(energies.of("site"), site);
    }

    proptest! {
        #[test]
        fn what_is_shown_never_falls_by_a_single_answer(
            answers in proptest::collection::vec(0..2000_i64, 2..50),
        ) {
            let mut energies = Energies::default();
            let mut shown = reported(&mut energies, answers[0].into()).as_i64().unwrap();
            for pair in answers.windows(2) {
                let now = reported(&mut energies, pair[1].into()).as_i64().unwrap();
                let both_are_lower = pair.iter().all(|answer| *answer < shown);
                prop_assert!(now >= shown || both_are_lower, "{now} after {shown}, reported {pair:?}");
                shown = now;
            }
        }
    }
}
