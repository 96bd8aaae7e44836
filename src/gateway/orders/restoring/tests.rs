//! Orders that hold for a time, and programs that start again, with a house that does what it is ordered.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::*;
use crate::board::Board;
use crate::gateway::GatewayPlan;
use crate::gateway::messages::{CarryOut, Receipt, Stop};
use crate::gateway::order_book::OrderBook;
use crate::gateway::order_log::JournalLog;
use crate::gateway::orders::OrderIds;
use crate::link::order::{Carried, ReadBack};
use crate::link::{Link, LinkError, Refreshed};
use crate::model::order::{Islanding, LeaseState};
use crate::model::{
    Adjustments, Answers, AppPercent, GatewayFacts, Interpretation, LinkKind, Means, Number, NumberingMemory,
    OrderKind, Outcome, Power, Present, Proof, RawPercent, Readings, Reserve, Snapshot, Standing, Ttl,
    Unable,
};
use crate::store::journal::{Filter, Journal, Kind};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A house that does what it is ordered, unless it ignores that.
#[derive(Clone, Debug)]
struct House {
    readings: Readings,
    ignores: bool,
    /// Whether the answers to orders are lost.
    loses: bool,
    orders: Vec<String>,
}

#[derive(Debug)]
struct Shown(Readings);

impl Answers for Shown {
    fn readings(&self, _: &Adjustments) -> Readings {
        self.0.clone()
    }

    fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
        Interpretation::default()
    }

    fn size(&self) -> usize {
        0
    }
}

struct HouseLink(Rc<RefCell<House>>);

impl Link for HouseLink {
    fn kind(&self) -> LinkKind {
        LinkKind::V1r
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        let shown = Shown(self.0.borrow().readings.clone());
        Box::pin(async { Ok(Arc::new(shown) as Arc<dyn Answers>) })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async { Refreshed::default() })
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        let mut house = self.0.borrow_mut();
        house.orders.push(order.to_string());
        let before = Present::of(&house.readings);
        if !house.ignores {
            if let Some(reserve) = order.setpoint().and_then(|asked| asked.reserve) {
                house.readings.reserve = Some(reserve.raw());
            }
            if let Order::Islanding(way) = order {
                house.readings.contactor_closed = Some(*way == Islanding::OnGrid);
            }
        }
        let carried = match house.loses {
            true => Carried::failed(LinkError::Timeout(limit)),
            false => Carried::outcome(Outcome::Accepted("yes".into())).after(before),
        };
        Box::pin(async { carried })
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        let read = ReadBack::of(order, Present::of(&self.0.borrow().readings), "the house");
        Box::pin(async { read })
    }

    fn can_take(&self, _: OrderKind) -> Result<Means, Unable> {
        Ok(Means { link: LinkKind::V1r, proves: Proof::Stored })
    }
}

/// A gateway, its journal, and the program that runs at present.
struct Bench {
    house: Rc<RefCell<House>>,
    journal: Journal,
    board: Arc<Board<Snapshot>>,
    plan: GatewayPlan,
    program: Option<(Addr<GatewayActor>, OrderBook)>,
}

fn reserve(app: f64) -> Order {
    Order::Reserve(Reserve::new(AppPercent(app)).unwrap())
}

impl Bench {
    async fn new() -> Self {
        let ttl = Ttl::new(5 * SECOND, 5 * SECOND, 30 * SECOND, true);
        let facts = Arc::new(GatewayFacts { id: "attic".into(), ..GatewayFacts::default() });
        let readings = Readings {
            power: Power { site: Some(Number::Int(1)), ..Power::default() },
            reserve: Some(AppPercent(20.0).to_raw()),
            contactor_closed: Some(true),
            charge: crate::model::Charge { reported: Some(RawPercent(60.0)), ..Default::default() },
            ..Readings::default()
        };
        let house = House { readings, ignores: false, loses: false, orders: Vec::new() };
        let mut bench = Self {
            house: Rc::new(RefCell::new(house)),
            journal: Journal::in_memory(),
            board: Arc::new(Board::new(Snapshot::initial(facts.clone(), ttl))),
            plan: GatewayPlan {
                facts,
                interval: 5 * SECOND,
                phase: Duration::ZERO,
                timeout: 5 * SECOND,
                ttl,
                adjustments: Adjustments::default(),
                seed: 1,
                islanding_cooldown: 30 * SECOND,
                numbers: None,
            },
            program: None,
        };
        bench.start().await;
        bench
    }

    /// The program is killed: it writes nothing down any more.
    async fn kill(&mut self) {
        if let Some((addr, book)) = self.program.take() {
            book.forget();
            addr.send(Stop).await.unwrap();
        }
    }

    /// Another run of the program: of the one before, nothing is left but the journal and what the house
    /// is like.
    async fn start(&mut self) {
        self.kill().await;
        let link = Box::new(HouseLink(self.house.clone()));
        let actor = GatewayActor::new(self.plan.clone(), link, self.board.clone());
        let log = Arc::new(JournalLog::new(self.journal.clone()));
        let book = OrderBook::default();
        let addr = actor.with_orders(book.clone(), log, OrderIds::random()).start();
        self.program = Some((addr, book));
    }

    async fn order(&self, order: Order, lease: Option<Duration>, confirmed: bool) -> Receipt {
        let carry_out = CarryOut { order, lease, confirmed, asked_by: "a test".into(), mark: None };
        self.program.as_ref().unwrap().0.send(carry_out).await.unwrap()
    }

    fn orders(&self) -> Vec<String> {
        self.house.borrow().orders.clone()
    }

    fn reserve(&self) -> f64 {
        self.house.borrow().readings.reserve.unwrap().to_app_reserve().0.round()
    }

    /// What the journal says of leases, the oldest first.
    async fn leases(&self) -> Vec<String> {
        let filter = Filter { kinds: vec![Kind::Lease], ..Filter::default() };
        let entries = self.journal.read(&filter).await.unwrap();
        let state = |detail: &serde_json::Value| detail["state"].as_str().unwrap().to_owned();
        entries.iter().rev().map(|recorded| state(&recorded.entry.detail)).collect()
    }
}

fn word(standing: &Standing) -> &'static str {
    standing.outcome.as_ref().map_or("none", Outcome::word)
}

fn refusal(receipt: &Receipt) -> &'static str {
    match &receipt.standing.borrow().outcome {
        Some(Outcome::NotSent(note)) => note.kind,
        _ => "taken",
    }
}

fn on_paused_clock<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        crate::clock::set_unix_time(1_700_000_000.0);
        test().await;
    });
}

#[test]
fn at_the_end_of_a_lease_what_was_before_is_ordered_back() {
    on_paused_clock(|| async {
        let bench = Bench::new().await;
        sleep(SECOND).await;
        bench.order(reserve(80.0), Some(10 * MINUTE), false).await;
        sleep(9 * MINUTE).await;
        let health = &bench.board.read().health;
        assert_eq!((bench.reserve(), &health.leases[0].state), (80.0, &LeaseState::Holds));
        assert!(health.leases[0].former.reserve.unwrap().is(RawPercent(24.0)));
        sleep(5 * MINUTE).await;
        assert_eq!(bench.orders(), ["backup reserve 80 %", "backup reserve 20 %"]);
        assert_eq!(bench.leases().await, ["holds", "restored"]);
        assert!(bench.board.read().health.leases.is_empty());

        let filter = Filter { kinds: vec![Kind::Order], ..Filter::default() };
        let orders = bench.journal.read(&filter).await.unwrap();
        assert_eq!(orders[0].entry.detail["restores"], orders[1].entry.detail["order"]);
    });
}

#[test]
fn what_somebody_else_has_set_meanwhile_is_not_touched() {
    on_paused_clock(|| async {
        let bench = Bench::new().await;
        sleep(SECOND).await;
        bench.order(reserve(80.0), Some(10 * MINUTE), false).await;
        sleep(5 * MINUTE).await;
        bench.house.borrow_mut().readings.reserve = Some(AppPercent(50.0).to_raw());
        sleep(MINUTE).await;
        // Without waiting for its end.
        assert_eq!(bench.leases().await, ["holds", "superseded"]);
        sleep(60 * MINUTE).await;
        assert_eq!((bench.orders().len(), bench.reserve()), (1, 50.0));
    });
}

#[test]
fn a_house_that_ignores_it_is_ordered_five_times_within_an_hour() {
    on_paused_clock(|| async {
        let bench = Bench::new().await;
        sleep(SECOND).await;
        bench.order(reserve(80.0), Some(10 * MINUTE), false).await;
        sleep(9 * MINUTE).await;
        bench.house.borrow_mut().ignores = true;
        sleep(62 * MINUTE).await;
        assert_eq!(bench.orders()[1..], ["backup reserve 20 %"; 5]);
        assert_eq!(bench.leases().await, ["holds", "restore_failed"]);
        sleep(600 * MINUTE).await;
        assert_eq!(bench.orders().len(), 6);
    });
}

#[test]
fn a_lease_within_a_lease_restores_what_was_before_both() {
    on_paused_clock(|| async {
        let bench = Bench::new().await;
        sleep(SECOND).await;
        bench.order(reserve(80.0), Some(60 * MINUTE), false).await;
        sleep(5 * MINUTE).await;
        bench.order(reserve(50.0), Some(10 * MINUTE), false).await;
        sleep(20 * MINUTE).await;
        assert_eq!(bench.reserve(), 20.0);
        sleep(100 * MINUTE).await;
        assert_eq!(bench.orders().len(), 3);
        assert_eq!(bench.leases().await, ["holds", "superseded", "holds", "restored"]);
    });
}

#[test]
fn what_cannot_be_restored_is_not_taken() {
    on_paused_clock(|| async {
        let bench = Bench::new().await;
        sleep(SECOND).await;
        let mode = Order::Mode(crate::model::order::Mode::Backup);
        assert_eq!(refusal(&bench.order(mode, Some(10 * MINUTE), false).await), "former_unknown");
        assert_eq!(refusal(&bench.order(reserve(50.0), Some(SECOND), false).await), "out_of_range");
        let on = Order::Islanding(Islanding::OnGrid);
        assert_eq!(refusal(&bench.order(on, Some(10 * MINUTE), false).await), "no_lease");
        assert!(bench.orders().is_empty());
    });
}

#[test]
fn the_next_run_of_the_program_ends_what_the_last_one_began() {
    on_paused_clock(|| async {
        let mut bench = Bench::new().await;
        sleep(SECOND).await;
        bench.order(reserve(80.0), Some(10 * MINUTE), false).await;
        sleep(5 * MINUTE).await;
        bench.kill().await; // and away when the lease ends
        bench.house.borrow_mut().loses = true;
        sleep(20 * MINUTE).await;
        bench.start().await;
        sleep(10 * SECOND).await;
        // Its answer is lost, and the program is killed before it reads back what came of it.
        assert_eq!(bench.orders(), ["backup reserve 80 %", "backup reserve 20 %"]);
        bench.start().await;
        sleep(60 * MINUTE).await;
        assert_eq!(bench.orders().len(), 2, "nothing is ordered twice");
        assert_eq!(bench.leases().await.last().unwrap(), "restored");
    });
}

#[test]
fn an_order_that_may_have_left_is_unknown_to_the_next_run_and_read_back() {
    on_paused_clock(|| async {
        let mut bench = Bench::new().await;
        sleep(SECOND).await;
        bench.house.borrow_mut().loses = true;
        let receipt = bench.order(reserve(80.0), None, false).await;
        sleep(SECOND).await;
        assert_eq!(word(&receipt.standing.borrow()), "unknown");
        bench.start().await;
        sleep(10 * MINUTE).await;
        let filter = Filter { kinds: vec![Kind::Outcome], ..Filter::default() };
        let entries = bench.journal.read(&filter).await.unwrap();
        let outcomes: Vec<_> = entries.iter().map(|entry| entry.entry.detail["outcome"].clone()).collect();
        assert_eq!(outcomes, ["stored", "unknown", "unknown"]);
        assert!(entries[1].entry.detail["evidence"].as_str().unwrap().contains("the program ended before"));
        assert_eq!(bench.orders().len(), 1);
    });
}

#[test]
fn islanding_is_in_effect_when_the_contactor_moves_and_then_rests() {
    on_paused_clock(|| async {
        let mut bench = Bench::new().await;
        sleep(SECOND).await;
        let (off, on) = (Order::Islanding(Islanding::OffGrid), Order::Islanding(Islanding::OnGrid));
        assert_eq!(refusal(&bench.order(off.clone(), None, false).await), "needs_confirmation");
        let mut receipt = bench.order(off.clone(), None, true).await;
        let standing = receipt.wait(10 * SECOND, |standing| standing.is_final).await;
        assert_eq!(word(&standing), "in_effect");
        assert!(standing.outcome.unwrap().evidence().contains("open"));

        assert_eq!(refusal(&bench.order(off, None, true).await), "off_grid");
        let rests = bench.order(on.clone(), None, false).await;
        assert_eq!(refusal(&rests), "cool_down");
        assert!(rests.retry_after.is_some_and(|left| left > 10 * SECOND && left <= 30 * SECOND));
        // The pause outlives the program, and nothing reconnects by itself.
        bench.start().await;
        sleep(2 * SECOND).await;
        assert_eq!(refusal(&bench.order(on.clone(), None, false).await), "cool_down");
        sleep(60 * MINUTE).await;
        assert_eq!(bench.orders().len(), 1);
        assert_eq!(refusal(&bench.order(on, None, false).await), "taken");
    });
}
