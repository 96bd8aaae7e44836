//! The history of one simulated gateway: the real recorder and the real file, through gaps, restarts and
//! jumps of the wall clock. What is in the file is held against what the gateway really did.
//!
//! Real time is tokio's clock, paused; the wall clock is that plus an offset, which jumps.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use jiff::tz::TimeZone;
use powerwall_server::board::Board;
use powerwall_server::directory::{Directory, Entry};
use powerwall_server::history::record;
use powerwall_server::model::energy::{Flow, Flows};
use powerwall_server::model::{
    Adjustments, Aggregate, Answers, CounterSource, GatewayFacts, Interpretation, Meter, Meters, Number,
    NumberingMemory, Power, Reading, Readings, Site, Snapshot, Telemetry, Ttl,
};
use powerwall_server::pieces;
use powerwall_server::store::Store;
use powerwall_server::store::history::queries::energy::{Bucket, Energy, Question, Row};
use powerwall_server::store::history::{History, Keeping};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Runtime;
use tokio::task::{LocalSet, yield_now};
use tokio::time::{Instant, sleep_until};

const SEEDS: u64 = 16;
const LENGTH: f64 = 8.0 * 3600.0;
/// The wall clock at the start, at the beginning of a slot.
const START: f64 = 1_795_014_000.0;
const SLOT: f64 = 900.0;
/// Readings may lie so many polls apart before there is a gap.
const POLLS: f64 = 5.5;
/// W that no flow has.
const MOST: f64 = 6000.0;
/// Wh by which a slot may differ: power changes between two readings, and counters are read once a minute.
const CLOSE: f64 = MOST * 90.0 / 3600.0;
/// Counters are looked at this often, in seconds.
const LOOK: f64 = 60.0;
/// What a killed program has not written, and what waits for counters, in seconds.
const UNWRITTEN: f64 = 180.0;

/// What is wrong with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// Power is integrated over whatever gap there is.
    Bridges,
    /// Where a gateway does not answer, what it said last counts again.
    OldAsNew,
    /// The same is recorded by two.
    RecordsTwice,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    /// The gateway does not answer for so many seconds.
    Gap(f64),
    /// The program is killed and starts again after so many seconds.
    Restart(f64),
    /// The wall clock jumps by so many seconds.
    Jump(f64),
    /// The counters begin at another value, Wh.
    Counters(f64),
}

/// What the gateway does, and what happens; times in real seconds since the start.
#[derive(Debug)]
struct Plan {
    interval: f64,
    has_counters: bool,
    /// Since when it has which power: solar, home, battery, site; W.
    power: Vec<(f64, [f64; 4])>,
    /// In order, one at a time.
    events: Vec<(f64, Event)>,
}

impl Plan {
    fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x0815);
        let (mut power, mut at) = (Vec::new(), 0.0);
        while at < LENGTH {
            let part = |rng: &mut StdRng, least: f64| rng.random_range(least..1.0) * MOST;
            let parts =
                [part(&mut rng, 0.0), part(&mut rng, 0.0), part(&mut rng, -1.0), part(&mut rng, -1.0)];
            power.push((at, parts.map(f64::round)));
            at += rng.random_range(300.0..2400.0);
        }
        let (mut events, mut at) = (Vec::new(), rng.random_range(600.0..3600.0));
        while at < LENGTH - 3600.0 {
            let (event, lasts) = match rng.random_range(0..8) {
                0 => (Event::Gap(rng.random_range(5.0..60.0)), 60.0),
                1 | 2 => {
                    let lasts = rng.random_range(300.0..7200.0);
                    (Event::Gap(lasts), lasts)
                }
                3 | 4 => {
                    let lasts = rng.random_range(1.0..1800.0);
                    (Event::Restart(lasts), lasts)
                }
                5 | 6 => (Event::Jump(rng.random_range(-20_000.0..20_000.0)), 0.0),
                _ => (Event::Counters(if rng.random_bool(0.5) { 0.0 } else { 9e6 }), 0.0),
            };
            events.push((at, event));
            at += lasts + rng.random_range(30.0..5400.0);
        }
        let interval = [5.0, 10.0, 30.0][rng.random_range(0..3)];
        Self { interval, has_counters: rng.random_bool(0.7), power, events }
    }

    /// What really flowed, Wh.
    fn energy(&self, flow: Flow, from: f64, to: f64) -> f64 {
        let ends = self.power.iter().skip(1).map(|(end, _)| *end).chain([f64::MAX]);
        let parts = self.power.iter().zip(ends).map(|((begin, parts), end)| {
            let seconds = (to.min(end) - from.max(*begin)).max(0.0);
            flows(*parts)[flow] * seconds / 3600.0
        });
        parts.sum()
    }

    /// Whether something of `is_it` happens between two moments.
    fn has(&self, from: f64, to: f64, is_it: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|(at, event)| {
            let lasts = match event {
                Event::Gap(lasts) | Event::Restart(lasts) => *lasts,
                Event::Jump(_) | Event::Counters(_) => 0.0,
            };
            *at < to && at + lasts > from && is_it(event)
        })
    }
}

fn flows([solar, home, battery, site]: [f64; 4]) -> Flows<f64> {
    Flows([solar, home, (-battery).max(0.0), battery.max(0.0), site.max(0.0), (-site).max(0.0)])
}

/// What the gateway says.
#[derive(Clone)]
struct Said {
    power: [f64; 4],
    /// Wh
    counters: Option<Flows<f64>>,
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.power)
    }
}

impl Answers for Said {
    fn readings(&self, _: &Adjustments) -> Readings {
        let [solar, load, battery, site] = self.power.map(|watts| Some(Number::Int(watts as i64)));
        let power = Power { site, battery, load, solar };
        Readings { power, timezone: Some("America/Los_Angeles".into()), ..Readings::default() }
    }

    fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
        let meters = self.counters.map(|counters| {
            let counted =
                |flow: Flow| CounterSource::SiteMeter.counted(Some(Number::Int(counters[flow] as i64)));
            let meter = |imported, exported| Meter { imported, exported, ..Meter::default() };
            Meters {
                solar: meter(None, counted(Flow::Solar)),
                load: meter(counted(Flow::Home), None),
                battery: meter(counted(Flow::Charge), counted(Flow::Discharge)),
                site: meter(counted(Flow::Import), counted(Flow::Export)),
                generator: None,
            }
        });
        Interpretation { site: Site { meters, ..Site::default() }, ..Interpretation::default() }
    }

    fn size(&self) -> usize {
        100
    }
}

/// A gateway, and the file in which it is recorded.
struct House<'a> {
    plan: &'a Plan,
    defect: Option<Defect>,
    history: History,
    /// What of the plan has not happened.
    next: usize,
    started: Instant,
    /// Since when the wall clock is off by how much.
    offsets: Vec<(f64, f64)>,
    /// When it was read.
    read: Vec<f64>,
    /// It does not answer before.
    away_until: f64,
    /// What counters show beside what flowed since, and since when, Wh.
    counters: (f64, f64),
    said: Option<Said>,
}

impl House<'_> {
    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    fn counters(&self, now: f64) -> Option<Flows<f64>> {
        let (since, base) = self.counters;
        let shown = Flow::ALL.map(|flow| base + self.plan.energy(flow, since, now));
        self.plan.has_counters.then_some(Flows(shown))
    }

    /// Until the program is killed: for how long it is away then, or `None` at the end.
    async fn run(&mut self) -> Option<f64> {
        let facts = GatewayFacts { id: "home".into(), ..GatewayFacts::default() };
        let second = Duration::from_secs(1);
        let ttl = Ttl::new(second * 30, second * 30, second * 60, true);
        let initial = Snapshot::initial(Arc::new(facts), ttl);
        let board = Arc::new(Board::new(initial.clone()));
        let entries = vec![Arc::new(Entry::new("home", board.clone()))];
        let directory = Arc::new(Directory::new(entries, Arc::new(Board::new(Aggregate::default()))));
        let bridged = if self.defect == Some(Defect::Bridges) { 1000.0 } else { 1.0 };
        let interval = Duration::from_secs_f64(self.plan.interval * bridged);
        record(&self.history, &directory, interval);
        if self.defect == Some(Defect::RecordsTwice) {
            record(&self.history, &directory, interval);
        }
        while self.now() < LENGTH {
            let next = self.started + Duration::from_secs_f64(self.now() + self.plan.interval);
            if let Some((_, event)) = self.plan.events.get(self.next).filter(|(at, _)| *at <= self.now()) {
                self.next += 1;
                match *event {
                    Event::Gap(lasts) => self.away_until = self.now() + lasts,
                    Event::Restart(lasts) => return Some(lasts),
                    Event::Jump(by) => self.jump(by),
                    Event::Counters(base) => self.counters = (self.now(), base),
                }
            }
            self.poll(&board, &initial).await;
            sleep_until(next).await;
        }
        None
    }

    fn jump(&mut self, by: f64) {
        let off = self.offsets.last().unwrap().1;
        self.offsets.push((self.now(), off + by));
    }

    async fn poll(&mut self, board: &Board<Snapshot>, initial: &Snapshot) {
        let now = self.now();
        if now >= self.away_until {
            self.read.push(now);
            let place = self.plan.power.partition_point(|(from, _)| *from <= now) - 1;
            let power = self.plan.power[place].1;
            self.said = Some(Said { power, counters: self.counters(now) });
        } else if self.defect != Some(Defect::OldAsNew) {
            return;
        }
        let Some(said) = self.said.clone() else { return };
        let telemetry = Telemetry::new(Arc::new(said), Adjustments::default());
        let taken_at = START + now + self.offsets.last().unwrap().1;
        let mut snapshot = initial.clone();
        snapshot.reading = Some(Reading { telemetry, taken: Instant::now(), taken_at });
        board.publish(Arc::new(snapshot));
        // A look is taken on a thread of its own, for which the clock does not wait.
        yield_now().await;
        let mut looked = pin!(pieces::in_turn(|| ()));
        while looked.as_mut().now_or_never().is_none() {
            yield_now().await;
        }
        for _ in 0..4 {
            yield_now().await;
        }
    }

    async fn all(&self) -> Energy {
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        let (start, end) = (START - 200_000.0, START + LENGTH + 200_000.0);
        let bucket = Bucket::Slot;
        let question = Question { gateway: "home".into(), zone, start, end, bucket, now: end };
        self.history.ask(move |connection| question.answer(connection)).await.unwrap()
    }

    /// The real times at which the wall clock showed a time of a slot.
    fn times(&self, slot: f64) -> Vec<(f64, f64)> {
        let ends = self.offsets.iter().skip(1).map(|(end, _)| *end).chain([LENGTH + SLOT]);
        let spans = self.offsets.iter().zip(ends).map(|((begin, off), end)| {
            let from = slot - START - off;
            (from.max(*begin), (from + SLOT).min(end))
        });
        spans.filter(|(from, to)| from < to).collect()
    }

    /// Of what really flowed between two moments, what was read, Wh, and for how long, in seconds.
    fn covered(&self, flow: Flow, from: f64, to: f64) -> (f64, f64) {
        let pairs = self.read.windows(2).filter(|pair| pair[1] - pair[0] <= self.plan.interval * POLLS + 0.1);
        let spans = pairs.map(|pair| (pair[0].max(from), pair[1].min(to))).filter(|(from, to)| from < to);
        spans.fold((0.0, 0.0), |(energy, seconds), (from, to)| {
            (energy + self.plan.energy(flow, from, to), seconds + to - from)
        })
    }

    /// What is wrong with a slot.
    fn judge(&self, row: &Row, flow: Flow) -> Result<(), String> {
        let Some(energy) = row.sum.energy[flow] else { return Ok(()) };
        let times = self.times(row.start);
        let covered = times.iter().map(|(from, to)| self.covered(flow, *from, *to));
        let (most, seconds) = covered.fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
        let slot = (row.start - START) / SLOT;
        let of = format!("slot {slot}, {flow:?}: {energy:.0} Wh");
        if energy < 0.0 {
            return Err(format!("{of}, which is negative"));
        }
        // What counters have counted since the last look at them is of the time by the clock as it is then.
        let jumps = self.offsets.len() > 1;
        let room = self.plan.interval * POLLS + if jumps { LOOK } else { 0.0 };
        if row.sum.seconds[flow] > seconds + room {
            let claimed = row.sum.seconds[flow];
            return Err(format!("{of} over {claimed:.0} s, and only {seconds:.0} s were measured"));
        }
        match energy > most + CLOSE {
            true => Err(format!("{of}, and only {most:.0} Wh of the slot were measured or counted")),
            false => Ok(()),
        }
    }

    /// Whether a slot has all that there was to measure; `row`: what is known of it.
    fn is_whole(&self, slot: f64, row: Option<&Row>, flow: Flow) -> Result<(), String> {
        let real = self.times(slot);
        let [(from, to)] = real[..] else { return Ok(()) };
        let is_odd = |event: &Event| !matches!(event, Event::Gap(lasts) if *lasts < self.plan.interval * 3.0);
        let margin = UNWRITTEN.max(self.plan.interval * POLLS * 2.0);
        let is_undisturbed = to - from >= SLOT && !self.plan.has(from - margin, to + margin, is_odd);
        if !is_undisturbed || to + margin > LENGTH || from < margin {
            return Ok(());
        }
        let known = row.and_then(|row| row.sum.energy[flow]).unwrap_or(f64::NAN);
        let flowed = self.plan.energy(flow, from, to);
        match (known - flowed).abs() <= CLOSE {
            true => Ok(()),
            false => Err(format!("slot {}, {flow:?}: {known:.0} Wh of {flowed:.0}", (slot - START) / SLOT)),
        }
    }

    fn judge_all(&self, found: &Energy) -> Vec<String> {
        let mut wrong = Vec::new();
        for flow in Flow::ALL {
            wrong.extend(found.rows.iter().filter_map(|row| self.judge(row, flow).err()));
            for number in 0..(LENGTH / SLOT) as i64 {
                let slot = START + number as f64 * SLOT;
                let row = found.rows.iter().find(|row| row.start == slot);
                wrong.extend(self.is_whole(slot, row, flow).err());
            }
            let slots: f64 = found.rows.iter().filter_map(|row| row.sum.energy[flow]).sum();
            let recovered: f64 = found.recovered.iter().filter_map(|interval| interval.energy[flow]).sum();
            let all = self.plan.energy(flow, 0.0, LENGTH);
            if slots + recovered > all * 1.01 + CLOSE {
                wrong.push(format!("{flow:?}: {slots:.0} and {recovered:.0} Wh of {all:.0} Wh that flowed"));
            }
        }
        for interval in &found.recovered {
            let is_backwards = interval.start >= interval.end;
            if is_backwards || interval.energy.0.iter().flatten().any(|energy| *energy < 0.0) {
                wrong.push(format!("no interval that could be recovered: {interval:?}"));
            }
            if !self.plan.has_counters {
                wrong.push(format!("recovered without counters: {interval:?}"));
            }
        }
        wrong
    }
}

/// Lives through a seed: what is wrong, and how many slots and recovered intervals there are.
fn live(seed: u64, defect: Option<Defect>, folder: &Path) -> (Vec<String>, [usize; 2]) {
    let plan = Plan::of(seed);
    let runtime: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let path = folder.join("history.db");
    let store = Store::open(path.clone()).unwrap();
    let history = History::kept_in(&path, &store, &Keeping::default()).unwrap();
    let started = runtime.block_on(async { Instant::now() });
    let offsets = vec![(0.0, 0.0)];
    let (read, next, counters) = (Vec::new(), 0, (0.0, 50_000.0));
    let mut house = House {
        plan: &plan,
        defect,
        history,
        next,
        started,
        offsets,
        read,
        away_until: 0.0,
        counters,
        said: None,
    };
    // Whatever runs in the set dies with it, as it does when the program is killed.
    while let Some(away) = LocalSet::new().block_on(&runtime, house.run()) {
        runtime.block_on(async { tokio::time::sleep(Duration::from_secs_f64(away)).await });
    }
    let found = runtime.block_on(house.all());
    let mut wrong = house.judge_all(&found);
    if !wrong.is_empty() {
        wrong.push(format!("HISTORY_SEED={seed}: {plan:#?}"));
    }
    (wrong, [found.rows.len(), found.recovered.len()])
}

#[test]
fn no_slot_holds_energy_that_was_not_measured_or_counted() {
    let seeds = match crate::setting("HISTORY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..crate::setting("HISTORY_SEEDS").unwrap_or(SEEDS),
    };
    let is_whole_run = seeds.end - seeds.start >= SEEDS;
    let (wrong, seen) = (Mutex::new(Vec::new()), Mutex::new([0; 2]));
    crate::on_all_cores(seeds, |seed| {
        let folder = tempfile::tempdir().unwrap();
        let (found, [slots, recovered]) = live(seed, None, folder.path());
        let mut seen = seen.lock().unwrap();
        *seen = [seen[0] + slots, seen[1] + recovered];
        wrong.lock().unwrap().extend(found);
        ControlFlow::Continue(())
    });
    let (wrong, seen) = (wrong.into_inner().unwrap(), seen.into_inner().unwrap());
    println!("slots, recovered intervals: {seen:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!is_whole_run || seen[0] > 200 && seen[1] > 5, "{seen:?}");
}

#[test]
fn defects_of_the_history_are_reported() {
    let all = [
        (Defect::Bridges, "were measured"),
        (Defect::OldAsNew, "were measured"),
        (Defect::RecordsTwice, "that flowed"),
    ];
    for (defect, words) in all {
        let found = (0..SEEDS).any(|seed| {
            let folder = tempfile::tempdir().unwrap();
            let (wrong, _) = live(seed, Some(defect), folder.path());
            wrong.iter().any(|what| what.contains(words))
        });
        assert!(found, "{defect:?}");
    }
}
