//! axe-core finds nothing on any page, in any theme and state: contrast, names, roles, landmarks. And the
//! keyboard reaches all that a pointer does.

use serde_json::{Value, json};

use crate::chromium::{Browser, Page};
use crate::common::tools::required_script;
use crate::scenes;
use crate::stage::Stage;

const RULES: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']";

/// What axe-core objects to: rule, element and why.
pub async fn examine(page: &Page, within: &str, name: &str) -> Vec<String> {
    let found = page
        .value(&format!(
            "axe.run({within}, {{ runOnly: {RULES}, resultTypes: ['violations'] }}).then(({{ violations }}) =>
                violations.flatMap(({{ id, nodes }}) => nodes.map(({{ target, failureSummary }}) =>
                    `${{id}}: ${{target.join(' ')}}: ${{failureSummary}}`)))"
        ))
        .await;
    found.as_array().unwrap().iter().map(|one| format!("{name}: {one}")).collect()
}

pub async fn prepared(browser: &Browser, axe: &str, url: &str) -> Page {
    let page = browser.page().await;
    page.see(url).await;
    page.value(&format!("{axe}; undefined")).await;
    page
}

/// Without motion, so that nothing is caught half-way.
pub async fn dress(page: &Page, theme: &str) {
    let scheme = if theme == "light" { "light" } else { "dark" };
    page.media(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]).await;
    page.until(&format!("document.documentElement.dataset.theme === '{scheme}'")).await;
    page.value(&format!("document.documentElement.classList.toggle('night', {})", theme == "night")).await;
}

fn many() -> Value {
    crate::layers::thirty(&[(7, json!({ "alerts": ["PVAC_W_Over_Temp"] }))])
}

#[actix_web::test]
async fn axe_core_finds_nothing_in_any_theme_and_state() {
    let Some(script) = required_script("axe-core/axe.min.js") else { return };
    let Some(browser) = Browser::start().await else { return };
    let axe = std::fs::read_to_string(script).unwrap();
    let stage = Stage::start().await;
    let mut found = Vec::new();
    type Scene = (&'static str, fn() -> Value, &'static str);
    let states: [Scene; 6] = [
        ("sunny", scenes::sunny, "Live"),
        ("missing", scenes::one_of_three_missing, "Without Cabin"),
        ("many", many, "30 of 30"),
        ("outage", scenes::outage, "Grid outage"),
        ("offline", scenes::offline, "Offline"),
        ("unknown", scenes::unknown, "–"),
    ];
    for path in ["/?kiosk=1", "/", "/console"] {
        stage.show(scenes::three_sites());
        let page = prepared(&browser, &axe, &stage.url(path)).await;
        for (name, state, shown) in states {
            stage.show(state());
            page.until(&format!("document.body.innerText.includes({})", json!(shown))).await;
            for theme in ["dark", "light", "night"] {
                dress(&page, theme).await;
                found.extend(examine(&page, "document", &format!("{path}, {name}, {theme}")).await);
            }
        }
        page.close().await;
    }
    assert_eq!(found, Vec::<String>::new());
}

#[actix_web::test]
async fn axe_core_finds_nothing_in_what_opens_and_in_the_other_pages() {
    let Some(script) = required_script("axe-core/axe.min.js") else { return };
    let Some(browser) = Browser::start().await else { return };
    let axe = std::fs::read_to_string(script).unwrap();
    let stage = Stage::start().await;
    stage.show(scenes::three_sites());
    let mut found = Vec::new();
    let opened = [
        ("/kiosk", "document", "document.body.click()"),
        ("/console", "document", "document.querySelector('.gateway > button').click()"),
        // What lies half under the menu is no smaller for that.
        ("/console", "'#menu'", "document.querySelector('summary').click()"),
        ("/history", "document", ""),
    ];
    for (path, within, open) in opened {
        let page = prepared(&browser, &axe, &stage.url(path)).await;
        page.value(open).await;
        for theme in ["dark", "light"] {
            dress(&page, theme).await;
            found.extend(examine(&page, within, &format!("{path} with what opens, {theme}")).await);
        }
        page.size(320, 568).await;
        found.extend(examine(&page, "document", &format!("{path} on a phone")).await);
        page.close().await;
    }
    let page = prepared(&browser, &axe, &stage.url("/docs")).await;
    for scheme in ["dark", "light"] {
        page.theme(scheme).await;
        found.extend(examine(&page, "document", &format!("/docs, {scheme}")).await);
    }
    assert_eq!(found, Vec::<String>::new());
}

/// Everything that can be pressed, by what it says, in the order in which the tab key comes to it.
async fn reached(page: &Page, presses: usize) -> Vec<String> {
    let mut reached = Vec::new();
    for _ in 0..presses {
        page.press("Tab").await;
        let now = page
            .value(
                "`${document.activeElement.tagName} \
                 ${document.activeElement.textContent.trim().slice(0, 20)}`",
            )
            .await;
        reached.push(now.as_str().unwrap_or_default().to_owned());
    }
    reached
}

#[actix_web::test]
async fn the_keyboard_reaches_all_that_a_pointer_does() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    stage.show(scenes::three_sites());
    for (path, presses) in [("/", 12), ("/console", 60)] {
        let page = browser.page().await;
        page.see(&stage.url(path)).await;
        let there = page
            .value(
                "[...document.querySelectorAll('a, button, summary, input, select')].filter((one) => \
                 one.checkVisibility() && !one.disabled).map((one) => \
                 `${one.tagName} ${one.textContent.trim()\
                 .slice(0, 20)}`)",
            )
            .await;
        let reached = reached(&page, presses).await;
        for one in there.as_array().unwrap() {
            let one = one.as_str().unwrap();
            assert!(reached.iter().any(|name| name == one), "{path}: {one} is not among {reached:?}");
        }
        let outline = "getComputedStyle(document.querySelector('#links a')).outlineStyle";
        page.value("document.querySelector('#links a').focus()").await;
        assert_ne!(page.value(outline).await, "none", "what is focused is seen");
        page.close().await;
    }
}
