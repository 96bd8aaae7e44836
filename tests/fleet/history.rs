//! Tesla's own records become history, by the real program; and what energy costs as Tesla has it.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use powerwall_server::clock::unix_time;

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
