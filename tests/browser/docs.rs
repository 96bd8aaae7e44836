//! The list of routes, as a person uses it: looked through, opened, tried.

use crate::chromium::Browser;
use crate::common::{Outputs, SECOND, http, snapshot, telemetry};
use powerwall_server::model::Freshness;
use powerwall_server::settings::HttpSettings;
use powerwall_server::simulator::SiteKind;

#[actix_web::test]
async fn routes_are_found_opened_and_tried_without_a_request_to_elsewhere() {
    let Some(browser) = Browser::start().await else { return };
    let home = snapshot("home", &telemetry(SiteKind::Powerwall3).await, Freshness::Live);
    let http = HttpSettings { base_path: "/powerwall".into(), ..http() };
    let outputs = Outputs::with(vec![home], http, 30 * SECOND);
    for path in ["/docs", "/powerwall/docs/"] {
        let page = browser.page().await;
        page.see(&format!("http://{}{path}", outputs.addr)).await;
        page.until("document.querySelectorAll('details').length > 100").await;
        let find = |words: &str| {
            format!(
                "(() => {{ const field = document.querySelector('#search'); field.value = '{words}'; \
                 field.dispatchEvent(new Event('input')); \
                 return document.querySelectorAll('details:not([hidden])').length; }})()"
            )
        };
        // By path, and by what a body holds.
        assert_eq!(page.value(&find("/csv/v2")).await, 1);
        assert!(page.value(&find("time_remaining_hours")).await.as_u64().unwrap() >= 1);
        assert_eq!(page.value(&find("get /json")).await, 1);
        page.value("document.querySelector('details:not([hidden])').open = true").await;
        page.until("document.querySelector('details[open] button') !== null").await;
        let card = page.text("details[open]").await;
        let root = path.split("/docs").next().unwrap();
        let line = format!("curl 'http://{}{root}/json'", outputs.addr);
        for text in [line.as_str(), "battery number or null", "soe_raw", "503 No gateway is configured"] {
            assert!(card.contains(text), "{text} in {card}");
        }
        page.value("document.querySelector('details[open] button').click()").await;
        page.until("document.querySelector('details[open]').innerText.includes('200 OK')").await;
        // There is a way to every chapter, and one back.
        let lost = "[...document.querySelectorAll('#chapters a')].filter((one) => \
            document.querySelector(one.hash)?.tagName !== 'SECTION').length";
        assert_eq!(page.value(lost).await, 0);
        assert!(page.value("document.querySelectorAll('#chapters a').length").await.as_u64().unwrap() > 8);
        let back = page.value("document.querySelector('header nav a').pathname").await;
        assert_eq!(back, format!("{root}/"));
        page.is_clean(&outputs.addr.to_string());
        page.close().await;
    }
}
