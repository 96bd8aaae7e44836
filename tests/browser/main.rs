//! The pages as people see them: in a real Chromium, in every state, at every size. Without a Chromium these
//! tests say aloud that they were skipped.

#[path = "../common/mod.rs"]
mod common;

mod accessible;
mod baseline;
mod chromium;
mod demo;
mod display;
mod docs;
mod fleet;
mod fleet_orders;
mod history;
mod hours;
mod kiosk;
mod languages;
mod layers;
mod old;
mod ordering;
mod paint;
mod palette;
#[path = "../service/program.rs"]
#[allow(dead_code, reason = "another test program uses the rest")]
mod program;
mod proxy;
mod real;
mod scenes;
mod settlement;
mod sizes;
mod stage;

use chromium::{Browser, Page};
use common::tools;
use powerwall_server::settings::{HttpSettings, Style};
use serde_json::{Value, json};
use stage::Stage;

/// Where each page is.
const PAGES: [&str; 4] = ["/", "/?style=clear", "/kiosk?rotate=30", "/console"];

/// A page that shows `state`.
async fn shown(browser: &Browser, stage: &Stage, path: &str, state: Value) -> Page {
    stage.show(state);
    let page = browser.page().await;
    page.see(&stage.url(path)).await;
    page
}

/// What each figure of the power flow says, by station.
async fn figures(page: &Page) -> Value {
    let script = "Object.fromEntries([...document.querySelectorAll('.flow .station')].map((one) =>
        [one.dataset.of, [...one.querySelectorAll('.figure')].map((figure) => \
        figure.innerText.replace(/\\s/g, '')).join(' ')]))";
    page.value(script).await
}

#[actix_web::test]
async fn every_page_shows_every_state() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let states: [(&str, Value, &str); 8] = [
        ("a sunny day", scenes::sunny(), "Exporting"),
        ("three sites", scenes::three_sites(), "Barn"),
        ("one of three missing", scenes::one_of_three_missing(), "Without Cabin"),
        ("one of three cut off", scenes::one_of_three_cut_off(), "Grid outage"),
        ("late", scenes::stale(), "Delayed"),
        ("offline", scenes::offline(), "Offline"),
        ("unknown", scenes::unknown(), "–"),
        ("never asked", scenes::never(), "No data yet"),
    ];
    for (name, state, expected) in states {
        for path in PAGES {
            let page = shown(&browser, &stage, path, state.clone()).await;
            let text = page.text("body").await;
            assert!(text.contains(expected), "{name} at {path}: {text}");
            assert!(
                !text.contains("undefined") && !text.contains("NaN") && !text.contains("null"),
                "{name} at {path}: {text}"
            );
            page.is_clean(&stage.host());
            page.close().await;
        }
    }
}

#[actix_web::test]
async fn flows_are_shown_in_numbers_words_and_motion() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = shown(&browser, &stage, "/", scenes::sunny()).await;
    let expected = json!({ "solar": "4.80kW", "grid": "840W", "load": "1.21kW", "battery": "54% 2.75kW" });
    assert_eq!(figures(&page).await, expected);
    let read = page.text(".flow ul").await;
    for words in [
        "2.75 kW from the sun to the battery",
        "1.21 kW from the sun to the home",
        "840 W from the sun to the grid",
    ] {
        assert!(read.contains(words), "{read}");
    }
    assert!(page.text(".tank").await.contains("Full in 5 h 20 min"), "{}", page.text(".tank").await);
    assert!(page.text(".tank").await.contains("Reserve 20 %"));
    assert_eq!(page.value("document.querySelectorAll('.ribbons .flowing').length").await, 3);
    page.until("document.querySelector('.motes').dataset.moves === 'true'").await;

    // Who does not want motion gets none.
    page.media(&[("prefers-reduced-motion", "reduce")]).await;
    page.until("document.querySelector('.motes').dataset.moves === 'false'").await;
    page.media(&[]).await;
    page.until("document.querySelector('.motes').dataset.moves === 'true'").await;
    page.value(
        "Object.defineProperty(document, 'hidden', { get: () => true }); document.dispatchEvent(new \
         Event('visibilitychange'))",
    )
    .await;
    page.until("document.querySelector('.motes').dataset.moves === 'false'").await;
    page.see(&stage.url("/?anim=off")).await;
    assert_eq!(page.value("document.querySelector('.motes').dataset.moves").await, "false");

    // The other way round, at night.
    let night = scenes::house(
        &[("home", "Home", json!({ "power": { "site": 300, "battery": 900, "load": 1200, "solar": 0 } }))],
        json!({}),
    );
    stage.show(night);
    page.until("document.querySelector('.tank').innerText.includes('Discharging')").await;
    assert!(page.text(".tank").await.contains("At reserve in 12 h 11 min"), "{}", page.text(".tank").await);
    assert!(page.text(".station[data-of=grid]").await.contains("Importing"));
    assert!(page.text(".station[data-of=load]").await.contains("Self-powered 75 %"));
    page.is_clean(&stage.host());
}

#[actix_web::test]
async fn several_sites_together_do_what_each_of_them_does() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = shown(&browser, &stage, "/", scenes::exchanging()).await;
    let grid = page.text(".station[data-of=grid]").await;
    assert!(grid.replace('\u{a0}', " ").contains("Importing 3.00 kW, exporting 3.00 kW"), "{grid}");
    let flows = page.text(".flow ul").await;
    for words in ["3.00 kW from the grid to the home", "3.00 kW from the sun to the grid"] {
        assert!(flows.replace('\u{a0}', " ").contains(words), "{flows}");
    }
    let home = page.text(".station[data-of=load]").await;
    assert!(home.replace('\u{a0}', " ").contains("Self-powered 25 %"), "{home}");
    // A countdown is that of one site.
    stage.show(scenes::one_of_three_cut_off());
    page.until("document.querySelector('.tank .outlook').innerText.includes('Cabin: Empty in')").await;
    page.is_clean(&stage.host());
}

#[actix_web::test]
async fn a_battery_that_is_not_there_leaves_no_ribbon() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = shown(&browser, &stage, "/", scenes::sunny()).await;
    let ribbons = "[...document.querySelectorAll('.ribbons g')].filter((one) => \
        getComputedStyle(one).display !== 'none' && one.dataset.pair.includes('battery')).length";
    page.until(&format!("{ribbons} > 0")).await;
    stage.show(scenes::solar_only());
    page.until("!document.querySelector('.tank').checkVisibility()").await;
    page.until(&format!("{ribbons} === 0")).await;
}

#[actix_web::test]
async fn a_name_that_was_chosen_wins_and_who_was_not_asked_yet_is_not_red() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let named = json!({ "status": { "name": "Lake house", "site_name": "TEG-1234" } });
    let plain = json!({ "status": { "name": "barn", "site_name": "Barn of the gateway" } });
    let two = scenes::house(&[("lake", "Lake", named), ("barn", "Barn", plain)], json!({}));
    let page = shown(&browser, &stage, "/console", two).await;
    let text = page.text("body").await;
    assert!(text.contains("Lake house") && text.contains("Barn of the gateway"), "{text}");
    assert!(!text.contains("TEG-1234"), "{text}");
    stage.show(scenes::never());
    page.until("document.body.innerText.includes('No data yet')").await;
    let red = "[...document.querySelectorAll('[data-kind=bad]')].some((one) => \
        one.innerText.includes('No data yet'))";
    assert_eq!(page.value(red).await, false);
}

#[actix_web::test]
async fn a_generator_is_shown_where_there_is_one() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let with = |power: Value| json!({ "meters": { "generator": { "power": power } } });
    let alone = |power: Value| scenes::house(&[("home", "Home", with(power))], json!({}));
    let card = ".now[data-of=generator]";
    let page = shown(&browser, &stage, "/console", alone(json!(3200))).await;
    assert_eq!(page.text(card).await.split_whitespace().collect::<String>(), "Generator3.20kWRunning");
    stage.show(alone(json!(0)));
    page.until("document.querySelector('.now[data-of=generator]').innerText.includes('Off')").await;
    stage.show(alone(Value::Null));
    page.until("document.querySelector('.now[data-of=generator]').innerText.includes('Unknown')").await;
    stage.show(scenes::sunny());
    page.until("document.querySelector('.now[data-of=generator]').hidden").await;
    // Of several sites, those that have one.
    let two = [("home", "Home", with(json!(1200))), ("barn", "Barn", json!({}))];
    stage.show(scenes::house(&two, json!({ "contributors": ["home", "barn"] })));
    page.until("document.querySelector('.now[data-of=generator]').innerText.includes('1.20')").await;
    page.is_clean(&stage.host());
}

#[actix_web::test]
async fn an_outage_is_the_largest_thing_on_the_screen() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let largest = "(() => {
        let most = { size: 0 };
        for (const one of document.querySelectorAll('body *')) {
            const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
            const box = one.getBoundingClientRect();
            if (!own || box.width === 0 || !one.checkVisibility()) continue;
            const size = parseFloat(getComputedStyle(one).fontSize);
            if (size > most.size) most = { size, text: one.textContent };
        }
        return most.text;
    })()";
    for path in ["/", "/kiosk", "/console"] {
        for (width, height) in [(1280, 800), (800, 1280), (480, 480), (320, 568)] {
            let page = shown(&browser, &stage, path, scenes::outage()).await;
            page.size(width, height).await;
            page.until(&format!("innerWidth === {width}")).await;
            assert_eq!(page.value(largest).await, "Grid outage", "{path} at {width}×{height}");
            let text = page.text("#outage").await;
            assert!(
                text.contains("62 % charged")
                    && text.contains("lasts until about ")
                    && text.contains("(10 h 34 min)"),
                "{text}"
            );
            page.close().await;
        }
    }
    let page = shown(&browser, &stage, "/?site=home", scenes::one_of_three_cut_off()).await;
    assert_eq!(page.value("document.getElementById('outage').hidden").await, true, "another site is cut off");
    page.see(&stage.url("/")).await;
    assert!(page.text("#outage").await.contains("Cabin"));
}

#[actix_web::test]
async fn what_is_old_is_grey_still_and_says_its_age() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = shown(&browser, &stage, "/", scenes::stale()).await;
    assert!(page.text("#freshness").await.starts_with("Delayed · 2"), "{}", page.text("#freshness").await);
    assert_eq!(page.value("document.querySelector('.flow').classList.contains('aged')").await, false);
    let before = page.text("#freshness").await;
    page.until(&format!(
        "document.getElementById('freshness').textContent !== {}",
        json!(before.replace(" s", "\u{a0}s"))
    ))
    .await;

    assert_eq!(page.text("#spoken").await, "Delayed", "ages are not read aloud each second");
    stage.show(scenes::offline());
    page.until("document.querySelector('.flow').classList.contains('aged')").await;
    assert!(page.text("#freshness").await.starts_with("Offline · values of "));
    assert_eq!(figures(&page).await["solar"], "4.80kW", "the last values stay");
    assert_eq!(page.value("document.querySelector('.motes').dataset.moves").await, "false");
    assert_eq!(page.value("document.querySelectorAll('.ribbons .flowing').length").await, 0);
    assert!(!page.text(".tank").await.contains("Full in"), "nothing is foretold from old values");
    let saturation = "getComputedStyle(document.querySelector('.station[data-of=solar] .label')).color === \
        getComputedStyle(document.querySelector('.station[data-of=grid] .label')).color";
    assert_eq!(page.value(saturation).await, true, "grey, all of it");

    stage.show(scenes::unknown());
    page.until("document.querySelector('.station[data-of=solar] .figure').innerText === '–'").await;
    assert_eq!(figures(&page).await, json!({ "solar": "–", "grid": "–", "load": "–", "battery": "– –" }));

    let console = shown(&browser, &stage, "/console", scenes::offline()).await;
    let health = console.text("[data-part=health]").await;
    for words in [
        "Offline, 90 min old",
        "Paused for",
        "Next request in",
        "the gateway did not answer within 5 s",
        "Failures in a row",
    ] {
        assert!(health.contains(words), "{words}: {health}");
    }
}

#[actix_web::test]
async fn sites_can_be_looked_at_one_by_one() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = shown(&browser, &stage, "/", scenes::three_sites()).await;
    assert_eq!(page.text("#scope").await, "3 of 3 sites");
    page.value("document.querySelector('[data-site=cabin]').click()").await;
    assert_eq!(page.text("#title").await, "Cabin");
    assert_eq!(page.value("location.search").await, "?site=cabin");
    assert_eq!(figures(&page).await["solar"], "2.74kW");
    page.press("Escape").await;
    page.until("document.getElementById('title').textContent === 'All sites'").await;

    // With the keyboard alone.
    page.value("document.querySelector('[data-site=home]').focus()").await;
    page.press("Tab").await;
    page.press("Enter").await;
    page.until("document.getElementById('title').textContent === 'Cabin'").await;
    assert_eq!(page.value("document.activeElement.getAttribute('aria-pressed')").await, "true");

    // A missing one is named and not in the sum.
    stage.show(scenes::one_of_three_missing());
    page.press("Escape").await;
    page.until("document.getElementById('scope').textContent === '2 of 3 sites'").await;
    let notice = page.text("#notices").await;
    assert!(
        notice.contains("Without Cabin")
            && notice.contains("does not answer")
            && notice.contains("25 min ago"),
        "{notice}"
    );
    assert!(page.text("[data-site=cabin]").await.contains("Offline, 25 min old"));
    assert_eq!(figures(&page).await["solar"], "6.52kW");

    // One after the other.
    page.see(&stage.url("/kiosk?rotate=3")).await;
    for name in ["Home", "Cabin", "Barn", "All sites"] {
        page.until(&format!("document.getElementById('title').textContent === '{name}'")).await;
    }
    assert_eq!(page.value("document.getElementById('links').checkVisibility()").await, false);
    page.is_clean(&stage.host());
}

#[actix_web::test]
async fn restarts_new_firmware_and_names_with_markup_are_shown_as_text() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    for path in ["/", "/console"] {
        let page = shown(&browser, &stage, path, scenes::sunny()).await;
        let mut status = scenes::sunny()["gateway/home/status"].clone();
        status["firmware"] = "26.26.11 d5d5".into();
        status["boot_at"] = powerwall_server::clock::unix_time().into();
        stage.change(json!({ "gateway/home/status": status }));
        page.until("document.getElementById('notices').children.length === 2").await;
        let notices = page.text("#notices").await;
        assert!(notices.contains("firmware changed from 26.18.1 c4db63ce to 26.26.11 d5d5"), "{notices}");
        assert!(notices.contains("gateway restarted"), "{notices}");

        stage.show(scenes::hostile());
        page.until("document.body.innerText.includes('<img src=x')").await;
        assert_eq!(
            page.value("document.querySelectorAll('img, script:not([src]), [onclick]').length").await,
            0
        );
        assert_ne!(page.value("document.title").await, "owned");
        page.is_clean(&stage.host());
        page.close().await;
    }
}

#[actix_web::test]
async fn frames_get_the_style_they_ask_for_and_nothing_else() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::with(HttpSettings { style: Style::White, ..common::http() }).await;
    let ground = "getComputedStyle(document.body).backgroundColor";
    for (style, expected) in [
        ("clear", "rgba(0, 0, 0, 0)"),
        ("black", "rgb(0, 0, 0)"),
        ("white", "rgb(255, 255, 255)"),
        ("grafana", "rgb(22, 23, 25)"),
        ("grafana-dark", "rgb(17, 18, 23)"),
        ("dakboard", "rgb(0, 0, 0)"),
        ("solar", "rgba(0, 0, 0, 0)"),
    ] {
        let page = shown(&browser, &stage, &format!("/?style={style}"), scenes::sunny()).await;
        assert_eq!(page.value(ground).await, expected, "{style}");
        let hides_battery = page.value("document.querySelector('.tank').hidden").await;
        assert_eq!(hides_battery, style == "solar", "{style}");
        page.is_clean(&stage.host());
        page.close().await;
    }
    let page = shown(
        &browser,
        &stage,
        "/?style=%22%3E%3Cscript%3Edocument.title=1%3C/script%3E&theme=%3Cb%3E",
        scenes::sunny(),
    )
    .await;
    assert_eq!(page.value(ground).await, "rgb(15, 18, 20)");
    page.is_clean(&stage.host());

    // In a frame the server's style holds; the page around it is another one of this service.
    page.open(&stage.url("/example")).await;
    page.until("document.querySelector('iframe')?.contentDocument?.body?.dataset.ready === 'yes'").await;
    let framed = "(() => { const { contentWindow } = document.querySelector('iframe'); return \
        contentWindow.getComputedStyle(contentWindow.document.body).backgroundColor; })()";
    assert_eq!(page.value(framed).await, "rgb(255, 255, 255)");
    assert_eq!(
        page.value("document.querySelector('iframe').contentDocument.getElementById('links').hidden").await,
        true
    );
    page.is_clean(&stage.host());
}

#[actix_web::test]
async fn cards_and_kiosk_are_remembered_by_the_browser_and_the_address() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = shown(&browser, &stage, "/console", scenes::three_sites()).await;
    let cards = "[...document.querySelectorAll('section.card')].filter((card) => !card.hidden).map((card) => \
        card.dataset.card).join(' ')";
    let all = "power-flow energy service";
    assert_eq!(page.value(cards).await, all, "without a broker there is no card for it");
    let parts = "[...document.querySelectorAll('.gateway[open] .part')].filter((part) => \
        !part.hidden).map((part) \
        => part.dataset.part).join(' ')";
    let of_gateway = "alerts powerwall strings temps fans meters health";
    assert_eq!(page.value(parts).await, of_gateway, "one card is open");
    page.value("document.querySelectorAll('#choices input')[0].click()").await;
    page.value(
        "[...document.querySelectorAll('#choices label')].find((one) => \
         one.textContent.startsWith('Fans')).click()",
    )
    .await;
    page.until("location.search === '?hide=power-flow%2Cfans'").await;
    assert_eq!(page.value(cards).await, "energy service");
    assert_eq!(page.value(parts).await, of_gateway.replace(" fans", ""));
    page.see(&stage.url("/console")).await;
    assert_eq!(page.value(cards).await, "energy service", "kept by the browser");
    page.see(&stage.url("/console?hide=service&kiosk=1")).await;
    assert_eq!(page.value(cards).await, "power-flow energy", "the address wins");
    assert_eq!(page.value("getComputedStyle(document.getElementById('header')).display").await, "none");
    page.press("Escape").await;
    page.until("getComputedStyle(document.getElementById('header')).display !== 'none'").await;
    page.is_clean(&stage.host());
}

#[actix_web::test]
async fn blocked_ways_are_gone_around_and_a_new_version_is_loaded() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    for (blocked, way) in [(&["/ws/"][..], "server-sent events"), (&["/ws/", "/sse/"], "polling")] {
        stage.block(blocked);
        let page = shown(&browser, &stage, "/console", scenes::sunny()).await;
        page.until(&format!("document.querySelector('[data-card=service]').innerText.includes('{way}')"))
            .await;
        stage.change(
            json!({ "gateway/home/power": { "site": 0, "battery": 0, "load": 1234, "solar": 1234 } }),
        );
        page.until("document.querySelector('.station[data-of=load]').innerText.includes('1.23')").await;
        page.close().await;
    }
    stage.block(&[]);
    let page = shown(&browser, &stage, "/", scenes::sunny()).await;
    page.value("window.before = true").await;
    stage.update("2.0.0");
    stage.show(scenes::sunny());
    page.until("window.before === undefined && document.body?.dataset.ready === 'yes'").await;
}
