//! Tesla's own records become history, by the real program; and what energy costs as Tesla has it.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use powerwall_server::clock::unix_time;
use powerwall_server::link::tesla::account::Account;
use powerwall_server::link::tesla::calendar;
use powerwall_server::model::energy::Flow;
use powerwall_server::settings::LinkConfig;

use super::set_up::output;
use super::*;

const ZONE: &str = "America/Los_Angeles";

fn days_ago(days: i64) -> Date {
    let now = jiff::Timestamp::from_second(unix_time() as i64).unwrap();
    let today = now.to_zoned_datetime(TimeZone::get(ZONE).unwrap()).date();
    today.checked_sub(days.days()).unwrap()
}

impl World {
    /// `import tesla` from so many days ago; whether it succeeded, and what it said.
    async fn import(&self, days: i64, variables: &[(&str, &str)]) -> (bool, String) {
        let file = self.folder.path().join("history.db").display().to_string();
        let (list, first) = (fleet().to_string(), days_ago(days).to_string());
        let mut all = vec![("PW_GATEWAYS", list.as_str()), ("PW_TIMESERIES_PATH", file.as_str())];
        all.extend(variables);
        let arguments = ["import", "tesla", "--from-day", first.as_str()];
        let arguments = if days > 0 { arguments.as_slice() } else { &arguments[..2] };
        output(self.command(arguments, &all), "").await
    }

    fn days_asked(&self) -> usize {
        self.tesla.requests("calendar_history")
    }
}

#[actix_web::test]
async fn the_calendar_is_imported_day_by_day_and_no_day_is_asked_for_twice() {
    let world = world().await;
    // The budget of the day ends it …
    let (is_done, said) = world.import(9, &[("PW_FLEET_BUDGET", "10")]).await;
    assert!(!is_done && said.contains("PW_FLEET_BUDGET") && said.contains("goes on from there"), "{said}");
    let asked = world.days_asked();
    assert!((1..9).contains(&asked), "{asked}: {said}");
    // … and without one it goes on with the next day.
    let (is_done, said) = world.import(0, &[]).await;
    assert!(is_done && said.contains("site 11 (Home)"), "{said}");
    assert_eq!(world.days_asked(), 9, "{said}");
    let (is_done, said) = world.import(0, &[]).await;
    assert!(is_done && said.contains("0 days from"), "{said}");
    assert_eq!(world.days_asked(), 9, "{said}");
    // The same days once more double nothing.
    let (is_done, said) = world.import(3, &[]).await;
    assert!(is_done && said.contains(" 0 quarters of an hour filled"), "{said}");

    let file = world.folder.path().join("history.db").display().to_string();
    let service = world.serve(&fleet(), &[("PW_TIMESERIES_PATH", &file)]);
    let (first, last) = (days_ago(9), days_ago(1));
    let path = format!("/api/history?start={first}&end={last}&bucket=day");
    let history = get(&service, &path).await;
    let rows = history["gateways"]["home"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 9, "{history}");
    for row in rows {
        let near = |key: &str, energy: f64| (row[key].as_f64().unwrap() - energy).abs() < 1e-6;
        assert!(near("solar_kwh", 14.4) && near("export_kwh", 8.4), "{row}");
        assert!(row["charge_kwh"].is_null(), "what Tesla does not report is unknown: {row}");
        assert_eq!(row["sources"]["solar"], json!(["imported"]), "{row}");
    }
    service.stop().await;
}

#[actix_web::test]
async fn an_import_from_tesla_ends_where_an_answer_is_none_and_says_why() {
    let world = world().await;
    let wrong = r#"{"response":{"time_series":[{"timestamp":"2020-01-01T00:00:00-08:00"}]}}"#;
    let second = days_ago(2).to_string();
    for (fault, says) in [
        (CloudFault::body(200, wrong), "another day"),
        (CloudFault::body(403, r#"{"error":"Unauthorized missing scopes"}"#), "consent"),
        (CloudFault::status(404), "energy history"),
    ] {
        world.tesla.heal();
        world.tesla.set(&second, fault);
        let (is_done, said) = world.import(3, &[]).await;
        assert!(!is_done && said.contains(says) && said.contains("goes on from there"), "{said}");
    }
    // A short pause is kept, and a day that Tesla does not have is a gap.
    world.tesla.heal();
    let pause = CloudFault::Answer { status: 429, headers: "Retry-After: 1\r\n".into(), body: String::new() };
    world.tesla.set_times(&second, pause, 1);
    world.tesla.set(&days_ago(1).to_string(), CloudFault::body(200, r#"{"response":null}"#));
    let before = world.days_asked();
    let (is_done, said) = world.import(0, &[]).await;
    assert!(is_done && said.contains("nothing of these days"), "{said}");
    assert_eq!(world.days_asked() - before, 3, "{said}");

    // Only a gateway with FleetAPI has such records.
    let list = json!([{ "id": "home", "host": "127.0.0.1", "gw_pwd": "x" }]).to_string();
    let (is_done, said) = world.import(3, &[("PW_GATEWAYS", &list)]).await;
    assert!(!is_done && said.contains("not reached over FleetAPI"), "{said}");
}

#[actix_web::test]
async fn a_local_gateway_says_which_site_its_records_are() {
    let world = world().await;
    // Two sites: without the local link, nobody could tell.
    world.tesla.add(12, &house("cabin", 2).await);
    let mut entry = world.house.settings();
    entry["standby"] = json!([{ "fleetapi": true }]);
    let list = json!([entry]).to_string();
    let (is_done, said) = world.import(2, &[("PW_GATEWAYS", &list)]).await;
    assert!(is_done && said.contains("site 11 (Home)"), "{said}");
    entry["siteid"] = 12.into();
    let before = world.days_asked();
    let (is_done, said) = world.import(2, &[("PW_GATEWAYS", &json!([entry]).to_string())]).await;
    assert!(!is_done && said.contains("nothing is taken from another site"), "{said}");
    assert_eq!(world.days_asked(), before);
}

#[actix_web::test]
async fn an_import_and_a_service_count_into_one_budget() {
    let world = world().await;
    let service = world.serve(&fleet(), &[("PW_FLEET_BUDGET", "40")]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    // What was asked at the start is written down with the next question.
    while world.tesla.requests("live_status") < 2 {
        sleep(SECOND / 10).await;
    }
    let (_, said) = world.import(60, &[("PW_FLEET_BUDGET", "40")]).await;
    assert!(said.contains("PW_FLEET_BUDGET"), "{said}");
    // Of the budget, readings leave a fifth to orders, whoever reads.
    error(&service, "budget").await;
    service.stop().await;
    let asked = world.tesla.asked().iter().filter(|asked| asked.path.starts_with("/api/1/")).count();
    assert!((32..=34).contains(&asked), "{asked}");
    let file = std::fs::read_dir(world.folder.path()).unwrap().filter_map(Result::ok);
    let ledger = file.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("tesla"));
    let text = std::fs::read_to_string(ledger.expect("a ledger")).unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    let counted: u64 =
        kept["days"].as_object().unwrap().values().map(|day| day["data"].as_u64().unwrap()).sum();
    assert!(counted.abs_diff(asked as u64) <= 1, "{counted} of {asked}: {text}");
}

/// A day of Tesla's calendar, as the import asks for it.
async fn day_of(world: &World, day: Date) -> Vec<calendar::Stretch> {
    let settings = settings(&world.tesla, world.folder.path(), &fleet(), &[]);
    let LinkConfig::Fleet(config) = &settings.gateways[0].link else { unreachable!() };
    let account = Account::new(config.account.clone());
    let web = account.web(PATIENCE);
    let zone = TimeZone::get(ZONE).unwrap();
    calendar::day(&account, &web, (11, &zone), day).await.unwrap()
}

#[actix_web::test]
async fn a_day_has_23_or_25_hours_twice_a_year_and_an_instant_counts_once() {
    let world = world().await;
    for repeats in [false, true] {
        if repeats {
            world.tesla.repeat_instants();
        }
        for (date, hours) in [((2025, 3, 9), 23), ((2025, 11, 2), 25), ((2025, 11, 3), 24)] {
            let found = day_of(&world, jiff::civil::date(date.0, date.1, date.2)).await;
            assert_eq!(found.len(), hours * 12, "{date:?}, {repeats}");
            let solar: f64 = found.iter().filter_map(|one| one.energy[Flow::Solar]).sum();
            assert_eq!(solar, 14_400.0, "{date:?}, {repeats}");
            let seconds: f64 = found.iter().map(|one| one.end - one.start).sum();
            assert_eq!(seconds, hours as f64 * 3600.0, "{date:?}");
        }
    }
}
