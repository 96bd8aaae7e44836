use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::inventory::Inventory;
use super::*;
use crate::model::{
    Adjustments, Answers, Began, Charge, ErrorNote, GatewayFacts, GridStatus, Interpretation, Labels, Number,
    NumberingMemory, Place, Power, RawPercent, Reading, Readings, Site, Snapshot, Telemetry, Ttl, Unit,
    UnitKind,
};

const SECOND: Duration = Duration::from_secs(1);
const NOW: f64 = 1_000_000.0;

/// What one site of the tests reports.
#[derive(Clone, Debug, Default)]
struct Reported {
    solar: Option<i64>,
    percent: Option<f64>,
    full: Option<f64>,
    reserve: Option<f64>,
    grid: Option<GridStatus>,
    firmware: Option<String>,
    alerts: Vec<String>,
    units: Option<Vec<UnitKind>>,
}

impl Answers for Reported {
    fn size(&self) -> usize {
        0
    }

    fn readings(&self, _: &Adjustments) -> Readings {
        Readings {
            power: Power { solar: self.solar.map(Number::Int), ..Power::default() },
            charge: Charge {
                full_pack: self.full.map(Number::Float),
                reported: self.percent.map(RawPercent),
                ..Charge::default()
            },
            grid: self.grid,
            reserve: self.reserve.map(RawPercent),
            firmware: self.firmware.clone(),
            ..Readings::default()
        }
    }

    fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
        let unit = |kind: &UnitKind| Unit { kind: *kind, ..Unit::default() };
        let units = self.units.as_ref().map(|kinds| kinds.iter().map(unit).collect());
        let site = Site { alerts: Some(self.alerts.clone()), units, ..Site::default() };
        Interpretation { site, ..Interpretation::default() }
    }
}

/// Always the same.
fn at() -> Moment {
    static NOW_HERE: LazyLock<Instant> = LazyLock::new(Instant::now);
    // Ages lie before it, which is far enough from the start of the clock.
    Moment { now: *NOW_HERE + 10_000 * SECOND, unix: NOW }
}

/// `age`: seconds since its last reading; `error`: why it failed since, of what kind.
fn snapshot(id: &str, reported: &Reported, age: Option<u32>, error: Option<&'static str>) -> Snapshot {
    let at = at();
    let facts = GatewayFacts { id: id.into(), name: format!("The {id}"), ..GatewayFacts::default() };
    let mut snapshot = Snapshot::initial(Arc::new(facts), Ttl { stale: 30 * SECOND, live: 30 * SECOND });
    let telemetry = Telemetry::new(Arc::new(reported.clone()), Adjustments::default());
    snapshot.reading =
        age.map(|age| Reading { telemetry, taken: at.now - SECOND * age, taken_at: NOW - f64::from(age) });
    snapshot.health.polls = 1;
    if let Some(kind) = error {
        let note = ErrorNote { kind, message: "it does not answer".into() };
        snapshot.health.count_failure(note, at.now - 60 * SECOND);
    }
    snapshot
}

fn well() -> Reported {
    Reported {
        solar: Some(1_000),
        percent: Some(80.0),
        full: Some(13_500.0),
        grid: Some(GridStatus::Up),
        firmware: Some("25.10.1 3f7cb6de".into()),
        ..Reported::default()
    }
}

fn with_facts(mut snapshot: Snapshot, change: impl FnOnce(&mut GatewayFacts)) -> Snapshot {
    change(Arc::make_mut(&mut snapshot.gateway));
    snapshot
}

fn ids(selected: &Selected) -> Vec<&str> {
    selected.rows.iter().map(|row| row.facts.id.as_str()).collect()
}

#[test]
fn the_worst_comes_first_and_says_what_it_is() {
    let sites = [
        snapshot("well", &well(), Some(1), None),
        snapshot("old", &Reported { firmware: Some("23.44.0 a".into()), ..well() }, Some(1), None),
        snapshot("low", &Reported { percent: Some(10.0), ..well() }, Some(1), None),
        snapshot("alert", &Reported { alerts: vec!["BatteryFault".into()], ..well() }, Some(1), None),
        snapshot("busy", &Reported { alerts: vec!["HighCPU".into()], ..well() }, Some(1), None),
        snapshot("dark", &Reported { grid: Some(GridStatus::Down), ..well() }, Some(1), None),
        snapshot("gone", &well(), Some(600), Some("timeout")),
        snapshot("stale", &well(), Some(20), Some("timeout")),
    ];
    let roll = Roll::of(sites.iter(), at(), None);
    let selected = roll.select(&Asked::default());
    assert_eq!(ids(&selected), ["gone", "dark", "alert", "low", "old", "busy", "stale", "well"]);
    let gone = &selected.rows[0];
    assert_eq!((gone.troubles.len(), gone.troubles[0].since), (1, Some(NOW - 60.0)), "{gone:?}");
    assert_eq!(gone.troubles[0].words, "It does not answer");
    assert_eq!((gone.charge, gone.solar), (None, None), "nothing of it may be shown");
    assert_eq!((gone.firmware.as_deref(), gone.capacity), (Some("25.10.1 3f7cb6de"), Some(13_500.0)));
    assert_eq!(selected.sums.solar, sums::Sum { sum: Some(7_000.0), of: 7 });
    assert_eq!(selected.sums.capacity, sums::Sum { sum: Some(7.0 * 13_500.0), of: 7 });
    assert_eq!((selected.sums.sites, selected.sums.reporting), (8, 7));
    assert_eq!(selected.troubles, [1, 1, 1, 1, 1]);

    let outage = Asked { trouble: Some(TroubleKind::Outage), ..Asked::default() };
    let selected = roll.select(&outage);
    assert_eq!((ids(&selected), selected.matching), (vec!["dark"], 1));
    assert_eq!(selected.troubles, [1, 1, 1, 1, 1], "what the other filters would show");
}

#[test]
fn what_was_not_polled_yet_is_not_offline_and_sums_to_nothing() {
    let mut new = snapshot("new", &well(), None, None);
    new.health.polls = 0;
    let roll = Roll::of([&new].into_iter(), at(), None);
    let selected = roll.select(&Asked::default());
    assert!(selected.rows[0].troubles.is_empty());
    assert_eq!(selected.sums.solar, sums::Sum { sum: None, of: 0 });
    assert_eq!(selected.sums.charge, None);
}

#[test]
fn a_charge_is_low_below_a_fifth_and_below_the_reserve() {
    let low = |percent, reserve| {
        let reported = Reported { percent: Some(percent), reserve, ..well() };
        let snapshot = snapshot("a", &reported, Some(1), None);
        Row::of(&snapshot, at(), None).has(TroubleKind::LowCharge)
    };
    assert!(low(23.9, None), "19.9 of the app");
    assert!(!low(24.1, None));
    assert!(low(50.0, Some(81.0)), "47 of the app, with a reserve of 80");
    assert!(!low(80.5, Some(81.0)), "less than a percent below");
}

#[test]
fn a_rare_firmware_makes_no_other_old() {
    let site = |id: usize, firmware: &str| {
        snapshot(&format!("s{id}"), &Reported { firmware: Some(firmware.into()), ..well() }, Some(1), None)
    };
    let mut sites: Vec<Snapshot> = (0..40).map(|id| site(id, "25.10.1 a")).collect();
    sites.push(site(40, "26.1.0 b"));
    let roll = Roll::of(sites.iter(), at(), None);
    assert_eq!(roll.newest_firmware(), Some("25.10.1 a"));
    assert_eq!(roll.select(&Asked::default()).troubles, [0; 5]);
    sites.extend((41..44).map(|id| site(id, "26.1.0 b")));
    let roll = Roll::of(sites.iter(), at(), None);
    assert_eq!(roll.newest_firmware(), Some("26.1.0 b"));
    assert_eq!(roll.select(&Asked::default()).troubles, [0, 0, 0, 0, 40]);
}

#[test]
fn what_did_not_change_is_not_worked_out_again() {
    let site = |id: usize, firmware: &str| {
        snapshot(&format!("s{id}"), &Reported { firmware: Some(firmware.into()), ..well() }, Some(1), None)
    };
    let mut sites: Vec<Snapshot> = (0..30).map(|id| site(id, "25.10.1")).collect();
    let first = Roll::of(sites.iter(), at(), None);
    let later = |seconds: u32| {
        let Moment { now, unix } = at();
        Moment { now: now + SECOND * seconds, unix: unix + f64::from(seconds) }
    };
    let kept = |one: &Roll, other: &Roll| {
        let known = |row: &&Arc<Row>| one.rows.iter().any(|before| Arc::ptr_eq(before, row));
        other.rows.iter().filter(known).count()
    };
    let second = Roll::of(sites.iter(), later(2), Some(&first));
    assert_eq!(kept(&first, &second), 30);

    // One reports anew, one is gone, two come with what makes all others old.
    sites[5].sequence += 1;
    sites.remove(0);
    let third = Roll::of(sites.iter(), later(4), Some(&second));
    assert_eq!(kept(&second, &third), 28);
    sites.extend([site(90, "26.1.0"), site(91, "26.1.0")]);
    let fourth = Roll::of(sites.iter(), later(5), Some(&third));
    assert_eq!(fourth.select(&Asked::default()).troubles, [0, 0, 0, 0, 29]);
    let fifth = Roll::of(sites.iter(), later(6), Some(&fourth));
    assert_eq!(kept(&fourth, &fifth), 31);
    sites.truncate(29);
    let sixth = Roll::of(sites.iter(), later(7), Some(&fifth));
    assert_eq!(sixth.select(&Asked::default()).troubles, [0; 5]);

    // Nobody reports for long.
    let last = Roll::of(sites.iter(), later(600), Some(&sixth));
    assert_eq!((kept(&sixth, &last), last.select(&Asked::default()).troubles), (0, [29, 0, 0, 0, 0]));
}

#[test]
fn since_when_it_fails_is_said_once() {
    let mut gone = snapshot("gone", &well(), Some(600), Some("timeout"));
    let since = |roll: &Roll| roll.rows[0].since();
    let first = Roll::of([&gone].into_iter(), at(), None);
    gone.sequence += 1;
    let Moment { now, unix } = at();
    let at = Moment { now: now + 5 * SECOND, unix: unix + 5.4 };
    let second = Roll::of([&gone].into_iter(), at, Some(&first));
    assert_eq!((since(&first), since(&second)), (Some(NOW - 60.0), Some(NOW - 60.0)));
}

#[test]
fn what_began_is_said_of_what_is_still_the_matter() {
    let began = Began { cut_off: Some(NOW - 300.0), alert: Some(NOW - 200.0) };
    let reported = Reported { grid: Some(GridStatus::Down), alerts: vec!["BatteryFault".into()], ..well() };
    let (dark, lit) = (snapshot("dark", &reported, Some(1), None), snapshot("lit", &well(), Some(1), None));
    let unseen = Roll::of([&dark, &lit].into_iter(), at(), None);
    assert_eq!(unseen.rows[0].since(), None, "nobody saw it begin");
    let seen = [&dark, &lit].map(|snapshot| Seen { snapshot, began });
    let roll = Roll::of(seen.into_iter(), at(), Some(&unseen));
    let since: Vec<_> = roll.rows[0].troubles.iter().map(|trouble| trouble.since).collect();
    assert_eq!(since, [began.cut_off, began.alert]);
    assert!(roll.rows[1].troubles.is_empty(), "the observer is a moment behind");
}

#[test]
fn an_inventory_counts_what_each_site_reported_last() {
    let site = |id: &str, age: u32, firmware: Option<&str>, units: Option<&[UnitKind]>| {
        let firmware = firmware.map(str::to_owned);
        let reported = Reported { firmware, units: units.map(<[_]>::to_vec), ..well() };
        snapshot(id, &reported, Some(age), None)
    };
    let leader = [UnitKind::Powerwall3, UnitKind::Follower, UnitKind::Expansion];
    let sites = [
        site("a", 1, Some("25.9.1 a"), Some(&leader)),
        site("b", 1, Some("25.10.1 b"), Some(&[UnitKind::Powerwall2])),
        site("gone", 9_000, Some("25.10.1 b"), Some(&[UnitKind::Unknown])),
        site("odd", 1, Some("beta"), None),
        site("mute", 1, None, Some(&[])),
        snapshot("never", &well(), None, None),
    ];
    let roll = Roll::of(sites.iter(), at(), None);
    let inventory = Inventory::of(roll.matching(&Asked::default()).map(|row| &**row));
    let firmware: Vec<_> =
        inventory.firmware.iter().map(|one| (one.version.as_deref(), one.sites, one.is_old)).collect();
    let expected = [
        (Some("25.10.1 b"), 2, false),
        (Some("25.9.1 a"), 1, true),
        (Some("beta"), 1, false),
        (None, 2, false),
    ];
    assert_eq!(firmware, expected);
    assert_eq!((inventory.sites, inventory.capacity.of), (6, 5), "of the one that is gone, too");
    let models: Vec<_> = inventory.batteries.each().map(|(model, count)| (model.name(), count)).collect();
    let expected =
        [("Powerwall 2", 1), ("Powerwall 3", 2), ("Powerwall 3 expansion", 1)].map(|(n, c)| (Some(n), c));
    assert_eq!(models, [&expected[..], &[(None, 1)]].concat());
    let batteries = |place: usize| roll.rows[place].batteries.map(|all| all.count());
    assert_eq!([0, 3, 4].map(batteries), [Some(2), None, Some(0)]);
}

#[test]
fn it_is_found_by_whatever_it_is_called_and_wears() {
    let place = Place { site: "north.17".into(), gateway: "home".into() };
    let lake = with_facts(snapshot("lake", &well(), Some(1), None), |facts| {
        facts.labels = Labels { tags: vec!["rental".into(), "vip".into()], group: Some("Harbour".into()) };
        facts.place = Some(place);
    });
    let barn = snapshot("barn", &well(), Some(1), None);
    let roll = Roll::of([&lake, &barn].into_iter(), at(), None);
    let found = |asked: Asked| roll.select(&asked).matching;
    let search = |text: &str| found(Asked::default().searching(text));
    for text in ["lake", "THE la", "harbour vip", "north.17", "3f7cb6de rental"] {
        assert_eq!(search(text), 1, "{text}");
    }
    assert_eq!((search("the 3F7C"), search("lake barn"), search("")), (2, 0, 2));
    let tagged = |tags: &[&str]| {
        found(Asked { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..Asked::default() })
    };
    assert_eq!((tagged(&["vip"]), tagged(&["vip", "rental"]), tagged(&["vi"])), (1, 1, 0));
    let grouped = |group: &str| found(Asked { group: Some(group.to_owned()), ..Asked::default() });
    assert_eq!((grouped("Harbour"), grouped(""), grouped("Hills")), (1, 1, 0));
    assert_eq!(roll.tags(), [("rental".to_owned(), 1), ("vip".to_owned(), 1)]);
}

#[test]
fn a_page_knows_as_harmless_what_the_console_does_not_warn_of() {
    let script = include_str!("../../../static/panels/sentences.js");
    let known = script.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(": [\"")?;
        Some((name, rest.split('"').next()?))
    });
    let harmless: BTreeSet<&str> =
        known.filter(|(_, kind)| ["info", "notice"].contains(kind)).map(|(name, _)| name).collect();
    assert_eq!(harmless, row::HARMLESS.into_iter().collect());
}

fn site() -> impl Strategy<Value = (Reported, Option<u32>, bool, u8)> {
    let reported = (
        proptest::option::of(0..9_000_i64),
        proptest::option::of(0.0..100.0_f64),
        proptest::option::of(1.0..40_000.0_f64),
        proptest::sample::select(vec![None, Some(GridStatus::Up), Some(GridStatus::Down)]),
        proptest::sample::select(vec![None, Some("23.4"), Some("25.10.1 x"), Some("none")]),
    );
    let reported = reported.prop_map(|(solar, percent, full, grid, firmware)| Reported {
        solar,
        percent,
        full,
        grid,
        firmware: firmware.map(str::to_owned),
        ..Reported::default()
    });
    (reported, proptest::option::of(0..100_u32), any::<bool>(), 0..4_u8)
}

proptest! {
    #[test]
    fn pages_have_every_site_once_and_groups_add_up(
        sites in proptest::collection::vec(site(), 0..40),
        limit in 1..15_usize,
        sort in proptest::sample::select(Sort::ALL.to_vec()),
    ) {
        let sites: Vec<Snapshot> = sites.iter().enumerate().map(|(number, (reported, age, fails, group))| {
            let error = fails.then_some("timeout");
            let snapshot = snapshot(&format!("s{number}"), reported, *age, error);
            with_facts(snapshot, |facts| {
                facts.labels.group = (*group > 0).then(|| format!("g{group}"));
            })
        }).collect();
        let roll = Roll::of(sites.iter(), at(), None);
        let mut all = Vec::new();
        for offset in (0..=sites.len()).step_by(limit) {
            let selected = roll.select(&Asked { sort, limit, offset, ..Asked::default() });
            prop_assert_eq!(selected.matching, sites.len());
            all.extend(selected.rows);
        }
        let ids: BTreeSet<&str> = all.iter().map(|row| row.facts.id.as_str()).collect();
        prop_assert_eq!((ids.len(), all.len()), (sites.len(), sites.len()));
        if sort == Sort::Worst {
            let rank = |row: &Row| row.troubles.first().map_or(usize::MAX, |trouble| trouble.kind as usize);
            prop_assert!(all.is_sorted_by_key(|row| rank(row)));
        }
        let sums = roll.select(&Asked::default()).sums;
        let groups = roll.groups(&Asked::default());
        let solar: f64 = groups.iter().filter_map(|(_, sums)| sums.solar.sum).sum();
        prop_assert!((solar - sums.solar.sum.unwrap_or_default()).abs() < 1e-6);
        prop_assert_eq!(groups.iter().map(|(_, sums)| sums.solar.of).sum::<usize>(), sums.solar.of);
        prop_assert_eq!(sums.solar.sum.is_none(), sums.solar.of == 0);
        prop_assert!(sums.charge.is_none_or(|charge| (0.0..=100.0).contains(&charge)));
    }
}
