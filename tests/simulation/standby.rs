//! How links that stand in for each other are treated, seen from between them and the standby.
//!
//! The figures are those of `docs/connecting.md`, written down again on purpose.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use powerwall_server::link::knock::Knock;
use powerwall_server::link::order::{Carried, ReadBack};
use powerwall_server::link::{Link, LinkError, Refreshed};
use powerwall_server::model::{Answers, LinkKind, Means, Order, OrderKind, Unable};
use tokio::time::Instant;

use crate::defects::Defect;
use crate::options::Door;
use crate::world::World;

/// A link is left out of polls after so many failures in a row.
const GIVEN_UP: usize = 3;
/// Checks of a link that does not work, by failures in a row.
const UNANSWERED: [u64; 5] = [60, 120, 240, 480, 600];
const REFUSED: [u64; 4] = [60, 120, 240, 300];
const SILENCE: (u64, u64) = (300, 3600);
/// A link that works and does not carry the readings is checked this often …
const CHECKED: Duration = Duration::from_secs(60);
/// … after good polls, of which the first may come so long after the last trouble.
const FIRST_GOOD_POLL: Duration = Duration::from_secs(300);

/// What one of the links has been through.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    failures: usize,
    rests_until: Option<Instant>,
    /// Not even asked in need.
    is_silenced: bool,
    /// It took a connection since its last poll.
    is_there_again: bool,
    /// It was asked in the present poll.
    was_asked: bool,
    /// It was worth asking when the present poll began.
    was_trusted: bool,
}

impl Side {
    fn rests(&self, now: Instant) -> Option<Duration> {
        self.rests_until?.checked_duration_since(now).filter(|early| !early.is_zero())
    }

    /// Its last poll succeeded, and nobody has asked it to be silent since.
    fn has_worked(&self) -> bool {
        self.failures == 0 && !self.is_silenced
    }

    fn is_trusted(&self) -> bool {
        !self.is_silenced && (self.failures < GIVEN_UP || self.is_there_again)
    }
}

/// What both have been through.
#[derive(Debug, Default)]
pub struct Members {
    /// By [`Door`].
    sides: [Side; 2],
    preferred: usize,
    /// Which one carries the readings.
    carrier: Option<usize>,
}

impl Members {
    pub fn new(local_first: bool) -> Self {
        Self { preferred: usize::from(!local_first), ..Self::default() }
    }

    pub fn poll_begins(&mut self) {
        for side in &mut self.sides {
            (side.was_asked, side.was_trusted) = (false, side.is_trusted());
        }
    }

    fn begins(&mut self, door: Door, now: Instant) -> Result<(), String> {
        let (this, other) = (door as usize, 1 - door as usize);
        self.sides[this].was_asked = true;
        let (side, other) = (&self.sides[this], &self.sides[other]);
        let Some(early) = side.rests(now) else { return Ok(()) };
        match side.is_silenced {
            true => Err(format!("{door:?} is asked {early:?} too early, and wants to be left alone")),
            // In need is whoever has found nothing worth asking when the poll began, or since.
            false if !side.is_trusted() && (other.was_trusted || other.has_worked()) => {
                Err(format!("{door:?} is checked {early:?} before its pause is over"))
            }
            false => Ok(()),
        }
    }

    /// What is worth counting of it.
    fn ends(&mut self, door: Door, outcome: Result<(), &LinkError>, now: Instant) -> Option<&'static str> {
        let (this, other) = (door as usize, 1 - door as usize);
        let Err(error) = outcome else {
            let was_trusted = self.sides[this].was_trusted;
            self.sides[this] = Side { was_asked: true, was_trusted, ..Side::default() };
            let before = self.carrier;
            let is_needed = self.sides[other].was_asked && self.sides[other].failures > 0;
            if is_needed || before.is_none() || this == self.preferred {
                self.carrier = Some(this);
            }
            return match before {
                Some(before) if before == this || self.carrier != Some(this) => None,
                Some(_) if this == self.preferred => Some("failback"),
                Some(_) => Some("another link takes over"),
                None => None,
            };
        };
        let side = &mut self.sides[this];
        side.is_there_again = false;
        let after = |pauses: &[u64], failures: usize| pauses[failures.clamp(1, pauses.len()) - 1];
        let (seconds, is_silenced) = match error {
            LinkError::LoginBudget { left } | LinkError::Silence { left } => (left.as_secs(), true),
            LinkError::Refused { .. } => {
                side.failures += 1;
                (after(&REFUSED, side.failures), true)
            }
            _ => {
                side.failures += 1;
                (after(&UNANSWERED, side.failures), false)
            }
        };
        side.is_silenced = is_silenced;
        side.rests_until = Some(now + Duration::from_secs(seconds));
        self.hears(error, now);
        None
    }

    /// A machine that wants to be left alone is left alone over both links.
    fn hears(&mut self, error: &LinkError, now: Instant) {
        let (LinkError::RateLimited { retry_after } | LinkError::Busy { retry_after }) = error else {
            return;
        };
        let asked = retry_after.map_or(SILENCE.0, |asked| asked.as_secs()).clamp(SILENCE.0, SILENCE.1);
        for side in &mut self.sides {
            side.is_silenced = true;
            side.rests_until = side.rests_until.max(Some(now + Duration::from_secs(asked)));
        }
    }

    /// After a poll that failed.
    pub fn judge(&self, error: &LinkError, now: Instant) -> Result<(), String> {
        let rest = self.sides.iter().all(|side| side.is_silenced && side.rests(now).is_some());
        if matches!(error, LinkError::Silence { .. })
            && self.sides.iter().all(|side| !side.was_asked)
            && !rest
        {
            return Err("it keeps a cool-down that nobody asked for".into());
        }
        let idle = self.sides.iter().position(|side| side.is_trusted() && !side.was_asked);
        match idle {
            Some(side) => {
                Err(format!("link {side} works and does not carry on where the poll fails: {error}"))
            }
            None => Ok(()),
        }
    }

    /// `well`: for how long nothing has been wrong with the gateway; `period`: the longest time between two
    /// polls.
    pub fn is_where_it_should_be(
        &self,
        well: Duration,
        period: Duration,
        now: Instant,
    ) -> Result<(), String> {
        let side = &self.sides[self.preferred];
        let patience = FIRST_GOOD_POLL + CHECKED + period * 3;
        let rested = side.rests_until.map_or(well, |until| now.saturating_duration_since(until));
        match self.carrier.is_some_and(|carrier| carrier != self.preferred) && well.min(rested) > patience {
            true => Err(format!("the preferred link works again and is not used for {:?}", well.min(rested))),
            false => Ok(()),
        }
    }
}

/// One poll of a link; a standby that waits no longer ends it as well.
struct Poll<'a> {
    world: &'a World,
    site: usize,
    door: Door,
    has_ended: bool,
}

impl Poll<'_> {
    fn ends(&mut self, outcome: Result<(), &LinkError>) {
        self.has_ended = true;
        let what = self.world.site(self.site).members.ends(self.door, outcome, Instant::now());
        what.into_iter().for_each(|what| self.world.count(what));
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.ends(Err(&LinkError::Timeout(Duration::ZERO)));
        }
    }
}

/// A link that is watched.
pub struct Member {
    inner: Box<dyn Link>,
    door: Door,
    world: Arc<World>,
    site: usize,
}

impl Member {
    pub fn boxed(inner: Box<dyn Link>, door: Door, world: &Arc<World>, site: usize) -> Box<dyn Link> {
        Box::new(Self { inner, door, world: world.clone(), site })
    }

    fn begins(&self) {
        let kept = self.world.site(self.site).members.begins(self.door, Instant::now());
        self.world.demand(self.site, kept);
    }

    /// Something beside a poll was answered.
    fn hears(&self, error: Option<&LinkError>) {
        if let Some(error) = error {
            self.world.site(self.site).members.hears(error, Instant::now());
        }
    }
}

impl Link for Member {
    fn kind(&self) -> LinkKind {
        self.inner.kind()
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(async {
            self.begins();
            let mut poll = Poll { world: &self.world, site: self.site, door: self.door, has_ended: false };
            let outcome = self.inner.poll().await;
            poll.ends(outcome.as_ref().map(|_| ()));
            outcome
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async {
            let refreshed = self.inner.refresh().await;
            self.hears(refreshed.problem.as_ref());
            refreshed
        })
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(async move {
            let knock = self.inner.knock(limit).await;
            self.world.site(self.site).members.sides[self.door as usize].is_there_again =
                knock == Knock::Accepted;
            knock
        })
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(async move {
            let carried = self.inner.carry_out(order, limit).await;
            self.hears(carried.problem.as_ref());
            carried
        })
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(async move {
            let read = self.inner.read_back(order).await;
            self.hears(read.problem.as_ref());
            read
        })
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        self.inner.can_take(kind)
    }
}

/// The links with `defect`, if it is one of those between a standby and its links.
pub fn defective(mut links: Vec<Box<dyn Link>>, defect: Option<Defect>) -> Vec<Box<dyn Link>> {
    match defect {
        Some(Defect::NeverFailsOver) => links.truncate(1),
        Some(Defect::NeverFailsBack | Defect::KeepsSilenceToItself) => {
            let wrapped = links.into_iter().enumerate();
            links = wrapped
                .map(|(place, inner)| {
                    let gives_up = defect == Some(Defect::NeverFailsBack) && place == 0;
                    Box::new(Defective { inner, gives_up, has_failed: false }) as Box<dyn Link>
                })
                .collect();
        }
        _ => {}
    }
    links
}

/// A link that says less than it should.
struct Defective {
    inner: Box<dyn Link>,
    /// Whether it is not asked any more after a failure; else it says that nobody answers when it is asked to
    /// be silent.
    gives_up: bool,
    has_failed: bool,
}

impl Link for Defective {
    fn kind(&self) -> LinkKind {
        self.inner.kind()
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(async {
            let away = || LinkError::Unreachable("given up".into());
            if self.gives_up && self.has_failed {
                return Err(away());
            }
            let outcome = self.inner.poll().await;
            self.has_failed |= outcome.is_err();
            match outcome {
                Err(LinkError::RateLimited { .. } | LinkError::Busy { .. }) => Err(away()),
                outcome => outcome,
            }
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        self.inner.refresh()
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        self.inner.can_take(kind)
    }
}
