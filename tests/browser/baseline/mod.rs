//! About 70 pictures of page, state and size, and those for displays without a browser, beside the ones in
//! `tests/browser/baseline/pictures`. Where they differ, `target/baseline/index.html` shows both;
//! `UPDATE_PICTURES=1 cargo test --all-features --test browser baseline` takes them anew.

mod compare;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use powerwall_server::clock::set_unix_time;
use powerwall_server::model::Freshness;
use powerwall_server::simulator::SiteKind;
use serde_json::{Value, json};

use crate::chromium::{Browser, Page};
use crate::common::{Outputs, snapshot, telemetry};
use crate::stage::Stage;
use crate::{history, scenes};
use compare::Picture;
use report::Report;

/// A Wednesday at 13:00 in Berlin, where the browser is.
const NOON: f64 = 1_795_003_200.0;

type Scene = fn() -> Value;
type Size = (u32, u32);

const WIDE: Size = (1280, 800);
const PHONE: Size = (390, 844);
const PANEL: Size = (800, 480);
const SQUARE: Size = (480, 480);

const SUNNY: (&str, Scene) = ("sunny", scenes::sunny);
const SITES: (&str, Scene) = ("sites", scenes::three_sites);
const MISSING: (&str, Scene) = ("missing", scenes::one_of_three_missing);
const CUT_OFF: (&str, Scene) = ("cut-off", scenes::one_of_three_cut_off);
const OUTAGE: (&str, Scene) = ("outage", scenes::outage);
const STALE: (&str, Scene) = ("stale", scenes::stale);
const OFFLINE: (&str, Scene) = ("offline", scenes::offline);
const UNKNOWN: (&str, Scene) = ("unknown", scenes::unknown);
const NEVER: (&str, Scene) = ("never", scenes::never);
const EXCHANGE: (&str, Scene) = ("exchange", scenes::exchanging);
const SUN_ALONE: (&str, Scene) = ("sun-alone", scenes::solar_only);

/// A page in a theme, the states it is shown in, and the sizes of each.
struct Set {
    name: &'static str,
    path: &'static str,
    theme: &'static str,
    states: &'static [(&'static str, Scene)],
    sizes: &'static [Size],
}

const fn set(
    name: &'static str,
    path: &'static str,
    theme: &'static str,
    states: &'static [(&'static str, Scene)],
    sizes: &'static [Size],
) -> Set {
    Set { name, path, theme, states, sizes }
}

const DISPLAY: &[Set] = &[
    set(
        "display",
        "/",
        "dark",
        &[SITES, MISSING, CUT_OFF, OUTAGE, STALE, OFFLINE, UNKNOWN, NEVER, EXCHANGE, SUN_ALONE],
        &[WIDE, PHONE],
    ),
    set("display", "/", "dark", &[SUNNY], &[WIDE, PHONE, SQUARE, (1920, 1080), (568, 320)]),
    set("display", "/", "light", &[SUNNY, SITES, OUTAGE, OFFLINE], &[PANEL]),
    set("display-de", "/?lang=de", "dark", &[SITES, OUTAGE], &[PANEL]),
    set("display-grafana", "/?style=grafana-dark", "dark", &[SUNNY], &[PANEL]),
    set("display-solar", "/?style=solar&theme=light", "light", &[SUNNY], &[PANEL]),
    set("kiosk", "/kiosk", "dark", &[SUNNY, SITES, OUTAGE], &[PANEL]),
    set("kiosk-night", "/kiosk?dim=10-16", "light", &[SUNNY, OUTAGE], &[PANEL]),
];

const CONSOLE: &[Set] = &[
    set("console", "/console", "dark", &[SUNNY, SITES, OUTAGE, OFFLINE, UNKNOWN, NEVER], &[WIDE]),
    set("console", "/console", "dark", &[SITES, OUTAGE], &[PHONE]),
    set("console", "/console", "light", &[SUNNY, SITES], &[WIDE]),
];

/// Beside which the pictures are held.
fn album() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/baseline/pictures")
}

/// A page that stands still: its time passes when it is told to, and nothing moves.
async fn still(browser: &Browser, theme: &str) -> Page {
    let page = browser.page().await;
    page.media(&[("prefers-color-scheme", theme), ("prefers-reduced-motion", "reduce")]).await;
    page.before_everything(&format!("window.started = {}", NOON * 1000.0)).await;
    page.before_everything(include_str!("../hours.js")).await;
    page
}

/// What is in the window, at half its size if it is large.
async fn taken(page: &Page, (width, height): Size) -> Picture {
    page.size(width, height).await;
    page.until(&format!("innerWidth === {width} && document.fonts.status === 'loaded'")).await;
    page.until("document.getAnimations().length === 0").await;
    page.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))").await;
    let scale = if width > 600 { 0.5 } else { 1.0 };
    let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": scale });
    let shot = page.order("Page.captureScreenshot", json!({ "format": "png", "clip": clip })).await;
    Picture::read(&BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap())
}

/// Takes a picture of each state of a page in each size.
async fn take(browser: &Browser, stage: &Stage, sets: &[Set], report: &mut Report) {
    for Set { name, path, theme, states, sizes } in sets {
        for (state, scene) in *states {
            set_unix_time(NOON);
            let message = json!({ "type": "state", "epoch": "e", "seq": 0, "version": "1.0.0", "at": NOON,
                "state": scene() });
            let page = still(browser, theme).await;
            page.size(sizes[0].0, sizes[0].1).await;
            page.open(&stage.url(path)).await;
            page.until("window.hours !== undefined && document.readyState === 'complete'").await;
            page.until(&format!(
                "(() => {{ try {{ hours.hear({message}); return true; }} catch {{ return false; \
                }} }})()"
            ))
            .await;
            page.value("hours.second()").await;
            page.until("document.body.dataset.ready === 'yes'").await;
            for size in *sizes {
                let picture = taken(&page, *size).await;
                report.compare(&format!("{name}-{state}-{theme}-{}x{}", size.0, size.1), &picture);
            }
            page.close().await;
        }
    }
}

#[actix_web::test]
async fn the_display_looks_as_it_did() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    stage.block(&["/ws/", "/sse/", "/api/live"]);
    let mut report = Report::of(&album(), &["display-", "kiosk-"]);
    take(&browser, &stage, DISPLAY, &mut report).await;
    report.finish();
}

#[actix_web::test]
async fn the_console_looks_as_it_did() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    stage.block(&["/ws/", "/sse/", "/api/live"]);
    let mut report = Report::of(&album(), &["console-"]);
    take(&browser, &stage, CONSOLE, &mut report).await;
    report.finish();
}

#[actix_web::test]
async fn the_history_and_the_list_of_routes_look_as_they_did() {
    let Some(browser) = Browser::start().await else { return };
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let both = ["home", "cabin"].map(|id| snapshot(id, &telemetry, Freshness::Live));
    let (history, _folder) = history::known().await;
    let outputs = Outputs::recorded(both.into(), history);
    let mut report = Report::of(&album(), &["history-", "docs-"]);
    for (name, path, theme, size, ready) in [
        ("history-month", "/history?period=month&date=2026-03-10", "dark", WIDE, ""),
        ("history-month", "/history?period=month&date=2026-03-10", "light", PHONE, ""),
        ("history-day", "/history?period=day&date=2026-03-10", "dark", WIDE, ""),
        ("history-year", "/history?period=year&date=2026-03-10", "light", WIDE, ""),
        ("docs", "/docs", "dark", WIDE, "pw/level"),
        ("docs", "/docs", "light", PHONE, "pw/level"),
    ] {
        let page = browser.page().await;
        page.media(&[("prefers-color-scheme", theme), ("prefers-reduced-motion", "reduce")]).await;
        page.size(size.0, size.1).await;
        page.before_everything(&format!("Date.now = () => {}", NOON * 1000.0)).await;
        page.see(&format!("http://{}{path}", outputs.addr)).await;
        if !ready.is_empty() {
            // Of a list that grows, what is found in it does not.
            page.value(&format!(
                "(() => {{ const field = document.querySelector('#search'); field.value = '{ready}'; \
                 field.dispatchEvent(new Event('input')); }})()"
            ))
            .await;
        }
        report.compare(&format!("{name}-{theme}-{}x{}", size.0, size.1), &taken(&page, size).await);
        page.close().await;
    }
    report.finish();
}

#[actix_web::test]
async fn the_fleet_looks_as_it_did() {
    let Some(browser) = Browser::start().await else { return };
    let outputs = crate::settlement::settlement(120);
    let mut report = Report::of(&album(), &["fleet-"]);
    for (name, path, theme, size) in [
        // What is in the window then has no time of day.
        ("fleet", "/fleet?sort=charge", "dark", WIDE),
        ("fleet", "/fleet?sort=charge", "light", PHONE),
        ("fleet-groups", "/fleet?view=groups", "light", WIDE),
    ] {
        let page = browser.page().await;
        page.media(&[("prefers-color-scheme", theme), ("prefers-reduced-motion", "reduce")]).await;
        page.size(size.0, size.1).await;
        page.see(&format!("http://{}{path}", outputs.addr)).await;
        page.until("document.querySelector('.rows tbody tr, .group')?.checkVisibility()").await;
        page.until("!document.querySelector('#filters select').hidden").await;
        report.compare(&format!("{name}-{theme}-{}x{}", size.0, size.1), &taken(&page, size).await);
        page.close().await;
    }
    report.finish();
}

#[cfg(feature = "pictures")]
#[actix_web::test]
async fn pictures_for_displays_without_a_browser_look_as_they_did() {
    use powerwall_server::pictures::{Asked, Draft, Form, Gallery, Sight, Today};

    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let (live, never) = (Freshness::Live, Freshness::Never);
    let shown = |sites: &[(&str, Freshness)]| {
        let sites = sites.iter().map(|(id, freshness)| Arc::new(snapshot(id, &telemetry, *freshness)));
        sites.collect::<Vec<_>>()
    };
    let day =
        Today { solar: Some(23_400.0), home: Some(9_100.0), imported: Some(300.0), exported: Some(4e3) };
    let today = [("home".to_owned(), day)].into();
    let gallery = Gallery::default();
    let mut report = Report::of(&album(), &["picture-"]);
    let home = shown(&[("home", live)]);
    let house = shown(&[("home", live), ("cabin", never), ("barn", Freshness::Stale)]);
    for (name, sites, query) in [
        ("landscape", &home, "width=800&height=480"),
        ("light", &home, "width=800&height=480&theme=light"),
        ("hard", &home, "width=800&height=480&colors=2"),
        ("sum", &house, "width=800&height=480&colors=16"),
        ("sum-portrait", &house, "width=480&height=800&colors=4&lang=de"),
        ("turned", &home, "width=400&height=300&colors=4&rotate=270"),
        ("small", &home, "width=250&height=122&colors=2"),
        ("tall", &home, "width=122&height=250&colors=2&theme=dark"),
        ("late", &shown(&[("home", Freshness::Stale)]), "width=400&height=300&colors=4"),
        ("offline", &shown(&[("home", Freshness::Expired)]), "width=800&height=480&lang=fr"),
        ("never", &shown(&[("home", never)]), "width=400&height=300&colors=2"),
    ] {
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let asked = Asked::read(value).unwrap();
        let now = tokio::time::Instant::now();
        let sum = powerwall_server::model::Aggregate::of(sites, now);
        let unix = 1_795_000_000.0 + 25.0;
        let sight = Sight { snapshots: sites, sum: &sum, site: None, today: &today, now, unix, demo: None };
        let png = gallery.picture(Draft::of(&sight, asked, Form::Png).unwrap()).await.unwrap();
        report.compare(&format!("picture-{name}"), &Picture::read(&png));
    }
    report.finish();
}
