//! Every page at every size, dark and light: pictures for people, and what must hold at all of them.

use serde_json::Value;

use crate::chromium::{Browser, Page};
use crate::scenes;
use crate::shown;
use crate::stage::Stage;

type Scene = fn() -> Value;

const SIZES: [(u32, u32); 4] = [(480, 480), (800, 1280), (1280, 800), (3840, 2160)];

/// Names of stations whose texts lie on each other or stick out of the window.
const COLLISIONS: &str = "(() => {
    const boxes = [...document.querySelectorAll('.flow > .station .figure, .flow > .station .label, .flow > \
    .station .what, .stored, .outlook, .reserve span, header > *, #outage, #notices li, .site, #ribbon')]
        .filter((one) => one.checkVisibility() && one.textContent.trim() && \
        one.getBoundingClientRect().width > 1)
        .map((one) => ({ one, box: one.getBoundingClientRect(), name: one.className + ' ' + \
        one.textContent.slice(0, 20) }));
    const found = [];
    for (const { box, name } of boxes) {
        if (box.left < -1 || box.right > innerWidth + 1 || box.top < -1 || box.bottom > innerHeight + 1) \
        found.push('outside: ' + name);
    }
    for (const [index, a] of boxes.entries()) for (const b of boxes.slice(index + 1)) {
        if (a.one.contains(b.one) || b.one.contains(a.one)) continue;
        const [x, y] = [Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left), \
        Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top)];
        if (x > 2 && y > 3) found.push(a.name + ' on ' + b.name);
    }
    return found;
})()";

/// The flow fills the window and nothing needs to be scrolled to.
pub async fn fits(page: &Page, name: &str) {
    let scrolls = "[document.documentElement.scrollWidth > innerWidth, document.documentElement.scrollHeight \
        > innerHeight].join()";
    assert_eq!(page.value(scrolls).await, "false,false", "{name}");
    let collisions = page.value(COLLISIONS).await;
    assert_eq!(collisions, Value::Array(Vec::new()), "{name}");
}

#[actix_web::test]
async fn every_page_fits_every_screen() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let states = [
        ("sunny", scenes::sunny()),
        ("sites", scenes::three_sites()),
        ("missing", scenes::one_of_three_missing()),
        ("exchanging", scenes::exchanging()),
        ("outage", scenes::outage()),
        ("offline", scenes::offline()),
    ];
    for (name, state) in states {
        let page = shown(&browser, &stage, "/", state.clone()).await;
        for (width, height) in SIZES.into_iter().chain([
            (320, 568),
            (390, 844),
            (568, 320),
            (500, 300),
            (1024, 600),
            (1920, 1080),
        ]) {
            page.size(width, height).await;
            page.until(&format!("innerWidth === {width}")).await;
            fits(&page, &format!("{name} at {width}×{height}")).await;
        }
        // As large as can be, a rail beside it and tiles below it.
        let large = shown(&browser, &stage, "/?scale=3", state.clone()).await;
        for (width, height) in [(1280, 800), (390, 844)] {
            large.size(width, height).await;
            large.until(&format!("innerWidth === {width}")).await;
            fits(&large, &format!("{name} as large as can be at {width}×{height}")).await;
        }
        large.close().await;
        page.close().await;
        let console = shown(&browser, &stage, "/console", state).await;
        for (width, height) in SIZES.into_iter().chain([(320, 568)]) {
            console.size(width, height).await;
            console.until(&format!("innerWidth === {width}")).await;
            let scrolls = console.value("document.documentElement.scrollWidth > innerWidth").await;
            assert_eq!(scrolls, false, "the console, {name} at {width}×{height}");
        }
        console.close().await;
    }
}

/// Of the stage's height: the numbers, and the smallest of the words.
const SHARES: &str = "(() => {
    const high = document.getElementById('stage').getBoundingClientRect().height;
    const least = (which) => Math.min(...[...document.querySelectorAll(which)]
        .filter((one) => one.checkVisibility() && one.textContent.trim())
        .map((one) => parseFloat(getComputedStyle(one).fontSize) / high));
    return [least('.flow .figure'), least('.flow :is(.label, .what, .stored, .outlook, .reserve span)')];
})()";

#[actix_web::test]
async fn numbers_and_words_are_read_from_three_metres() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let landscape =
        [(1280, 800), (800, 480), (1024, 600), (480, 480), (1920, 1080), (3840, 2160), (844, 390)];
    // Upright, the width decides: four of five numbers side by side, and a line of words.
    let upright = [(800, 1280), (390, 844), (360, 740)];
    let states: [(&str, Scene); 5] = [
        ("live", scenes::sunny),
        ("many", scenes::three_sites),
        ("late", scenes::stale),
        ("outage", scenes::outage),
        ("unknown", scenes::unknown),
    ];
    for (name, state) in states {
        for path in ["/", "/kiosk"] {
            let page = shown(&browser, &stage, path, state()).await;
            for (width, height) in landscape.into_iter().chain(upright) {
                page.size(width, height).await;
                page.until(&format!("innerWidth === {width}")).await;
                let (numbers, words) = match height > width {
                    true => (0.06, 0.015),
                    false => (0.09, 0.035),
                };
                let shares: Vec<f64> = serde_json::from_value(page.value(SHARES).await).unwrap();
                let what = format!("{path}, {name} at {width}×{height}: {shares:?}");
                assert!(shares[0] >= numbers && shares[1] >= words, "{what}");
                fits(&page, &what).await;
            }
            page.close().await;
        }
    }
}

/// For people: nothing is checked here that is not checked elsewhere, so that only who asks waits for it.
#[actix_web::test]
#[ignore = "takes a minute, and checks nothing: cargo test --test browser pictures -- --ignored"]
async fn pictures_of_every_page_are_kept() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let pages = [("wall", "/"), ("console", "/console")];
    for (name, path) in pages {
        for theme in ["dark", "light"] {
            for size in SIZES {
                stage.show(scenes::three_sites());
                let page = dressed(&browser, size, theme).await;
                picture(page, &stage.url(path), &format!("{name}-{}x{}-{theme}", size.0, size.1)).await;
            }
        }
    }
    let states: [(&str, Scene); 8] = [
        ("sunny", scenes::sunny),
        ("outage", scenes::outage),
        ("offline", scenes::offline),
        ("missing", scenes::one_of_three_missing),
        ("stale", scenes::stale),
        ("unknown", scenes::unknown),
        ("never", scenes::never),
        ("exchanging", scenes::exchanging),
    ];
    for (name, state) in states {
        for size in [(480, 480), (1280, 800)] {
            stage.show(state());
            let page = dressed(&browser, size, "dark").await;
            picture(page, &stage.url("/"), &format!("wall-{name}-{}x{}", size.0, size.1)).await;
        }
        stage.show(state());
        let page = dressed(&browser, (1280, 800), "light").await;
        picture(page, &stage.url("/console"), &format!("console-{name}")).await;
    }
}

/// A page of this size in this theme, of a browser that has seen a day.
async fn dressed(browser: &Browser, (width, height): (u32, u32), theme: &str) -> Page {
    let page = browser.page().await;
    page.size(width, height).await;
    page.theme(theme).await;
    page.before_everything(include_str!("day.js")).await;
    page
}

async fn picture(page: Page, url: &str, name: &str) {
    page.see(url).await;
    page.until("document.fonts.status === 'loaded' && document.fonts.size > 0").await;
    // What moves arrives.
    page.until("document.getAnimations().length === 0").await;
    let path = page.picture(name).await;
    assert!(std::fs::metadata(path).unwrap().len() > 2_000, "{name}");
    page.close().await;
}
