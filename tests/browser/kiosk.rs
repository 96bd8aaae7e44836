//! What a touch does to a screen on a wall, and what such a screen can be installed as.

use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::scenes;
use crate::stage::Stage;

const PRESS: &str = "window.press = (words) => \
    [...document.querySelectorAll('#overlay button')].find((button) => button.textContent === words).click()";

#[actix_web::test]
async fn a_touch_opens_what_can_be_changed_and_closes_by_itself() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = browser.page().await;
    page.before_everything(include_str!("hours.js")).await;
    page.before_everything(PRESS).await;
    page.open(&stage.url("/kiosk?theme=dark")).await;
    page.until("window.hours !== undefined && document.readyState === 'complete'").await;
    let state =
        json!({ "type": "state", "epoch": "e", "seq": 0, "version": "1", "state": scenes::three_sites() });
    page.value(&format!("hours.hear({{ ...{state}, at: hours.at() }}); hours.second()")).await;
    page.until("document.body.dataset.ready === 'yes' && document.getElementById('overlay') !== null").await;
    let is_open = "document.getElementById('overlay').open";
    assert_eq!(page.value(is_open).await, false);
    page.value("document.getElementById('stage').click()").await;
    assert_eq!(page.value(is_open).await, true);
    assert!(page.text("#overlay").await.contains("Cabin"), "{}", page.text("#overlay").await);

    // Site, theme, size, light.
    page.value("press('Cabin'); hours.second()").await;
    assert_eq!(page.text("#title").await, "Cabin");
    page.value("press('Light'); press('Larger'); press('Dim now'); hours.second()").await;
    let looks = "[document.documentElement.dataset.theme, \
        document.documentElement.style.getPropertyValue('--scale'), \
        document.documentElement.classList.contains('night'), location.search].join(' ')";
    assert_eq!(page.value(looks).await, "light 1.1 true ?theme=light&scale=1.1");
    assert!(page.text("#overlay").await.replace('\u{a0}', " ").contains("110 %"));
    assert_eq!(page.value("document.querySelector('#dim').getAttribute('aria-pressed')").await, "true");
    page.value("press('Dim now'); hours.second()").await;
    assert_eq!(page.value("document.documentElement.classList.contains('night')").await, false);

    // It is left alone: a minute later everything is as it was asked for.
    let pass = "for (let second = 0; second < 61; second++) { \
        hours.hear({ type: 'beat', seq: 0, at: hours.at() }); hours.second(); }";
    page.value(pass).await;
    assert_eq!(page.value(is_open).await, false);
    assert_eq!(page.text("#title").await, "All sites");

    // Escape closes it first, and then leaves the kiosk.
    page.value("document.getElementById('stage').click()").await;
    page.press("Escape").await;
    page.until(&format!("!{is_open}")).await;
    assert_eq!(page.value("location.pathname").await, "/kiosk");
    page.value("document.getElementById('stage').click(); press('Leave kiosk')").await;
    page.until("location.pathname === '/'").await;
    page.is_clean(&stage.host());
}

#[actix_web::test]
async fn a_kiosk_can_be_dimmed_by_the_sun() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = browser.page().await;
    page.before_everything(include_str!("hours.js")).await;
    page.open(&stage.url("/kiosk?dim=sun")).await;
    page.until("window.hours !== undefined && document.readyState === 'complete'").await;
    let hear = |solar: Value, sequence: u32| {
        let power = json!({ "power": { "site": 0, "battery": 0, "load": 0, "solar": solar } });
        let house = scenes::house(&[("home", "Home", power)], json!({}));
        let state = json!({ "type": "state", "epoch": "e", "seq": sequence, "version": "1", "state": house });
        format!("hours.hear({{ ...{state}, at: hours.at() }}); hours.second()")
    };
    let minutes = |number: u32, sequence: u32| {
        format!(
            "for (let second = 0; second < 60 * {number}; second++) {{ \
             hours.hear({{ type: 'beat', seq: {sequence}, at: hours.at() }}); hours.second(); }}"
        )
    };
    let is_dim = "document.documentElement.classList.contains('night')";
    page.value(&hear(json!(2400), 0)).await;
    page.until("document.body.dataset.ready === 'yes'").await;
    assert_eq!(page.value(is_dim).await, false);
    page.value(&hear(json!(0), 1)).await;
    page.value(&minutes(5, 1)).await;
    assert_eq!(page.value(is_dim).await, false, "a cloud");
    page.value(&minutes(12, 1)).await;
    assert_eq!(page.value(is_dim).await, true);
    page.value(&hear(Value::Null, 2)).await;
    page.value(&minutes(2, 2)).await;
    assert_eq!(page.value(is_dim).await, true, "what is unknown changes nothing");
    page.value(&hear(json!(300), 3)).await;
    page.value(&minutes(1, 3)).await;
    assert_eq!(page.value(is_dim).await, false, "the next morning");
}

#[actix_web::test]
async fn the_display_can_be_installed() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    stage.show(scenes::sunny());
    let page = browser.page().await;
    page.see(&stage.url("/")).await;
    let manifest = page.order("Page.getAppManifest", json!({})).await;
    assert_eq!(manifest["errors"], json!([]), "{manifest}");
    assert!(manifest["url"].as_str().unwrap().ends_with("/static/manifest.webmanifest"), "{manifest}");
    let errors = page.order("Page.getInstallabilityErrors", json!({})).await;
    assert_eq!(errors["installabilityErrors"], json!([]), "{errors}");
}
