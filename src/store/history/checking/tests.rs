use super::*;
use crate::model::energy::ledger::Recovered;
use crate::store::history::batch::{Added, Batch, Sample};

/// 2026-11-25 10:00 in Berlin.
const TEN: i64 = 1_795_597_200;
const NOW: f64 = (TEN + 86_400) as f64;

/// A file with two slots, a gap, another slot, and an interval that was recovered in it.
fn file(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("history.db");
    let mut file = Connection::open(&path).unwrap();
    schema::migrate(&mut file, 0).unwrap();
    let mut added = Added { zone: TimeZone::get("Europe/Berlin").ok(), ..Added::default() };
    for slot in [TEN, TEN + SLOT, TEN + 10 * SLOT] {
        let mut sum = Sum::default();
        Flow::ALL.iter().for_each(|flow| sum.add(*flow, 100.0, 900.0, Source::Counted));
        added.slots.insert(slot, sum);
    }
    let (from, to) = ((TEN + 2 * SLOT) as f64, (TEN + 10 * SLOT) as f64);
    added.intervals.push(Recovered { flow: Flow::Home, from, to, energy: 700.0 });
    added.samples.push(Sample { at: TEN as f64, power: Flows([Some(1.0); 6]), soe: None });
    let change = file.transaction().unwrap();
    let added = [("home".to_owned(), added)].into();
    Batch { run: 1, number: 1, added }.write(&change, NOW, &Default::default()).unwrap();
    change.commit().unwrap();
    path
}

/// What is said of the file after this was done to it.
fn flaws(change: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path());
    Connection::open(&path).unwrap().execute_batch(change).unwrap();
    check(&path, NOW).unwrap().flaws.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_file_has_gaps_and_no_flaws() {
    let folder = tempfile::tempdir().unwrap();
    let findings = check(&file(folder.path()), NOW).unwrap();
    assert_eq!(findings.flaws, []);
    let [home] = &findings.gateways[..] else { panic!("{findings:?}") };
    assert_eq!((home.slots, home.days, home.zone.as_str()), (3, 1, "Europe/Berlin"));
    assert_eq!(home.span, Some((TEN as f64, (TEN + 11 * SLOT) as f64)));
    assert_eq!(home.gaps, [((TEN + 2 * SLOT) as f64, (TEN + 10 * SLOT) as f64)]);
    // The server before knows nothing of slots, and its days are not theirs.
    let theirs = check("tests/fixtures/timeseries-0.13.0.db".as_ref(), NOW).unwrap();
    assert_eq!(theirs.flaws, []);
}

#[test]
fn what_does_not_add_up_or_cannot_be_is_named() {
    let sums = flaws(
        "UPDATE history_days SET home = home + 5; UPDATE daily_energy SET updated_at = 1;
         UPDATE history_days SET mirrored = 1",
    );
    assert_eq!(sums, ["home: 2026-11-25 says 1.005 kWh of home, and its parts are 1.000 kWh"]);
    let lost = flaws("DELETE FROM history_recovered");
    assert_eq!(lost, ["home: 2026-11-25 says 1.000 kWh of home, and its parts are 0.300 kWh"]);
    let negative = flaws("UPDATE history_slots SET solar = -300 WHERE slot = 1795597200");
    assert!(
        negative[0].contains("solar in Wh in a quarter of an hour of 2026-11-25 10:00 is -300"),
        "{negative:?}"
    );
    let long = flaws("UPDATE history_slots SET home_s = 1200 WHERE slot = 1795597200");
    assert!(long[0].contains("home of a quarter of an hour covers"), "{long:?}");
    let much = flaws("UPDATE samples SET home_w = 2e6");
    assert!(much[0].contains("power in W"), "{much:?}");
    let month = flaws(
        "INSERT INTO history_months
             (gateway, month, home, solar_s, home_s, charge_s, discharge_s, import_s, export_s, ways)
         VALUES (1, '2026-10', -7000, 0, 3e6, 0, 0, 0, 0, 0)",
    );
    assert!(month[0].contains("home in Wh in the month of 2026-10 is -7000"), "{month:?}");
    assert!(month[1].contains("home of the month covers, in seconds, of 2026-10 is 3000000"), "{month:?}");
    let ahead = flaws(
        "INSERT INTO history_slots
             (gateway, slot, solar_s, home_s, charge_s, discharge_s, import_s, export_s, ways)
         VALUES (1, 1900000000 / 900 * 900, 0, 0, 0, 0, 0, 0, 0)",
    );
    assert!(ahead[0].contains("1 rows are in the future"), "{ahead:?}");
}

#[test]
fn a_damaged_file_is_a_finding_and_what_is_none_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path());
    let mut torn = std::fs::read(&path).unwrap();
    torn[20_000..60_000].fill(0x55);
    std::fs::write(&path, &torn).unwrap();
    let findings = check(&path, NOW).unwrap();
    assert!(matches!(findings.flaws[..], [Flaw::Damaged(_)]), "{findings:?}");
    std::fs::write(&path, "no database".repeat(1000)).unwrap();
    assert!(matches!(check(&path, NOW).unwrap().flaws[..], [Flaw::Damaged(_)]));
    assert!(check(&folder.path().join("nowhere"), NOW).is_err());
}
