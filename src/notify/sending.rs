//! Sends what waits for one target: in order, again after a failure, and not in its quiet hours.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use log::{debug, warn};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

use super::message::Message;
use crate::clock::unix_time;
use crate::pause::{Growth, Pause};
use crate::settings::NotifyTarget;

/// Kept for one target through its quiet hours or its absence; the oldest go first.
const MOST_WAITING: usize = 100;
/// How often it is looked whether quiet hours have ended.
const LOOK: Duration = Duration::from_secs(20);
/// Between two attempts at one message.
const AGAIN: Growth = Growth::Steps(&[
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1800),
]);
/// What nobody took after so many attempts, about three quarters of an hour, is not news any more.
const ATTEMPTS: u32 = 6;

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sent {
    Taken,
    /// Worth another attempt.
    NotNow(String),
    /// The target says no; the next message may do better.
    Never(String),
}

/// Carries a message to a target.
pub(super) trait Carrier {
    fn carry(&self, target: &NotifyTarget, message: &Message) -> impl Future<Output = Sent>;
}

/// Sends to `target` what comes over `messages`, until nothing can come any more.
pub(super) async fn send(target: NotifyTarget, mut messages: Receiver<Message>, carrier: impl Carrier) {
    let mut waiting: VecDeque<Message> = VecDeque::new();
    let mut pause = Pause::new(AGAIN, Instant::now());
    loop {
        let now = Instant::now();
        let next = match pause.rests(now) {
            true => None,
            false => waiting.iter().position(|message| !is_quiet(&target, message)),
        };
        let Some(at) = next else {
            let wake = if pause.rests(now) { pause.until() } else { now + LOOK };
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => keep(&target, &mut waiting, message),
                    None => return,
                },
                () = sleep_until(wake), if !waiting.is_empty() => {}
            }
            continue;
        };
        match carrier.carry(&target, &waiting[at]).await {
            Sent::NotNow(why) if pause.failures() + 1 < ATTEMPTS => {
                debug!(event = "notify"; "the notification target {}: {why}; it is asked again", target.name);
                pause.failed(Instant::now());
            }
            sent => {
                let message = waiting.remove(at);
                pause.succeeded(Instant::now());
                if let (Sent::NotNow(why) | Sent::Never(why), Some(message)) = (sent, message) {
                    let (name, id) = (target.name.as_str(), message.gateway.as_str());
                    let what = message.happening.word();
                    warn!(
                        gateway = id, event = "notify";
                        "gateway {id}: {name} could not be notified of {what}: {why}"
                    );
                }
            }
        }
    }
}

fn keep(target: &NotifyTarget, waiting: &mut VecDeque<Message>, message: Message) {
    if waiting.len() == MOST_WAITING
        && let Some(oldest) = waiting.pop_front()
    {
        let (name, id) = (target.name.as_str(), oldest.gateway.as_str());
        warn!(
            gateway = id, event = "notify";
            "gateway {id}: {name} is not notified of {}: too much waits for it", oldest.happening.word()
        );
    }
    waiting.push_back(message);
}

/// Whether a message has to wait, by the clock on the wall of its house.
fn is_quiet(target: &NotifyTarget, message: &Message) -> bool {
    let Some(quiet) = target.quiet.as_ref().filter(|quiet| !quiet.except.contains(&message.happening)) else {
        return false;
    };
    let zone = message.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
    let Ok(now) = Timestamp::from_second(unix_time() as i64) else { return false };
    let now = now.to_zoned_datetime(zone.unwrap_or_else(TimeZone::system));
    let minute = u16::try_from(i32::from(now.hour()) * 60 + i32::from(now.minute()));
    minute.is_ok_and(|minute| quiet.contain(minute))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::sync::mpsc;
    use tokio::task::{LocalSet, spawn_local};
    use tokio::time::sleep;

    use super::*;
    use crate::clock::set_unix_time;
    use crate::settings::{Happening, NotifyKind, QuietHours, Secret};

    /// Gives these answers in turn, and then takes everything.
    #[derive(Clone, Default)]
    struct Post {
        answers: Rc<RefCell<VecDeque<Sent>>>,
        carried: Rc<RefCell<Vec<(Happening, Duration)>>>,
        started: Option<Instant>,
    }

    impl Carrier for Post {
        async fn carry(&self, _: &NotifyTarget, message: &Message) -> Sent {
            self.carried.borrow_mut().push((message.happening, self.started.unwrap().elapsed()));
            self.answers.borrow_mut().pop_front().unwrap_or(Sent::Taken)
        }
    }

    fn target(quiet: Option<QuietHours>) -> NotifyTarget {
        NotifyTarget {
            name: "phone".into(),
            kind: NotifyKind::Webhook,
            url: Secret::new("http://127.0.0.1/"),
            token: None,
            on: Happening::ALL.to_vec(),
            gateways: None,
            quiet,
        }
    }

    fn message(happening: Happening) -> Message {
        Message {
            happening,
            state: "once",
            gateway: "home".into(),
            name: "Home".into(),
            title: String::new(),
            text: String::new(),
            at: 0.0,
            timezone: Some("Europe/Berlin".into()),
        }
    }

    /// What is carried within `lasts`, and when, if these messages come at once.
    async fn carried(
        quiet: Option<QuietHours>,
        answers: Vec<Sent>,
        messages: &[Happening],
        lasts: Duration,
    ) -> Vec<(Happening, Duration)> {
        let post = Post { started: Some(Instant::now()), ..Post::default() };
        post.answers.borrow_mut().extend(answers);
        let (way, received) = mpsc::channel(MOST_WAITING);
        LocalSet::new()
            .run_until(async {
                spawn_local(send(target(quiet), received, post.clone()));
                for happening in messages {
                    way.send(message(*happening)).await.unwrap();
                }
                sleep(lasts).await;
            })
            .await;
        post.carried.take()
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_is_sent_again_after_growing_pauses_and_then_given_up() {
        let not_now = || Sent::NotNow("it is away".into());
        let sent =
            carried(None, vec![not_now(), not_now()], &[Happening::Alert, Happening::Outage], HOUR).await;
        let seconds: Vec<u64> = sent.iter().map(|(_, at)| at.as_secs()).collect();
        assert_eq!(seconds, [0, 10, 40, 40], "in order");
        let sent = carried(None, vec![not_now(); 6], &[Happening::Alert, Happening::Outage], HOUR * 2).await;
        assert_eq!(sent.iter().filter(|(what, _)| *what == Happening::Alert).count(), 6);
        assert_eq!(sent.len(), 7);
        let never = vec![Sent::Never("403".into())];
        assert_eq!(carried(None, never, &[Happening::Alert, Happening::Outage], HOUR).await.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn in_quiet_hours_only_what_is_excepted_is_sent_and_the_rest_at_their_end() {
        // 2026-06-01 22:30 in Berlin.
        set_unix_time(1_780_345_800.0);
        let quiet = QuietHours { from: 22 * 60, to: 7 * 60, except: vec![Happening::Outage] };
        let sent = carried(Some(quiet), Vec::new(), &[Happening::Alert, Happening::Outage], HOUR * 9).await;
        assert_eq!(sent[0], (Happening::Outage, Duration::ZERO));
        let (what, at) = sent[1];
        assert_eq!((what, sent.len()), (Happening::Alert, 2));
        let late = at.checked_sub(HOUR * 8 + HOUR / 2).expect("not before seven");
        assert!(late <= LOOK, "{at:?}");
    }
}
