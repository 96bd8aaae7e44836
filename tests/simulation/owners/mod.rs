//! Programs that share one account of the owners API and its file of tokens: over it alone, behind a local
//! link, before one; beside gateways that have nothing to do with it. Any of them may be killed between any
//! two steps, pypowerwall uses the same file, and what Tesla answers follows from a seed.
//!
//! *Always*: a refresh token is posted once, unless Tesla said that it goes on or it never left; nothing is
//! asked with tokens that are refused until the pause is over or there are others, and they are not renewed;
//! a renewal follows the end of an access token and nothing else; new tokens are on the disk before they are
//! used; no gateway shows another one; one without a link to Tesla notices nothing. *Eventually*: whoever can
//! be shown is.

mod defects;
mod links;
mod plan;
mod program;
mod tesla;
mod witness;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use powerwall_server::clock::set_unix_time;
use powerwall_server::directory::Directory;
use powerwall_server::model::Freshness;
use tokio::time::{Instant, sleep_until};

use defects::OwnersDefect;
use plan::{Event, Plan, Reach, Trouble};
use program::Program;
use tesla::Tesla;

use crate::options::SECOND;

const SEEDS: u64 = 40;
/// After so long without trouble, every site is shown that may be asked for.
const WELL: Duration = Duration::from_secs(1500);
/// A link to a gateway at home needs no longer.
const WELL_AT_HOME: Duration = Duration::from_secs(900);
/// A gateway that nothing was wrong with for this long is live.
const UNDISTURBED: Duration = Duration::from_secs(180);

/// What came of a seed.
struct Outcome {
    seed: u64,
    plan: String,
    violations: Vec<String>,
    seen: BTreeMap<&'static str, u64>,
    trace: BTreeMap<String, u64>,
}

/// What a program shows, and since when it runs.
struct Shown {
    directory: Arc<Mutex<Arc<Directory>>>,
    last: Option<Arc<Directory>>,
    since: Instant,
}

impl Shown {
    /// Once a minute: nothing of another site, and everything that there may be.
    fn look(&mut self, tesla: &Tesla, interval: Duration) {
        let (now, directory) = (Instant::now(), self.directory.lock().unwrap().clone());
        if self.last.as_ref().is_none_or(|last| !Arc::ptr_eq(last, &directory)) {
            (self.last, self.since) = (Some(directory.clone()), now);
        }
        for (site, entry) in directory.entries().iter().enumerate() {
            let snapshot = entry.board.read();
            let shown = snapshot.reading.as_ref().and_then(|reading| reading.telemetry.readings.din.clone());
            let is_live = matches!(snapshot.freshness(now), Freshness::Live);
            let home = now.saturating_duration_since(self.since.max(tesla.local(site).1.up_since()));
            let mut state = tesla.state();
            let witness = &mut state.witness;
            witness.count(if is_live { "live" } else { "not live" });
            if shown.is_some_and(|din| din != tesla.din(site)) {
                witness.violated(format!("gateway {site} shows another one"));
            }
            let reach = tesla.reach(site);
            if reach == Reach::Local && home > UNDISTURBED && !is_live {
                witness.violated(format!("gateway {site} has nothing to do with Tesla, and is disturbed"));
            }
            let cloud = now.saturating_duration_since(self.since.max(witness.well_since));
            let by_cloud = reach != Reach::Local && cloud > WELL + interval * 3;
            let well = by_cloud || reach != Reach::Cloud && home > WELL_AT_HOME;
            if !is_live && well {
                let error = snapshot.health.last_error.as_ref().map(|note| note.message.clone());
                witness.violated(format!("gateway {site} is well for {cloud:?} and not live: {error:?}"));
            }
        }
    }
}

/// Lets events happen, and looks at what is shown.
async fn watch(plan: &Plan, tesla: &Tesla, mut programs: Vec<Shown>) {
    let started = Instant::now();
    let mut events = plan.events.iter().peekable();
    let mut next_look = started + 60 * SECOND;
    while started.elapsed() < plan.length && !tesla.state().witness.is_violated() {
        match events.peek() {
            Some((at, event)) if started + *at < next_look => {
                sleep_until(started + *at).await;
                tesla.state().witness.note(format!("{event:?}"));
                tesla.happens(event);
                events.next();
            }
            _ => {
                sleep_until(next_look).await;
                if !tesla.file_is_good() {
                    tesla.state().witness.is_well_from(Instant::now());
                }
                programs.iter_mut().for_each(|shown| shown.look(tesla, plan.interval));
                next_look += 60 * SECOND;
            }
        }
    }
}

async fn inhabit(plan: Plan, folder: &Path, defect: Option<OwnersDefect>) -> Outcome {
    set_unix_time(plan.starts);
    let tesla = Arc::new(Tesla::new(&plan, folder));
    let mut programs: Vec<_> =
        (0..plan.programs).map(|number| Program::new(number, &plan, &tesla, defect)).collect();
    let shown =
        |program: &Program| Shown { directory: program.directory(), last: None, since: Instant::now() };
    let shown = programs.iter().map(shown).collect();
    let mut watching = pin!(watch(&plan, &tesla, shown));
    poll_fn(|context| {
        let is_over = watching.as_mut().poll(context).is_ready();
        programs.iter_mut().for_each(|program| program.poll(context));
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    drop(programs);
    let witness = &tesla.state().witness;
    let (violations, seen, trace) = (witness.violations(), witness.seen(), witness.trace());
    Outcome { seed: plan.seed, plan: plan.to_string(), violations, seen, trace }
}

fn live(plan: Plan, defect: Option<OwnersDefect>) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let outcome = runtime.block_on(inhabit(plan, folder.path(), defect));
    runtime.shutdown_background();
    outcome
}

#[test]
fn tokens_of_the_owners_api_are_safe_whatever_goes_wrong() {
    let seeds = match crate::setting("OWNERS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..crate::setting("OWNERS_SEEDS").unwrap_or(SEEDS),
    };
    let is_whole = seeds.end - seeds.start >= SEEDS;
    let (failed, seen) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    crate::on_all_cores(seeds, |seed| {
        let outcome = live(Plan::of(seed), None);
        let mut seen = seen.lock().unwrap();
        for (what, count) in &outcome.seen {
            *seen.entry(*what).or_insert(0) += count;
        }
        if !outcome.violations.is_empty() {
            failed.lock().unwrap().push(outcome);
        }
        ControlFlow::Continue(())
    });
    let (failed, seen) = (failed.into_inner().unwrap(), seen.into_inner().unwrap());
    println!("seen: {seen:?}");
    if let Some(first) = failed.first() {
        let seeds: Vec<_> = failed.iter().map(|outcome| (outcome.seed, &outcome.violations[0])).collect();
        let seed = first.seed;
        panic!("{seeds:#?}\nOWNERS_SEED={seed}\n{}\n{}", first.plan, first.violations.join("\n"));
    }
    if is_whole {
        let kinds = [
            "asked",
            "renewed",
            "401",
            "403",
            "answer lost",
            "unsent",
            "others renewed",
            "killed",
            "killed at a step",
            "killed while it renewed",
            "kept its refresh token",
            "posted again, as Tesla allows",
            "live",
            "not live",
        ];
        for kind in kinds {
            assert!(seen.get(kind).is_some_and(|count| *count > 2), "{kind} was hardly seen: {seen:?}");
        }
    }
}

#[test]
fn every_defect_in_dealing_with_the_owners_api_is_reported() {
    for (defect, words, first) in defects::ALL {
        let found = Mutex::new(Vec::new());
        let is_found = || found.lock().unwrap().iter().any(|what: &String| what.contains(words));
        crate::on_all_cores(first..first + SEEDS, |seed| {
            found.lock().unwrap().extend(live(Plan::of(seed), Some(defect)).violations);
            if is_found() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(is_found(), "{defect:?}: {:#?}", found.into_inner().unwrap());
    }
}

#[test]
fn the_owners_api_has_the_same_trace_each_time() {
    // Two programs compete for the locks of files, which are real ones.
    let alone = |seed: &u64| Plan::of(*seed).programs == 1;
    let short = |seed| Plan { length: Duration::from_secs(3600), ..Plan::of(seed).steady() };
    for seed in (0..SEEDS).filter(alone).take(3) {
        let (first, second) = (live(short(seed), None), live(short(seed), None));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_ne!(first.trace, live(short(seed + 1000), None).trace);
    }
}

/// One program, one site over the cloud alone and one beside it, and these events.
fn quiet(events: Vec<(u64, Event)>) -> Plan {
    let events = events.into_iter().map(|(at, event)| (Duration::from_secs(at), event)).collect();
    let sites = vec![Reach::Cloud, Reach::Local];
    let life = Duration::from_secs(1800);
    Plan { sites, life, programs: 1, events, length: Duration::from_secs(5400), ..Plan::of(1) }
}

#[test]
fn ten_minutes_without_tesla_cost_no_token_and_end_by_themselves() {
    // In the middle of them the access token comes to its end.
    let away = Event::Trouble(Trouble::Unreachable, Duration::from_secs(600));
    let outcome = live(quiet(vec![(1500, away)]), None);
    assert_eq!(outcome.violations, [""; 0]);
    let seen = |what: &str| outcome.seen.get(what).copied().unwrap_or(0);
    assert!((2..=3).contains(&seen("renewed")), "{:?}", outcome.seen);
    // Ten minutes, and one or two to notice each of the two changes.
    assert!(seen("not live") <= 14, "{:?}", outcome.seen);
}

#[test]
fn a_clock_that_is_an_hour_back_sends_no_token_twice_and_hides_nothing() {
    let back = |is_back| Event::ClockBack(is_back);
    let events =
        vec![(300, back(true)), (900, Event::Killed(0)), (4200, back(false)), (4800, Event::Killed(0))];
    let outcome = live(quiet(events), None);
    assert_eq!(outcome.violations, [""; 0]);
    let seen = |what: &str| outcome.seen.get(what).copied().unwrap_or(0);
    assert!((2..=4).contains(&seen("renewed")), "{:?}", outcome.seen);
    assert!(seen("not live") <= 8, "{:?}", outcome.seen);
}
