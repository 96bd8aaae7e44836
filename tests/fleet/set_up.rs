//! Setting up by the command line: the real program, as somebody without a browser on that machine uses it.

use std::process::Stdio;

use powerwall_server::simulator::tesla::{CLIENT_ID, CLIENT_SECRET, REDIRECT};
use powerwall_server::tls;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::*;

pub(super) const FILE: &str = ".pypowerwall.fleetapi";

/// A cloud that knows the house, and an empty folder.
pub(super) async fn strangers() -> World {
    let world = world().await;
    std::fs::remove_file(world.folder.path().join(FILE)).unwrap();
    world
}

impl World {
    pub(super) fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_powerwall-server"))
            .args(arguments)
            .env_clear()
            .envs(self.tesla.environment(self.folder.path()))
            .env("PW_FLEET_BASE", format!("https://{}", self.tesla.addr))
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// What a browser would end up at.
    async fn open(&self, address: &str) -> String {
        let authority = tls::certificates(&self.folder.path().join("authority.pem")).unwrap();
        let config = tls::checked_http(tls::authorities(&authority).unwrap());
        let client = awc::Client::builder()
            .connector(awc::Connector::new().rustls_0_23(config))
            .disable_redirects()
            .finish();
        let response = client.get(address).send().await.unwrap();
        assert_eq!(response.status(), 302, "{address}");
        response.headers().get("location").unwrap().to_str().unwrap().to_owned()
    }

    pub(super) fn file(&self) -> Option<Value> {
        let text = std::fs::read_to_string(self.folder.path().join(FILE)).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Logs in; `paste`: what the person makes of the address that came back.
    pub(super) async fn log_in(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
        paste: impl Fn(String) -> String,
    ) -> (bool, String) {
        let arguments: Vec<&str> = ["login"].into_iter().chain(arguments.iter().copied()).collect();
        let mut program = self.command(&arguments, variables);
        let (mut to, from) = (program.stdin.take(), program.stdout.take().unwrap());
        let mut lines = BufReader::new(from).lines();
        let mut said = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            said += &format!("{line}\n");
            if line.starts_with("https://")
                && let Some(mut to) = to.take()
            {
                let back = self.open(&line).await;
                to.write_all(format!("{}\n", paste(back)).as_bytes()).await.unwrap();
            }
        }
        let mut wrong = String::new();
        program.stderr.take().unwrap().read_to_string(&mut wrong).await.unwrap();
        (program.wait().await.unwrap().success(), said + &wrong)
    }
}

pub(super) fn application() -> [(&'static str, &'static str); 3] {
    [("TESLA_CLIENT_ID", CLIENT_ID), ("TESLA_CLIENT_SECRET", CLIENT_SECRET), ("TESLA_REDIRECT_URI", REDIRECT)]
}

#[actix_web::test]
async fn who_logs_in_by_the_command_line_is_served_afterwards() {
    let world = strangers().await;
    let (is_done, said) = world.log_in(&[], &application(), |address| address).await;
    assert!(is_done, "{said}");
    assert!(said.contains("siteid 11: Home") && said.contains("readings and orders"), "{said}");
    for secret in world.tesla.secrets().iter().map(String::as_str).chain([CLIENT_SECRET]) {
        assert!(!said.contains(secret), "{said}");
    }
    let file = world.file().unwrap();
    let keys: Vec<&str> = file.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["CLIENT_ID", "CLIENT_SECRET", "DOMAIN", "REDIRECT_URI", "AUDIENCE", "access_token", "refresh_token"];
    assert_eq!(keys, expected);
    assert_eq!((&file["DOMAIN"], &file["CLIENT_SECRET"]), (&"example.com".into(), &CLIENT_SECRET.into()));
    #[cfg(unix)]
    {
        let file = std::fs::metadata(world.folder.path().join(FILE)).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, 0o600);
    }
    let service = world.serve(&fleet(), &[]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    service.stop().await;

    // Once more, with nothing but the file, and for reading only.
    let (is_done, said) = world.log_in(&["--read-only"], &[], |address| address).await;
    assert!(is_done && said.contains("readings only"), "{said}");
    assert_ne!(world.file().unwrap()["access_token"], file["access_token"]);
}

/// What is said, what the environment has instead, and what becomes of the address that came back.
type Mistake = (&'static str, &'static [(&'static str, &'static str)], fn(String) -> String);

#[actix_web::test]
async fn a_login_that_fails_says_why_and_changes_nothing() {
    let wrong: [Mistake; 4] = [
        ("belongs to another login", &[], |address| address.replace("&state=", "&state=x")),
        ("too old or was used before", &[], |_| "NA_a-code-of-yesterday".into()),
        ("neither an address with a code nor a code", &[], |_| "what do you mean".into()),
        ("client secret", &[("TESLA_CLIENT_SECRET", "CanaryOther")], |address| address),
    ];
    for (what, variables, paste) in wrong {
        let world = strangers().await;
        let all: Vec<_> = application().into_iter().chain(variables.iter().copied()).collect();
        let (is_done, said) = world.log_in(&[], &all, paste).await;
        assert!(!is_done && said.contains(what), "{what}: {said}");
        assert!(!said.contains("Canary"), "{said}");
        assert_eq!(world.file(), None, "{what}");
    }
    let world = strangers().await;
    world.tesla.set_consents(false);
    let (is_done, said) = world.log_in(&[], &application(), |address| address).await;
    assert!(!is_done && said.contains("Tesla refused: User cancelled"), "{said}");
    assert_eq!(world.file(), None);
}

pub(super) async fn output(program: Child, typed: &str) -> (bool, String) {
    let mut program = program;
    program.stdin.take().unwrap().write_all(typed.as_bytes()).await.unwrap();
    let output = program.wait_with_output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[actix_web::test]
async fn the_sites_of_the_account_are_listed_or_it_is_said_why_not() {
    let world = world().await;
    world.tesla.add(12, &house("cabin", 2).await);
    let (is_done, said) = output(world.command(&["sites"], &[]), "").await;
    assert!(is_done && said.contains("siteid 11: Home") && said.contains("siteid 12: "), "{said}");
    assert!(said.contains("2 energy sites"), "{said}");
    world.tesla.revoke();
    let (is_done, said) = output(world.command(&["sites"], &[]), "").await;
    assert!(!is_done && said.contains("log in again"), "{said}");
}

#[actix_web::test]
async fn a_token_of_a_provider_is_kept_if_it_works() {
    let world = strangers().await;
    let token = world.tesla.provider_token();
    let provider = format!("https://{}", world.tesla.addr);
    let kept = world.folder.path().join("provider.token");
    let arguments = ["login", "--provider", &provider, "--token-file", kept.to_str().unwrap()];
    let (is_done, said) = output(world.command(&arguments, &[]), "CanaryWrong\n").await;
    assert!(!is_done && said.contains("does not accept the token") && !kept.exists(), "{said}");
    let (is_done, said) = output(world.command(&arguments, &[]), &format!("{token}\n")).await;
    assert!(is_done && said.contains("PW_FLEET_TOKEN_FILE=") && !said.contains(&token), "{said}");

    let file = kept.to_str().unwrap();
    let variables = [("PW_FLEET_BASE", provider.as_str()), ("PW_FLEET_TOKEN_FILE", file)];
    let service = world.serve(&fleet(), &variables);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    service.stop().await;
}

/// What `doctor` says of the house.
async fn doctor(world: &World, variables: &[(&str, &str)]) -> (bool, String) {
    let list = fleet().to_string();
    let all: Vec<_> = [("PW_GATEWAYS", list.as_str())].into_iter().chain(variables.iter().copied()).collect();
    output(world.command(&["doctor"], &all), "").await
}

#[actix_web::test]
async fn the_doctor_says_in_one_line_what_is_wrong_with_the_way_through_the_cloud() {
    let world = world().await;
    let (is_well, said) = doctor(&world, &[]).await;
    assert!(is_well && said.contains("FleetAPI      works: grid"), "{said}");
    assert!(said.contains("orders        taken: reserve"), "{said}");

    let wrong = [
        (
            "/products",
            CloudFault::body(412, r#"{"error":"not registered"}"#),
            "not registered in this region",
        ),
        ("/products", CloudFault::status(402), "requires payment"),
        ("/products", CloudFault::status(423), "locked the account"),
        ("/products", CloudFault::status(429), "asks for a pause"),
        (
            "live_status",
            CloudFault::body(403, r#"{"error":"Unauthorized missing scopes"}"#),
            "does not cover",
        ),
        ("live_status", CloudFault::status(408), "not connected to Tesla's cloud"),
        ("live_status", CloudFault::body(200, r#"{"response":null}"#), "it may be offline"),
        ("live_status", CloudFault::status(503), "in trouble (HTTP 503)"),
        (
            "live_status",
            CloudFault::body(500, r#"{"response":null,"error":"upstream internal error"}"#),
            "has no live status of the site",
        ),
        ("live_status", CloudFault::status(404), "has no live status of the site"),
        ("live_status", CloudFault::status(451), "does not cover"),
        ("live_status", CloudFault::status(540), "in trouble (HTTP 540)"),
        ("oauth2", CloudFault::body(401, r#"{"error":"invalid_client"}"#), "client id"),
        ("", CloudFault::Cut, "cannot reach Tesla's cloud"),
    ];
    for (part, fault, what) in wrong {
        let world = super::world().await;
        if part == "oauth2" {
            world.tesla.expire_tokens();
        }
        world.tesla.set(part, fault);
        let (is_well, said) = doctor(&world, &[]).await;
        assert!(!is_well && said.contains(what), "{what}: {said}");
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("  FleetAPI ")).collect();
        assert_eq!(lines.len(), 1, "{said}");
    }
}

#[actix_web::test]
async fn the_doctor_tells_a_dead_token_from_a_wrong_region_a_lack_of_consent_and_an_empty_budget() {
    let world = world().await;
    let elsewhere = format!("https://{}", world.tesla.elsewhere);
    let (is_well, said) = doctor(&world, &[("PW_FLEET_BASE", &elsewhere)]).await;
    assert!(
        !is_well && said.contains("PW_FLEET_BASE (fleet_base) is") && said.contains("belongs to"),
        "{said}"
    );

    world.tesla.set_scopes(&["openid", "offline_access", "energy_device_data"]);
    world.tesla.sign_in(world.folder.path()).unwrap();
    let (is_well, said) = doctor(&world, &[]).await;
    assert!(is_well && said.contains("orders        not taken: the consent"), "{said}");

    let (_, said) = doctor(&world, &[("PW_FLEET_BUDGET", "1")]).await;
    assert!(said.contains("requests of today are used up (PW_FLEET_BUDGET)"), "{said}");

    world.tesla.revoke();
    let (is_well, said) = doctor(&world, &[]).await;
    assert!(!is_well && said.contains("wants a new login"), "{said}");
    std::fs::remove_file(world.folder.path().join(FILE)).unwrap();
    let (is_well, said) = doctor(&world, &[]).await;
    assert!(!is_well && said.contains("the token file has no"), "{said}");
}

/// The first PEM block in what was said.
fn shown_key(said: &str) -> String {
    let start = said.find("-----BEGIN PUBLIC KEY").unwrap_or_else(|| panic!("{said}"));
    let end = said.find("-----END PUBLIC KEY-----").unwrap();
    said[start..end].to_owned()
}

#[actix_web::test]
async fn a_domain_is_registered_step_by_step_and_each_step_says_what_is_missing() {
    let world = strangers().await;
    let variables = [("TESLA_CLIENT_ID", CLIENT_ID), ("TESLA_CLIENT_SECRET", CLIENT_SECRET)];
    let register = async |domain: &str, variables: &[(&str, &str)]| {
        output(world.command(&["register", "--domain", domain], variables), "\n").await
    };
    world.tesla.need_registration();

    let (is_done, said) = register("example.com", &variables).await;
    assert!(!is_done && said.contains("cannot fetch the key at https://example.com/.well-known/"), "{said}");
    assert_eq!(world.file(), None, "what failed is not remembered as done");
    let key = shown_key(&said);

    // Another key is still shown there.
    let other = strangers().await;
    let (_, others) = output(other.command(&["register", "--domain", "example.com"], &variables), "\n").await;
    world.tesla.show_key(Some(&shown_key(&others)));
    let (is_done, said) = register("example.com", &variables).await;
    assert!(!is_done && said.contains("still shows another key"), "{said}");
    assert_eq!((shown_key(&said), world.file()), (key.clone(), None), "the same key each time");

    world.tesla.show_key(Some(&key));
    let (is_done, said) = register("example.org", &variables).await;
    assert!(!is_done && said.contains("not below the root domain"), "{said}");
    let wrong = [("TESLA_CLIENT_ID", CLIENT_ID), ("TESLA_CLIENT_SECRET", "CanaryWrong")];
    let (is_done, said) = register("example.com", &wrong).await;
    assert!(!is_done && said.contains("client secret") && !said.contains("Canary"), "{said}");
    assert_eq!(world.file(), None);

    let (is_done, said) = register("Example.com", &variables).await;
    assert!(is_done && said.contains("example.com is registered at"), "{said}");
    assert!(!said.contains("PRIVATE") && !said.contains(CLIENT_SECRET), "{said}");
    assert_eq!(world.file().unwrap()["DOMAIN"], "example.com");
    #[cfg(unix)]
    for name in [FILE, ".powerwall-server.partner-key.pem"] {
        let file = std::fs::metadata(world.folder.path().join(name)).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, 0o600, "{name}");
    }
    // What a login needs is in the file by now.
    let (is_done, said) = world.log_in(&[], &[("TESLA_REDIRECT_URI", REDIRECT)], |address| address).await;
    assert!(is_done && said.contains("siteid 11: Home"), "{said}");
    assert!(world.file().unwrap()["partner_account"].is_object());

    // What Tesla has is held against the key in the folder.
    let (is_well, said) = doctor(&world, &[]).await;
    assert!(is_well && said.contains("application   example.com is registered with the key"), "{said}");
    let file = |world: &World| world.folder.path().join(".powerwall-server.partner-key.pem");
    std::fs::copy(file(&other), file(&world)).unwrap();
    let (is_well, said) = doctor(&world, &[]).await;
    assert!(!is_well && said.contains("with another key than"), "{said}");
    std::fs::remove_file(file(&world)).unwrap();
    let (is_well, said) = doctor(&world, &[]).await;
    assert!(is_well && said.contains("its own key is not in this folder"), "{said}");
    for (fault, words) in [
        (CloudFault::status(404), "example.com is not registered in this region: powerwall-server register"),
        (CloudFault::status(503), "whether example.com is registered cannot be told"),
    ] {
        world.tesla.set_times("public_key", fault, 1);
        let (_, said) = doctor(&world, &[]).await;
        assert!(said.contains(words), "{said}");
        let lines = said.lines().filter(|line| line.starts_with("  application ")).count();
        assert_eq!((lines, said.contains(CLIENT_SECRET)), (1, false), "{said}");
    }
}

#[actix_web::test]
async fn a_login_without_registration_is_kept_and_says_what_is_left_to_do() {
    let world = strangers().await;
    world.tesla.need_registration();
    let (is_done, said) = world.log_in(&[], &application(), |address| address).await;
    assert!(!is_done && said.contains("not registered in this region"), "{said}");
    assert!(world.file().unwrap()["refresh_token"].is_string());
}
