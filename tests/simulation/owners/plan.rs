//! What happens to an account of the owners API and to those who use it: everything follows from the seed.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::options::SECOND;

/// A Friday in November 2026, 21:00 UTC.
const EVENING: f64 = 1_795_813_200.0;

/// How a site is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Cloud,
    /// The cloud stands in for the local link.
    LocalFirst,
    /// The local link stands in for the cloud.
    CloudFirst,
    /// Has nothing to do with Tesla.
    Local,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What is wrong with Tesla for a while.
    Trouble(Trouble, Duration),
    /// A local link does not answer for a while.
    NoLocal(usize, Duration),
    /// Tesla refuses every token that it has given (403).
    Refuses,
    /// The owner changes the password.
    Revoked,
    /// The owner logs in again.
    LogsIn,
    /// Every access token is over (401).
    Expired,
    /// Whether renewals leave the refresh token as it is from now on.
    Keeps(bool),
    /// pypowerwall, which shares the file, renews the tokens.
    OthersRenew,
    /// The wall clock stands an hour back, or right again.
    ClockBack(bool),
    /// A program is killed, and starts again soon.
    Killed(usize),
    /// A program is killed when it gets so far, and has gone on so often; 0: no further than that.
    KilledAt(usize, Step, u32),
}

/// How far an exchange gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is a connection to where tokens are given.
    Opened,
    /// The refresh token is about to leave.
    Posted,
    /// The answer to it is there.
    Answered,
    /// An access token was refused.
    Refused,
    /// An answer to a question is there.
    Asked,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    Unreachable,
    /// Nobody speaks HTTP/2 where tokens are given.
    NoHttp2,
    /// Connections end before anything was sent over them.
    Unsent,
    /// Does what was asked; the answer is lost.
    AnswersLost,
    Hangs,
    Status(u16),
    /// Asks for a pause of so many seconds.
    Pause(u64),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub length: Duration,
    pub interval: Duration,
    /// How long access tokens live.
    pub life: Duration,
    /// Wall clock at the start, Unix seconds.
    pub starts: f64,
    pub sites: Vec<Reach>,
    /// How many programs use the file.
    pub programs: usize,
    /// In order.
    pub events: Vec<(Duration, Event)>,
}

fn pick<T: Clone>(rng: &mut StdRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())].clone()
}

fn seconds(rng: &mut StdRng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.random_range(from * 1000..to * 1000))
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x0000_a217);
        let reaches = [Reach::Cloud, Reach::Cloud, Reach::LocalFirst, Reach::CloudFirst];
        let mut sites: Vec<_> = (0..rng.random_range(1..4)).map(|_| pick(&mut rng, &reaches)).collect();
        sites.push(Reach::Local);
        let mut plan = Self {
            seed,
            length: Duration::from_secs(2 * 3600),
            interval: Duration::from_secs(pick(&mut rng, &[60, 60, 120])),
            life: Duration::from_secs(pick(&mut rng, &[900, 1800, 28_800])),
            starts: EVENING,
            sites,
            programs: rng.random_range(1..3),
            events: Vec::new(),
        };
        plan.trouble(&mut rng);
        plan.events.sort_by_key(|(at, _)| *at);
        plan
    }

    /// The same, without what depends on how fast this machine writes files.
    pub fn steady(mut self) -> Self {
        for (_, event) in &mut self.events {
            if let Event::KilledAt(_, _, polls) = event {
                *polls = 0;
            }
        }
        self
    }

    fn trouble(&mut self, rng: &mut StdRng) {
        let length = self.length.as_secs();
        let mut at = rng.random_range(60..1200);
        while at < length {
            let when = Duration::from_secs(at) + seconds(rng, 0, 1);
            let longest = pick(rng, &[60, 600, 900]);
            let lasts = seconds(rng, 1, longest);
            let program = rng.random_range(0..self.programs);
            let event = match rng.random_range(0..20) {
                0..2 => Event::Trouble(Trouble::AnswersLost, lasts),
                2 => Event::Trouble(Trouble::Unreachable, lasts),
                3 => Event::Trouble(Trouble::Hangs, lasts),
                4 => Event::Trouble(Trouble::NoHttp2, lasts),
                5 => Event::Trouble(Trouble::Unsent, lasts),
                6 | 7 => Event::Trouble(Trouble::Status(pick(rng, &[500, 503, 429, 403])), lasts),
                8 => Event::Trouble(Trouble::Pause(pick(rng, &[10, 300, 900])), lasts),
                9 => Event::NoLocal(rng.random_range(0..self.sites.len()), lasts),
                10 | 11 => Event::Refuses,
                12 => Event::Revoked,
                13 => Event::Expired,
                14 => Event::Keeps(rng.random_bool(0.5)),
                15 => Event::OthersRenew,
                16 => Event::ClockBack(rng.random_bool(0.5)),
                17 => Event::Killed(program),
                _ => {
                    let steps = [Step::Opened, Step::Posted, Step::Answered, Step::Refused, Step::Asked];
                    Event::KilledAt(program, pick(rng, &steps), rng.random_range(0..4))
                }
            };
            // What is about renewals needs some.
            let is_about_renewals = !matches!(
                event,
                Event::Refuses | Event::Revoked | Event::NoLocal(..) | Event::ClockBack(_) | Event::Killed(_)
            );
            if is_about_renewals && rng.random_bool(0.7) {
                self.events.push((when + SECOND / 10, Event::Expired));
            }
            let spoils = matches!(
                event,
                Event::Refuses | Event::Revoked | Event::Trouble(Trouble::AnswersLost | Trouble::Hangs, _)
            );
            if spoils || rng.random_bool(0.3) {
                self.events.push((when + lasts + seconds(rng, 60, 1800), Event::LogsIn));
            }
            self.events.push((when, event));
            at += lasts.as_secs() + rng.random_range(30..1200);
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, interval, life, sites, programs, .. } = self;
        writeln!(f, "seed {seed}: {programs} programs, every {interval:?}, tokens live {life:?}: {sites:?}")?;
        for (at, event) in &self.events {
            writeln!(f, "  {:.3} s: {event:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
