//! How the readings of one gateway become energy: the difference of two counters where there are counters,
//! else power over time. What was neither measured nor counted is a gap and stays one.
//!
//! While readings follow each other, what two counters count between them belongs to the slots between them.
//! Over an outage or a restart it is one [`Recovered`] interval, because nobody knows when it flowed. Power
//! is integrated beside the counters, and used where the counters fall silent or begin anew.

use std::time::Duration;

use super::{Flow, Flows, Share, integrate, spread};

/// While readings follow each other, counters may be this old, in seconds: some links read them every two
/// minutes.
const OLDEST_COUNTER: f64 = 600.0;
/// Counters that stay the same for longer, in seconds, have been read again and not moved.
const SAME_COUNTERS: f64 = 300.0;
/// Wh by which a counter may fall without meaning anything: gateways round.
const ROUNDING: f64 = 1.0;
/// W. No house has a flow of more; a counter that grows faster has begun anew.
const MOST_POWER: f64 = 200_000.0;
/// Seconds by which wall clock and monotonic clock may differ from one reading to the next before the wall
/// clock was set.
const DRIFT: f64 = 2.0;
/// Readings may lie this many polls apart, half a poll of it for answers that take their time.
pub const POLLS: f64 = 5.5;

/// One reading of a gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Unix seconds.
    pub at: f64,
    /// The monotonic clock of this program.
    pub clock: Duration,
    /// W
    pub power: Flows<Option<f64>>,
    /// Wh over the life of the meters.
    pub counters: Flows<Option<f64>>,
    /// Which gateway it was; another one has other counters.
    pub din: Option<String>,
}

/// How a value was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The difference of two counters.
    Counted,
    /// Power over time.
    Integrated,
}

/// Energy of one flow in one slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Booked {
    pub flow: Flow,
    pub share: Share,
    pub way: Way,
}

/// Energy that was counted over a time in which nothing was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recovered {
    pub flow: Flow,
    /// Unix seconds.
    pub from: f64,
    /// Unix seconds.
    pub to: f64,
    /// Wh
    pub energy: f64,
}

/// What a reading adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Additions {
    pub slots: Vec<Booked>,
    pub recovered: Vec<Recovered>,
}

/// What the next run continues from: the last reading of each kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The last reading, with its power.
    pub at: f64,
    pub power: Flows<Option<f64>>,
    /// When each counter was read, and what it showed.
    pub counters: Flows<Option<(f64, f64)>>,
    pub din: Option<String>,
}

/// A moment on both clocks; the monotonic one is unknown for what a former run has read.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    at: f64,
    clock: Option<Duration>,
}

/// A counter that is counted on from.
#[derive(Clone, Copy, Debug)]
struct Base {
    moment: Moment,
    /// Wh
    value: f64,
}

/// One flow since its counter was last counted.
#[derive(Clone, Debug, Default)]
struct Track {
    /// `None`: there is no counter, or it is silent.
    base: Option<Base>,
    /// Integrated since then; booked if the counter cannot be used.
    pending: Vec<Share>,
    /// When readings came back after an outage or a restart, if there was one since then.
    back: Option<Moment>,
}

/// The books of one gateway.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    last: Option<(Moment, Flows<Option<f64>>)>,
    din: Option<String>,
    tracks: Flows<Track>,
    /// The counters as they were when they last changed.
    seen: Option<(Moment, Flows<Option<f64>>)>,
}

impl Moment {
    /// Seconds from `self` to `later`, as far as can be known, and whether the wall clock was set meanwhile.
    fn until(self, later: Self) -> (f64, bool) {
        let by_wall = later.at - self.at;
        match (self.clock, later.clock) {
            (Some(from), Some(to)) => {
                let real = to.saturating_sub(from).as_secs_f64();
                match (by_wall - real).abs() > DRIFT + real * 0.01 {
                    true => (real, true),
                    false => (by_wall, false),
                }
            }
            _ => (by_wall, false),
        }
    }
}

impl Ledger {
    /// Continues where a former run ended.
    pub fn resumed(state: State) -> Self {
        let moment = |at| Moment { at, clock: None };
        let track = |known: Option<(f64, f64)>| Track {
            base: known.map(|(at, value)| Base { moment: moment(at), value }),
            ..Track::default()
        };
        Self {
            last: Some((moment(state.at), state.power)),
            din: state.din,
            tracks: state.counters.map(track),
            seen: None,
        }
    }

    /// What a later run continues from; `None` before the first reading.
    pub fn state(&self) -> Option<State> {
        let (moment, power) = self.last?;
        let mut counters = Flows::default();
        for flow in Flow::ALL {
            counters[flow] = self.tracks[flow].base.map(|base| (base.moment.at, base.value));
        }
        Some(State { at: moment.at, power, counters, din: self.din.clone() })
    }

    /// Books what `reading` adds. `interval`: seconds between two polls of this gateway.
    pub fn take(&mut self, reading: &Reading, interval: f64) -> Additions {
        let mut additions = Additions::default();
        let now = Moment { at: reading.at, clock: Some(reading.clock) };
        let longest = interval * POLLS;
        let Some(elapsed) = self.elapsed(now, longest) else { return additions };
        self.exchange(reading, &mut additions);
        let is_first_of_run = self.last.is_some_and(|(last, _)| last.clock.is_none());
        let follows = elapsed.is_some_and(|seconds| seconds <= longest);
        let is_renewed = self.is_renewed(reading, now);
        for flow in Flow::ALL {
            let track = &mut self.tracks[flow];
            if let (Some(seconds), true, Some((_, before))) = (elapsed, follows, self.last)
                && let (Some(from), Some(to)) = (before[flow], reading.power[flow])
            {
                let shares = integrate((now.at - seconds, now.at), (from, to));
                match track.base {
                    Some(_) => track.postpone(shares),
                    None => additions.book(flow, shares, Way::Integrated),
                }
            }
            if (!follows || is_first_of_run) && track.base.is_some() {
                track.back = Some(now);
            }
            track.count(flow, reading.counters[flow].filter(|_| is_renewed), now, &mut additions);
        }
        self.last = Some((now, reading.power));
        additions
    }

    /// Seconds since the last reading. `Some(None)`: nothing can be said about the time before. `None`: the
    /// wall clock went back a little; it is waited for, so that nothing is counted twice.
    fn elapsed(&mut self, now: Moment, longest: f64) -> Option<Option<f64>> {
        let Some((last, _)) = self.last else { return Some(None) };
        let by_wall = now.at - last.at;
        if by_wall <= 0.0 && by_wall > -longest {
            return None;
        }
        let (seconds, _) = last.until(now);
        if seconds > 0.0 {
            return Some(Some(seconds));
        }
        // A former run wrote with a clock that was ahead: its readings lie in the future.
        *self = Self { din: self.din.take(), ..Self::default() };
        Some(None)
    }

    /// Another gateway at the same address has other counters, and nothing to do with the power before.
    fn exchange(&mut self, reading: &Reading, additions: &mut Additions) {
        let Some(din) = &reading.din else { return };
        if self.din.as_ref().is_some_and(|before| before != din) {
            for flow in Flow::ALL {
                self.tracks[flow].give_up(flow, additions);
            }
            self.last = None;
            self.seen = None;
        }
        self.din = Some(din.clone());
    }

    /// Whether the counters were read since they were taken last. A link may show the same ones for minutes.
    fn is_renewed(&mut self, reading: &Reading, now: Moment) -> bool {
        let is_same = |(seen, counters): (Moment, Flows<Option<f64>>)| {
            counters == reading.counters && seen.until(now).0 < SAME_COUNTERS
        };
        if self.seen.is_some_and(is_same) {
            return false;
        }
        self.seen = Some((now, reading.counters));
        true
    }
}

impl Track {
    fn postpone(&mut self, shares: Vec<Share>) {
        for share in shares {
            match self.pending.last_mut() {
                Some(last) if last.slot == share.slot => {
                    last.energy += share.energy;
                    last.seconds += share.seconds;
                }
                _ => self.pending.push(share),
            }
        }
    }

    /// Books what was integrated instead of what the counter would say, and counts anew.
    fn give_up(&mut self, flow: Flow, additions: &mut Additions) {
        additions.book(flow, std::mem::take(&mut self.pending), Way::Integrated);
        self.base = None;
        self.back = None;
    }

    fn count(&mut self, flow: Flow, counter: Option<f64>, now: Moment, additions: &mut Additions) {
        let Some(base) = self.base else {
            self.base = counter.map(|value| Base { moment: now, value });
            return;
        };
        let (seconds, was_set) = base.moment.until(now);
        let Some(value) = counter else {
            let waited = self.back.map_or(seconds, |back| back.until(now).0);
            if waited > OLDEST_COUNTER {
                self.give_up(flow, additions);
            }
            return;
        };
        let difference = value - base.value;
        let most = MOST_POWER * seconds / 3600.0 + ROUNDING;
        if seconds <= 0.0 || difference < -ROUNDING || difference > most {
            self.give_up(flow, additions);
        } else if self.back.is_some() {
            let (from, energy) =
                (if was_set { now.at - seconds } else { base.moment.at }, difference.max(0.0));
            additions.recovered.push(Recovered { flow, from, to: now.at, energy });
        } else if seconds <= OLDEST_COUNTER {
            let shares = spread((now.at - seconds, now.at), difference.max(0.0));
            additions.book(flow, shares, Way::Counted);
        } else {
            self.give_up(flow, additions);
        }
        // One that fell by a rounding is counted on from where it was.
        let is_rounding = self.base.is_some() && difference < 0.0;
        let value = if is_rounding { base.value } else { value };
        *self = Self { base: Some(Base { moment: now, value }), ..Self::default() };
    }
}

impl Additions {
    fn book(&mut self, flow: Flow, shares: Vec<Share>, way: Way) {
        self.slots.extend(shares.into_iter().map(|share| Booked { flow, share, way }));
    }
}

#[cfg(test)]
mod tests;
