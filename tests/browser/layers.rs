//! The two layers of the console: how everything is, then each gateway with all that belongs to it.

use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::scenes;
use crate::shown;
use crate::stage::Stage;

/// Gateways as they stand in the lower layer, each with `!` if its card is open.
const CARDS: &str = "[...document.querySelectorAll('.gateway')].map((one) => one.dataset.gateway + \
    (one.open ? '!' : '')).join(' ')";

/// A gateway without alerts.
fn calm() -> Value {
    json!({ "alerts": ["SystemConnectedToGrid"] })
}

/// Thirty gateways, of which `troubled` differ.
pub fn thirty(troubled: &[(usize, Value)]) -> Value {
    let ids: Vec<String> = (1..=30).map(|number| format!("site{number}")).collect();
    let names: Vec<String> = (1..=30).map(|number| format!("Site {number}")).collect();
    let over = |place: usize| {
        let found = troubled.iter().find(|(number, _)| *number == place + 1);
        found.map_or_else(calm, |(_, over)| scenes::laid(calm(), over.clone()))
    };
    let gateways: Vec<(&str, &str, Value)> =
        ids.iter().zip(&names).enumerate().map(|(place, (id, name))| (&**id, &**name, over(place))).collect();
    scenes::house(&gateways, json!({}))
}

#[actix_web::test]
async fn of_thirty_gateways_the_troubled_one_comes_first_and_is_open() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = shown(&browser, &stage, "/console", thirty(&[])).await;
    assert_eq!(page.value("document.querySelectorAll('.gateway').length").await, 30);
    assert_eq!(page.value("document.querySelectorAll('.gateway[open], .part').length").await, 0);
    let status = page.text("#status").await;
    assert!(status.contains("30 of 30 gateways report") && status.contains("No warnings"), "{status}");
    assert_eq!(
        page.value("document.querySelectorAll('#sites option').length").await,
        31,
        "a list, not buttons"
    );

    let warned = json!({ "alerts": ["PVAC_W_Over_Temp"] });
    let cut = json!({ "energy": { "grid": "DOWN" } });
    let gone = json!({ "status": { "freshness": "expired" } });
    stage.show(thirty(&[(7, warned), (19, cut), (28, gone)]));
    page.until(&format!("{CARDS}.startsWith('site19! site28 site7 site1 site2 ')")).await;
    let status = page.text("#status").await;
    for words in ["29 of 30 gateways report", "1 offline", "Grid outage at 1 of 30", "1 warning"] {
        assert!(status.contains(words), "{words}: {status}");
    }

    // What somebody opens or closes stays so, and nothing moves under who is in the middle of it.
    page.value("document.querySelector('[data-gateway=site19] summary').click()").await;
    page.value("document.querySelector('[data-gateway=site2] summary').click()").await;
    page.value("document.querySelector('[data-gateway=site2] summary').focus()").await;
    page.until(&format!("{CARDS}.startsWith('site19 site28 site7 site1 site2! ')")).await;
    stage.show(thirty(&[]));
    page.until("document.querySelector('[data-gateway=site19]').dataset.level === 'good'").await;
    assert!(page.value(CARDS).await.as_str().unwrap().starts_with("site19 site28 site7 site1 site2!"));
    page.value("document.activeElement.blur()").await;
    page.until(&format!("{CARDS}.startsWith('site1 site2! site3 ')")).await;
    page.is_clean(&stage.host());
}

#[actix_web::test]
async fn a_gateway_has_all_that_belongs_to_it_in_words_and_its_own_names_on_demand() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = shown(&browser, &stage, "/console", scenes::sunny()).await;
    let card = page.text("[data-gateway=home]").await;
    let place = |word: &str| card.find(word).unwrap_or_else(|| panic!("{word} in {card}"));
    assert!(
        place("is hot and produces less") < place("is testing itself")
            && place("is testing itself") < place("New firmware"),
        "warnings come first"
    );
    for words in
        ["Warning", "since before", "↳ PW2", "Following the grid", "Not connected", "TEDAPI v1r (in use)"]
    {
        assert!(card.contains(words), "{words}: {card}");
    }
    for name in ["PVAC_W_Over_Temp", "PCH_ACMODE_GRID_FOLLOWING"] {
        assert!(!card.contains(name), "{name}: {card}");
    }
    let state = "getComputedStyle(document.querySelector('[data-raw*=ACMODE]'), '::after').content";
    assert_eq!(page.value(state).await, "none");
    page.value("document.querySelector('.gateway > button').click()").await;
    assert!(page.text("[data-gateway=home]").await.contains("PVAC_W_Over_Temp"));
    assert!(page.value(state).await.as_str().unwrap().contains("PCH_ACMODE_GRID_FOLLOWING"));
    page.see(&stage.url("/console")).await;
    assert!(page.value(state).await.as_str().unwrap().contains("PCH_ACMODE_GRID_FOLLOWING"), "kept");

    // An alert that comes while the page looks on has a time.
    let before = page.text(".alerts").await.matches("since before").count();
    stage.change(json!({ "gateway/home/alerts": ["PVAC_W_Over_Temp", "HighCPU"] }));
    page.until("document.querySelector('.alerts').innerText.includes('very busy')").await;
    let alerts = page.text(".alerts").await;
    assert_eq!((before, alerts.matches("since before").count(), alerts.matches("since ").count()), (4, 1, 2));
    page.is_clean(&stage.host());
}

/// A service that takes orders from nobody, and whose journal knows when an alert began.
const JOURNAL: &str = "(() => {
    const fetch = window.fetch.bind(window);
    const control = { enabled: true, role: 'viewer', orders: [], leases: [], present: {} };
    const entry = (state, since) => ({ kind: 'alert', gateway: 'home', at: since, detail: { state, since, \
        alert: 'PVAC_W_Over_Temp' } });
    const answers = { 'control/status': { enabled: true }, '/control': control, \
        'api/orders': { orders: [] }, 'api/journal': { entries: [entry('began', 1000000000), \
        entry('ended', 900000000)], next: null } };
    window.fetch = (path, ...rest) => {
        const found = Object.keys(answers).find((part) => String(path).includes(part));
        return found ? Promise.resolve(Response.json(answers[found])) : fetch(path, ...rest);
    };
})()";

#[actix_web::test]
async fn with_a_token_an_alert_has_the_time_of_the_servers_journal() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    stage.show(scenes::sunny());
    let page = browser.page().await;
    page.before_everything(JOURNAL).await;
    page.see(&stage.url("/console")).await;
    page.until("document.querySelector('[data-card=control] input[type=password]')?.checkVisibility()").await;
    assert_eq!(page.text(".alerts").await.matches("since before").count(), 4);
    page.value(
        "(() => { const field = document.querySelector('[data-card=control] input[type=password]'); \
         field.value = 'any'; field.form.requestSubmit(); })()",
    )
    .await;
    let first = "document.querySelector('.alerts li').innerText";
    page.until(&format!("{first}.includes('hot') && {first}.includes('Sep')")).await;
    assert_eq!(
        page.text(".alerts").await.matches("since before").count(),
        3,
        "of the others it knows nothing"
    );
    page.is_clean(&stage.host());
}
