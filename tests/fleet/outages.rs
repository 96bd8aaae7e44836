//! Grid outages and the site's status, which are asked for rarely.

use powerwall_server::clock::unix_time;

use super::orders::{OWNER, WITH_SECRET};
use super::*;

const TWO_HOURS: i64 = 7200;

/// What the journal says of the grid.
async fn grid(service: &Service) -> Value {
    let url = format!("http://{}/api/journal?kind=grid", service.addr);
    let request =
        awc::Client::default().get(&url).insert_header(("Authorization", format!("Bearer {OWNER}")));
    let body = request.send().await.unwrap().body().await.unwrap();
    serde_json::from_slice::<Value>(&body).unwrap()["entries"].clone()
}

async fn asked(world: &World, part: &str, times: usize) {
    let arrived = async {
        while world.tesla.requests(part) < times {
            sleep(SECOND / 20).await;
        }
    };
    timeout(PATIENCE, arrived).await.unwrap_or_else(|_| panic!("{part} is not asked for"));
}

#[actix_web::test]
async fn an_outage_that_tesla_lists_and_nobody_saw_is_in_the_journal_once() {
    let world = world().await;
    let began = unix_time() as i64 - TWO_HOURS;
    world.tesla.list_outage(11, began, Duration::from_millis(90_400));
    // Too long ago to be news, and no outage at all.
    world.tesla.list_outage(11, began - 100 * 86_400, Duration::from_secs(60));
    world.tesla.list_outage(11, began - TWO_HOURS, Duration::ZERO);
    let file = world.folder.path().join("history.db").display().to_string();
    let variables = [WITH_SECRET, ("PW_TIMESERIES_PATH", file.as_str())];
    for run in 1..=2 {
        let service = world.serve(&fleet(), &variables);
        asked(&world, "kind=backup", run).await;
        let listed = async {
            loop {
                let entries = grid(&service).await;
                if entries.as_array().is_some_and(|entries| !entries.is_empty()) {
                    return entries;
                }
                sleep(SECOND / 20).await;
            }
        };
        let entries = timeout(PATIENCE, listed).await.expect("it is in the journal");
        // A poll later, what would be written twice has been.
        let polls = world.tesla.requests("live_status");
        asked(&world, "live_status", polls + 1).await;
        sleep(2 * SECOND).await;
        assert_eq!(grid(&service).await.as_array().unwrap().len(), 1, "run {run}: {entries}");
        let detail = &entries[0]["detail"];
        assert_eq!(detail["state"], "listed", "{entries}");
        assert_eq!((detail["since"].as_f64(), detail["seconds"].as_f64()), (Some(began as f64), Some(90.0)));
        service.stop().await;
    }
    assert_eq!((world.tesla.requests("kind=backup"), world.tesla.requests("site_status")), (2, 2));
    let path = world.tesla.asked().into_iter().find(|asked| asked.path.contains("kind=backup")).unwrap().path;
    assert!(path.contains("time_zone=America%2FLos_Angeles") && !path.contains("language"), "{path}");
}

#[actix_web::test]
async fn energies_of_the_batteries_come_with_the_sites_status() {
    let world = world().await;
    let service = world.serve(&fleet(), &[]);
    let known = |body: &Value| body["nominal_full_pack_energy"].is_number();
    let status = becomes(&service, "/api/system_status", "has energies", known).await;
    assert_eq!(status["nominal_energy_remaining"], 6500, "{status}");
    service.stop().await;
}

#[actix_web::test]
async fn what_tesla_does_not_have_is_asked_for_once_and_takes_nothing_along() {
    let world = world().await;
    world.tesla.set("kind=backup", CloudFault::status(404));
    world.tesla.set("site_status", CloudFault::body(403, r#"{"error":"Unauthorized missing scopes"}"#));
    let service = world.serve(&fleet(), &[]);
    asked(&world, "kind=backup", 1).await;
    let polls = world.tesla.requests("live_status");
    asked(&world, "live_status", polls + 2).await;
    assert_eq!((world.tesla.requests("kind=backup"), world.tesla.requests("site_status")), (1, 1));
    let health = get(&service, "/health/gateways").await;
    assert_eq!(
        (&health["gateways"][0]["state"], &health["gateways"][0]["last_error"]),
        (&"live".into(), &Value::Null)
    );
    assert!(get(&service, "/api/system_status").await["nominal_full_pack_energy"].is_null());
    service.stop().await;
}
