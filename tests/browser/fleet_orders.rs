//! An order to several sites, from the rows that are selected to what the simulated gateways do.

use powerwall_server::app::Service;
use powerwall_server::settings::{Inputs, Settings};
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use serde_json::json;
use tempfile::TempDir;

use crate::chromium::{Browser, Page};

const OWNER: &str = "CanaryOwner-of-the-fleet";
/// What the app shows as 30 %.
const THIRTY: f64 = 30.0 * 0.95 + 5.0;

/// `lake` and `mill` take orders; `same` has the reserve already; `deaf` can be read only.
struct Fleet {
    gateways: Vec<GatewayHandle>,
    _folder: TempDir,
    service: Service,
}

impl Fleet {
    async fn new() -> Self {
        let mut gateways = Vec::new();
        for id in ["lake", "mill", "same", "deaf"] {
            let options = SiteOptions {
                hour: 12.0,
                speed: 0.0,
                ..SiteOptions::new(id, &format!("At {id}"), SiteKind::Powerwall2)
            };
            gateways.push(GatewayHandle::start(options).await.unwrap());
        }
        gateways[2].somebody_sets_reserve(THIRTY);
        let mut entries: Vec<_> = gateways[..3].iter().map(GatewayHandle::customer_settings).collect();
        entries.push(gateways[3].settings());
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("config.json"), json!({ "gateways": entries }).to_string()).unwrap();
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
        Self { gateways, _folder: folder, service }
    }

    fn received(&self) -> Vec<u64> {
        self.gateways.iter().map(|gateway| gateway.orders().received).collect()
    }
}

async fn click(page: &Page, button: &str) {
    let button = format!(
        "[...document.querySelectorAll('button')].find((one) => one.checkVisibility() && !one.disabled && \
         one.textContent === {})",
        json!(button)
    );
    page.until(&format!("{button} !== undefined")).await;
    page.value(&format!("{button}.click()")).await;
}

async fn unlock(page: &Page) {
    page.until("document.querySelector('.several form.door')?.checkVisibility()").await;
    page.value(&format!(
        "(() => {{ const field = document.querySelector('.several input[type=password]'); field.value = {}; \
         field.form.requestSubmit(); }})()",
        json!(OWNER)
    ))
    .await;
}

async fn pictured(page: &Page, state: &str) {
    for (theme, width) in [("dark", 1280), ("light", 390)] {
        page.theme(theme).await;
        page.size(width, 844).await;
        page.until(&format!("innerWidth === {width}")).await;
        page.view(&format!("fleet-order-{state}-{theme}-{width}")).await;
        let fits = "[document.documentElement, document.querySelector('dialog') ?? document.body].every(\
            (one) => one.scrollWidth <= one.clientWidth)";
        assert_eq!(page.value(fits).await, true, "{state} at {width}");
    }
    page.size(1280, 800).await;
}

#[actix_web::test]
async fn an_order_to_several_sites_is_seen_before_and_after_and_goes_out_once() {
    let Some(browser) = Browser::start().await else { return };
    let fleet = Fleet::new().await;
    let page = browser.page().await;
    let url = format!("http://{}/fleet", fleet.service.addr);
    page.see(&url).await;
    page.until("document.querySelectorAll('.rows tbody tr[data-fresh=live]').length === 4").await;
    page.until("document.querySelector('.rows thead input').checkVisibility()").await;
    page.value("document.querySelector('.rows thead input').click()").await;
    page.until("document.getElementById('chosen').innerText.includes('4 sites selected')").await;
    pictured(&page, "selected").await;

    click(&page, "Order…").await;
    unlock(&page).await;
    page.until("document.querySelector('.several form.ordered').checkVisibility()").await;
    page.value("document.querySelector('.ordered input').value = '30'").await;
    click(&page, "Preview").await;
    page.until("document.querySelectorAll('.outcomes li').length === 4").await;
    let seen = page.text(".outcomes").await;
    for words in ["Would be ordered", "Has it already", "Not possible"] {
        assert!(seen.contains(words), "{seen}");
    }
    pictured(&page, "preview").await;
    assert_eq!(fleet.received(), [0, 0, 0, 0], "a preview sends nothing");

    click(&page, "Order at 2 sites").await;
    page.until("document.querySelectorAll('dialog[open]').length === 2").await;
    pictured(&page, "confirm").await;
    click(&page, "Go ahead").await;
    page.until("sessionStorage.getItem('pw_fleet_order') !== null").await;

    // Loaded again before anybody knows what became of it.
    page.see(&url).await;
    click(&page, "What became of the last order").await;
    unlock(&page).await;
    // Whether the first answer came before the page was loaded again is a matter of luck.
    page.until(
        "(() => { const again = [...document.querySelectorAll('.several button')].find((one) => \
         one.textContent === 'Ask again' && one.checkVisibility()); again?.click(); return again !== \
         undefined || document.querySelectorAll('.outcomes li').length === 2; })()",
    )
    .await;
    let all = "(() => { const all = [...document.querySelectorAll('.several .outcomes .outcome')]; return \
        all.length === 2 && all.every((one) => /Stored|In effect/.test(one.textContent)); })()";
    page.until(all).await;
    pictured(&page, "outcomes").await;
    assert_eq!(fleet.received(), [1, 1, 0, 0]);
    let kept = page.value("JSON.stringify([{ ...sessionStorage }, { ...localStorage }])").await;
    assert!(!kept.as_str().unwrap().contains(OWNER), "the key is kept, and the token is not");
    click(&page, "Close").await;
    page.until("sessionStorage.getItem('pw_fleet_order') === null").await;
    page.is_clean(&fleet.service.addr.to_string());
}
