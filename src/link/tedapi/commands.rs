//! Orders that are messages of their own: islanding, battery dispatch, max backup. What is sent for each, and
//! what an answer to it says.
//!
//! An acknowledgement shows that the gateway has understood, not that a contactor moved or a battery runs.

use prost::Message;
use prost::bytes::Bytes;

use super::frames;
use super::wire::{
    BackupEvent, Backups, DispatchBattery, Empty, Envelope, OFF_GRID, ON_GRID, RealPower, ScheduleBackup,
    SetIslandMode, SiteMessage, Timestamp,
};
use crate::link::LinkError;
use crate::model::order::{BackupWindow, Islanding};
use crate::model::{ErrorNote, Obstacle, Order, Outcome};

/// Of a manual event, before all others.
const FIRST: u64 = u64::MAX;
/// What gateways are known to mean by these codes of `google.rpc.Status`.
const OUT_OF_RANGE: i32 = 11;
const NOT_IMPLEMENTED: i32 = 12;

fn envelope(message: SiteMessage) -> Envelope {
    Envelope { site: Some(message), ..Envelope::default() }
}

pub(super) fn islanding(way: Islanding) -> Envelope {
    let mode = match way {
        Islanding::OffGrid => SetIslandMode { mode: OFF_GRID, force: true },
        Islanding::OnGrid => SetIslandMode { mode: ON_GRID, force: false },
    };
    envelope(SiteMessage { set_island_mode: Some(mode), ..SiteMessage::default() })
}

/// `power`: watts and seconds; `None`: normal operation.
pub(super) fn dispatch(power: Option<(f64, u32)>) -> Envelope {
    let command = match power {
        Some((watts, seconds)) => {
            DispatchBattery { power: Some(RealPower { watts, seconds }), ..DispatchBattery::default() }
        }
        None => DispatchBattery { resume: Some(Empty {}), ..DispatchBattery::default() },
    };
    envelope(SiteMessage { dispatch: Some(command), ..SiteMessage::default() })
}

/// `now`: Unix seconds.
pub(super) fn schedule_backup(window: BackupWindow, now: i64) -> Envelope {
    let start = Some(Timestamp { seconds: window.start().unwrap_or(now) });
    let event = BackupEvent { start, seconds: window.seconds(), priority: FIRST };
    let command = ScheduleBackup { window: Some(event) };
    envelope(SiteMessage { schedule_backup: Some(command), ..SiteMessage::default() })
}

pub(super) fn cancel_backup() -> Envelope {
    envelope(SiteMessage { cancel_backup: Some(Empty {}), ..SiteMessage::default() })
}

pub(super) fn list_backups() -> Envelope {
    envelope(SiteMessage { list_backups: Some(Empty {}), ..SiteMessage::default() })
}

/// The backup events that the gateway knows.
///
/// # Errors
/// If the envelope cannot be read, reports an error, or holds no list.
pub(super) fn backups(answer: Bytes) -> Result<Backups, LinkError> {
    let what = "the list of backup events";
    let message = frames::open(answer, what)?.site.unwrap_or_default();
    message.backups.ok_or_else(|| frames::malformed(what, "it holds no list"))
}

/// What an answer to `order` says. `is_acknowledged`: whether it has what acknowledges the order.
pub(super) fn judge(answer: Bytes, order: &Order, is_acknowledged: fn(&SiteMessage) -> bool) -> Outcome {
    let unclear = |why: String| {
        let message = format!("the gateway answered, but not as it should: {why}");
        Outcome::Unknown(ErrorNote { kind: "unclear", message })
    };
    if let Err(why) = frames::check(&answer) {
        return unclear(why.to_string());
    }
    let envelope = match Envelope::decode(answer) {
        Ok(envelope) => envelope,
        Err(error) => return unclear(error.to_string()),
    };
    if let Some((code, message)) = frames::complaint(&envelope) {
        let meaning = match code {
            OUT_OF_RANGE => "it is more than the gateway does",
            NOT_IMPLEMENTED => "its firmware does not have this",
            _ => "it refuses",
        };
        let message = format!("{meaning}: {message} (code {code})");
        return match code {
            NOT_IMPLEMENTED => Outcome::Refused(ErrorNote { kind: Obstacle::Firmware.word(), message }),
            code if frames::UNCLEAR.contains(&code) => {
                Outcome::Unknown(ErrorNote { kind: "unclear", message })
            }
            _ => Outcome::Refused(ErrorNote { kind: "refused", message }),
        };
    }
    let message = envelope.site.unwrap_or_default();
    if is_acknowledged(&message) {
        return Outcome::Accepted(format!("the gateway acknowledged: {order}"));
    }
    match message.island_mode_set {
        Some(set) => unclear(format!("its result is {} instead of 1; check the grid status", set.result)),
        None => unclear("it does not acknowledge the order".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::link::tedapi::wire::{HERMES_COMMAND, Participant};
    use crate::model::order::Dispatch;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/v1r/orders.json")).unwrap()
    }

    fn bytes(hex: &Value) -> Bytes {
        let hex = hex.as_str().unwrap();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn orders_are_sent_as_they_were_recorded() {
        let vectors = vectors();
        let din = vectors["din"].as_str().unwrap();
        let window = BackupWindow::new(None, 7200).unwrap();
        for (name, payload) in [
            ("island_off_grid", islanding(Islanding::OffGrid)),
            ("island_reconnect", islanding(Islanding::OnGrid)),
            ("dispatch_-500W_30s", dispatch(Some((-500.0, 30)))),
            ("dispatch_5000W_30s", dispatch(Some((5000.0, 30)))),
            ("dispatch_0W_60s", dispatch(Some((Dispatch::new(-0.0, 60).unwrap().watts(), 60)))),
            ("dispatch_12.5W_86400s", dispatch(Some((12.5, 86_400)))),
            ("dispatch_resume", dispatch(None)),
            ("max_backup_cancel", cancel_backup()),
            ("max_backup_list", list_backups()),
            ("max_backup_7200s", schedule_backup(window, 1_750_000_000)),
        ] {
            let envelope = Envelope {
                delivery_channel: HERMES_COMMAND,
                sender: Some(Participant::authorized_client()),
                recipient: Some(Participant::din(din)),
                ..payload
            };
            assert_eq!(Bytes::from(envelope.encode_to_vec()), bytes(&vectors["requests"][name]), "{name}");
        }
    }

    #[test]
    fn recorded_answers_say_no_more_than_they_do() {
        let vectors = vectors();
        let word = |name: &str, is_acknowledged: fn(&SiteMessage) -> bool| {
            judge(bytes(&vectors["answers"][name]), &Order::Resume, is_acknowledged).word()
        };
        let islanded: fn(&SiteMessage) -> bool =
            |message| message.island_mode_set.as_ref().is_some_and(|set| set.result == 1);
        assert_eq!(word("island_ok_result_1", islanded), "accepted");
        assert_eq!(word("dispatch_ack", |message| message.dispatched.is_some()), "accepted");
        assert_eq!(word("dispatch_ack", islanded), "unknown");
        assert_eq!(word("dispatch_error_code_12", |message| message.dispatched.is_some()), "refused");
        assert_eq!(word("dispatch_error_code_11", |message| message.dispatched.is_some()), "refused");
        assert_eq!(word("schedule_ok", |message| message.backup_scheduled.is_some()), "accepted");
        assert_eq!(word("cancel_ok", |message| message.backup_cancelled.is_some()), "accepted");
        let other = Envelope {
            site: Some(SiteMessage { island_mode_set: Some(Default::default()), ..SiteMessage::default() }),
            ..Envelope::default()
        };
        assert_eq!(judge(other.encode_to_vec().into(), &Order::Resume, islanded).word(), "unknown");
        assert_eq!(judge(Bytes::from_static(b"\xff"), &Order::Resume, islanded).word(), "unknown");
    }

    #[test]
    fn the_recorded_list_of_events_is_read() {
        let backups = backups(bytes(&vectors()["answers"]["get_events_two"])).unwrap();
        let manual = backups.manual.unwrap().window.unwrap();
        assert_eq!((manual.start.unwrap().seconds, manual.seconds), (1_750_000_000, 7200));
        assert_eq!(backups.others.len(), 1);
        assert_eq!(backups.others[0].name, "Storm Watch");
    }
}
