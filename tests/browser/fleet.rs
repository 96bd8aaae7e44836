//! The page of a fleet: the worst first, found and filtered, smooth with ten thousand sites.

use std::time::Duration;

use serde_json::json;

use crate::accessible::{dress, examine, prepared};
use crate::chromium::{Browser, Page};
use crate::common::Outputs;
use crate::common::tools::required_script;
use crate::languages::nothing_is_english;
use crate::settlement::{House, settlement};

const NAMES: &str = "[...document.querySelectorAll('.rows tbody .site a')].map((one) => one.textContent)";

async fn seen(browser: &Browser, outputs: &Outputs, path: &str) -> Page {
    let page = browser.page().await;
    page.see(&format!("http://{}{path}", outputs.addr)).await;
    page
}

/// The site of this number reports something else.
fn change(outputs: &Outputs, number: usize, change: impl FnOnce(&mut House)) {
    let mut house = House::numbered(number);
    change(&mut house);
    let entry = outputs.directory.entries().iter().find(|entry| entry.id == house.id).unwrap().clone();
    entry.board.publish(house.snapshot().into());
}

async fn type_into_search(page: &Page, text: &str) {
    page.value(&format!(
        "(() => {{ const field = document.getElementById('search'); field.value = {}; \
         field.dispatchEvent(new Event('input')); }})()",
        json!(text)
    ))
    .await;
}

#[actix_web::test]
async fn the_worst_comes_first_and_a_site_that_falls_silent_goes_to_the_top() {
    let Some(browser) = Browser::start().await else { return };
    let outputs = settlement(60);
    let page = seen(&browser, &outputs, "/fleet").await;
    let names = page.value(NAMES).await;
    assert_eq!(names.as_array().unwrap().len(), 60);
    assert_eq!((&names[0], &names[1]), (&json!("Barn 7"), &json!("Lake house 13")), "offline, cut off");
    let first = page.text(".rows tbody tr").await;
    assert!(first.contains("Offline") && first.contains("The gateway does not answer"), "{first}");
    assert!(first.contains("25 min old"), "{first}");
    let sums = page.text("#sums").await;
    assert!(sums.contains("59 of 60 report") && sums.contains("of 59 of 60 sites"), "{sums}");

    change(&outputs, 30, |house| house.silent_for = Some(Duration::from_secs(2_000)));
    page.until("document.querySelector('.rows tbody .site a').textContent === 'Depot 30'").await;
    change(&outputs, 30, |_| {});
    page.until("document.querySelector('.rows tbody .site a').textContent === 'Barn 7'").await;
    page.is_clean(&outputs.addr.to_string());
}

/// In both themes, at the widths of a phone, a tablet and large screens: nothing sticks out.
async fn pictured(page: &Page, state: &str) {
    for theme in ["dark", "light"] {
        page.theme(theme).await;
        for (width, height) in [(390, 844), (320, 568), (800, 1100), (1280, 800), (1920, 1080)] {
            page.size(width, height).await;
            page.until(&format!("innerWidth === {width}")).await;
            page.view(&format!("fleet-{state}-{theme}-{width}")).await;
            let outside = "[...document.querySelectorAll('body *')].filter((one) => one.checkVisibility() && \
                one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.tagName + '.' + \
                one.className + ' ' + one.textContent.slice(0, 30)).slice(0, 5)";
            assert_eq!(page.value(outside).await, json!([]), "{state} at {width}");
        }
    }
    page.size(1280, 800).await;
}

#[actix_web::test]
async fn every_view_fits_every_screen() {
    let Some(browser) = Browser::start().await else { return };
    let outputs = settlement(10_000);
    for (state, path) in [
        ("sites", "/fleet"),
        ("groups", "/fleet?view=groups"),
        ("nothing", "/fleet?search=xyz"),
        ("inventory", "/fleet?view=inventory"),
    ] {
        let page = seen(&browser, &outputs, path).await;
        pictured(&page, state).await;
        page.is_clean(&outputs.addr.to_string());
        page.close().await;
    }
}

#[actix_web::test]
async fn what_is_searched_and_filtered_is_in_the_address_and_ten_thousand_sites_are_a_hundred_rows() {
    let Some(browser) = Browser::start().await else { return };
    let outputs = settlement(10_000);
    let page = seen(&browser, &outputs, "/fleet").await;
    let rows = "document.querySelectorAll('.rows tbody tr').length";
    assert_eq!(page.value(rows).await, 100);
    page.value("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }))")
        .await;
    assert_eq!(page.value("document.activeElement.id").await, "search");
    type_into_search(&page, "harbour berlin").await;
    page.until("document.querySelector('.where').textContent.endsWith('of 250')").await;
    page.until("location.search === '?search=harbour+berlin'").await;
    page.value(
        "[...document.querySelectorAll('.chip')].find((one) => one.textContent.startsWith('Alert')).click()",
    )
    .await;
    page.until("location.search === '?search=harbour+berlin&trouble=alert'").await;
    page.until("[...document.querySelectorAll('.rows .state')].every((one) => one.textContent === 'Alert')")
        .await;

    // From the address, with the last rows, and by the keys of arrows.
    page.see(&format!("http://{}/fleet?sort=name&page=100", outputs.addr)).await;
    page.until("document.querySelector('.where').textContent === '9,901–10,000 of 10,000'").await;
    page.value("document.querySelector('.rows tbody a').focus()").await;
    let press = |key: &str| {
        format!(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', \
             {{ key: '{key}', bubbles: true }}))"
        )
    };
    page.value(&press("ArrowDown")).await;
    let second = "document.activeElement === document.querySelectorAll('.rows tbody a')[1]";
    assert_eq!(page.value(second).await, true);
    page.value(&press("ArrowLeft")).await;
    page.until("document.querySelector('.where').textContent === '9,801–9,900 of 10,000'").await;
    assert_eq!(page.value(rows).await, 100);

    // Scrolled through while nothing changes, the document stays as it is.
    let scrolled = "new Promise((done) => { let changes = 0, frames = 0; const seen = new \
        MutationObserver((all) => (changes += all.length)); seen.observe(document.querySelector('.rows'), { \
        subtree: true, childList: true, attributes: true, characterData: true }); const step = () => { \
        scrollBy(0, 40); if (++frames < 120) requestAnimationFrame(step); else done([changes, frames, \
        document.querySelectorAll('*').length < 4000]); }; step(); })";
    assert_eq!(page.value(scrolled).await, json!([0, 120, true]));
    page.is_clean(&outputs.addr.to_string());
}

const VIEWS: [&str; 3] = ["/fleet", "/fleet?view=groups", "/fleet?view=inventory"];

/// Waits until the view that the address asks for is drawn.
async fn drawn(page: &Page) {
    page.until("[...document.querySelectorAll('.view')].some((one) => one.checkVisibility())").await;
}

#[actix_web::test]
async fn axe_core_finds_nothing_in_any_view_of_the_fleet() {
    let Some(script) = required_script("axe-core/axe.min.js") else { return };
    let Some(browser) = Browser::start().await else { return };
    let axe = std::fs::read_to_string(script).unwrap();
    let outputs = settlement(120);
    let mut found = Vec::new();
    for path in VIEWS {
        let page = prepared(&browser, &axe, &format!("http://{}{path}", outputs.addr)).await;
        drawn(&page).await;
        for theme in ["dark", "light"] {
            dress(&page, theme).await;
            for (width, height) in [(1280, 800), (390, 844)] {
                page.size(width, height).await;
                found.extend(examine(&page, "document", &format!("{path}, {theme}, {width}")).await);
            }
        }
        page.close().await;
    }
    assert_eq!(found, Vec::<String>::new());
}

#[actix_web::test]
async fn the_fleet_speaks_the_language_that_is_asked_for() {
    let Some(browser) = Browser::start().await else { return };
    let outputs = settlement(120);
    for (language, worst) in [
        ("de", "Schlimmste zuerst"),
        ("fr", "Les pires d'abord"),
        ("es", "Primero los peores"),
        ("it", "Prima i peggiori"),
        ("nl", "Ergste eerst"),
    ] {
        for path in VIEWS {
            let mark = if path.contains('?') { '&' } else { '?' };
            let page = seen(&browser, &outputs, &format!("{path}{mark}lang={language}")).await;
            drawn(&page).await;
            assert!(page.text("#filters").await.contains(worst) || path != "/fleet", "{language}");
            nothing_is_english(&page, language, &["console", "fleet"]).await;
            for width in [320, 390, 800, 1280] {
                page.size(width, 800).await;
                page.until(&format!("innerWidth === {width}")).await;
                let scrolls = page.value("document.documentElement.scrollWidth > innerWidth").await;
                assert_eq!(scrolls, false, "{path} in {language} at {width}");
            }
            page.is_clean(&outputs.addr.to_string());
            page.close().await;
        }
    }
}

#[actix_web::test]
async fn what_nobody_confirms_any_more_is_not_shown_as_fresh() {
    let Some(browser) = Browser::start().await else { return };
    let outputs = settlement(20);
    let page = seen(&browser, &outputs, "/fleet").await;
    let network = |offline: bool| {
        let unlimited = -1;
        json!({ "offline": offline, "latency": 0, "downloadThroughput": unlimited,
            "uploadThroughput": unlimited })
    };
    page.order("Network.emulateNetworkConditions", network(true)).await;
    page.until("document.getElementById('freshness').textContent.startsWith('Server gone since')").await;
    page.until("document.body.classList.contains('aged')").await;
    page.view("fleet-gone").await;
    let shown = page.text(".rows").await;
    assert!(!shown.contains("Live") && !shown.contains("In order") && shown.contains(" old"), "{shown}");
    page.order("Network.emulateNetworkConditions", network(false)).await;
    page.until("document.getElementById('freshness').textContent === 'Live'").await;
    page.until("!document.body.classList.contains('aged')").await;
}

#[actix_web::test]
async fn no_sites_and_a_mistake_in_the_address_are_said() {
    let Some(browser) = Browser::start().await else { return };
    let outputs = settlement(0);
    let page = seen(&browser, &outputs, "/fleet").await;
    assert!(page.text(".nothing").await.contains("No sites are configured yet"));
    let outputs = settlement(1);
    let page = seen(&browser, &outputs, "/fleet?trouble=bad&sort=size&page=-1&view=map").await;
    assert_eq!(page.value(NAMES).await, json!(["Mill 0"]));
    let page = seen(&browser, &outputs, "/fleet?page=900").await;
    page.until("document.querySelectorAll('.rows tbody tr').length === 1").await;
    page.is_clean(&outputs.addr.to_string());
}

#[actix_web::test]
async fn the_console_leads_to_the_fleet_where_there_is_one() {
    let Some(browser) = Browser::start().await else { return };
    for (number, is_there) in [(4, false), (5, true)] {
        let outputs = settlement(number);
        let page = seen(&browser, &outputs, "/console").await;
        page.until("document.querySelector('#sites button') !== null").await;
        let link = page.value("document.getElementById('fleet').checkVisibility()").await;
        assert_eq!(link, is_there, "{number} sites");
        page.close().await;
    }
}
