//! The page of the history, over a file of which every figure is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::date;
use jiff::tz::TimeZone;
use powerwall_server::clock::unix_time;
use powerwall_server::model::energy::Flows;
use powerwall_server::model::tariff::{Period, Tariff, Tariffs};
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use powerwall_server::store::Store;
use powerwall_server::store::history::batch::{Added, Batch, Sample, Source, Sum};
use powerwall_server::store::history::{History, Keeping};
use serde_json::{Value, json};

use crate::chromium::{Browser, Page};
use crate::languages::nothing_is_english;
use crate::program::Program;

const ZONE: &str = "America/Los_Angeles";
/// Wh in each quarter of an hour.
const ENERGIES: [f64; 6] = [500.0, 250.0, 125.0, 0.0, 0.0, 125.0];

/// Every quarter of an hour from 2026-02-01 to 2026-04-30, but for an hour on the day that has 23 of them.
fn slots() -> BTreeMap<i64, Sum> {
    let zone = TimeZone::get(ZONE).unwrap();
    let at = |day| date(2026, day, 1).to_zoned_datetime(zone.clone()).unwrap().timestamp().as_second();
    let gap = date(2026, 3, 8).to_zoned_datetime(zone.clone()).unwrap().timestamp().as_second() + 6 * 3600;
    let ways = Source::Counted.of_all();
    let sum = Sum { energy: Flows(ENERGIES.map(Some)), seconds: Flows([900.0; 6]), ways };
    let all = (at(2)..at(5)).step_by(900).filter(|slot| !(gap..gap + 3600).contains(slot));
    all.map(|slot| (slot, sum.clone())).collect()
}

/// 0.40 for a kWh from the grid, 0.10 for one to it.
fn keeping() -> Keeping {
    let always = |price| Period { price, ..Period::ALWAYS };
    let tariff = Tariff { currency: None, buy: vec![always(0.4)], sell: vec![always(0.1)] };
    Keeping { tariffs: Tariffs(vec![(None, tariff)]), ..Keeping::default() }
}

/// 2 kWh of sun in this quarter of an hour, and a little, which is more than the test takes.
fn today() -> (i64, Sum) {
    let slot = unix_time() as i64 / 900 * 900;
    let energy = [2010.0, 1010.0, 510.0, 0.0, 310.0, 210.0].map(Some);
    let ways = Source::Counted.of_all();
    (slot, Sum { energy: Flows(energy), seconds: Flows([60.0; 6]), ways })
}

/// A minute five hours ago.
fn lately() -> Vec<Sample> {
    let at = unix_time() - 5.0 * 3600.0;
    let power = Flows([3000.0, 1000.0, 2000.0, 0.0, 0.0, 0.0].map(Some));
    (0..12).map(|poll| Sample { at: at + f64::from(poll) * 5.0, power, soe: Some(40.0) }).collect()
}

/// A history of three months of which every figure is known, and nothing of today.
pub async fn known() -> (History, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = Store::open(path.clone()).unwrap();
    let history = History::kept_in(&path, &store, &keeping()).unwrap();
    let added = Added { slots: slots(), zone: TimeZone::get(ZONE).ok(), ..Added::default() };
    let batch = Batch { run: 1, number: 1, added: [("home".to_owned(), added)].into() };
    history.write(Arc::new(batch)).await.unwrap();
    (history, folder)
}

struct House {
    program: Program,
    _gateways: [GatewayHandle; 2],
    _folder: tempfile::TempDir,
}

impl House {
    /// Two sites, one of which has a history.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        {
            let store = Store::open(path.clone()).unwrap();
            let history = History::kept_in(&path, &store, &keeping()).unwrap();
            let zone = TimeZone::get(ZONE).ok();
            let added = Added { slots: slots(), zone: zone.clone(), ..Added::default() };
            let batch = Batch { run: 1, number: 1, added: [("home".to_owned(), added)].into() };
            history.write(Arc::new(batch)).await.unwrap();
            let added = Added { slots: [today()].into(), samples: lately(), zone, ..Added::default() };
            let both = ["home", "cabin"].map(|id| (id.to_owned(), added.clone()));
            history.write(Arc::new(Batch { run: 1, number: 2, added: both.into() })).await.unwrap();
        }
        Self::over(folder).await
    }

    /// The same two sites, with what is in `folder`.
    async fn over(folder: tempfile::TempDir) -> Self {
        let path = folder.path().join("history.db");
        let options = |id: &str, name: &str| SiteOptions {
            speed: 0.0,
            ..SiteOptions::new(id, name, SiteKind::Powerwall3)
        };
        let gateways = [
            GatewayHandle::start(options("home", "Home")).await.unwrap(),
            GatewayHandle::start(options("cabin", "Cabin")).await.unwrap(),
        ];
        let list = gateways.iter().map(|gateway| gateway.settings()).collect::<Value>().to_string();
        let auth = folder.path().display().to_string();
        let environment = [
            ("PW_GATEWAYS", list.as_str()),
            ("PW_BIND_ADDRESS", "127.0.0.1"),
            ("PW_PORT", "0"),
            ("PW_AUTH_PATH", auth.as_str()),
            ("PW_TIMESERIES_PATH", path.to_str().unwrap()),
        ];
        let program = Program::start(&[], &environment).await;
        Self { program, _gateways: gateways, _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.program.addr)
    }
}

/// The figure of a tile, without spaces.
async fn tile(page: &Page, of: &str) -> String {
    page.text(&format!("[data-of={of}] .value")).await.split_whitespace().collect()
}

/// Waits for the period that begins on a day.
async fn showing(page: &Page, first: &str) {
    page.until(&format!(
        "document.getElementById('title').dataset.from === '{first}' && document.body.ariaBusy === 'false'"
    ))
    .await;
}

#[actix_web::test]
async fn a_period_is_shown_with_what_is_known_of_it_and_its_address() {
    let Some(browser) = Browser::start().await else { return };
    let house = House::start().await;
    let page = browser.page().await;
    page.see(&house.url("/history?period=day&date=2026-03-08&site=home")).await;
    showing(&page, "2026-03-08").await;
    // 23 hours, of which 22 were measured: 88 quarters of an hour.
    assert_eq!(tile(&page, "solar").await, "44.0kWh");
    assert_eq!(tile(&page, "export").await, "11.0kWh");
    assert_eq!(tile(&page, "self-powered").await, "100%");
    assert_eq!(tile(&page, "self-consumed").await, "75%");
    assert!(page.text("#readout").await.contains("Hatched"));
    assert_eq!(page.value("document.querySelectorAll('#chart canvas').length").await, 1);
    assert_eq!(page.value("document.querySelectorAll('#table tbody tr').length").await, 88);

    page.press("ArrowRight").await;
    showing(&page, "2026-03-09").await;
    assert_eq!(tile(&page, "solar").await, "48.0kWh");
    let solar = page.text("[data-of=solar] .hint").await;
    assert_eq!(solar.replace('\u{a0}', " "), "▲ 9 %", "48 after 44");
    assert!(!page.text("#readout").await.contains("Hatched"));
    assert_eq!(page.value("new URLSearchParams(location.search).get('date')").await, "2026-03-09");

    page.press("m").await;
    showing(&page, "2026-03-01").await;
    assert_eq!(tile(&page, "solar").await, "1484kWh", "742 hours of 2 kW");
    assert_eq!(page.value("document.querySelectorAll('#table tbody tr').length").await, 31);
    let costs = page.text("#costs").await;
    for (title, amount) in
        [("Earned", "37.10"), ("solar and battery", "333.90"), ("Saved by the battery", "-37.10")]
    {
        assert!(costs.contains(title) && costs.contains(amount), "{title} {amount}: {costs}");
    }
    page.value("history.back()").await;
    showing(&page, "2026-03-09").await;

    // A stretch before it that was recorded in part is no measure for the whole.
    page.see(&house.url("/history?from=2026-02-15&to=2026-03-15&site=home")).await;
    showing(&page, "2026-02-15").await;
    let compared = page.text("#compared").await;
    assert!(compared.ends_with("recorded since Sun, 1 February 2026 only"), "{compared}");
    assert_eq!(page.text("[data-of=solar] .hint").await.replace('\u{a0}', " "), "672 kWh before");
    page.is_clean(&house.program.addr.to_string());
}

#[actix_web::test]
async fn a_sum_says_who_is_missing_and_what_was_not_recorded_is_no_zero() {
    let Some(browser) = Browser::start().await else { return };
    let house = House::start().await;
    let page = browser.page().await;
    page.see(&house.url("/history?from=2026-03-01&to=2026-04-30")).await;
    showing(&page, "2026-03-01").await;
    assert!(page.text("#partial").await.contains("Cabin"));
    assert_eq!(page.value("document.querySelectorAll('#table tbody tr').length").await, 61);
    page.value("document.querySelector('#sites button:last-child').click()").await;
    showing(&page, "2026-03-01").await;
    page.until("document.getElementById('readout').textContent === 'Nothing was recorded in this period.'")
        .await;
    assert_eq!(tile(&page, "solar").await, "–");

    let csv = page.value("document.querySelector('#download a').href").await;
    let bytes = page.value(&format!("fetch({csv}).then((answer) => answer.text())")).await;
    assert!(bytes.as_str().unwrap().starts_with("gateway,start,end,name,solar_kwh"));
    page.is_clean(&house.program.addr.to_string());
}

#[actix_web::test]
async fn the_history_fits_every_screen_and_is_small() {
    let Some(browser) = Browser::start().await else { return };
    let house = House::start().await;
    let page = browser.page().await;
    for query in ["period=day&date=2026-03-08&site=home", "period=month&date=2026-03-08", "range=90d"] {
        page.see(&house.url(&format!("/history?{query}"))).await;
        for (width, height) in [(320, 568), (390, 844), (800, 480), (1280, 800), (3840, 2160)] {
            page.size(width, height).await;
            page.until(&format!("innerWidth === {width}")).await;
            // The chart follows the window a frame later.
            page.until("document.documentElement.scrollWidth <= innerWidth").await;
            let small = "[...document.querySelectorAll('button, #links a')].filter((one) => \
                one.checkVisibility() && one.getBoundingClientRect().height < 39).length";
            assert_eq!(page.value(small).await, 0, "what fingers aim at: {query} at {width}×{height}");
        }
    }
    // What no other page has, as it is sent.
    let own = "Promise.all(performance.getEntriesByType('resource')
        .filter(({ name }) => /history|vendor/.test(name) && name.includes('/static/'))
        .map(async ({ name }) => {
            const bytes = await (await fetch(name)).blob();
            const small = bytes.stream().pipeThrough(new CompressionStream('gzip'));
            return (await new Response(small).arrayBuffer()).byteLength;
        })).then((sizes) => sizes.reduce((sum, size) => sum + size, 0))";
    let own = page.value(own).await.as_f64().unwrap();
    assert!((20_000.0..60_000.0).contains(&own), "{own} bytes");
}

#[actix_web::test]
async fn without_a_history_the_page_says_how_to_get_one() {
    let Some(browser) = Browser::start().await else { return };
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap();
    let list = json!([gateway.settings()]).to_string();
    let environment = [("PW_GATEWAYS", list.as_str()), ("PW_BIND_ADDRESS", "127.0.0.1"), ("PW_PORT", "0")];
    let program = Program::start(&[], &environment).await;
    let page = browser.page().await;
    page.see(&format!("http://{}/history", program.addr)).await;
    page.until("document.getElementById('problem').textContent.includes('PW_TIMESERIES_PATH')").await;
}

#[actix_web::test]
async fn the_history_speaks_the_language_that_is_asked_for() {
    let Some(browser) = Browser::start().await else { return };
    let house = House::start().await;
    for (language, title, solar) in [
        ("de", "März 2026", "1484 kWh"),
        ("fr", "mars 2026", "1484 kWh"),
        ("es", "marzo de 2026", "1484 kWh"),
        ("it", "marzo 2026", "1484 kWh"),
        ("nl", "maart 2026", "1484 kWh"),
    ] {
        let page = browser.page().await;
        page.see(&house.url(&format!("/history?period=month&date=2026-03-01&site=home&lang={language}")))
            .await;
        assert_eq!(page.text("#title").await, title);
        assert_eq!(
            page.text("[data-of=solar] .value").await.split_whitespace().collect::<Vec<_>>().join(" "),
            solar
        );
        nothing_is_english(&page, language, &["history"]).await;
        page.see(&house.url(&format!("/history?period=day&date=2026-03-08&site=home&lang={language}"))).await;
        let solar = page.text("[data-of=solar] .value").await;
        assert_eq!(solar.split_whitespace().collect::<String>(), "44,0kWh", "{language}");
        nothing_is_english(&page, language, &["history"]).await;
        page.size(320, 568).await;
        // The chart becomes smaller a moment later.
        page.until("innerWidth === 320 && document.documentElement.scrollWidth <= innerWidth").await;
        page.is_clean(&house.program.addr.to_string());
        page.close().await;
    }
}

#[actix_web::test]
async fn the_display_and_the_console_say_what_today_has_come_to() {
    let Some(browser) = Browser::start().await else { return };
    let house = House::start().await;
    let wall = browser.page().await;
    wall.see(&house.url("/?site=home")).await;
    wall.until("document.querySelector('.station[data-of=solar] .what').textContent.startsWith('2.0')").await;
    wall.is_clean(&house.program.addr.to_string());
    let console = browser.page().await;
    console.see(&house.url("/console")).await;
    let today = |of: &str| format!("document.querySelector('.now[data-of={of}] .today').textContent");
    console.until(&format!("{}.startsWith('4.0')", today("solar"))).await;
    let grid = console.value(&today("grid")).await.as_str().unwrap().replace('\u{a0}', " ");
    assert_eq!(grid, "0.6 kWh in, 0.4 kWh out today");
    // The lines of the day go back to before this browser looked.
    console.value("document.querySelector('[data-range=\"86400\"]').click()").await;
    console.until("document.querySelector('.readout').textContent === ''").await;
    let value = "import('./static/trend.js').then(({ Trend }) => {
        const trend = new Trend(Date.now() / 1000);
        const series = trend.of('home', Date.now() / 1000);
        return new Promise((done) => {
            const look = () => series.isRecorded ? done(null) : setTimeout(look, 20);
            look();
        }).then(() => series.at('battery', Math.floor((Date.now() / 1000 - 5 * 3600 + 30) / 20)));
    })";
    assert_eq!(console.value(value).await, -2000.0);
}

#[actix_web::test]
async fn the_display_shows_the_last_day_and_when_the_grid_was_away() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    {
        let store = Store::open(path.clone()).unwrap();
        let history = History::kept_in(&path, &store, &keeping()).unwrap();
        let (first, sum) = (unix_time() as i64 / 900 * 900 - 80 * 900, today().1);
        // Quarters of an hour, but for two hours.
        let slots =
            (0..80).filter(|slot| !(40..48).contains(slot)).map(|slot| (first + slot * 900, sum.clone()));
        let added = Added { slots: slots.collect(), zone: TimeZone::get(ZONE).ok(), ..Added::default() };
        history
            .write(Arc::new(Batch { run: 1, number: 1, added: [("home".to_owned(), added)].into() }))
            .await
            .unwrap();
        let file = rusqlite::Connection::open(&path).unwrap();
        let ended = format!(r#"{{"state":"ended","since":{},"seconds":840}}"#, first + 36_000);
        let entry = "INSERT INTO journal (at, gateway, kind, detail) VALUES (?, 'home', 'grid', ?)";
        file.execute(entry, rusqlite::params![first + 36_840, ended]).unwrap();
    }
    let house = House::over(folder).await;
    let wall = browser.page().await;
    wall.see(&house.url("/?site=home")).await;
    wall.until("document.querySelector('#ribbon:not([hidden]) .home')?.getAttribute('d')?.length > 0").await;
    let stretches = "document.querySelector('#ribbon .home').getAttribute('d').split('M').length - 1";
    assert_eq!(wall.value(stretches).await, 2, "no line crosses what was not measured");
    assert!(
        wall.text("#ribbon figcaption")
            .await
            .replace('\u{a0}', " ")
            .starts_with("Power was out for 14 min at")
    );
    assert_eq!(wall.value("document.querySelectorAll('#ribbon .gone rect').length").await, 1);
    // The other site has no history.
    wall.value("document.querySelector('[data-site=cabin]').click()").await;
    wall.until("document.getElementById('ribbon').hidden").await;
    for (width, height) in [(320, 568), (390, 844), (480, 480), (800, 480), (1280, 800), (3840, 2160)] {
        wall.size(width, height).await;
        wall.until(&format!("innerWidth === {width}")).await;
        wall.until("document.documentElement.scrollHeight <= innerHeight").await;
    }
    wall.is_clean(&house.program.addr.to_string());
}
