//! What is old looks old, what is low looks low, and what is wrong is said in words for who passes by.

use serde_json::{Value, json};

use crate::chromium::{Browser, Page};
use crate::scenes;
use crate::stage::Stage;
use crate::{figures, shown};

/// `state` with `changes` to one of its parts.
fn with(mut state: Value, part: &str, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        state[part][key] = value.clone();
    }
    state
}

async fn tiles(page: &Page, expression: &str) -> Value {
    let script = format!("[...document.querySelectorAll('.site')].map((one) => {expression})");
    page.value(&script).await
}

/// A page with three sites that hears what a test says and whose time passes when it says so.
async fn at_will(browser: &Browser, stage: &Stage, path: &str) -> Page {
    stage.block(&["/ws/", "/sse/", "/api/live"]);
    let page = browser.page().await;
    page.before_everything(include_str!("hours.js")).await;
    page.open(&stage.url(path)).await;
    page.until("window.hours !== undefined && document.readyState === 'complete'").await;
    let sites = scenes::three_sites();
    let state = json!({ "type": "state", "epoch": "e", "seq": 0, "version": "1.0.0", "state": sites });
    page.value(&format!("hours.hear({{ ...{state}, at: hours.at() }}); hours.second()")).await;
    page.until("document.body.dataset.ready === 'yes'").await;
    page
}

#[actix_web::test]
async fn without_the_server_every_tile_says_of_when_its_values_are() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = at_will(&browser, &stage, "/").await;
    assert_eq!(tiles(&page, "one.classList.contains('aged')").await, json!([false, false, false]));
    // Nothing is heard for a minute and a half.
    page.value("for (let second = 0; second < 90; second++) hours.second()").await;
    assert!(page.text("#freshness").await.starts_with("Server gone"));
    assert_eq!(tiles(&page, "one.classList.contains('aged')").await, json!([true, true, true]));
    let notes = tiles(&page, "one.querySelector('.note').textContent.startsWith('Values of ')").await;
    assert_eq!(notes, json!([true, true, true]));
}

#[actix_web::test]
async fn a_kiosk_returns_from_what_a_touch_has_chosen() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = at_will(&browser, &stage, "/kiosk").await;
    page.value("document.querySelector('[data-site=cabin]').click()").await;
    assert_eq!(page.text("#title").await, "Cabin");
    let minute = "for (let second = 0; second < 62; second++) {
        hours.hear({ type: 'beat', seq: 0, at: hours.at() });
        hours.second();
    }";
    page.value(minute).await;
    assert_eq!(page.text("#title").await, "All sites");
    assert_eq!(page.value("location.search").await, "");
}

#[actix_web::test]
async fn of_sites_that_are_all_silent_the_last_values_stay() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let live = scenes::three_sites();
    let mut state = live.clone();
    let ids: Vec<String> = serde_json::from_value(live["order"].clone()).unwrap();
    for id in &ids {
        let status = format!("gateway/{id}/status");
        let taken_at = live[&status]["taken_at"].as_f64().unwrap() - 5400.0;
        state = with(state, &status, &json!({ "freshness": "expired", "taken_at": taken_at }));
    }
    let nothing = json!({
        "freshness": "expired", "contributors": [], "online": 0, "site": null, "battery": null,
        "load": null, "solar": null, "soe": null, "charge_wh": null, "capacity_wh": null, "grid": null,
    });
    let page = shown(&browser, &stage, "/", with(state, "total", &nothing)).await;
    let solar: f64 =
        ids.iter().map(|id| live[format!("gateway/{id}/power")]["solar"].as_f64().unwrap()).sum();
    let expected = format!("{:.*}kW", if solar < 9995.0 { 2 } else { 1 }, solar / 1000.0);
    assert_eq!(figures(&page).await["solar"], expected);
    assert!(page.text("#freshness").await.starts_with("Offline · values of "));
    assert_eq!(page.value("document.querySelector('.flow').classList.contains('aged')").await, true);
    assert_eq!(page.value("document.querySelectorAll('.ribbons .flowing').length").await, 0);
}

#[actix_web::test]
async fn a_low_battery_is_not_green_and_an_idle_one_is_not_unknown() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let colour = |of: &str| format!("getComputedStyle(document.querySelector('.tank {of}')).color");
    let state = with(scenes::three_sites(), "gateway/home/power", &json!({ "battery": 0 }));
    let page = shown(&browser, &stage, "/?site=home", state.clone()).await;
    let (charge, label) = (colour(".charge .figure b"), colour(".label"));
    assert_eq!(page.value(&charge).await, page.value(&label).await);
    assert_ne!(page.value(&charge).await, page.value(&colour(".rate .figure b")).await, "nothing flows");
    let green = page.value(&charge).await;
    stage.show(with(state, "gateway/home/energy", &json!({ "soe": 4, "reserve": 20 })));
    page.until("document.querySelector('.tank').dataset.low === 'yes'").await;
    assert_ne!(page.value(&charge).await, green);
    assert_eq!(page.value("document.querySelector('[data-site=home]').dataset.low").await, "yes");
}

#[actix_web::test]
async fn tiles_say_where_power_goes_and_every_station_says_what_is_unknown() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let powers = json!({ "battery": -1500, "site": 700 });
    let page = shown(&browser, &stage, "/", with(scenes::three_sites(), "gateway/home/power", &powers)).await;
    let way = |of: &str| format!("document.querySelector('[data-site=home] .of-{of}').dataset.way");
    assert_eq!(page.value(&way("battery")).await, "to");
    assert_eq!(page.value(&way("grid")).await, "from");
    let words = "document.querySelector('[data-site=home] .of-battery').ariaLabel";
    assert!(page.value(words).await.as_str().unwrap().starts_with("battery charging 1.50"));

    stage.show(scenes::unknown());
    page.until("document.querySelector('.station[data-of=solar] .figure').innerText === '–'").await;
    let words = "[...document.querySelectorAll('.station .what')].map((one) => one.textContent)";
    assert_eq!(page.value(words).await, json!(["Unknown", "Unknown", "Unknown", "Unknown"]));
}

#[actix_web::test]
async fn a_wall_says_what_is_wrong_and_the_console_how() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let wall = shown(&browser, &stage, "/", scenes::one_of_three_missing()).await;
    let notices = wall.text("#notices").await;
    assert!(
        notices.contains("Without Cabin") && notices.contains("does not answer · last heard"),
        "{notices}"
    );
    let console = shown(&browser, &stage, "/console", scenes::one_of_three_missing()).await;
    assert!(console.text("#notices").await.contains("the gateway did not answer within 5 s"));
}
