//! Max backup over FleetAPI: messages that Tesla's cloud passes on to the gateway unsigned, and the gateway's
//! list of backup events, by which they are confirmed.
//!
//! The list costs a command and may time out, so it is asked for an order and never else.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::FleetLink;
use super::command::{self, held, member};
use super::error::TeslaError;
use super::orders::judge;
use crate::clock::unix_time;
use crate::link::LinkError;
use crate::link::json::Look;
use crate::link::order::{Carried, ReadBack};
use crate::model::order::{BackupWindow, MaxBackup};
use crate::model::{BackupEvent, BackupEvents, ErrorNote, NamedBackup, Outcome};

const LIST: &str = "the gateway's list of backup events";
/// Before everything else.
const FIRST: u64 = u64::MAX;
/// More events than any gateway lists.
const MOST_EVENTS: usize = 50;
/// The category of these messages.
const TEG: &str = "teg";
/// A backup event that was to begin at once is this old, in seconds, when it is read back for the last time.
const JUST_BEGUN: i64 = 600;

impl FleetLink {
    /// A message to the gateway; the answer with everything around it.
    async fn message(&self, request: &str, content: Value, what: &str) -> Result<Value, TeslaError> {
        let Some(site) = &self.site else { return Err(TeslaError::Site("the site is not known".into())) };
        let message = json!({ request: content });
        command::answered(&self.account, &self.web, site.id, (TEG, &message), what).await
    }

    async fn list_backups(&mut self) -> Result<BackupEvents, TeslaError> {
        let answer = self.message("get_backup_events_request", json!({}), LIST).await?;
        let list = held(&answer, TEG, "get_backup_events_response").map(events);
        let list = list.ok_or_else(|| TeslaError::Malformed("it has no list of backup events".into()))?;
        if let Some(answers) = &mut self.answers {
            answers.accept_backups(list.clone());
        }
        Ok(list)
    }

    /// A manual event that is there must be cancelled first.
    pub(super) async fn max_backup(&mut self, asked: MaxBackup, ends: Instant) -> Carried {
        let half = ends.saturating_duration_since(Instant::now()) / 2;
        let list = timeout(half, self.list_backups()).await.unwrap_or(Err(TeslaError::Timeout(half)));
        // Also one that has ended: gateways list those until they are cancelled.
        let is_listed = match list {
            Ok(list) => list.manual.is_some(),
            Err(error @ TeslaError::Budget { .. }) => {
                return Carried::not_sent(error.kind(), error.to_string());
            }
            Err(error) => return Carried::unread(LIST, error.into()),
        };
        let window = match asked {
            MaxBackup::Schedule(window) => Some(window),
            MaxBackup::Cancel if is_listed => None,
            MaxBackup::Cancel => {
                let already = "the gateway has no manual backup event; nothing was sent";
                return Carried::outcome(Outcome::Stored(already.into()));
            }
        };
        let left = || ends.saturating_duration_since(Instant::now());
        if is_listed {
            let part = if window.is_some() { left() / 2 } else { left() };
            let cancelled = self.send(part, "cancel_manual_backup_event", json!({})).await;
            if window.is_none() || !cancelled.is_accepted() {
                return cancelled;
            }
        }
        let Some(window) = window else { return Carried::not_sent("unsupported", "it changes nothing") };
        let scheduled = self.send(left(), "schedule_manual_backup_event", schedule(window)).await;
        match is_listed {
            true => scheduled.half_done("the max backup that was there before has been cancelled"),
            false => scheduled,
        }
    }

    /// Sends a message, once, and looks for the gateway's acknowledgement.
    async fn send(&self, limit: Duration, name: &str, content: Value) -> Carried {
        let request = format!("{name}_request");
        let message = self.message(&request, content, "max backup");
        match timeout(limit, message).await.unwrap_or(Err(TeslaError::Timeout(limit))) {
            Ok(answer) => Carried::outcome(acknowledged(&answer, name)),
            Err(error @ TeslaError::Budget { .. }) => Carried::not_sent(error.kind(), error.to_string()),
            Err(error) => Carried::failed(LinkError::Tesla(error)),
        }
    }

    pub(super) async fn read_backups(&mut self, asked: MaxBackup) -> ReadBack {
        let list = match self.list_backups().await {
            Ok(list) => list,
            Err(error) => return ReadBack::failed(error.into()),
        };
        let now = unix_time() as i64;
        let manual = list.manual.filter(|event| event.end() > now);
        let instead = match (asked, &manual) {
            (MaxBackup::Cancel, None) => None,
            (MaxBackup::Cancel, Some(_)) => Some("the gateway still lists a manual backup event".into()),
            (MaxBackup::Schedule(_), None) => Some("the gateway lists no manual backup event".into()),
            (MaxBackup::Schedule(window), Some(event)) => (!is_that(window, event, now))
                .then(|| format!("the gateway lists a manual backup event of {} s", event.seconds)),
        };
        let shows = instead
            .is_none()
            .then(|| Outcome::Stored("the gateway's list of backup events reads back as asked".into()));
        ReadBack { shows, instead, source: self.source(), ..ReadBack::default() }
    }
}

fn schedule(window: BackupWindow) -> Value {
    let start = window.start().unwrap_or_else(|| unix_time() as i64);
    let start = jiff::Timestamp::from_second(start).unwrap_or_default();
    json!({ "scheduling_info": {
        "start_time": start.to_string(), "duration_seconds": window.seconds(), "priority": FIRST,
    }})
}

fn acknowledged(answer: &Value, name: &str) -> Outcome {
    match judge(answer) {
        Outcome::Accepted(_) if held(answer, TEG, &format!("{name}_response")).is_some() => {
            Outcome::Accepted("the gateway acknowledged it".into())
        }
        Outcome::Accepted(_) => Outcome::Unknown(ErrorNote {
            kind: "unclear",
            message: "Tesla's cloud answered without an acknowledgement of the gateway".into(),
        }),
        other => other,
    }
}

fn events(list: &Value) -> BackupEvents {
    let manual = member(list, "manual_backup_event").filter(|event| !event.is_null());
    let others = member(list, "backup_events").and_then(Value::as_array);
    let named = |event: &Value| {
        let text = |name: &str| member(event, name).and_then(Look::name).unwrap_or_default().to_owned();
        Some(NamedBackup { id: text("id"), name: text("name"), event: window(event)? })
    };
    BackupEvents {
        // One that cannot be read is there all the same.
        manual: manual
            .map(|event| window(event).unwrap_or(BackupEvent { start: 0, seconds: 0, priority: 0 })),
        others: others.into_iter().flatten().take(MOST_EVENTS).filter_map(named).collect(),
    }
}

/// When an event holds. Tesla has misspelt the name of some.
fn window(event: &Value) -> Option<BackupEvent> {
    let info = member(event, "scheduling_info").or_else(|| member(event, "sheduling_info"))?;
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let start = member(info, "start_time").and_then(instant).unwrap_or_default();
    let seconds = member(info, "duration_seconds").and_then(number)?;
    let priority = member(info, "priority").and_then(number).unwrap_or_default();
    Some(BackupEvent { start, seconds: u32::try_from(seconds).ok()?, priority })
}

/// Unix seconds of a time in one of the forms that JSON of protobuf has.
fn instant(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => {
            let time = text.parse::<jiff::Timestamp>().ok().map(|time| time.as_second());
            time.or_else(|| text.parse().ok())
        }
        Value::Object(_) => member(value, "seconds").and_then(instant),
        number => number.as_i64(),
    }
}

fn is_that(asked: BackupWindow, event: &BackupEvent, now: i64) -> bool {
    let is_start = match asked.start() {
        Some(asked) => event.start == asked,
        None => (now - JUST_BEGUN..=now + JUST_BEGUN).contains(&event.start),
    };
    is_start && event.seconds == asked.seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_both_spellings() {
        let camel = json!({ "response": { "message": { "Payload": { "Teg": { "Message": {
            "GetBackupEventsResponse": {
                "ManualBackupEvent": { "SchedulingInfo": {
                    "StartTime": "2026-11-27T06:00:00Z", "DurationSeconds": 3600,
                    "Priority": "18446744073709551615",
                }},
            },
        }}}}}});
        let list = json!({
            "manual_backup_event": null,
            "backup_events": [
                { "id": "a", "name": "Storm Watch", "sheduling_info": {
                    "start_time": { "seconds": 1_795_759_200 }, "duration_seconds": "60", "priority": 10 } },
                { "id": "b" },
            ],
        });
        let inner = json!({ "payload": { "teg": { "message": { "get_backup_events_response": list } } } });
        let snake = json!({ "response": { "message": inner } });
        let list = |answer: &Value| held(answer, TEG, "get_backup_events_response").map(events).unwrap();
        let manual = list(&camel).manual.unwrap();
        assert_eq!((manual.start, manual.seconds, manual.priority), (1_795_759_200, 3600, FIRST));
        let read = list(&snake);
        assert_eq!((read.manual, read.others.len()), (None, 1));
        assert_eq!((read.others[0].name.as_str(), read.others[0].event.seconds), ("Storm Watch", 60));
    }

    #[test]
    fn an_answer_without_the_gateways_word_is_none() {
        let word = |answer: Value| acknowledged(&answer, "cancel_manual_backup_event").word();
        let inner =
            json!({ "payload": { "teg": { "message": { "cancel_manual_backup_event_response": {} } } } });
        assert_eq!(word(json!({ "response": { "message": inner } })), "accepted");
        assert_eq!(word(json!({ "response": { "message": {} } })), "unknown");
        assert_eq!(word(json!({ "response": { "code": 403 } })), "refused");
        assert_eq!(word(json!({ "response": null })), "unknown");
    }
}
