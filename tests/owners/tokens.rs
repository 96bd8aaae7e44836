//! What becomes of tokens when something is wrong, and who else uses the files.

use powerwall_server::cli::doctor::cloud::examine;
use serde_json::json;

use super::*;

/// As Tesla answers to a token that it does not like.
fn forbidden() -> CloudFault {
    CloudFault::body(403, r#"{"error":"forbidden, see https://developer.tesla.com/docs/fleet-api"}"#)
}

async fn standing(service: &Service) -> String {
    get(service, "/api/tesla/usage").await["accounts"][0]["state"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn tokens_that_tesla_refuses_are_neither_renewed_nor_asked_with_until_there_are_others() {
    let world = world().await;
    let before = world.file();
    world.tesla.spoil();
    let service = world.serve(&[]);
    let text = error(&service, "tokens_refused").await;
    assert!(text.contains("login --owners") && text.contains("FleetAPI"), "{text}");
    assert_eq!(standing(&service).await, "refused");
    let asked = world.tesla.asked().len();
    service.stop().await;
    // A restart asks no sooner, and a token that is over meanwhile is not renewed.
    world.tesla.expire_tokens();
    let service = world.serve(&[]);
    error(&service, "tokens_refused").await;
    let report = examine(&world.settings(&[]).gateways[0]).await.unwrap();
    assert!(!report.healthy && report.report.contains("→ log in again"), "{}", report.report);
    assert!(report.report.contains("\n  owners API    "), "{}", report.report);
    service.stop().await;
    assert_eq!((world.tesla.asked().len(), world.tesla.most_sent()), (asked, 0));
    assert_eq!(world.file(), before, "the tokens stay where they are");

    world.tesla.sign_in(world.folder.path()).unwrap();
    let service = world.serve(&[]);
    is_read(&service).await;
    assert_eq!(standing(&service).await, "works");
    service.stop().await;
}

#[actix_web::test]
async fn what_is_renewed_and_refused_is_not_renewed_again() {
    let world = world().await;
    world.tesla.set_times("/api/1", CloudFault::status(401), 1);
    world.tesla.set("/api/1", forbidden());
    let service = world.serve(&[]);
    error(&service, "tokens_refused").await;
    service.stop().await;
    assert_eq!((world.tesla.requests("/oauth2"), world.tesla.requests("/api/1")), (1, 2));
}

#[actix_web::test]
async fn an_answer_that_says_that_nothing_was_done_leaves_the_refresh_token() {
    for (fault, kind) in [(429, "rate_limited"), (503, "busy")] {
        let world = world().await;
        world.tesla.expire_tokens();
        world.tesla.set_times("/oauth2", CloudFault::status(fault), 1);
        let service = world.serve(&[]);
        error(&service, kind).await;
        service.stop().await;
        assert_eq!(world.tesla.requests("/oauth2"), 1, "{fault}: it is not asked again at once");
        let service = world.serve(&[]);
        is_read(&service).await;
        service.stop().await;
    }
}

#[actix_web::test]
async fn a_refusal_and_an_answer_without_tokens_are_final() {
    for fault in [
        CloudFault::body(401, r#"{"error":"login_required"}"#),
        CloudFault::body(400, r#"{"error":"invalid_grant"}"#),
        CloudFault::body(403, "<html>"),
        CloudFault::body(200, "<html>"),
        CloudFault::body(200, r#"{"token_type":"Bearer"}"#),
    ] {
        let world = world().await;
        let before = world.file();
        world.tesla.expire_tokens();
        world.tesla.set("/oauth2", fault.clone());
        let service = world.serve(&[]);
        error(&service, "login_needed").await;
        assert_eq!(standing(&service).await, "login_needed");
        service.stop().await;
        world.tesla.heal();
        let service = world.serve(&[]);
        error(&service, "login_needed").await;
        service.stop().await;
        assert_eq!((world.tesla.most_sent(), world.file()), (1, before), "{fault:?}");
    }
}

#[actix_web::test]
async fn a_refresh_token_that_tesla_keeps_goes_on() {
    let world = world().await;
    world.tesla.keep_refresh_token();
    let before = world.file();
    for renewals in 1..3 {
        world.tesla.expire_tokens();
        let service = world.serve(&[]);
        is_read(&service).await;
        service.stop().await;
        assert_eq!(world.tesla.minted().len(), renewals);
    }
    let sso = |file: &Value| file["owner@example.com"]["sso"].clone();
    assert_eq!(sso(&world.file())["refresh_token"], sso(&before)["refresh_token"]);
    assert_ne!(sso(&world.file())["access_token"], sso(&before)["access_token"]);
}

#[actix_web::test]
async fn one_renewal_serves_every_gateway_and_every_program() {
    let world = world().await;
    world.tesla.add(12, &house("cabin", 2).await);
    world.tesla.expire_tokens();
    // The other spelling is another account to this program, and the same in the file.
    let tokens = world.folder.path();
    let list = json!([
        { "id": "home", "email": "owner@example.com", "siteid": 11, "authpath": tokens },
        { "id": "cabin", "email": "OWNER@example.com", "siteid": " 12 ", "authpath": tokens },
    ]);
    let (list, own) = (list.to_string(), tempfile::tempdir().unwrap());
    let elsewhere = [("PW_GATEWAYS", list.as_str()), ("PW_AUTH_PATH", own.path().to_str().unwrap())];
    let (one, other) = (world.serve(&elsewhere[..1]), world.serve(&elsewhere));
    for service in [&one, &other] {
        for id in ["home", "cabin"] {
            let path = format!("/api/gateways/{id}/aggregates");
            becomes(service, &path, "is there", |body| body.to_string().contains("instant_power")).await;
        }
    }
    assert_eq!((world.tesla.requests("/oauth2"), world.tesla.most_sent()), (1, 1));
    one.stop().await;
    other.stop().await;
}

#[actix_web::test]
async fn what_is_gone_is_left_alone_and_the_rest_is_read() {
    let world = world().await;
    world.tesla.set("backup_time_remaining", CloudFault::status(410));
    world.tesla.set("site_status", forbidden());
    let service = world.serve(&[]);
    is_read(&service).await;
    let has = |body: &Value| body["utility"] == "Simulated Power";
    becomes(&service, "/api/tesla/tariff_rate", "the rest is there", has).await;
    assert_eq!(get(&service, "/cloud/battery").await, Value::Null);
    assert_eq!(standing(&service).await, "works");
    service.stop().await;
    assert_eq!((world.tesla.requests("backup_time"), world.tesla.requests("site_status")), (1, 1));

    world.tesla.set("live_status", CloudFault::status(410));
    let service = world.serve(&[]);
    let text = error(&service, "gone").await;
    assert!(text.contains("FleetAPI"), "{text}");
    service.stop().await;
}

#[actix_web::test]
async fn files_that_cannot_be_used_are_named() {
    let world = world().await;
    let file = world.folder.path().join(".pypowerwall.auth");
    let two = r#"{"a@example.com": {"sso": {"refresh_token": "x"}}, "b@example.com": {}}"#;
    for (text, kind, says) in [
        (Some(two), "files", "holds 2 accounts"),
        (Some("[]"), "files", "not a token file"),
        (Some("{}"), "login_needed", "holds no refresh token"),
        (None, "login_needed", "login --owners"),
    ] {
        std::fs::remove_file(&file).ok();
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let service = world.serve(&[EMAIL]);
        let said = error(&service, kind).await;
        assert!(said.contains(says), "{said}");
        assert!(!said.contains("@example.com"), "{said}");
        service.stop().await;
    }
    assert_eq!(world.tesla.asked(), []);
}

#[actix_web::test]
async fn the_site_file_says_which_site_is_meant_and_follows_it() {
    let world = world().await;
    world.tesla.add(12, &house("cabin", 2).await);
    let site = world.folder.path().join(".pypowerwall.site");
    std::fs::write(&site, "home").unwrap();
    let service = world.serve(&[]);
    let text = error(&service, "site").await;
    assert!(text.contains("11 (Home), 12 (Home)"), "a broken file names nothing: {text}");
    service.stop().await;

    std::fs::write(&site, "11\n").unwrap();
    let service = world.serve(&[]);
    is_read(&service).await;
    assert_eq!(world.tesla.requests("/12/"), 0);
    world.tesla.renumber(11, 19);
    timeout(PATIENCE * 3, async {
        while world.tesla.requests("/19/live_status") == 0 {
            sleep(SECOND / 10).await;
        }
    })
    .await
    .unwrap();
    becomes(&service, "/health/gateways", "live", |body| body["gateways"][0]["state"] == "live").await;
    assert_eq!(std::fs::read_to_string(&site).unwrap(), "19");
    service.stop().await;
}
