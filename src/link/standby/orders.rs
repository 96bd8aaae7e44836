//! Which of several links carries an order out: the best one that can, chosen before anything is sent.
//!
//! An order is never tried over a second link: the first one may have delivered it.

use std::time::Duration;

use super::{Member, Standby};
use crate::link::order::{Carried, ReadBack};
use crate::model::{Adjustments, Capability, Means, Obstacle, Order, OrderKind, Unable};

impl Member {
    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        let capabilities = self.link.capabilities().into_iter();
        let by = capabilities.filter(|capability| capability.order == kind).map(|capability| capability.by).next();
        let means = by.unwrap_or_else(|| Err(Obstacle::NoLink.because("it takes no orders")))?;
        match (&self.last_error, &self.newest) {
            (None, Some(_)) => Ok(means),
            (Some(error), _) => Err(Obstacle::NotReached.because(format!("{} does not work: {error}", means.link.name()))),
            (None, None) => Err(Obstacle::NotReached.because(format!("{} was not asked yet", means.link.name()))),
        }
    }

    /// The DIN of the gateway that answers there.
    fn din(&self) -> Option<String> {
        self.newest.as_ref()?.0.readings(&Adjustments::default()).din
    }
}

impl Standby {
    pub(super) fn can_take(&self, kind: OrderKind) -> Capability {
        let by = self.by(kind).map(|(_, means)| means);
        Capability { order: kind, by }
    }

    /// The link that would carry it out, and how.
    fn by(&self, kind: OrderKind) -> Result<(usize, Means), Unable> {
        let mut why: Option<Unable> = None;
        for (place, member) in self.members.iter().enumerate() {
            match member.can_take(kind) {
                Ok(means) if self.is_same_gateway(place) => return Ok((place, means)),
                Ok(means) => {
                    let other = format!("another gateway answers over {}", means.link.name());
                    why = Some(Obstacle::NotReached.because(other));
                }
                // That a link cannot write at all says least.
                Err(unable) => {
                    let known = why.take().filter(|known| known.obstacle != Obstacle::NoLink);
                    why = Some(known.unwrap_or(unable));
                }
            }
        }
        Err(why.unwrap_or_else(|| Obstacle::NoLink.because("there is no link")))
    }

    /// Whether the link leads to the gateway of which the readings are shown.
    fn is_same_gateway(&self, place: usize) -> bool {
        let (this, active) = (self.members[place].din(), self.members[self.active].din());
        place == self.active || this.is_none() || active.is_none() || this == active
    }

    pub(super) async fn carry_out_once(&mut self, order: &Order, limit: Duration) -> Carried {
        let place = match self.by(order.kind()) {
            Ok((place, _)) => place,
            Err(unable) => return Carried::unable(unable),
        };
        let mut carried = self.members[place].link.carry_out(order, limit).await;
        if let Some(error) = &carried.problem {
            self.share_silence(place, error);
        }
        // What another link has been asked to leave alone does not silence the active one.
        carried.problem = carried.problem.filter(|_| place == self.active);
        carried
    }

    pub(super) async fn read_back_once(&mut self, order: &Order) -> ReadBack {
        let place = self.by(order.kind()).map_or(self.active, |(place, _)| place);
        let mut read = self.members[place].link.read_back(order).await;
        if let Some(error) = &read.problem {
            self.share_silence(place, error);
        }
        read.problem = read.problem.filter(|_| place == self.active);
        if let (Some(answers), Some((newest, _))) = (read.source.take(), &mut self.members[place].newest) {
            *newest = answers;
        }
        let active = self.members[self.active].newest.as_ref();
        read.source = active.map(|(answers, _)| self.supplemented(answers.clone()));
        read
    }
}
