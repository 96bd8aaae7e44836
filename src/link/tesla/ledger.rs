//! What an account has asked of Tesla: every request counted by kind and day, the operator's budget, the
//! pace that Tesla allows, and the pause that it asked for. Survives restarts, and is one for all programs
//! that share its file: each adds what it has asked itself.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::error::TeslaError;
use crate::pause::{Growth, Pause};

/// Tesla allows 60 requests a minute.
const MOST_URGENT_PER_MINUTE: usize = 60;
/// Readings leave room for an order.
const MOST_PER_MINUTE: usize = 58;
/// What can wait leaves room for what cannot.
const MOST_SLOW_PER_MINUTE: usize = 55;
const MINUTE: Duration = Duration::from_secs(60);
/// Days that are kept.
const DAYS: usize = 40;
/// Of a budget, readings leave this part to orders …
const PART_FOR_ORDERS: u64 = 5;
/// … and no more than this.
const MOST_FOR_ORDERS: u64 = 20;
/// Ten dollars a month are free: so many data requests a day.
pub const FREE_PER_DAY: u64 = 160;
/// An hour at most, whatever a clock says.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Readings.
    Live,
    /// Settings and identity, which can wait a minute.
    Slow,
    /// Reading the settings for an order: before it is sent, and to see what became of it.
    Check,
    /// An order.
    Command,
    /// A question that Tesla passes on to a gateway: read as readings are, and paid as an order is.
    Relayed,
    /// A token, which costs nothing.
    Token,
}

/// Requests of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Count {
    pub data: u64,
    pub commands: u64,
    pub tokens: u64,
}

impl Count {
    /// By Tesla's list of prices; whether energy requests are billed at all, Tesla contradicts itself.
    pub fn dollars(self) -> f64 {
        (self.data * 2 + self.commands) as f64 / 1000.0
    }

    fn billed(self) -> u64 {
        self.data + self.commands
    }

    fn add(&mut self, other: Self) {
        self.data += other.data;
        self.commands += other.commands;
        self.tokens += other.tokens;
    }

    fn at_least(&mut self, other: Self) {
        self.data = self.data.max(other.data);
        self.commands = self.commands.max(other.commands);
        self.tokens = self.tokens.max(other.tokens);
    }
}

/// As it is kept in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// By day, UTC.
    pub days: BTreeMap<String, Count>,
    /// The requests of the last minute, Unix seconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<f64>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_until: Option<f64>,
    /// Digest of a refresh token that Tesla has refused for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Owners API: an access token that Tesla refuses, and when it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shut: Option<Shut>,
    /// The base that another region named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// Tokens that the owners API refuses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shut {
    /// Fingerprint of the access token.
    pub token: String,
    /// Unix seconds.
    pub until: f64,
    /// How often in a row.
    pub failures: u32,
}

#[derive(Debug)]
pub struct Ledger {
    budget: Option<u64>,
    /// What all have asked.
    days: BTreeMap<String, Count>,
    /// Of that, what is not in the file yet.
    unsaved: BTreeMap<String, Count>,
    /// The requests of the last minute, each with its Unix seconds, by which the file knows it.
    recent: VecDeque<(Instant, f64)>,
    pause: Pause,
    /// What the file said of the pause: only news count, whatever the wall clock does.
    silent_in_file: Option<f64>,
}

impl Ledger {
    pub fn new(budget: Option<u64>) -> Self {
        let pause = Pause::new(Growth::constant(MINUTE), Instant::now());
        let (days, unsaved) = (BTreeMap::new(), BTreeMap::new());
        Self { budget, days, unsaved, recent: VecDeque::new(), pause, silent_in_file: None }
    }

    /// Counts a request that is about to be sent, if it may be sent.
    ///
    /// # Errors
    /// With how long to wait.
    pub fn admit(&mut self, purpose: Purpose, now: Instant, unix: f64) -> Result<(), TeslaError> {
        if purpose != Purpose::Token {
            if let Some(left) = self.pause.left(now) {
                return Err(TeslaError::Pause { left });
            }
            let today = self.today(unix).billed();
            let kept = |limit: u64| match purpose {
                Purpose::Live | Purpose::Slow | Purpose::Relayed => {
                    (limit / PART_FOR_ORDERS).min(MOST_FOR_ORDERS)
                }
                _ => 0,
            };
            if let Some(limit) = self.budget.filter(|limit| today >= *limit - kept(*limit)) {
                let left = Duration::from_secs_f64(86_400.0 - unix.rem_euclid(86_400.0));
                return Err(TeslaError::Budget { limit, left: left.min(LONGEST_PAUSE) });
            }
            self.keep_pace(purpose, now, unix)?;
        }
        let one = match purpose {
            Purpose::Live | Purpose::Slow | Purpose::Check => Count { data: 1, ..Count::default() },
            Purpose::Command | Purpose::Relayed => Count { commands: 1, ..Count::default() },
            Purpose::Token => Count { tokens: 1, ..Count::default() },
        };
        for days in [&mut self.days, &mut self.unsaved] {
            days.entry(day(unix)).or_default().add(one);
            shorten(days);
        }
        Ok(())
    }

    fn keep_pace(&mut self, purpose: Purpose, now: Instant, unix: f64) -> Result<(), TeslaError> {
        while self.recent.front().is_some_and(|(sent, _)| now.saturating_duration_since(*sent) >= MINUTE) {
            self.recent.pop_front();
        }
        let most = match purpose {
            Purpose::Slow => MOST_SLOW_PER_MINUTE,
            Purpose::Live | Purpose::Relayed => MOST_PER_MINUTE,
            _ => MOST_URGENT_PER_MINUTE,
        };
        if let Some((oldest, _)) = self.recent.front().filter(|_| self.recent.len() >= most) {
            return Err(TeslaError::Pause { left: (*oldest + MINUTE).saturating_duration_since(now) });
        }
        self.recent.push_back((now, unix));
        Ok(())
    }

    /// Asks nothing for `pause`, or for what is left if that is longer.
    pub fn heed(&mut self, pause: Duration, now: Instant) {
        self.pause.at_least(pause.min(LONGEST_PAUSE), now);
    }

    pub fn pause_left(&self, now: Instant) -> Option<Duration> {
        self.pause.left(now)
    }

    pub fn today(&self, unix: f64) -> Count {
        self.days.get(&day(unix)).copied().unwrap_or_default()
    }

    pub fn days(&self) -> &BTreeMap<String, Count> {
        &self.days
    }

    pub fn budget(&self) -> Option<u64> {
        self.budget
    }

    /// Whether something was counted that is in no file yet.
    pub fn has_news(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Adds to what a file holds, `kept`, what it does not know yet, and takes over the rest.
    pub fn save(&mut self, kept: &mut Kept, now: Instant, unix: f64) {
        for (day, count) in std::mem::take(&mut self.unsaved) {
            kept.days.entry(day).or_default().add(count);
        }
        self.recall(kept, now, unix);
        kept.days.clone_from(&self.days);
        kept.recent = self.recent.iter().map(|(_, sent)| *sent).collect();
        kept.silent_until = self.pause_left(now).map(|left| unix + left.as_secs_f64());
        self.silent_in_file = kept.silent_until;
    }

    /// Takes over what [`Ledger::save`] wrote, here or in another program. A clock that was set back makes a
    /// pause an hour at most.
    pub fn recall(&mut self, kept: &Kept, now: Instant, unix: f64) {
        for (day, count) in kept.days.iter().rev().take(DAYS) {
            let mut count = *count;
            count.add(self.unsaved.get(day).copied().unwrap_or_default());
            self.days.entry(day.clone()).or_default().at_least(count);
        }
        shorten(&mut self.days);
        for sent in kept.recent.iter().rev().take(MOST_URGENT_PER_MINUTE) {
            let ago = Duration::try_from_secs_f64(unix - sent).ok().filter(|ago| *ago < MINUTE);
            let Some(at) = ago.and_then(|ago| now.checked_sub(ago)) else { continue };
            if !self.recent.iter().any(|(_, known)| known == sent) {
                self.recent.push_back((at, *sent));
            }
        }
        self.recent.make_contiguous().sort_by_key(|(at, _)| *at);
        let news = kept.silent_until.filter(|until| self.silent_in_file != Some(*until));
        self.silent_in_file = kept.silent_until;
        if let Some(left) = news.and_then(|until| Duration::try_from_secs_f64(until - unix).ok()) {
            self.heed(left, now);
        }
    }
}

fn shorten(days: &mut BTreeMap<String, Count>) {
    while days.len() > DAYS {
        days.pop_first();
    }
}

/// `2026-09-24`, UTC.
fn day(unix: f64) -> String {
    let seconds = jiff::Timestamp::from_second(unix as i64).unwrap_or_default();
    seconds.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOON: f64 = 1_790_000_000.0 - 1_790_000_000.0 % 86_400.0 + 43_200.0;

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_requests_than_tesla_allows_and_slow_ones_leave_room() {
        let mut ledger = Ledger::new(None);
        let (mut sent, start) = (0, Instant::now());
        for tick in 0..600 {
            let now = start + SECOND.mul_f64(f64::from(tick) * 0.1);
            sent += usize::from(ledger.admit(Purpose::Slow, now, NOON).is_ok());
        }
        assert_eq!(sent, MOST_SLOW_PER_MINUTE);
        let now = start + 59 * SECOND;
        assert_eq!(ledger.admit(Purpose::Live, now, NOON), Ok(()));
        assert!(ledger.admit(Purpose::Slow, now, NOON).is_err());
        assert_eq!(ledger.admit(Purpose::Slow, start + 66 * SECOND, NOON), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_ends_with_the_day_and_tokens_are_free() {
        let (mut ledger, now) = (Ledger::new(Some(2)), Instant::now());
        ledger.admit(Purpose::Live, now, NOON).unwrap();
        ledger.admit(Purpose::Command, now, NOON).unwrap();
        let error = ledger.admit(Purpose::Live, now, NOON).unwrap_err();
        assert_eq!(error, TeslaError::Budget { limit: 2, left: LONGEST_PAUSE });
        ledger.admit(Purpose::Token, now, NOON).unwrap();
        ledger.admit(Purpose::Live, now, NOON + 43_200.0).unwrap();
        assert_eq!(ledger.today(NOON), Count { data: 1, commands: 1, tokens: 1 });
        assert!((ledger.today(NOON).dollars() - 0.003).abs() < 1e-12);
    }

    #[tokio::test(start_paused = true)]
    async fn readings_leave_orders_their_part_of_a_budget_and_of_a_minute() {
        let (mut ledger, now) = (Ledger::new(Some(40)), Instant::now());
        let readings = (0..40).filter(|_| ledger.admit(Purpose::Live, now, NOON).is_ok()).count();
        assert_eq!(readings, 32);
        ledger.admit(Purpose::Check, now, NOON).unwrap();
        ledger.admit(Purpose::Command, now, NOON).unwrap();
        assert!(ledger.admit(Purpose::Slow, now, NOON).is_err());
        assert_eq!(ledger.today(NOON), Count { data: 33, commands: 1, tokens: 0 });

        let mut ledger = Ledger::new(None);
        let readings = (0..60).filter(|_| ledger.admit(Purpose::Live, now, NOON).is_ok()).count();
        let orders = (0..60).filter(|_| ledger.admit(Purpose::Command, now, NOON).is_ok()).count();
        assert_eq!((readings, orders), (MOST_PER_MINUTE, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_ends_neither_a_pause_nor_a_day() {
        let (mut before, now) = (Ledger::new(Some(1)), Instant::now());
        before.admit(Purpose::Live, now, NOON).unwrap();
        before.heed(900 * SECOND, now);
        let mut kept = Kept::default();
        before.save(&mut kept, now, NOON);
        let once = kept.clone();
        before.save(&mut kept, now, NOON);
        assert_eq!(kept, once, "nothing is added twice");
        let kept: Kept = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();

        let mut after = Ledger::new(Some(1));
        after.recall(&kept, now, NOON + 100.0);
        assert_eq!(after.pause_left(now), Some(800 * SECOND));
        let error = after.admit(Purpose::Live, now + 801 * SECOND, NOON + 901.0).unwrap_err();
        assert_eq!(error.kind(), "budget");
        // A clock that was set back.
        let mut odd = Ledger::new(None);
        odd.recall(&kept, now, 0.0);
        assert_eq!(odd.pause_left(now), Some(LONGEST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn two_programs_add_up_in_one_file_and_share_a_budget_and_a_minute() {
        let (mut service, mut import, now) = (Ledger::new(Some(200)), Ledger::new(Some(200)), Instant::now());
        let mut kept = Kept::default();
        let sent = |ledger: &mut Ledger, times: u32| {
            let at = |time: u32| (now, NOON + f64::from(time) / 100.0);
            (0..times).filter(|time| ledger.admit(Purpose::Slow, at(*time).0, at(*time).1).is_ok()).count()
        };
        assert_eq!(sent(&mut service, 20), 20);
        service.save(&mut kept, now, NOON + 1.0);
        import.recall(&kept, now, NOON + 1.0);
        // Tesla counts both together.
        let later = now + SECOND;
        let admitted = (0..60).filter(|time| {
            let unix = NOON + 2.0 + f64::from(*time) / 100.0;
            import.admit(Purpose::Slow, later, unix).is_ok()
        });
        assert_eq!(admitted.count(), MOST_SLOW_PER_MINUTE - 20);
        // Meanwhile the service has asked on, and each writes what it has.
        service.admit(Purpose::Command, later, NOON + 2.5).unwrap();
        import.save(&mut kept, later, NOON + 3.0);
        service.save(&mut kept, later, NOON + 3.0);
        let both = Count { data: 55, commands: 1, tokens: 0 };
        assert_eq!((service.today(NOON), kept.days[&day(NOON)]), (both, both));
        assert!(service.admit(Purpose::Slow, later, NOON + 3.0).is_err(), "{:?}", service.recent.len());
        import.save(&mut kept, later, NOON + 3.0);
        assert_eq!(import.today(NOON), both);
        // A file that is lost takes nothing along.
        service.save(&mut Kept::default(), later, NOON + 3.0);
        assert_eq!(service.today(NOON), both);
    }
}
