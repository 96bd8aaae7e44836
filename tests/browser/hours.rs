//! Two hours on the wall, a frame a second: nothing grows.

use serde_json::{Value, json};

use crate::chromium::{Browser, Page};
use crate::scenes;
use crate::stage::Stage;

/// What a page may gain from the tenth minute to the end of the second hour, bytes. One small object kept of
/// every drawing would be twice as much.
const SLACK: f64 = 200_000.0;

/// What a page holds after some time.
struct Held {
    /// Bytes of JavaScript objects, after everything useless is gone.
    heap: f64,
    elements: f64,
    timers: Value,
}

/// A page in the foreground whose time a test lets pass, with three sites of which everything changes each
/// second.
struct Lived {
    page: Page,
    /// Seconds.
    age: u32,
}

/// Lets seconds pass, each with a frame of the feed.
const PASS: &str = "window.pass = async (from, until) => {
                let timers = 0;
                for (let second = from; second < until; second++) {
                    const wave = Math.sin(second / 90);
                    const power = (scale) => ({ site: -800 * wave, battery: -2000 * wave, load: 900 + second \
                    % 300, solar: Math.max(0, scale * wave) });
                    const set = { total: { ...scene.state.total, ...power(6000), soe: 50 + 30 * wave } };
                    for (const id of scene.state.order) {
                        set[`gateway/${id}/power`] = power(3000);
                        set[`gateway/${id}/status`] = { ...scene.state[`gateway/${id}/status`], taken_at: \
                        hours.at(), latency_ms: second % 90 };
                        set[`gateway/${id}/energy`] = { ...scene.state[`gateway/${id}/energy`], soe: 50 + 30 \
                        * wave };
                        set[`gateway/${id}/alerts`] = second % 2 ? ['SelfTest'] : ['SelfTest', \
                        `PVAC_${second % 7}`];
                    }
                    hours.hear({ type: 'change', seq: second + 1, at: hours.at(), set, gone: [] });
                    timers = hours.second();
                    if (second % 20 === 0) await hours.pause();
                }
                return timers;
            }";

impl Lived {
    async fn begin(browser: &Browser, stage: &Stage, path: &str) -> Self {
        let page = browser.page().await;
        page.size(800, 480).await;
        page.before_everything(include_str!("hours.js")).await;
        page.open(&stage.url(path)).await;
        page.until("window.hours !== undefined && document.readyState === 'complete'").await;
        let sites = scenes::three_sites();
        let state = json!({ "type": "state", "epoch": "e", "seq": 0, "version": "1.0.0", "state": sites });
        page.value(&format!("window.scene = {state}; scene.at = hours.at(); hours.hear(scene)")).await;
        page.value("hours.second()").await;
        page.until("document.body.dataset.ready === 'yes'").await;
        page.value(PASS).await;
        // Who listens to the network makes the browser keep what came over it.
        page.order("Network.disable", json!({})).await;
        Self { page, age: 0 }
    }

    /// Lives on to that age.
    async fn until(&mut self, age: u32) -> Held {
        let mut timers = Value::Null;
        while self.age < age {
            let until = age.min(self.age + 3600);
            timers = self.page.value(&format!("pass({}, {until})", self.age)).await;
            self.age = until;
        }
        let (heap, elements) = self.page.weight().await;
        Held { heap, elements, timers }
    }
}

#[actix_web::test]
async fn two_hours_leave_no_trace_in_memory() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    for path in ["/?kiosk=1", "/console"] {
        let mut lived = Lived::begin(&browser, &stage, path).await;
        let early = lived.until(600).await;
        let late = lived.until(7200).await;
        assert!(late.heap - early.heap < SLACK, "{path}: {} bytes grew to {}", early.heap, late.heap);
        let elements = (early.elements, late.elements);
        assert!((elements.0 - elements.1).abs() <= 12.0, "{path}: {elements:?} elements");
        assert_eq!(late.timers, early.timers, "{path}: timers pile up");
        assert_eq!(lived.page.complaints(), Vec::<String>::new());
        lived.page.close().await;
    }
}

#[actix_web::test]
#[ignore = "takes minutes: cargo test --all-features --test browser two_days -- --ignored --nocapture"]
async fn two_days_in_a_kiosk_leave_no_trace_in_memory() {
    const HOUR: u32 = 3600;
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let mut lived = Lived::begin(&browser, &stage, "/kiosk?rotate=30&dim=22-6").await;
    let early = lived.until(HOUR).await;
    println!("| simulated hours | heap | elements |\n|---|---|---|");
    println!("| 1 | {:.0} kB | {} |", early.heap / 1000.0, early.elements);
    for hours in [6, 12, 18, 24, 30, 36, 42, 48] {
        let late = lived.until(hours * HOUR).await;
        println!("| {hours} | {:.0} kB | {} |", late.heap / 1000.0, late.elements);
        assert!(late.heap - early.heap < SLACK, "{} bytes grew to {}", early.heap, late.heap);
        assert!((late.elements - early.elements).abs() <= 12.0, "{} elements", late.elements);
        assert_eq!(late.timers, early.timers, "timers pile up");
    }
    assert_eq!(lived.page.complaints(), Vec::<String>::new());
}

#[actix_web::test]
async fn a_kiosk_moves_a_little_hides_the_cursor_is_dimmed_at_night_and_heard_in_an_outage() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = browser.page().await;
    page.before_everything(include_str!("hours.js")).await;
    page.before_everything(
        "window.heard = 0;
        window.AudioContext = class { constructor() { window.heard += 1; throw new Error('no speaker'); } };
        Date.prototype.getHours = () => window.hour ?? 12;",
    )
    .await;
    page.open(&stage.url("/kiosk?dim=22-6&sound=on")).await;
    page.until("window.hours !== undefined && document.readyState === 'complete'").await;
    let hear = |state: serde_json::Value, sequence: u32| {
        let message =
            json!({ "type": "state", "epoch": "e", "seq": sequence, "version": "1.0.0", "state": state });
        format!("hours.hear({{ ...{message}, at: hours.at() }}); hours.second()")
    };
    page.value(&hear(scenes::sunny(), 0)).await;
    page.until("document.body.dataset.ready === 'yes'").await;
    assert_eq!(page.value("document.documentElement.classList.contains('still')").await, false);
    let place = page.value("document.body.style.transform").await;
    page.value(
        "window.minute = () => { for (let second = 0; second < 65; second++) { hours.hear({ type: 'beat', \
         seq: 0, at: hours.at() }); hours.second(); } }",
    )
    .await;
    page.value("minute()").await;
    assert_eq!(page.value("getComputedStyle(document.body).cursor").await, "none");
    assert_ne!(page.value("document.body.style.transform").await, place);
    let ground = "getComputedStyle(document.body).backgroundColor";
    assert_ne!(page.value(ground).await, "rgb(0, 0, 0)");
    page.value("window.hour = 23; minute()").await;
    page.until(&format!("{ground} === 'rgb(0, 0, 0)'")).await;
    // Whoever prefers a light page wants a dark one at night as well.
    page.value("document.documentElement.dataset.theme = 'light'").await;
    assert_eq!(page.value(ground).await, "rgb(0, 0, 0)");
    assert_eq!(page.value("heard").await, 0);
    page.value(&hear(scenes::outage(), 1)).await;
    page.value("hours.second()").await;
    page.until("!document.getElementById('outage').hidden").await;
    let banner = page.value("getComputedStyle(document.getElementById('outage')).backgroundColor").await;
    assert_eq!(banner, "rgb(200, 50, 43)", "an outage is not dimmed");
    page.value("hours.second(); hours.second()").await;
    assert_eq!(page.value("heard").await, 1, "once");
    page.is_clean(&stage.host());
}
