//! The demo as its visitors see it: a badge with the time of its sites, and the scenes it can show.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::chromium::{Browser, Page};
use crate::figures;
use crate::program::Program;
use crate::sizes::fits;

async fn demo(flags: &[&str]) -> Program {
    let arguments = [&["demo", "--port", "0"], flags].concat();
    Program::start(&arguments, &[("PW_CACHE_EXPIRE", "1"), ("PW_BIND_ADDRESS", "127.0.0.1")]).await
}

/// Returns when the history has today of that many sites.
async fn recorded(page: &Page, sites: u64) {
    let known = "fetch('api/timeseries/today', { cache: 'no-store' }).then((answer) => answer.json()).then(
        ({ gateways }) => Object.values(gateways ?? {}).filter((day) => day.home_kwh !== null).length)";
    page.until("document.body?.dataset.ready === 'yes'").await;
    let there = async {
        while page.value(known).await.as_u64() < Some(sites) {
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(Duration::from_secs(60), there).await.expect("the past of the demo is written");
}

#[actix_web::test]
async fn a_scene_is_shown_at_its_time_and_says_that_it_is_a_demo() {
    let Some(browser) = Browser::start().await else { return };
    let program = demo(&["--scene", "outage"]).await;
    let page = browser.page().await;
    page.see(&format!("http://{}/", program.addr)).await;
    page.until("!document.getElementById('outage').hidden").await;
    for place in ["#demo", "#clock"] {
        let text = page.text(place).await;
        assert!(text.contains("15:20") || text.contains("15:21"), "{place}: {text}");
    }
    assert!(page.text("#demo").await.starts_with("Demo · "));
    // The course of the day, which the history has meanwhile, leaves the room to what is wrong.
    recorded(&page, 3).await;
    page.see(&format!("http://{}/", program.addr)).await;
    page.until("document.querySelector('#ribbon path.home').getAttribute('d')?.length > 100").await;
    assert_eq!(page.value("document.getElementById('ribbon').checkVisibility()").await, false);
    for (width, height) in [(480, 480), (800, 480), (390, 844), (1280, 800)] {
        page.size(width, height).await;
        page.until(&format!("innerWidth === {width}")).await;
        fits(&page, &format!("an outage in the demo at {width}×{height}")).await;
    }
    page.see(&format!("http://{}/console", program.addr)).await;
    assert!(page.text("#demo").await.starts_with("Demo · 15:2"), "{}", page.text("#demo").await);
    page.is_clean(&program.addr.to_string());
    drop(program);

    let program = demo(&["--scene", "unknown"]).await;
    let page = browser.page().await;
    page.see(&format!("http://{}/?site=home", program.addr)).await;
    page.until("document.querySelector('.station[data-of=load] .figure').innerText !== '–'").await;
    let figures = figures(&page).await;
    assert_eq!((&figures["solar"], &figures["grid"]), (&"–".into(), &"–".into()), "{figures}");
    drop(program);

    let program = demo(&["--scene", "many", "--at", "12:30", "--speed", "1"]).await;
    let page = browser.page().await;
    page.see(&format!("http://{}/", program.addr)).await;
    page.until("document.getElementById('scope').textContent === '12 of 12 sites'").await;
    recorded(&page, 12).await;
    page.see(&format!("http://{}/", program.addr)).await;
    page.until("document.getElementById('ribbon').checkVisibility()").await;
    assert!(page.text("#clock").await.starts_with("12:3"));
}
