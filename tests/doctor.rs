//! `doctor` and `scan` against simulated gateways: which way works, which password is wrong, what to do – and
//! never a login too many.

use std::path::Path;
use std::time::Duration;

use powerwall_server::cli::doctor::{Diagnosis, examine};
use powerwall_server::cli::scan::{Network, document, report, scan};
use powerwall_server::settings::{Inputs, Settings, Ways};
use powerwall_server::simulator::{
    CustomerSurface, Fault, GatewayHandle, LoginLimit, Role, SiteKind, SiteOptions,
};
use serde_json::{Value, json};

async fn start(kind: SiteKind) -> GatewayHandle {
    GatewayHandle::start(SiteOptions::new("home", "Home", kind)).await.unwrap()
}

fn ways(gateway: &GatewayHandle, folder: &Path, credentials: Value) -> Ways {
    let (host, port) = (gateway.addr.ip().to_string(), gateway.addr.port());
    let mut entry = json!({ "id": "home", "host": host, "port": port, "timeout": 2 });
    entry.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
    let environment = [
        ("PW_GATEWAYS".to_owned(), json!([entry]).to_string()),
        ("PW_AUTH_PATH".to_owned(), folder.to_str().unwrap().to_owned()),
    ];
    Settings::ways(&Inputs { environment: environment.into(), flags: Vec::new() }).unwrap().remove(0)
}

async fn diagnosis(gateway: &GatewayHandle, credentials: Value) -> Diagnosis {
    let folder = tempfile::tempdir().unwrap();
    let diagnosis = examine(&ways(gateway, folder.path(), credentials)).await;
    for secret in ["SIMULATED1", "ATED1", "WRONG", "MISTYPED"] {
        assert!(!diagnosis.report.contains(secret), "{}", diagnosis.report);
    }
    diagnosis
}

fn assert_says(diagnosis: &Diagnosis, healthy: bool, phrases: &[&str]) {
    let report = &diagnosis.report;
    assert_eq!(diagnosis.healthy, healthy, "{report}");
    for phrase in phrases {
        assert!(report.contains(phrase), "{phrase:?} is missing in\n{report}");
    }
}

#[actix_web::test]
async fn what_works_is_said_with_what_it_reports() {
    let old = start(SiteKind::Powerwall2).await;
    let both = diagnosis(&old, json!({ "gw_pwd": "SIMULATED1", "password": "ATED1" })).await;
    let said = [
        "a Powerwall gateway answers, firmware 26.26.11",
        "TEDAPI        works: grid ",
        "customer API  works: ",
    ];
    assert_says(&both, true, &said);
    assert_says(&both, true, &["lifetime energies counted by the meters of the customer API"]);
    assert_says(&both, true, &["v1r    not tried: it needs a registered RSA key", "nothing to do"]);

    let new = start(SiteKind::Powerwall3).await;
    let basic = diagnosis(&new, json!({ "password": "ATED1" })).await;
    assert_says(
        &basic,
        true,
        &["a Powerwall 3 answers", "Basic LAN", "TEDAPI        not tried: it needs the gateway"],
    );
    // Nothing is configured but an address and the password on the sticker, of which the end is the
    // customer's.
    let sticker = diagnosis(&old, json!({ "gw_pwd": "SIMULATED1" })).await;
    assert_says(&sticker, true, &["customer API  works"]);
}

#[actix_web::test]
async fn the_wrong_one_of_two_passwords_is_named() {
    let gateway = start(SiteKind::Powerwall2).await;
    let cases = [
        // The gateway password is right; the customer password is not its end.
        (
            json!({ "gw_pwd": "SIMULATED1", "password": "WRONG" }),
            "customer password (password) is wrong; it is not the end",
        ),
        // The end of the gateway password is right, its beginning is not.
        (json!({ "gw_pwd": "MISTYPATED1" }), "last five characters of the gateway password are right"),
        (json!({ "gw_pwd": "MISTYPED12", "password": "ATED1" }), "the gateway password (gw_pwd) is wrong"),
        (
            json!({ "gw_pwd": "MISTYPED12" }),
            "either the gateway password is mistyped, or the owner chose another one",
        ),
        (json!({ "password": "WRONG" }), "the customer password (password) is wrong; unless the owner chose"),
    ];
    for (credentials, advice) in cases {
        let folder = tempfile::tempdir().unwrap();
        let report = examine(&ways(&gateway, folder.path(), credentials.clone())).await.report;
        assert!(report.contains(advice), "{credentials} should say {advice:?}:\n{report}");
        gateway.limit_logins(LoginLimit { logins: 100, window: Duration::from_secs(600) });
    }
    let options = SiteOptions {
        customer_password: "chosen".into(),
        ..SiteOptions::new("a", "A", SiteKind::Powerwall2)
    };
    let chosen = GatewayHandle::start(options).await.unwrap();
    let derived = diagnosis(&chosen, json!({ "gw_pwd": "SIMULATED1" })).await;
    assert_says(
        &derived,
        true,
        &["the gateway password is right, but its last five characters", "nothing to do"],
    );
}

#[actix_web::test]
async fn it_advises_what_to_configure_instead() {
    let gateway = start(SiteKind::Powerwall3).await;
    // Over the home network a Powerwall 3 refuses its own protocol.
    gateway.set_for(Role::Din, Fault::LockOut);
    let found = diagnosis(&gateway, json!({ "gw_pwd": "SIMULATED1" })).await;
    assert_says(&found, false, &["TEDAPI        the password is refused (HTTP 403)", "firmware since 25.10"]);
    assert_says(
        &found,
        false,
        &["customer API works: configure host and password, the last five characters"],
    );
}

#[actix_web::test]
async fn only_an_address_is_enough_to_begin_with() {
    let gateway = start(SiteKind::Powerwall2).await;
    let bare = diagnosis(&gateway, json!({})).await;
    let said = [
        "a Powerwall gateway answers",
        "TEDAPI        not tried",
        "customer API  not tried: it needs the customer",
    ];
    assert_says(&bare, false, &said);
    gateway.set_surface(CustomerSurface::Nothing);
    gateway.set_for(Role::Din, Fault::Status { code: 404, retry_after: None });
    let stranger = diagnosis(&gateway, json!({ "password": "ATED1" })).await;
    assert_says(&stranger, false, &["not like a gateway", "is probably not the gateway's address"]);
    gateway.set(Fault::Refuse);
    let dead = diagnosis(&gateway, json!({ "password": "ATED1" })).await;
    assert_says(&dead, false, &["address       cannot reach the gateway", "check the address"]);
    assert!(!dead.report.contains("TEDAPI  "), "{}", dead.report);
}

#[actix_web::test]
async fn it_keeps_to_the_budget_and_the_silence_of_the_service() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    let wrong = ways(&gateway, folder.path(), json!({ "password": "WRONG" }));
    for _ in 0..6 {
        examine(&wrong).await;
    }
    assert_eq!(gateway.counters().requests(Role::Login), 3);
    let report = examine(&wrong).await.report;
    assert!(report.contains("the next one is in") && report.contains("rather than risk"), "{report}");

    gateway.set(Fault::Status { code: 503, retry_after: None });
    let busy = examine(&wrong).await.report;
    assert!(busy.contains("the gateway is busy"), "{busy}");
    gateway.heal();
    let asked = gateway.counters().all_requests();
    let silent = examine(&wrong).await;
    assert_says(&silent, false, &["the gateway asked for a cool-down", "nothing more is asked"]);
    assert_eq!(gateway.counters().all_requests(), asked);
}

#[actix_web::test]
async fn a_scan_finds_gateways_and_nothing_else() {
    let (old, new) = (start(SiteKind::Powerwall2).await, start(SiteKind::Powerwall3).await);
    let networks = [Network::parse("127.0.0.0/28", false).unwrap()];
    let second = Duration::from_secs(1);
    let found = scan(&networks, old.addr.port(), second).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let reported = report(&found, old.addr.port());
    assert!(reported.contains("127.0.0.1") && reported.contains("1232100-00-J--TG2600001A1"), "{reported}");
    assert!(
        reported.contains(&format!("PW_HOST=127.0.0.1:{} and PW_PASSWORD", old.addr.port())),
        "{reported}"
    );
    let document = document(&found);
    assert_eq!(
        (&document[0]["ip"], &document[0]["firmware"]),
        (&json!("127.0.0.1"), &json!("26.26.11 c4db63ce"))
    );
    assert!(report(&scan(&networks, new.addr.port(), second).await, 443).contains("Powerwall 3"));
    let none = report(&scan(&networks, 1, second).await, 1);
    assert!(none.contains("No gateway found at port 1.") && none.contains("server scan 10."), "{none}");
    for gateway in [&old, &new] {
        assert_eq!(gateway.counters().requests(Role::Login), 0);
        assert!(gateway.counters().all_requests() <= 2, "two questions at most");
    }
}

/// The program itself: what it exits with, and that a host on the command line is the one that is meant.
#[actix_web::test]
async fn exit_codes_say_how_it_went() {
    let gateway = start(SiteKind::Powerwall2).await;
    let folder = tempfile::tempdir().unwrap();
    let port = gateway.addr.port().to_string();
    let run = async |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_powerwall-server"));
        command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(folder.path());
        let output = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let host = format!("127.0.0.1:{port}");
    let elsewhere = ("PW_GATEWAYS", r#"[{"id":"other","host":"127.0.0.1","port":1,"password":"x"}]"#);
    let (code, said) = run(&["doctor", "--host", &host], &[elsewhere, ("PW_GW_PWD", "SIMULATED1")]).await;
    assert!(code == 0 && said.contains("gateway default at 127.0.0.1"), "{code} {said}");
    let (code, said) = run(&["doctor"], &[elsewhere]).await;
    assert!(code == 1 && said.contains("gateway other"), "{code} {said}");
    let (code, said) = run(&["doctor", "--gateway", "nope"], &[elsewhere]).await;
    assert!(code == 2 && said.contains("there are other"), "{code} {said}");
    let (code, said) = run(&["doctor"], &[]).await;
    assert!(code == 2 && said.contains("no gateway with a host"), "{code} {said}");
    let scan = ["scan", "127.0.0.1", "--gateway-port", &port];
    let (code, said) = run(&scan, &[]).await;
    assert!(code == 0 && said.contains("TG2600001A1"), "{code} {said}");
    let (code, said) = run(&[&scan[..], &["--json"]].concat(), &[]).await;
    assert!(code == 0 && serde_json::from_str::<Value>(&said).unwrap()[0]["ip"] == "127.0.0.1", "{said}");
    assert_eq!(run(&["scan", "127.0.0.1", "--gateway-port", "1"], &[]).await.0, 1);
    let (code, said) = run(&["scan", "8.8.8.0/24"], &[]).await;
    assert!(code == 2 && said.contains("not private"), "{code} {said}");
}
