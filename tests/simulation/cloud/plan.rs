//! What happens to an account and to its sites: everything follows from the seed.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::options::SECOND;

/// A Friday in November 2026, 21:00 UTC: some seeds see the day end.
const EVENING: f64 = 1_795_813_200.0;
/// So many sites of one account make Tesla's 60 requests a minute scarce.
const MANY: usize = 50;

/// How a site is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Cloud,
    /// The cloud stands in for the local link.
    LocalFirst,
    /// The local link stands in for the cloud.
    CloudFirst,
    /// As `LocalFirst`, with orders over the cloud.
    OrdersOverCloud,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What is wrong with Tesla for a while.
    Trouble(Trouble, Duration),
    /// A local link does not answer for a while.
    NoLocal(usize, Duration),
    /// The owner withdraws the consent.
    Revoked,
    /// The owner logs in again.
    LogsIn,
    /// Every access token is over.
    Expired,
    /// The account moves to the other region.
    Moves,
    /// Whether settings reach the gateways from now on.
    Delivers(bool),
    /// The program is killed and starts again.
    Killed,
    /// Somebody asks for a reserve, in percent as the app shows it.
    Order(usize, u8),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    Unreachable,
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
    pub budget: Option<u64>,
    /// How long access tokens live.
    pub life: Duration,
    /// Wall clock at the start, Unix seconds.
    pub starts: f64,
    pub sites: Vec<Reach>,
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
        let mut rng = StdRng::seed_from_u64(seed ^ 0x000c_104d);
        let is_many = seed % 10 == 9;
        let reaches = [
            Reach::Cloud,
            Reach::LocalFirst,
            Reach::CloudFirst,
            Reach::OrdersOverCloud,
            Reach::OrdersOverCloud,
        ];
        let sites = match is_many {
            true => vec![Reach::Cloud; MANY],
            false => (0..rng.random_range(1..5)).map(|_| pick(&mut rng, &reaches)).collect(),
        };
        let length = if is_many { 900 } else { 3 * 3600 };
        let mut plan = Self {
            seed,
            length: Duration::from_secs(length),
            interval: Duration::from_secs(pick(&mut rng, &[60, 60, 120])),
            budget: rng.random_bool(0.3).then(|| rng.random_range(60..200)),
            life: Duration::from_secs(pick(&mut rng, &[1200, 2400, 28_800])),
            starts: EVENING + rng.random_range(0.0..9000.0),
            sites,
            events: Vec::new(),
        };
        if !is_many {
            plan.trouble(&mut rng);
            plan.orders(&mut rng);
            plan.events.sort_by_key(|(at, _)| *at);
        }
        plan
    }

    fn trouble(&mut self, rng: &mut StdRng) {
        let length = self.length.as_secs();
        let mut at = rng.random_range(60..1800);
        while at < length {
            let when = Duration::from_secs(at) + seconds(rng, 0, 1);
            let longest = pick(rng, &[60, 60, 600]);
            let lasts = seconds(rng, 1, longest);
            let event = match rng.random_range(0..16) {
                0..3 => Event::Trouble(Trouble::AnswersLost, lasts),
                3 => Event::Trouble(Trouble::Unreachable, lasts),
                4 => Event::Trouble(Trouble::Hangs, lasts),
                5 => Event::Trouble(Trouble::Status(pick(rng, &[500, 503, 540])), lasts),
                6..9 => Event::Trouble(Trouble::Pause(pick(rng, &[10, 300, 900])), lasts),
                9 | 10 => Event::NoLocal(rng.random_range(0..self.sites.len()), lasts),
                11 => Event::Revoked,
                12 | 13 => Event::Expired,
                14 => Event::Moves,
                _ => Event::Killed,
            };
            if event == Event::Revoked {
                self.events.push((when + seconds(rng, 60, 1800), Event::LogsIn));
            }
            if matches!(event, Event::Trouble(Trouble::Pause(_), _)) && rng.random_bool(0.5) {
                self.events.push((when + lasts + SECOND, Event::Killed));
            }
            if matches!(event, Event::Trouble(Trouble::AnswersLost, _)) {
                // While answers are lost, a token is renewed.
                self.events.push((when + SECOND / 10, Event::Expired));
            }
            self.events.push((when, event));
            at += lasts.as_secs() + rng.random_range(30..1800);
        }
    }

    fn orders(&mut self, rng: &mut StdRng) {
        for site in 0..self.sites.len() {
            let mut at = rng.random_range(300..1800);
            // Each order asks for another value, of those that Tesla stores as they are.
            for percent in 10..80 {
                if at >= self.length.as_secs() {
                    break;
                }
                let when = Duration::from_secs(at) + seconds(rng, 0, 1);
                self.events.push((when - SECOND, Event::Delivers(rng.random_bool(0.8))));
                self.events.push((when, Event::Order(site, percent)));
                at += rng.random_range(120..1800);
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, interval, budget, life, sites, .. } = self;
        writeln!(f, "seed {seed}: every {interval:?}, budget {budget:?}, tokens live {life:?}: {sites:?}")?;
        for (at, event) in &self.events {
            writeln!(f, "  {:.3} s: {event:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
