//! The pages of the real program: restarted under them, behind a proxy, with simulated gateways in trouble.

use std::net::TcpListener;
use std::time::Duration;

use powerwall_server::simulator::{Fault, GatewayHandle, SiteKind, SiteOptions};
use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::program::Program;
use crate::proxy;
use crate::stage::Stage;
use crate::{figures, scenes};

/// A port that was free a moment ago.
fn free_port() -> String {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string()
}

async fn gateway(id: &str, name: &str, kind: SiteKind, hour: f64) -> GatewayHandle {
    // Time stands still: the hour is what the test is about.
    let options = SiteOptions { hour, speed: 0.0, ..SiteOptions::new(id, name, kind) };
    GatewayHandle::start(options).await.unwrap()
}

async fn serve(gateways: &[&GatewayHandle], port: &str) -> Program {
    let list = gateways.iter().map(|gateway| gateway.settings()).collect::<Value>().to_string();
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_PORT", port),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_CACHE_EXPIRE", "1"),
        ("PW_TIMEOUT", "1"),
        ("PW_CACHE_TTL", "4"),
    ];
    Program::start(&[], &environment).await
}

#[actix_web::test]
async fn simulated_troubles_are_seen_as_they_happen() {
    let Some(browser) = Browser::start().await else { return };
    let home = gateway("home", "Home", SiteKind::Powerwall3, 12.0).await;
    let cabin = gateway("cabin", "Cabin", SiteKind::Powerwall2, 12.0).await;
    let barn = gateway("barn", "Barn", SiteKind::Inverter, 12.0).await;
    let program = serve(&[&home, &cabin, &barn], "0").await;
    let url = |path: &str| format!("http://{}{path}", program.addr);
    let wall = browser.page().await;
    wall.see(&url("/")).await;
    wall.until("document.getElementById('scope').textContent === '3 of 3 sites'").await;
    let console = browser.page().await;
    console.see(&url("/console")).await;
    let reporting =
        "document.querySelectorAll('.gateway:is([data-level=good], [data-level=warn])').length === 3";
    console.until(reporting).await;
    console.until("document.getElementById('status').innerText.includes('3 of 3 gateways report')").await;

    // One falls silent: first late, then missing from the sum, by name.
    cabin.set(Fault::Hang);
    wall.until("document.querySelector('[data-site=cabin]').innerText.includes('Delayed')").await;
    wall.until("document.getElementById('notices').innerText.includes('Without Cabin')").await;
    wall.until("document.getElementById('scope').textContent === '2 of 3 sites'").await;
    console
        .until(
            "document.querySelector('.gateway').matches('[open][data-gateway=cabin]') && \
             document.querySelector('.gateway [data-part=health]').innerText.includes('Next request in')",
        )
        .await;
    cabin.heal();
    wall.until("document.getElementById('scope').textContent === '3 of 3 sites'").await;

    // The grid fails.
    home.skip(Duration::from_secs(12_300));
    wall.until("!document.getElementById('outage').hidden").await;
    assert!(wall.text("#outage").await.contains("Home"));
    console.until("!document.getElementById('outage').hidden").await;
    home.skip(Duration::from_secs(7_200));
    wall.until("document.getElementById('outage').hidden").await;

    // New firmware.
    home.reboot("27.1.1", Duration::from_secs(1));
    wall.until("/restarted|firmware changed/.test(document.getElementById('notices').innerText)").await;
    wall.is_clean(&program.addr.to_string());
    console.is_clean(&program.addr.to_string());
}

#[actix_web::test]
async fn a_page_finds_its_server_again() {
    let Some(browser) = Browser::start().await else { return };
    let home = gateway("home", "Home", SiteKind::Powerwall3, 12.0).await;
    let port = free_port();
    let mut program = serve(&[&home], &port).await;
    let page = browser.page().await;
    page.see(&format!("http://{}/", program.addr)).await;
    page.until("document.getElementById('freshness').dataset.level === 'good'").await;
    program.signal("TERM").await;
    program.ended().await;
    page.until("document.getElementById('freshness').textContent.startsWith('Server gone')").await;
    let before = figures(&page).await;
    assert_ne!(before["solar"], "–", "what was last known stays");
    let program = serve(&[&home], &port).await;
    page.until("document.getElementById('freshness').dataset.level === 'good'").await;
    drop(program);
}

#[actix_web::test]
async fn pages_work_below_a_path_that_a_proxy_strips() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    stage.show(scenes::three_sites());
    let proxy = proxy::below("/house/energy", stage.addr).await;
    for path in ["/", "/kiosk", "/console", "/console/", "/kiosk/?site=home"] {
        let page = browser.page().await;
        page.see(&format!("http://{proxy}/house/energy{path}")).await;
        page.until("document.getElementById('freshness').dataset.level === 'good'").await;
        for url in page.requests() {
            assert!(url.contains("/house/energy/"), "{path} asked for {url}");
        }
        page.is_clean(&proxy.to_string());
        page.close().await;
    }
    // From one page to the other.
    let page = browser.page().await;
    page.see(&format!("http://{proxy}/house/energy/")).await;
    page.value("document.querySelector('#links a').click()").await;
    page.until("location.pathname === '/house/energy/console' && document.body?.dataset.ready === 'yes'")
        .await;
    page.value("document.querySelector('#links a').click()").await;
    page.until("location.pathname === '/house/energy/' && document.body?.dataset.ready === 'yes'").await;
    stage.change(json!({ "total": scenes::three_sites()["total"] }));
    page.is_clean(&proxy.to_string());
}
