//! What the display says in words: what the battery does and why, what is low, and that an outage is over.

use serde_json::{Value, json};

use crate::chromium::Browser;
use crate::scenes;
use crate::stage::Stage;

fn power(site: f64, battery: f64, solar: f64) -> Value {
    json!({ "site": site, "battery": battery, "load": 500, "solar": solar })
}

fn home(power: Value, energy: Value) -> Value {
    scenes::house(&[("home", "Home", json!({ "power": power, "energy": energy }))], json!({}))
}

#[actix_web::test]
async fn the_battery_says_what_it_does_and_when_it_is_low() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let held = home(power(500.0, 0.0, 0.0), json!({ "soe": 20.4, "reserve": 20 }));
    let page = crate::shown(&browser, &stage, "/", held).await;
    assert!(page.text(".tank").await.contains("Held at reserve"), "{}", page.text(".tank").await);
    assert_eq!(page.text("#scope").await, "Self-consumption");
    let states = [
        (home(power(3500.0, -3000.0, 0.0), json!({ "soe": 50 })), "Charging from the grid"),
        (home(power(0.0, -3000.0, 3500.0), json!({ "soe": 50 })), "Charging"),
        (home(power(-2000.0, 2500.0, 0.0), json!({ "soe": 50 })), "Feeding the grid"),
        (home(power(0.0, 0.0, 500.0), json!({ "soe": 100 })), "Full"),
        (home(power(0.0, 0.0, 500.0), json!({ "soe": 50 })), "Idle"),
    ];
    for (state, expected) in states {
        stage.show(state);
        page.until(&format!("document.querySelector('.rate .what').textContent === '{expected}'")).await;
        assert_eq!(page.text("#notices").await, "", "{expected}");
    }
    stage.show(home(power(500.0, 0.0, 0.0), json!({ "soe": 12, "reserve": 20 })));
    page.until("document.getElementById('notices').innerText.includes('Below reserve')").await;
    let notice = page.text("#notices").await;
    assert!(notice.contains("12 % charged, below its reserve of 20 %"), "{notice}");
    page.is_clean(&stage.host());
}

#[actix_web::test]
async fn an_outage_that_is_over_leaves_a_line() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start().await;
    let page = crate::shown(&browser, &stage, "/", scenes::sunny()).await;
    stage.show(scenes::outage());
    page.until("!document.getElementById('outage').hidden").await;
    // On the way back it is not over yet.
    stage.show(home(json!({}), json!({ "grid": "SYNCING" })));
    page.until("document.getElementById('outage').hidden").await;
    assert!(!page.text("#notices").await.contains("power was out"));
    stage.show(scenes::sunny());
    page.until("document.getElementById('notices').innerText.includes('power was out for 1')").await;
    assert!(
        page.text("#notices").await.contains("power was out for 1 min"),
        "{}",
        page.text("#notices").await
    );

    // Who came in the middle does not know how long it was.
    stage.show(scenes::outage());
    page.see(&stage.url("/")).await;
    stage.show(scenes::sunny());
    page.until("document.getElementById('notices').innerText.includes('power is back')").await;
    page.is_clean(&stage.host());
}
