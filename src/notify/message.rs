//! What an entry of the journal says to a person.

use serde_json::{Value, json};

use crate::model::{RawPercent, Snapshot};
use crate::settings::Happening;
use crate::store::journal::{Entry, Kind};
use crate::views::live::is_warning;

/// A message to a person.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub happening: Happening,
    /// `began`, `ended`, or `once`.
    pub state: &'static str,
    /// The id.
    pub gateway: String,
    /// How people call it.
    pub name: String,
    pub title: String,
    pub text: String,
    /// When it happened, Unix seconds.
    pub at: f64,
    /// IANA name of the time zone of the house; `None`: that of this machine.
    pub timezone: Option<String>,
}

/// What is known of the gateway that an entry is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct About {
    id: String,
    name: String,
    timezone: Option<String>,
    /// App percent.
    charge: Option<f64>,
}

impl About {
    pub fn of(id: &str, snapshot: Option<&Snapshot>) -> Self {
        let readings = snapshot.and_then(|snapshot| Some(&snapshot.reading.as_ref()?.telemetry.readings));
        let facts = snapshot.map(|snapshot| &snapshot.gateway);
        let name = facts.map_or(id, |facts| &facts.name);
        let charge = readings.and_then(|readings| readings.charge.state_of_energy());
        Self {
            id: id.to_owned(),
            name: if name.is_empty() { id.to_owned() } else { name.to_owned() },
            timezone: readings
                .and_then(|readings| readings.timezone.clone())
                .or_else(|| facts.and_then(|facts| facts.timezone.clone())),
            charge: charge.map(RawPercent::to_app_clamped).map(|percent| percent.0),
        }
    }
}

/// What an entry is for people; `None`: nothing that anybody is notified of.
pub(super) fn happening(entry: &Entry) -> Option<Happening> {
    let detail = &entry.detail;
    let began = detail["state"] == "began";
    Some(match entry.kind {
        // What Tesla lists afterwards is no news.
        Kind::Grid if detail["state"] == "listed" => return None,
        Kind::Grid => Happening::Outage,
        Kind::Outage => Happening::GatewayLost,
        Kind::Outcome => {
            let is_failure = matches!(detail["outcome"].as_str()?, "refused" | "not_sent" | "unknown");
            return (is_failure && detail["final"] == true).then_some(Happening::OrderFailed);
        }
        Kind::Lease => return (detail["state"] == "restore_failed").then_some(Happening::RestoreFailed),
        Kind::Alert => return (began && is_warning(detail["alert"].as_str()?)).then_some(Happening::Alert),
        Kind::LowCharge => return began.then_some(Happening::LowCharge),
        Kind::Order | Kind::Firmware | Kind::Link | Kind::GridServices => return None,
    })
}

/// The message about an entry that is `happening`.
pub(super) fn worded(happening: Happening, entry: &Entry, about: &About) -> Message {
    let detail = &entry.detail;
    let ended = detail["state"] == "ended";
    let text = |key: &str| detail[key].as_str().unwrap_or_default().to_owned();
    let charge = about.charge.map(|percent| format!("The battery is {percent:.0} % charged."));
    let (title, text) = match happening {
        Happening::Outage if ended => ("the grid is back", lasted("Power was out", detail)),
        Happening::Outage => ("grid outage", charge.unwrap_or_default()),
        Happening::GatewayLost if ended => ("the gateway answers again", lasted("It was silent", detail)),
        Happening::GatewayLost => ("the gateway does not answer", text("message")),
        Happening::OrderFailed if detail["outcome"] == "unknown" => {
            ("it is not known whether an order was carried out", text("evidence"))
        }
        Happening::OrderFailed => ("an order was not carried out", text("evidence")),
        Happening::RestoreFailed => ("a temporary setting could not be taken back", text("evidence")),
        Happening::Alert => ("alert", spaced(&text("alert"))),
        Happening::LowCharge => ("the battery is low during an outage", charge.unwrap_or_default()),
    };
    let state = match detail["state"].as_str() {
        Some("began") => "began",
        Some("ended") => "ended",
        _ => "once",
    };
    let title = format!("{}: {title}", about.name);
    let (gateway, name, timezone) = (about.id.clone(), about.name.clone(), about.timezone.clone());
    Message { happening, state, gateway, name, title, text, at: entry.at, timezone }
}

fn lasted(what: &str, detail: &Value) -> String {
    let Some(seconds) = detail["seconds"].as_f64() else { return String::new() };
    let minutes = (seconds / 60.0).round() as u64;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{what} for {seconds:.0} s."),
        (0, minutes) => format!("{what} for {minutes} min."),
        (hours, minutes) => format!("{what} for {hours} h {minutes} min."),
    }
}

/// `GridCodesWrite` as words.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    let mut before = None;
    for character in name.chars() {
        if character.is_uppercase() && before.is_some_and(char::is_lowercase) {
            words.push(' ');
        }
        words.push(character);
        before = Some(character);
    }
    words
}

impl Message {
    /// As a webhook gets it.
    pub fn document(&self) -> Value {
        json!({
            "event": self.happening.word(), "state": self.state, "gateway": self.gateway, "name": self.name,
            "title": self.title, "message": self.text, "at": self.at,
        })
    }

    /// As ntfy takes it.
    pub fn for_ntfy(&self, topic: &str) -> Value {
        let (priority, tag) = match (self.happening, self.state) {
            (_, "ended") => (3, "white_check_mark"),
            (Happening::Outage | Happening::LowCharge, _) => (5, "rotating_light"),
            (Happening::GatewayLost | Happening::RestoreFailed | Happening::OrderFailed, _) => (4, "warning"),
            (Happening::Alert, _) => (3, "warning"),
        };
        let text = if self.text.is_empty() { &self.title } else { &self.text };
        json!({ "topic": topic, "title": self.title, "message": text, "priority": priority, "tags": [tag] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        let name = "Cabin".to_owned();
        About { id: "cabin".into(), name, timezone: None, charge: Some(61.6) }
    }

    fn said(kind: Kind, detail: Value) -> Option<(Happening, String, String)> {
        let entry = Entry::new(kind, "cabin", detail);
        let happening = happening(&entry)?;
        let message = worded(happening, &entry, &about());
        Some((happening, message.title, message.text))
    }

    #[test]
    fn people_are_notified_of_what_matters_in_their_words() {
        let outage = said(Kind::Grid, json!({ "state": "began", "since": 1.0 })).unwrap();
        assert_eq!(
            (outage.1.as_str(), outage.2.as_str()),
            ("Cabin: grid outage", "The battery is 62 % charged.")
        );
        let back = said(Kind::Grid, json!({ "state": "ended", "seconds": 840.0 })).unwrap();
        assert_eq!(
            (back.1.as_str(), back.2.as_str()),
            ("Cabin: the grid is back", "Power was out for 14 min.")
        );
        let lost = said(Kind::Outage, json!({ "state": "began", "message": "no route" })).unwrap();
        assert_eq!((lost.0, lost.2.as_str()), (Happening::GatewayLost, "no route"));
        let refused = json!({ "outcome": "refused", "evidence": "no rights", "final": true });
        assert_eq!(said(Kind::Outcome, refused).unwrap().0, Happening::OrderFailed);
        let lease = json!({ "state": "restore_failed", "evidence": "five times" });
        assert_eq!(said(Kind::Lease, lease).unwrap().0, Happening::RestoreFailed);
        let alert = said(Kind::Alert, json!({ "state": "began", "alert": "BatteryFaultedOff" })).unwrap();
        assert_eq!(alert.2, "Battery Faulted Off");
        let low = said(Kind::LowCharge, json!({ "state": "began" })).unwrap();
        assert_eq!(low.0, Happening::LowCharge);
    }

    #[test]
    fn nobody_is_notified_of_what_is_as_it_should_be() {
        for (kind, detail) in [
            (Kind::Outcome, json!({ "outcome": "unknown", "final": false })),
            (Kind::Outcome, json!({ "outcome": "stored", "final": true })),
            (Kind::Lease, json!({ "state": "restored" })),
            (Kind::Alert, json!({ "state": "ended", "alert": "BatteryFaultedOff" })),
            (Kind::Alert, json!({ "state": "began", "alert": "FWUpdateSucceeded" })),
            (Kind::LowCharge, json!({ "state": "ended" })),
            (Kind::Grid, json!({ "state": "listed", "since": 1.0, "seconds": 90.0 })),
            (Kind::Order, json!({ "kind": "reserve" })),
            (Kind::Firmware, json!({ "from": "1", "to": "2" })),
        ] {
            assert_eq!(said(kind, detail.clone()), None, "{kind:?} {detail}");
        }
    }
}
