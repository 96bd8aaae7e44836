//! The pages in other languages: no table misses a text, and what it shows is in one language.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::sizes::fits;
use crate::stage::Stage;
use crate::{figures, scenes};

/// What the display with an outage, without one and with a site missing says in each language.
const LANGUAGES: [(&str, &str, &str, &str); 5] = [
    ("de", "Netzausfall", "Eigenverbrauch", "Ohne Cabin"),
    ("fr", "Coupure réseau", "Autoconsommation", "Sans Cabin"),
    ("es", "Corte de red", "Autoconsumo", "Sin Cabin"),
    ("it", "Blackout", "Autoconsumo", "Senza Cabin"),
    ("nl", "Stroomstoring", "Eigen verbruik", "Zonder Cabin"),
];

fn pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("static")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The pages that are translated, each with the tables it loads beside that of the display.
fn translated() -> Vec<(String, Vec<String>)> {
    let pages = std::fs::read_dir(pages()).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|ending| ending == "html"));
    let tables = pages.filter_map(|path| {
        let page = read(&path);
        let html = page.split("<html").nth(1)?.split('>').next()?;
        let asked = html.split("data-translated").nth(1)?;
        let more = asked.strip_prefix("=\"").and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        Some((name, more.split_whitespace().map(str::to_owned).collect()))
    });
    tables.collect()
}

/// `script` and all that it imports, without the tables.
fn reach(script: &Path, found: &mut BTreeSet<PathBuf>) {
    let script = script.canonicalize().unwrap();
    if !found.insert(script.clone()) {
        return;
    }
    let source = read(&script);
    let names = ["from \"", "import(\""].into_iter().flat_map(|before| source.split(before).skip(1));
    for name in names.filter_map(|rest| rest.split('"').next()).filter(|name| name.starts_with('.')) {
        reach(&script.parent().unwrap().join(name), found);
    }
}

/// Every text that a page asks its tables for: `t("…")` in scripts, names and links in the page itself.
fn asked(page: &str) -> BTreeSet<String> {
    let page = read(&pages().join(page));
    let mut scripts = BTreeSet::new();
    for source in page.split("<script type=\"module\" src=\"").skip(1) {
        let source = source.split('"').next().unwrap().trim_start_matches("static/");
        reach(&pages().join(source), &mut scripts);
    }
    let mut texts = BTreeSet::new();
    for source in scripts.iter().map(|path| read(path)) {
        for (at, _) in source.match_indices("t(\"") {
            let before = source[..at].chars().next_back().unwrap_or(' ');
            if !before.is_alphanumeric() && before != '.' && before != '_' && before != '$' {
                texts.insert(source[at + 3..].split('"').next().unwrap().to_owned());
            }
        }
    }
    let named = page.split("aria-label=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let tags = ["<a ", "<summary", "<button", "<h1", "<span"];
    let links = tags.into_iter().flat_map(|tag| page.split(tag).skip(1));
    let links = links.filter_map(|rest| rest.split_once('>')?.1.split_once("</"));
    // Neither signs nor addresses nor the name of the product.
    let is_text = |text: &&str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && !text.contains('/')
            && *text != "Powerwall"
    };
    let links = links.map(|(text, _)| text).filter(is_text);
    texts.extend(named.chain(links).map(str::to_owned));
    texts
}

/// A table, as its file has it: a line for each text. That of the display has no name.
fn table(name: &str, language: &str) -> BTreeMap<String, String> {
    let lines = read(&pages().join("words").join(name).join(format!("{language}.js")));
    let entries = lines.lines().filter(|line| line.starts_with("  \""));
    let pair = |line: &str| serde_json::from_str(&format!("{{{}}}", line.trim().trim_end_matches(',')));
    let entries: Vec<BTreeMap<String, String>> = entries.map(|line| pair(line).unwrap()).collect();
    let number = entries.len();
    let table: BTreeMap<_, _> = entries.into_iter().flatten().collect();
    assert_eq!(table.len(), number, "{name} {language} has a text twice");
    table
}

/// All that a page knows in a language.
fn known(tables: &[String], language: &str) -> BTreeMap<String, String> {
    let more = tables.iter().map(|name| table(name, language));
    let mut all = table("", language);
    for one in more {
        let twice: Vec<_> = one.keys().filter(|text| all.contains_key(*text)).collect();
        assert!(twice.is_empty(), "{language}, {tables:?}: also in the table of the display: {twice:?}");
        all.extend(one);
    }
    all
}

/// The names in braces, in order.
fn blanks(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

#[test]
fn no_language_misses_a_text_or_has_one_too_many() {
    let pages: Vec<_> = translated().into_iter().map(|(page, tables)| (asked(&page), page, tables)).collect();
    assert!(pages.iter().any(|(asked, ..)| asked.len() > 100));
    for (language, ..) in LANGUAGES {
        let mut unused: BTreeSet<String> = BTreeSet::new();
        for (asked, page, tables) in &pages {
            let known = known(tables, language);
            let missing: Vec<_> = asked.iter().filter(|text| !known.contains_key(*text)).collect();
            assert!(missing.is_empty(), "{page} in {language}: missing {missing:?}");
            unused.extend(known.keys().cloned());
            for (text, words) in &known {
                assert!(!words.trim().is_empty(), "{language}: {text}");
                assert_eq!(blanks(text), blanks(words), "{language}: {text}");
            }
        }
        unused.retain(|text| !pages.iter().any(|(asked, ..)| asked.contains(text)));
        assert!(unused.is_empty(), "{language}: unused {unused:?}");
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

        nothing_is_english(&page, language, &[]).await;
        page.is_clean(&stage.host());
        page.close().await;
    }
}

/// Nothing on the page is left in English.
pub async fn nothing_is_english(page: &crate::chromium::Page, language: &str, tables: &[&str]) {
    let tables: Vec<_> = tables.iter().map(|name| (*name).to_owned()).collect();
    let known = known(&tables, language);
    // Some words of one language are others of another.
    let is_english = |text: &&String| !known.values().any(|words| words == *text);
    let english: Vec<&String> = known.keys().filter(is_english).collect();
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
        assert!(is_name(text) || !english.iter().any(|one| *one == text), "{language}: {text}");
    }
}

/// What the console says of an alert, of a state and of the gateways.
const OF_CONSOLE: [(&str, &str, &str, &str); 5] = [
    ("de", "Der Solarwechselrichter ist heiß", "Folgt dem Netz", "2 von 3 Gateways melden Werte"),
    ("fr", "L'onduleur solaire est chaud", "Suit le réseau", "2 passerelles sur 3 répondent"),
    ("es", "El inversor solar está caliente", "Sigue la red", "2 de 3 gateways responden"),
    ("it", "L'inverter solare è caldo", "Segue la rete", "2 gateway su 3 rispondono"),
    ("nl", "De zonne-omvormer is heet", "Volgt het net", "2 van 3 gateways melden zich"),
];

#[actix_web::test]
async fn the_console_speaks_the_language_that_is_asked_for() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    for (language, alert, state, status) in OF_CONSOLE {
        stage.show(scenes::sunny());
        let page = browser.page().await;
        page.see(&stage.url(&format!("/console?lang={language}"))).await;
        assert_eq!(page.value("document.documentElement.lang").await, language);
        let card = page.text("[data-gateway=home]").await.replace('\u{a0}', " ");
        for words in [alert, state, "312,4 V"] {
            assert!(card.contains(words), "{language}: {words}: {card}");
        }
        nothing_is_english(&page, language, &["console"]).await;
        stage.show(scenes::one_of_three_missing());
        page.until(&format!("document.getElementById('status').innerText.includes({})", json!(status))).await;
        nothing_is_english(&page, language, &["console"]).await;
        for (width, height) in [(320, 568), (390, 844), (800, 480), (1280, 800)] {
            page.size(width, height).await;
            page.until(&format!("innerWidth === {width}")).await;
            let scrolls = page.value("document.documentElement.scrollWidth > innerWidth").await;
            assert_eq!(scrolls, false, "{language} at {width}×{height}");
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
        page.see(&stage.url("/docs")).await;
        assert_eq!(page.value("document.documentElement.lang").await, "en", "{preferred}");
        page.is_clean(&stage.host());
        page.close().await;
    }
}
