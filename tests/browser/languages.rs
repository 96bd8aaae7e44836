//! The display in other languages: no table misses a text, and what it shows is in one language.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::sizes::fits;
use crate::stage::Stage;
use crate::{figures, scenes};

/// What a page with an outage, without one and with a site missing says in each language.
const LANGUAGES: [(&str, &str, &str, &str); 5] = [
    ("de", "Netzausfall", "Eigenverbrauch", "Ohne Cabin"),
    ("fr", "Coupure réseau", "Autoconsommation", "Sans Cabin"),
    ("es", "Corte de red", "Autoconsumo", "Sin Cabin"),
    ("it", "Blackout", "Autoconsumo", "Senza Cabin"),
    ("nl", "Stroomstoring", "Eigen verbruik", "Zonder Cabin"),
];

fn pages() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("static")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The scripts below `folder`, without the tables.
fn scripts(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.extension().and_then(|ending| ending.to_str()) {
            None if !entry.ends_with("words") => scripts(&entry, found),
            Some("js") => found.push(read(&entry)),
            _ => {}
        }
    }
}

/// Every text that the display asks a table for: `t("…")` in scripts, names and links in its page.
fn asked() -> BTreeSet<String> {
    let mut sources = Vec::new();
    scripts(&pages(), &mut sources);
    let mut texts = BTreeSet::new();
    for source in &sources {
        for (at, _) in source.match_indices("t(\"") {
            let before = source[..at].chars().next_back().unwrap_or(' ');
            if !before.is_alphanumeric() && before != '.' && before != '_' && before != '$' {
                texts.insert(source[at + 3..].split('"').next().unwrap().to_owned());
            }
        }
    }
    let page = read(&pages().join("index.html"));
    let named = page.split("aria-label=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let links = page.split("<a ").skip(1).filter_map(|rest| rest.split_once('>')?.1.split_once("</a>"));
    let links = links.map(|(text, _)| text).filter(|text| !text.contains('/'));
    texts.extend(named.chain(links).map(str::to_owned));
    texts
}

/// A table, as its file has it: a line for each text.
fn table(language: &str) -> BTreeMap<String, String> {
    let lines = read(&pages().join("words").join(format!("{language}.js")));
    let entries = lines.lines().filter(|line| line.starts_with("  \""));
    let pair = |line: &str| serde_json::from_str(&format!("{{{}}}", line.trim().trim_end_matches(',')));
    let entries: Vec<BTreeMap<String, String>> = entries.map(|line| pair(line).unwrap()).collect();
    let number = entries.len();
    let table: BTreeMap<_, _> = entries.into_iter().flatten().collect();
    assert_eq!(table.len(), number, "{language} has a text twice");
    table
}

/// The names in braces, in order.
fn blanks(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

#[test]
fn no_language_misses_a_text_or_has_one_too_many() {
    let asked = asked();
    assert!(asked.len() > 100, "{} texts", asked.len());
    for (language, ..) in LANGUAGES {
        let table = table(language);
        let there: BTreeSet<_> = table.keys().cloned().collect();
        let missing: Vec<_> = asked.difference(&there).collect();
        let unused: Vec<_> = there.difference(&asked).collect();
        assert!(
            missing.is_empty() && unused.is_empty(),
            "{language}: missing {missing:?}, unused {unused:?}"
        );
        for (text, words) in &table {
            assert!(!words.trim().is_empty(), "{language}: {text}");
            assert_eq!(blanks(text), blanks(words), "{language}: {text}");
        }
    }
}

#[actix_web::test]
async fn the_display_speaks_the_language_that_is_asked_for() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    for (language, outage, mode, without) in LANGUAGES {
        stage.show(scenes::sunny());
        let page = browser.page().await;
        page.see(&stage.url(&format!("/?lang={language}"))).await;
        assert_eq!(page.value("document.documentElement.lang").await, language);
        assert_eq!(page.text("#scope").await, mode);
        assert_eq!(figures(&page).await["solar"], "4,80kW");
        stage.show(scenes::outage());
        page.until(&format!("document.querySelector('#outage strong').textContent === {}", json!(outage)))
            .await;
        fits_everywhere(&page, language).await;
        stage.show(scenes::one_of_three_missing());
        page.until(&format!("document.getElementById('notices').innerText.includes({})", json!(without)))
            .await;
        fits_everywhere(&page, language).await;

        // Nothing is left in English.
        let english: Vec<String> =
            table(language).into_iter().filter(|(text, words)| text != words).map(|(text, _)| text).collect();
        let shown = page
            .value(
                "[...document.querySelectorAll('body *')].flatMap((one) => [one.getAttribute('aria-label'), \
                 ...[...one.childNodes].filter(({ nodeType }) => nodeType === 3).map((node) => \
                 node.textContent)]).filter(Boolean)",
            )
            .await;
        // The gateway of this name is called so.
        let is_name = |text: &str| text == "Home";
        for text in shown.as_array().unwrap().iter().filter_map(Value::as_str) {
            assert!(is_name(text) || !english.iter().any(|one| one == text), "{language}: {text}");
        }
        page.is_clean(&stage.host());
        page.close().await;
    }
}

async fn fits_everywhere(page: &crate::chromium::Page, language: &str) {
    for (width, height) in [(320, 568), (390, 844), (800, 480), (1280, 800)] {
        page.size(width, height).await;
        page.until(&format!("innerWidth === {width}")).await;
        fits(page, &format!("{language} at {width}×{height}")).await;
    }
}

#[actix_web::test]
async fn without_being_asked_it_speaks_as_the_browser_prefers() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    stage.show(scenes::sunny());
    let languages = [("nl-BE,fr", "nl"), ("ja,it", "it"), ("ja", "en"), ("en-GB,de", "en")];
    for (preferred, expected) in languages {
        let page = browser.page().await;
        let agent = json!({ "userAgent": "test", "acceptLanguage": preferred });
        page.order("Network.setUserAgentOverride", agent).await;
        page.see(&stage.url("/")).await;
        assert_eq!(page.value("document.documentElement.lang").await, expected, "{preferred}");
        // A page without tables stays as it is.
        page.see(&stage.url("/console")).await;
        assert_eq!(page.value("document.documentElement.lang").await, "en", "{preferred}");
        assert!(page.text("body").await.contains("Powerwall units"));
        page.is_clean(&stage.host());
        page.close().await;
    }
}
