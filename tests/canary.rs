//! No secret leaves the program. Every secret setting holds a canary; the real program runs with everything
//! logged, in every kind of trouble, and whatever it says anywhere is searched for them.

#[path = "service/program.rs"]
#[allow(dead_code, reason = "every test program uses its own part")]
mod program;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use futures_util::{SinkExt, StreamExt};
use powerwall_server::settings::RsaKey;
use powerwall_server::simulator::tesla::{Asked, CloudFault, OwnersHandle, TeslaHandle};
use powerwall_server::simulator::{Fault, GatewayHandle, SiteKind, SiteOptions};
use powerwall_server::tls;
use program::{Program, run};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

/// A secret setting and its canary. Their ends are made of characters that chance does not put together.
const CANARIES: [(&str, &str); 14] = [
    ("gw_pwd", "CanaryGatewayz~Q!7"),
    ("another gw_pwd", "CanaryRefusedy~W!6"),
    ("password", "CanaryCustomerx~E!5"),
    ("PW_PASSWORD", "CanarySharedw~R!4"),
    ("PW_CONTROL_SECRET", "CanaryControlv~T!3"),
    ("MQTT_PASSWORD", "CanaryBrokeru~Y!2"),
    ("MQTT_USERNAME", "CanaryBrokerUsert~U!1"),
    ("email", "canary~account@example.invalid"),
    ("PW_EMAIL", "canary~shared@example.invalid"),
    ("rsa_key_path", "canary~rsa~key.pem"),
    ("PW_TLS_KEY", "canary~tls~key.pem"),
    ("wrong token", "CanaryGuesss~I!9"),
    ("PW_EXPORT_TOKEN", "CanaryExportr~O!8"),
    ("PW_EXPORT_URL", "CanaryDatabaseq~P!7"),
];

/// What is in the file of a key.
const KEY: &str = include_str!("fixtures/v1r/key-4096.pem");

fn canary(setting: &str) -> &'static str {
    CANARIES.iter().find(|(known, _)| *known == setting).unwrap().1
}

/// Where a database takes whatever it is sent.
fn listener() -> std::net::SocketAddr {
    use actix_web::{App, HttpResponse, HttpServer, web};

    let take = || async { HttpResponse::NoContent().finish() };
    let server = HttpServer::new(move || App::new().default_service(web::to(take))).workers(1);
    let server = server.bind(("127.0.0.1", 0)).unwrap();
    let addr = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    addr
}

/// The forms in which a secret could be said: as it is, its end (which is itself a password of a gateway), as
/// the bytes that `Debug` shows, in hexadecimal, escaped for a URL, and in base64 wherever in an encoded text
/// it stands.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let list =
        |separator: &str, show: fn(&u8) -> String| bytes.iter().map(show).collect::<Vec<_>>().join(separator);
    let escape = |byte: &u8| match byte {
        b'~' | b'.' | b'-' | b'_' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let mut forms = vec![
        secret.to_owned(),
        secret[secret.len() - 5..].to_owned(),
        list(", ", u8::to_string),
        list("", |byte| format!("{byte:02x}")),
        bytes.iter().map(escape).collect(),
    ];
    // An end like ".pem" or ".invalid" is no secret.
    if !secret.ends_with(|c: char| c.is_ascii_digit()) {
        forms.remove(1);
    }
    for before in 0..3 {
        let text = [&vec![b'#'; before], bytes].concat();
        for engine in [&STANDARD, &URL_SAFE] {
            let encoded = engine.encode(&text);
            // Without the characters that depend on what stands before and after.
            let from = [0, 2, 3][before];
            let to = text.len() * 4 / 3;
            forms.push(encoded[from..to].to_owned());
        }
    }
    forms
}

/// Everything that was said, with where.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    fn holds_none_of(&self, secrets: impl IntoIterator<Item = String>) {
        for secret in secrets {
            for (place, text) in &self.0 {
                let found = forms(&secret).into_iter().find(|form| text.contains(form));
                assert_eq!(found, None, "{secret} in {place}");
            }
        }
    }

    fn holds_no_canary(&self) {
        for (place, text) in &self.0 {
            let mut of_key = KEY.lines().filter(|line| !line.starts_with('-'));
            assert!(!of_key.any(|line| text.contains(line)), "a part of the key in {place}");
            for (setting, secret) in CANARIES {
                for form in forms(secret) {
                    let found = text.find(&form).map(|at| {
                        let line = text[..at].rfind('\n').map_or(0, |start| start + 1);
                        text[line..].lines().next().unwrap_or_default().chars().take(600).collect::<String>()
                    });
                    assert_eq!(found, None, "{setting} as {form:?} in {place}");
                }
            }
        }
    }
}

/// Asks for `path` and keeps the answer, head and body.
async fn ask(said: &mut Said, program: &Program, method: &str, path: &str, token: Option<&str>) {
    let url = format!("http://{}{path}", program.addr);
    let mut request = awc::Client::builder().disable_redirects().timeout(Duration::from_secs(20)).finish();
    let mut request = std::mem::take(&mut request).request(method.parse().unwrap(), url);
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    let body = if method == "POST" { "{\"value\": 20}" } else { "" };
    let mut answer = request.send_body(body).await.unwrap();
    let place = format!("{method} {path}");
    said.add(format!("the head of {place}"), format!("{} {:?}", answer.status(), answer.headers()));
    let body = timeout(program::PATIENCE, answer.body().limit(16 << 20)).await.expect(&place).unwrap();
    said.add(place, String::from_utf8_lossy(&body));
}

/// Takes whatever it is sent and answers nothing, so that the login of a broker is under way. Its port, and
/// what it has been sent.
async fn mute_broker() -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let all = sent.clone();
    actix_web::rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut packet = [0; 1024];
            if let Ok(length) = stream.read(&mut packet).await {
                all.lock().unwrap().extend_from_slice(&packet[..length]);
            }
        }
    });
    (port, sent)
}

async fn gateway(id: &str, password: &str, fault: Option<Fault>) -> GatewayHandle {
    let mut options = SiteOptions::new(id, id, SiteKind::Powerwall3);
    options.password = password.to_owned();
    options.customer_password = canary("password").to_owned();
    let gateway = GatewayHandle::start(options).await.unwrap();
    if let Some(fault) = fault {
        gateway.set(fault);
    }
    gateway
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[actix_web::test]
async fn no_secret_is_said_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let password = canary("gw_pwd");
    let home = gateway("home", password, None).await;
    let status = |code| Fault::Status { code, retry_after: None };
    let mut gateways = vec![
        gateway("refused", canary("another gw_pwd"), Some(Fault::LockOut)).await,
        gateway("unauthorized", password, Some(status(401))).await,
        gateway("lost", password, Some(status(404))).await,
        gateway("limited", password, Some(status(429))).await,
        gateway("broken", password, Some(status(500))).await,
        gateway("babbling", password, Some(Fault::Garbage)).await,
        gateway("resetting", password, Some(Fault::ResetAt(60))).await,
        gateway("halved", password, Some(Fault::HalfBody)).await,
        gateway("hung", password, Some(Fault::Hang)).await,
    ];
    gateways.push(home);
    let customer = gateway("customer", password, None).await;
    let (wired, lan) = (gateway("wired", password, None).await, gateway("lan", password, None).await);
    let (broker_port, broker_heard) = mute_broker().await;
    let broker_port = broker_port.to_string();
    // Nobody answers there, so that every other way to a gateway fails as well.
    let nobody = "127.0.0.1:9";
    let key = file(folder.path(), canary("rsa_key_path"), KEY);
    let mut list: Vec<Value> = gateways.iter().map(GatewayHandle::settings).collect();
    let (unreached, email) = (canary("password"), canary("email"));
    list.extend([
        wired.settings_with_lan(&lan, &key),
        json!({ "id": "unwired", "host": nobody, "rsa_key_path": key, "gw_pwd": password }),
        customer.customer_settings(),
        json!({ "id": "unreached", "host": nobody, "password": unreached, "email": email }),
        json!({ "id": "owner", "email": canary("email"), "cloud_mode": true, "authpath": folder.path() }),
    ]);
    let list = Value::from(list).to_string();
    let auth_path = folder.path().to_str().unwrap();
    let database = format!("http://{}/write?u=house&p={}", listener(), canary("PW_EXPORT_URL"));
    let all = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_CACHE_EXPIRE", "1"),
        ("PW_TIMEOUT", "2"),
        ("PW_DEBUG", "yes"),
        ("PW_AUTH_PATH", auth_path),
        ("PW_EMAIL", canary("PW_EMAIL")),
        ("PW_CONTROL_SECRET", canary("PW_CONTROL_SECRET")),
        ("MQTT_HOST", "127.0.0.1"),
        ("MQTT_PORT", broker_port.as_str()),
        ("MQTT_PASSWORD", canary("MQTT_PASSWORD")),
        ("MQTT_USERNAME", canary("MQTT_USERNAME")),
        ("PW_TIMESERIES_PATH", auth_path),
        ("PW_EXPORT_URL", database.as_str()),
        ("PW_EXPORT_TOKEN", canary("PW_EXPORT_TOKEN")),
        ("RUST_LOG", "trace"),
    ];
    // Something that is sent on at once.
    let table = folder.path().join("table.csv");
    std::fs::write(&table, "gateway,start,home_kwh\nhome,1711842300,1\n").unwrap();
    let import = ["import", table.to_str().unwrap(), "--timezone", "UTC"];
    assert_eq!(run(&import, &all).await.code, Some(0));

    let mut said = Said::default();
    for format in ["plain", "json"] {
        let environment = [all.as_slice(), &[("PW_LOG_FORMAT", format)]].concat();
        let mut program = Program::start(&[], &environment).await;
        for id in ["home", "customer"] {
            program.health_becomes(id, |health| health["state"] == "live").await;
        }
        for id in ["refused", "unauthorized", "limited", "broken", "babbling", "hung"] {
            program.health_becomes(id, |health| health["failures"] != 0).await;
        }
        let document = program.json("/openapi.json").await;
        let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        assert!(paths.len() > 100);
        // Feeds do not end; they are listened to below.
        let is_feed = |path: &str| path.starts_with("/ws/") || path.starts_with("/sse/");
        for path in paths.into_iter().filter(|path| !is_feed(path)) {
            let path =
                path.replace("{id}", "refused").replace("{file}", "app.js").replace("{path}", "status");
            ask(&mut said, &program, "GET", &path, None).await;
            ask(&mut said, &program, "POST", &path, Some(canary("PW_CONTROL_SECRET"))).await;
        }
        let secret = canary("PW_CONTROL_SECRET");
        ask(&mut said, &program, "POST", "/health/reset", Some(canary("wrong token"))).await;
        for path in ["/nowhere", "/api/gateways/nobody", "/static/../Cargo.toml", "/%ff", "/soe/x"] {
            ask(&mut said, &program, "GET", path, Some(secret)).await;
        }
        ask(&mut said, &program, "DELETE", "/soe", Some(secret)).await;
        for path in ["/ws/aggregate", "/ws/gateway/home", "/ws/gateway/hung", "/ws/live"] {
            let (mut client, _) = connect_async(format!("ws://{}{path}", program.addr)).await.unwrap();
            client.send(Message::Text("hello".into())).await.unwrap();
            for _ in 0..2 {
                let frame = timeout(program::PATIENCE, client.next()).await.unwrap().unwrap().unwrap();
                said.add(format!("a frame of {path}"), frame.into_text().unwrap().as_str());
            }
        }
        program.signal("HUP").await;
        program.has_said("reloading the settings").await;
        program.has_said("what is recorded is sent to http://").await;
        let log = program.log();
        assert!(log.to_lowercase().contains("trace"), "libraries are logged");
        assert!(log.contains("no route: 404"), "requests are logged");
        said.add(format!("the {format} log"), log);
        // The next one takes over its folder.
        program.signal("KILL").await;
        program.ended().await;
    }

    let environment: Vec<_> = all.into_iter().filter(|(name, _)| *name != "PW_GATEWAYS").collect();
    let of_one = [
        ("PW_HOST", nobody),
        ("PW_GW_PWD", password),
        ("PW_RSA_KEY_PATH", key.as_str()),
        ("PW_GATEWAYS", list.as_str()),
        ("PW_TLS_KEY", canary("PW_TLS_KEY")),
        ("PW_PASSWORD", canary("PW_PASSWORD")),
        ("PW_PORTT", "a mistake"),
    ];
    for extra in [&of_one[..3], &of_one[3..4], &of_one[4..5], &of_one[5..6], &of_one[..]] {
        let outcome = run(&["check-config"], &[environment.as_slice(), extra].concat()).await;
        said.add("check-config", outcome.stdout + &outcome.stderr);
    }
    // A mistake in the middle of a secret does not show what is around it.
    for broken in [list.replacen(',', "", 1), list.replace("\"id\"", "\"idd\""), format!("{list}]")] {
        let extra = [("PW_GATEWAYS", broken.as_str())];
        let outcome = run(&["check-config"], &[environment.as_slice(), &extra].concat()).await;
        assert_eq!(outcome.code, Some(2));
        said.add("check-config with mistakes", outcome.stdout + &outcome.stderr);
    }
    let broker_heard = String::from_utf8_lossy(&broker_heard.lock().unwrap()).into_owned();
    assert!(broker_heard.contains(canary("MQTT_PASSWORD")), "the password goes where it belongs");
    said.holds_no_canary();
}

/// Logs in as a person does, and makes a mistake first; what was said, without the address that comes back.
/// `authority`: the file of who vouches for Tesla.
async fn log_in(arguments: &[&str], authority: &Path, environment: &[(&str, &str)]) -> String {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_powerwall-server"))
        .arg("login")
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut to = program.stdin.take().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        said += &format!("{line}\n");
        if line.starts_with("https://") {
            let authority = tls::certificates(authority).unwrap();
            let config = tls::checked_http(tls::authorities(&authority).unwrap());
            let connector = awc::Connector::new().rustls_0_23(config);
            let client = awc::Client::builder().connector(connector).disable_redirects().finish();
            let answer = client.get(&line).send().await.unwrap();
            let back = answer.headers().get("location").unwrap().to_str().unwrap().to_owned();
            let other = back.replace("&state=", "&state=x");
            to.write_all(format!("{other}\n{back}\n").as_bytes()).await.unwrap();
        }
    }
    let mut wrong = String::new();
    program.stderr.take().unwrap().read_to_string(&mut wrong).await.unwrap();
    assert!(program.wait().await.unwrap().success(), "{said}{wrong}");
    said + &wrong
}

/// What proved to Tesla that whoever brings a code is who asked for it.
fn verifiers(asked: &[Asked]) -> Vec<String> {
    let of_token = |letter: &char| letter.is_ascii_alphanumeric() || "-._~".contains(*letter);
    let verifier = |asked: &Asked| {
        let (_, rest) = asked.body.split_once("code_verifier")?;
        Some(rest.trim_start_matches(['"', ':', '=', ' ']).chars().take_while(of_token).collect::<String>())
    };
    let found: Vec<_> = asked.iter().filter_map(verifier).collect();
    assert!(found.iter().any(|verifier| verifier.len() > 40), "there was a verifier");
    found
}

/// What Tesla's cloud gives out, and what proves who asks for it.
#[actix_web::test]
async fn no_token_is_said_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (home, tesla) = (gateway("home", "SIMULATED1", None).await, TeslaHandle::start().await.unwrap());
    tesla.add(11, &home);
    tesla.sign_in(folder.path()).unwrap();
    tesla.expire_tokens();
    let (pasted, base) = (tesla.provider_token(), format!("https://{}", tesla.addr));
    tesla.sign_in(folder.path()).unwrap();
    tesla.expire_tokens();
    let lan = home.on_lan().await.unwrap();
    tesla.connect(11, &lan);
    let key = file(folder.path(), "house.pem", KEY);
    tesla.add_client(11, RsaKey::read(key.as_ref()).unwrap().public_der(), "house");
    let list = json!([
        { "id": "home", "fleetapi": true },
        { "id": "relay", "relay": true, "rsa_key_path": key },
        { "id": "provider", "fleet_base": base, "fleet_token": pasted },
    ]);
    let (list, mut environment) = (list.to_string(), tesla.environment(folder.path()));
    let own = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_FLEET_INTERVAL", "5"),
        ("PW_DEBUG", "yes"),
        ("RUST_LOG", "trace"),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();

    let mut said = Said::default();
    let outcome = run(&["check-config"], &environment).await;
    said.add("check-config", outcome.stdout + &outcome.stderr);
    let setting_up = [environment.as_slice(), &[("PW_FLEET_BASE", base.as_str())]].concat();
    let authority = folder.path().join("authority.pem");
    said.add("login", log_in(&[], &authority, &setting_up).await);
    tesla.be_hasty();
    for arguments in [
        &["keys", "--key", &key][..],
        &["register", "--key", &key, "--host", "127.0.0.1:9"],
        &["register", "--domain", "example.com"],
        &["doctor"],
    ] {
        let outcome = run(arguments, &setting_up).await;
        said.add(arguments[0], outcome.stdout + &outcome.stderr);
    }
    assert!(said.0.iter().any(|(_, text)| text.contains("The gateway accepts the key")), "{:?}", said.0);
    let partner = std::fs::read_to_string(folder.path().join(".powerwall-server.partner-key.pem")).unwrap();
    let program = Program::start(&[], &environment).await;
    for id in ["home", "relay"] {
        program.health_becomes(id, |health| health["state"] == "live").await;
    }
    program.health_becomes("provider", |health| health["failures"] != 0).await;
    // An answer that quotes what was sent, and a login that is needed.
    let token = tesla.secrets().into_iter().rfind(|secret| secret.contains('.')).unwrap();
    let quoted = format!(r#"{{"error":"{token}"}}"#);
    tesla.set_times("live_status", CloudFault::body(400, &quoted), 1);
    program.health_becomes("home", |health| health["failures"] != 0).await;
    tesla.revoke();
    program.health_becomes("home", |health| health["last_error"]["kind"] == "login_needed").await;
    let document = program.json("/openapi.json").await;
    for path in document["paths"].as_object().unwrap().keys() {
        if !path.starts_with("/ws/") && !path.starts_with("/sse/") {
            let path = path.replace("{id}", "home").replace("{file}", "app.js").replace("{path}", "status");
            ask(&mut said, &program, "GET", &path, None).await;
        }
    }
    said.add("the log", program.log());
    said.holds_no_canary();
    let of_key = partner.lines().filter(|line| !line.starts_with('-')).map(str::to_owned);
    let secrets = tesla.secrets().into_iter().chain(["simulated-client-secret".to_owned()]).chain(of_key);
    assert!(tesla.secrets().iter().any(|secret| secret.contains("-code-")), "there was a code");
    said.holds_none_of(secrets.chain(verifiers(&tesla.asked())));
}

/// What the owners API gives out, over HTTP/2, and what proves who asks for it.
#[actix_web::test]
async fn no_token_of_the_owners_api_is_said_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (home, tesla) = (gateway("home", "SIMULATED1", None).await, OwnersHandle::start().await.unwrap());
    tesla.add(11, &home);
    tesla.sign_in(folder.path()).unwrap();
    tesla.expire_tokens();
    let mut environment = tesla.environment(folder.path());
    let own = [
        ("PW_EMAIL", "owner@example.com"),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_FLEET_INTERVAL", "5"),
        ("PW_DEBUG", "yes"),
        ("RUST_LOG", "trace"),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();

    let mut said = Said::default();
    let outcome = run(&["check-config"], &environment).await;
    said.add("check-config", outcome.stdout + &outcome.stderr);
    let authority = folder.path().join("owners-authority.pem");
    // The person who logs in is shown the address that is meant, and nothing else.
    let mut login = Said::default();
    login.add("login", log_in(&["--owners"], &authority, &environment).await);
    tesla.expire_tokens();
    let program = Program::start(&[], &environment).await;
    program.health_becomes("default", |health| health["state"] == "live").await;
    // A renewal that is refused in words that quote what was sent, and one that is lost.
    let quoted = format!(r#"{{"error":"{}"}}"#, tesla.secrets().pop().unwrap());
    tesla.set_times("/oauth2", CloudFault::body(503, &quoted), 1);
    tesla.expire_tokens();
    program.health_becomes("default", |health| health["failures"] != 0).await;
    tesla.set("/oauth2", CloudFault::Cut);
    program.health_becomes("default", |health| health["last_error"]["kind"] == "login_needed").await;
    let document = program.json("/openapi.json").await;
    for path in document["paths"].as_object().unwrap().keys() {
        if !path.starts_with("/ws/") && !path.starts_with("/sse/") {
            let path =
                path.replace("{id}", "default").replace("{file}", "app.js").replace("{path}", "status");
            ask(&mut said, &program, "GET", &path, None).await;
        }
    }
    let log = program.log();
    assert!(log.contains("h2::"), "the library is logged");
    said.add("the log", log);
    let outcome = run(&["doctor"], &environment).await;
    assert!(outcome.stdout.contains("log in again"), "{}", outcome.stdout);
    said.add("doctor", outcome.stdout + &outcome.stderr);
    assert!(tesla.secrets().iter().any(|secret| secret.contains("-code-")), "there was a code");
    let secrets = || tesla.secrets().into_iter().chain(verifiers(&tesla.asked()));
    login.holds_none_of(secrets());
    said.holds_none_of(secrets().chain(["owner@example.com".to_owned()]));
    let notes = std::fs::read_to_string(folder.path().join(".powerwall-server.owners-spent.json")).unwrap();
    said.add("the notes", notes);
    said.holds_none_of(tesla.secrets());
}

#[test]
fn canaries_are_found_in_every_form() {
    let secret = canary("gw_pwd");
    let header = STANDARD.encode(format!("Tesla_Energy_Device:{secret}"));
    let debug = format!("{:?}", [b"body: ", secret.as_bytes(), b" and more"].concat());
    let query = "/?token=CanaryGatewayz~Q%217&x".to_owned();
    for text in [format!("Basic {header}"), debug, query, format!("its end is {}.", &secret[13..])] {
        assert!(forms(secret).iter().any(|form| text.contains(form)), "{text}");
    }
    assert!(!forms(secret).iter().any(|form| STANDARD.encode("Tesla_Energy_Device:another").contains(form)));
}
