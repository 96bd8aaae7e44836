//! How soon each page shows what it is for, on processors that are slower than this one: for
//! `docs/benchmarks.md`.

use powerwall_server::model::Freshness;
use powerwall_server::simulator::SiteKind;
use serde_json::json;

use crate::chromium::Browser;
use crate::common::{Outputs, snapshot, telemetry};
use crate::history;

const PAGES: [&str; 5] = ["/", "/kiosk", "/console", "/history?period=month&date=2026-03-10", "/docs"];
const SLOWER: [u32; 3] = [1, 4, 6];
const ROUNDS: usize = 5;

/// Notes when the page says that it shows what it heard, and the frame with it is about to be painted.
const NOTE: &str = "new MutationObserver((_, watch) => {
    if (document.body?.dataset.ready !== 'yes') return;
    watch.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => { window.shown = performance.now(); }));
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-ready'] })";

#[actix_web::test]
#[ignore = "only reports: cargo test --all-features --test browser first_paint -- --ignored --nocapture"]
async fn first_paint_of_each_page_on_a_slow_processor() {
    let Some(browser) = Browser::start().await else { return };
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let both = ["home", "cabin"].map(|id| snapshot(id, &telemetry, Freshness::Live));
    let (history, _folder) = history::known().await;
    let outputs = Outputs::recorded(both.into(), history);
    println!("| page | 1 ×: first paint, values | 4 × slower | 6 × slower |\n|---|---|---|---|");
    for path in PAGES {
        let mut row = format!("| `{}` |", path.split('?').next().unwrap());
        for rate in SLOWER {
            let (mut first, mut values) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let page = browser.page().await;
                page.order("Network.setCacheDisabled", json!({ "cacheDisabled": true })).await;
                page.before_everything(NOTE).await;
                page.order("Emulation.setCPUThrottlingRate", json!({ "rate": rate })).await;
                page.open(&format!("http://{}{path}", outputs.addr)).await;
                page.until("window.shown > 0").await;
                let paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0";
                first.push(page.value(paint).await.as_f64().unwrap());
                values.push(page.value("shown").await.as_f64().unwrap());
                page.close().await;
            }
            let middle = |mut times: Vec<f64>| {
                times.sort_by(f64::total_cmp);
                times[ROUNDS / 2]
            };
            row += &format!(" {:.0} ms, {:.0} ms |", middle(first), middle(values));
        }
        println!("{row}");
    }
}
