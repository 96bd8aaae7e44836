//! Which of several links carries an order out: the best one that can, chosen before anything is sent.
//!
//! An order is never tried over a second link: the first one may have delivered it.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Member, Standby, asks_machine};
use crate::link::LinkError;
use crate::link::order::{Carried, ReadBack};
use crate::model::{Adjustments, Means, Obstacle, Order, OrderKind, Unable};

impl Member {
    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        let means = self.link.can_take(kind)?;
        let error = self.last_error.as_ref().filter(|error| !error.leaves_room_for_orders());
        let takes_orders_only = self.last_error.is_some() && error.is_none();
        if !takes_orders_only && !self.may_be_asked(Instant::now()) {
            let why = format!("{} is left alone for a while, as the gateway asked", means.link.name());
            return Err(Obstacle::NotReached.because(why));
        }
        match (error, &self.newest) {
            (None, Some(_)) => Ok(means),
            (Some(error), _) => {
                Err(Obstacle::NotReached.because(format!("{} does not work: {error}", means.link.name())))
            }
            (None, None) => {
                Err(Obstacle::NotReached.because(format!("{} was not asked yet", means.link.name())))
            }
        }
    }

    /// The DIN of the gateway that answers there.
    fn din(&self) -> Option<String> {
        self.newest.as_ref()?.0.readings(&Adjustments::default()).din
    }
}

impl Standby {
    /// The link that would carry it out, and how.
    pub(super) fn by(&self, kind: OrderKind) -> Result<(usize, Means), Unable> {
        let mut why: Option<Unable> = None;
        for place in self.writers() {
            let member = &self.members[place];
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

    /// The links in the order in which they are asked to carry something out: of preference, unless the cloud
    /// comes first.
    fn writers(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.members.len()).collect();
        if self.is_cloud_first {
            places.sort_by_key(|place| asks_machine(self.members[*place].link.kind()));
        }
        places
    }

    /// Whether the link leads to the gateway of which the readings are shown.
    fn is_same_gateway(&self, place: usize) -> bool {
        let (this, active) = (self.members[place].din(), self.members[self.active].din());
        if place == self.active || this == active {
            return true;
        }
        // Links to one machine are configured for it; a site of an account must be known to be the same.
        let asks_machine = asks_machine(self.members[place].link.kind());
        asks_machine && (this.is_none() || active.is_none())
    }

    /// The link that shows what became of an order, and whether it is another one than carries it out: what
    /// the gateway itself has counts more than what a cloud has stored for it.
    pub(super) fn witness(&self, order: &Order) -> usize {
        let writer = self.by(order.kind()).map_or(self.active, |(place, _)| place);
        if asks_machine(self.members[writer].link.kind()) {
            return writer;
        }
        let can_show = |place: &usize| {
            let member = &self.members[*place];
            asks_machine(member.link.kind())
                && member.link.shows(order)
                && member.last_error.is_none()
                && member.newest.is_some()
                && self.members[writer].din() == member.din()
        };
        (0..self.members.len()).find(can_show).unwrap_or(writer)
    }

    pub(super) async fn carry_out_once(&mut self, order: &Order, limit: Duration) -> Carried {
        for place in 0..self.members.len() {
            self.bind(place);
        }
        let place = match self.by(order.kind()) {
            Ok((place, _)) => place,
            Err(unable) => return Carried::unable(unable),
        };
        let limit = limit.min(self.members[place].link.order_limit(order.kind(), self.exchange));
        let mut carried = self.members[place].link.carry_out(order, limit).await;
        if let Some(error) = &carried.problem {
            self.share_silence(place, error);
        }
        // What another link has been asked to leave alone does not silence the active one.
        carried.problem = carried.problem.filter(|_| place == self.active);
        carried
    }

    pub(super) async fn read_back_once(&mut self, order: &Order) -> ReadBack {
        let place = self.witness(order);
        if !self.members[place].may_be_asked(Instant::now()) {
            return ReadBack::default();
        }
        let link = &mut self.members[place].link;
        let limit = link.order_limit(order.kind(), self.exchange);
        let read = timeout(limit, link.read_back(order)).await;
        let mut read = read.unwrap_or_else(|_| ReadBack::failed(LinkError::Timeout(limit)));
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;

    use futures_util::future::LocalBoxFuture;

    use super::*;
    use crate::link::order::End;
    use crate::link::{Link, Refreshed};
    use crate::model::{
        Answers, AppPercent, Interpretation, LinkKind, NumberingMemory, Outcome, Proof, Readings, Reserve,
    };

    #[derive(Clone, Debug)]
    struct Known(&'static str);

    impl Answers for Known {
        fn readings(&self, _: &Adjustments) -> Readings {
            Readings { din: Some(self.0.into()), ..Readings::default() }
        }

        fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
            Interpretation::default()
        }

        fn size(&self) -> usize {
            0
        }
    }

    /// A link to a gateway, which may take orders, and may be away.
    #[derive(Clone)]
    struct Writer {
        kind: LinkKind,
        din: &'static str,
        can_write: bool,
        is_away: Rc<Cell<bool>>,
        orders: Rc<Cell<u32>>,
    }

    impl Writer {
        fn new(kind: LinkKind, din: &'static str, can_write: bool) -> Self {
            Self { kind, din, can_write, is_away: Rc::default(), orders: Rc::default() }
        }
    }

    impl Link for Writer {
        fn kind(&self) -> LinkKind {
            self.kind
        }

        fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
            Box::pin(async {
                match self.is_away.get() {
                    true => Err(LinkError::Unreachable("no route".into())),
                    false => Ok(Arc::new(Known(self.din)) as Arc<dyn Answers>),
                }
            })
        }

        fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
            Box::pin(async { Refreshed::default() })
        }

        fn carry_out<'a>(&'a mut self, _: &'a Order, _: Duration) -> LocalBoxFuture<'a, Carried> {
            self.orders.set(self.orders.get() + 1);
            Box::pin(async { Carried::failed(LinkError::Timeout(Duration::from_secs(5))) })
        }

        fn can_take(&self, _: OrderKind) -> Result<Means, Unable> {
            match self.can_write {
                true => Ok(Means { link: self.kind, proves: Proof::Stored }),
                false => Err(Obstacle::NoLink.because("it only reads")),
            }
        }
    }

    /// The links, polled once and checked.
    async fn standby(links: &[&Writer]) -> Standby {
        let boxed = links.iter().map(|link| Box::new((*link).clone()) as Box<dyn Link>).collect();
        let mut standby = Standby::new("home", boxed, Duration::from_secs(5));
        let _ = standby.poll().await;
        for _ in links {
            standby.refresh().await;
        }
        standby
    }

    async fn order(standby: &mut Standby) -> &'static str {
        let order = Order::Reserve(Reserve::new(AppPercent(20.0)).unwrap());
        match standby.carry_out(&order, Duration::from_secs(5)).await.end {
            End::Outcome(outcome @ (Outcome::NotSent(_) | Outcome::Unknown(_))) => outcome.word(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_goes_over_the_best_link_that_can_write_and_over_no_second_one() {
        let reads = Writer::new(LinkKind::Tedapi, "A", false);
        let (first, second) =
            (Writer::new(LinkKind::V1r, "A", true), Writer::new(LinkKind::Local, "A", true));
        let mut standby = standby(&[&reads, &first, &second]).await;
        assert_eq!(standby.capabilities()[0].by.as_ref().unwrap().link, LinkKind::V1r);
        assert_eq!(order(&mut standby).await, "unknown");
        assert_eq!((first.orders.get(), second.orders.get()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_goes_over_another_link_while_the_best_one_is_away() {
        let (first, second) =
            (Writer::new(LinkKind::V1r, "A", true), Writer::new(LinkKind::Local, "A", true));
        first.is_away.set(true);
        let mut standby = standby(&[&first, &second]).await;
        assert_eq!(order(&mut standby).await, "unknown");
        assert_eq!((first.orders.get(), second.orders.get()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_never_goes_to_another_gateway() {
        let (reads, other) =
            (Writer::new(LinkKind::Tedapi, "A", false), Writer::new(LinkKind::V1r, "B", true));
        let mut standby = standby(&[&reads, &other]).await;
        let why = standby.capabilities()[0].by.clone().unwrap_err();
        assert!(why.message.contains("another gateway"), "{why:?}");
        assert_eq!((order(&mut standby).await, other.orders.get()), ("not_sent", 0));
    }
}
