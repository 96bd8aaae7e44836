//! The sum of all gateways under the topics of the ESP32 screen and the caching proxy, for
//! `MQTT_LAYOUT=both`.
//!
//! Power in W and the level of the batteries on the raw scale, as `/aggregates` and `/soe` report them, both
//! with one decimal; hours remaining; 1 while the home is not on the grid. Displays of that kind know no
//! availability, so what is unknown has no value here rather than an old one.

use super::outbox::Outbox;
use super::publication::value;
use super::sent::{NoRoom, Sent};
use crate::model::number::fixed;
use crate::model::{Aggregate, GridStatus, Number, Snapshot};
use crate::settings::MqttSettings;
use std::sync::Arc;
use tokio::time::Instant;

const TOPICS: [&str; 7] = [
    "site/instant_power",
    "solar/instant_power",
    "load/instant_power",
    "battery/instant_power",
    "battery/level",
    "battery/time_remaining",
    "site/offgrid",
];

/// What the broker has been sent of the sum.
#[derive(Default)]
pub(super) struct Sum {
    sent: Sent,
}

impl Sum {
    /// Everything has to be sent again.
    pub fn doubt_everything(&mut self, settings: &MqttSettings) {
        self.sent.doubt();
        for topic in TOPICS {
            self.sent.suspect(format!("{}/{topic}", settings.prefix));
        }
    }

    /// Sends what changed. `snapshots` are those that `sum` was made of.
    pub fn publish(
        &mut self,
        sum: &Aggregate,
        snapshots: &[Arc<Snapshot>],
        settings: &MqttSettings,
        outbox: &Outbox,
    ) -> Result<(), NoRoom> {
        for (topic, payload) in TOPICS.into_iter().zip(payloads(sum, time_remaining(snapshots))) {
            let topic = format!("{}/{topic}", settings.prefix);
            match payload {
                Some(payload) => self.sent.say(value(topic, payload, settings), outbox)?,
                None if self.sent.holds(&topic) => {
                    self.sent.end(value(topic, String::new(), settings), outbox)?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// In the order of [`TOPICS`].
fn payloads(sum: &Aggregate, time_remaining: Option<f64>) -> [Option<String>; TOPICS.len()] {
    let text = |value: Option<f64>| value.map(|value| fixed(value, 1));
    [
        text(sum.site),
        text(sum.solar),
        text(sum.load),
        text(sum.battery),
        text(sum.state_of_energy.map(|percent| percent.0)),
        text(time_remaining),
        sum.grid.map(|grid| i32::from(grid != GridStatus::Up).to_string()),
    ]
}

/// Hours do not add up: known for a single gateway only.
fn time_remaining(snapshots: &[Arc<Snapshot>]) -> Option<f64> {
    match snapshots {
        [only] => only.telemetry(Instant::now())?.readings.time_remaining.map(Number::as_f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RawPercent;

    #[test]
    fn what_is_unknown_has_no_payload() {
        assert!(payloads(&Aggregate::default(), None).iter().all(Option::is_none));
    }

    #[test]
    fn a_display_can_read_every_payload_as_a_number() {
        let sum = Aggregate {
            site: Some(-1234.56),
            battery: Some(800.0),
            load: Some(0.0),
            solar: Some(3111.14),
            state_of_energy: Some(RawPercent(62.54)),
            grid: Some(GridStatus::Down),
            ..Aggregate::default()
        };
        let payloads = payloads(&sum, Some(7.25)).map(Option::unwrap);
        assert_eq!(payloads, ["-1234.6", "3111.1", "0.0", "800.0", "62.5", "7.2", "1"]);
    }
}
