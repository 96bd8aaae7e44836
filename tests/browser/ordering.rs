//! Orders given on the console, from the token that is typed to what the simulated gateway does.

use powerwall_server::app::Service;
use powerwall_server::settings::{Inputs, RsaKey, Settings};
use powerwall_server::simulator::{GatewayHandle, OrderFault, Registration, SiteKind, SiteOptions};
use serde_json::json;
use tempfile::TempDir;

use crate::chromium::{Browser, Page};

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");
const OWNER: &str = "CanaryOwner-of-everything";
const READER: &str = "CanaryReader-of-the-journal";
const RESERVE: &str = "[data-card=control] [data-order=reserve]";

/// A service with a Powerwall 3 over v1r, and the tokens of an owner and of a viewer.
struct House {
    home: GatewayHandle,
    _lan: GatewayHandle,
    _folder: TempDir,
    service: Service,
}

impl House {
    async fn new() -> Self {
        let options =
            SiteOptions { hour: 12.0, speed: 0.0, ..SiteOptions::new("home", "Home", SiteKind::Powerwall3) };
        let home = GatewayHandle::start(options).await.unwrap();
        let lan = home.on_lan().await.unwrap();
        let key = RsaKey::read(KEY.as_ref()).unwrap();
        lan.lan().unwrap().register(key.public_der(), Registration::Verified);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let file = json!({
            "gateways": [home.settings_with_lan(&lan, KEY)],
            "tokens": [{ "name": "reader", "role": "viewer", "secret": READER }],
        });
        std::fs::write(path("config.json"), file.to_string()).unwrap();
        let environment = [
            ("PW_CONFIG", path("config.json")),
            ("PW_CONTROL_SECRET", OWNER.to_owned()),
            ("PW_AUTH_PATH", path("")),
            ("PW_TIMESERIES_PATH", path("journal.db")),
            ("PW_PORT", "0".to_owned()),
            ("PW_BIND_ADDRESS", "127.0.0.1".to_owned()),
            ("PW_CACHE_EXPIRE", "1".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
        let service = Service::start(&settings, 1).unwrap();
        Self { home, _lan: lan, _folder: folder, service }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.addr)
    }

    /// The console, once it knows what the gateway can take.
    async fn console(&self, browser: &Browser) -> Page {
        let page = browser.page().await;
        page.see(&self.url("/console")).await;
        page.until("document.querySelector('[data-order=reserve] .present')?.innerText.includes('%')").await;
        page
    }
}

async fn type_token(page: &Page, token: &str) {
    let script = format!(
        "(() => {{ const field = document.querySelector('[data-card=control] input[type=password]'); \
         field.value = {}; field.form.requestSubmit(); }})()",
        json!(token)
    );
    page.value(&script).await;
}

async fn unlocked(page: &Page) {
    type_token(page, OWNER).await;
    page.until(&format!("document.querySelector('{RESERVE}')?.dataset.able === 'true'")).await;
}

/// Fills in the reserve, and for how long in seconds, and presses the button.
async fn set_reserve(page: &Page, percent: u32, seconds: &str) {
    let script = format!(
        "(() => {{ const line = document.querySelector('{RESERVE}'); line.querySelector('input').value = \
         '{percent}'; line.querySelector('select').value = '{seconds}'; \
         line.querySelector('button').click(); }})()"
    );
    page.value(&script).await;
}

/// Waits until the newest order reads so.
async fn newest(page: &Page, words: &str) {
    let first = "document.querySelector('.control .orders li')?.innerText";
    page.until(&format!("{first}?.replaceAll('\\u00a0', ' ').includes({})", json!(words))).await;
}

/// In both themes, at the widths of a phone, a tablet and a large screen.
async fn pictured(page: &Page, state: &str) {
    for theme in ["dark", "light"] {
        page.theme(theme).await;
        for width in [320, 800, 1920] {
            page.size(width, 900).await;
            let fits = "document.documentElement.scrollWidth <= innerWidth";
            assert_eq!(page.value(fits).await, true, "{state} fits {width}");
            page.picture(&format!("control-{state}-{theme}-{width}")).await;
        }
    }
}

#[actix_web::test]
async fn a_reserve_that_is_set_on_the_console_is_seen_in_effect() {
    let Some(browser) = Browser::start().await else { return };
    let house = House::new().await;
    let page = house.console(&browser).await;
    assert_eq!(
        page.value("document.querySelectorAll('.control form:not([hidden])').length").await,
        0,
        "nothing is offered without a token"
    );
    pictured(&page, "no-token").await;
    type_token(&page, "nobody knows this one").await;
    page.until("document.querySelector('div.door .why').innerText !== ''").await;
    type_token(&page, READER).await;
    page.until("document.querySelector('.who').innerText.includes('only read')").await;
    assert_eq!(page.value("document.querySelectorAll('.control form:not([hidden])').length").await, 0);
    pictured(&page, "viewer").await;
    page.value("[...document.querySelectorAll('.door button')].at(-1).click()").await;
    page.until("!document.querySelector('form.door').hidden").await;

    unlocked(&page).await;
    set_reserve(&page, 35, "").await;
    newest(&page, "Backup reserve: 35 %").await;
    page.until("/Stored|In effect/.test(document.querySelector('.control .orders li').innerText)").await;
    page.until(&format!("document.querySelector('{RESERVE} .present').innerText.startsWith('35')")).await;
    assert_eq!((house.home.reserve().0, house.home.orders().received), (35.0 * 0.95 + 5.0, 1));
    pictured(&page, "in-effect").await;

    set_reserve(&page, 40, "7200").await;
    page.until("/40.*until/.test(document.querySelector('.control .leases').innerText)").await;
    newest(&page, "Backup reserve: 40 % for 2 h").await;
    pictured(&page, "leased").await;

    // The journal has it, the newest first.
    page.until("document.querySelectorAll('.journal li').length >= 3").await;
    page.value(
        "(() => { const kind = document.querySelector('.book select'); kind.value = 'order'; \
         kind.dispatchEvent(new Event('change')); })()",
    )
    .await;
    page.until(
        "(() => { const all = [...document.querySelectorAll('.journal li')]; return all.length === 2 && \
         all.every((one) => one.dataset.of === 'order'); })()",
    )
    .await;
    let newest = page.text(".journal li").await;
    assert!(newest.contains("Backup reserve: 40 % for 2 h"), "{newest}");
}

#[actix_web::test]
async fn a_refusal_says_why_and_what_is_dangerous_is_asked_first() {
    let Some(browser) = Browser::start().await else { return };
    let house = House::new().await;
    let page = house.console(&browser).await;
    unlocked(&page).await;
    house.home.set_order_fault(Some(OrderFault::Refused));
    set_reserve(&page, 30, "").await;
    newest(&page, "Refused by the gateway").await;
    assert_ne!(page.text(".control .orders li small").await, "", "with its reason");
    pictured(&page, "refused").await;
    house.home.set_order_fault(Some(OrderFault::Unacknowledged));
    set_reserve(&page, 31, "").await;
    newest(&page, "Backup reserve: 31 %").await;
    pictured(&page, "unacknowledged").await;
    house.home.set_order_fault(Some(OrderFault::Late(std::time::Duration::from_secs(100))));
    set_reserve(&page, 32, "").await;
    newest(&page, "Backup reserve: 32 %").await;
    pictured(&page, "pending").await;
    house.home.set_order_fault(None);

    let received = house.home.orders().received;
    // While an order is on its way, nothing else can be ordered.
    page.until("document.querySelector('[data-order=islanding] .danger').disabled === false").await;
    let disconnect = "document.querySelector('[data-order=islanding] .danger').click()";
    page.value(disconnect).await;
    page.until("document.querySelector('dialog')?.open === true").await;
    pictured(&page, "confirm").await;
    page.press("Escape").await;
    page.until("document.querySelector('dialog') === null").await;
    assert_eq!(house.home.orders().received, received, "no is no");
}

#[actix_web::test]
async fn no_other_page_of_the_same_origin_gets_the_token() {
    let Some(browser) = Browser::start().await else { return };
    let house = House::new().await;
    let page = house.console(&browser).await;
    unlocked(&page).await;
    let kept = "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, \
        document.documentElement.outerHTML, [...document.querySelectorAll('input')].map((one) => one.value), \
        Object.getOwnPropertyNames(window).map((name) => { try { return String(window[name]); } \
        catch { return ''; } }), history.state, location.href, window.name])";
    let found = page.value(kept).await;
    assert!(!found.as_str().unwrap().contains(OWNER), "the page itself shows it to nobody");

    // Another page of the same origin, beside it, around it, and as the one that opened it.
    let other = browser.page().await;
    other.see(&house.url("/")).await;
    let found = other.value(kept).await;
    assert!(!found.as_str().unwrap().contains(OWNER), "nothing is shared");
    let module = "import('./static/control/holder.js').then((held) => [held.isSignedIn(), \
        Object.values(held).map(String).join('')])";
    let held = other.value(module).await;
    assert_eq!(held[0], false, "a module has a life in each page");
    let framed = "new Promise((resolve) => { const frame = document.createElement('iframe'); frame.src = \
        'console'; frame.onload = () => setTimeout(() => { const inside = frame.contentDocument; \
        resolve([inside.querySelectorAll('[data-card]').length > 3, \
        inside.querySelectorAll('[data-card=control], [data-card=journal], input[type=password]').length]); \
        }, 1500); document.body.append(frame); })";
    assert_eq!(other.value(framed).await, json!([true, 0]), "framed, there is nothing to order with");
    let opened = "new Promise((resolve) => { const opened = window.open('console'); setTimeout(() => { \
        let seen; try { seen = opened.document.querySelectorAll('input[type=password]').length; } \
        catch { seen = 0; } resolve([opened.closed, seen]); }, 2500); })";
    let ask =
        json!({ "expression": opened, "returnByValue": true, "awaitPromise": true, "userGesture": true });
    let seen = other.order("Runtime.evaluate", ask).await["result"]["value"].clone();
    assert_eq!(seen, json!([true, 0]), "whoever opens it is cut off from it");
    page.is_clean(&house.service.addr.to_string());
    other.is_clean(&house.service.addr.to_string());
}
