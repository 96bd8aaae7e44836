//! The real program against simulated gateways: started, interrupted, killed, and asked all the while.

mod large;
mod live_clients;
mod program;
#[path = "../common/raw.rs"]
mod raw;
mod secrets;
mod strangers;

use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

use futures_util::StreamExt;
use powerwall_server::simulator::{Fault, GatewayHandle, Role, SiteKind, SiteOptions};
use program::{PATIENCE, Program, run};
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

async fn gateway(id: &str, kind: SiteKind) -> GatewayHandle {
    GatewayHandle::start(SiteOptions::new(id, id, kind)).await.unwrap()
}

fn list(gateways: &[&GatewayHandle]) -> String {
    gateways.iter().map(|gateway| gateway.settings()).collect::<Value>().to_string()
}

async fn serve(gateways: &[&GatewayHandle], environment: &[(&str, &str)]) -> Program {
    let list = list(gateways);
    let mut all = vec![("PW_GATEWAYS", list.as_str()), ("PW_PORT", "0"), ("PW_BIND_ADDRESS", "127.0.0.1")];
    all.extend(environment);
    Program::start(&[], &all).await
}

fn is_live(health: &Value) -> bool {
    health["state"] == "live"
}

/// How often a gateway was asked for its power.
fn polls(gateway: &GatewayHandle) -> u64 {
    gateway.counters().requests(Role::Controller) + gateway.counters().requests(Role::Status)
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it comes to pass");
}

/// Everything that can be wrong with a gateway, and what is said of it.
fn troubles() -> Vec<(&'static str, Fault, &'static str)> {
    let status = |code| Fault::Status { code, retry_after: None };
    vec![
        ("hung", Fault::Hang, "timeout"),
        ("crawling", Fault::SlowBytes { bytes: 1, every: Duration::from_millis(100) }, "timeout"),
        ("resetting", Fault::ResetAt(60), "unreachable"),
        ("unauthorized", status(401), "refused"),
        ("locked", Fault::LockOut, "refused"),
        ("lost", status(404), "not_found"),
        ("limiting", status(429), "rate_limited"),
        ("broken", status(500), "status"),
        ("busy", status(503), "busy"),
        ("babbling", Fault::Garbage, "malformed"),
    ]
}

/// Two programs on one machine, so that a busy machine slows both: one with a gateway in every kind of
/// trouble beside the healthy ones, one with healthy ones alone.
#[actix_web::test]
async fn sick_gateways_do_not_cost_the_healthy_ones_a_poll() {
    let fast = [("PW_CACHE_EXPIRE", "1"), ("PW_TIMEOUT", "3"), ("PW_CACHE_TTL", "3600")];
    let (one, two) = (gateway("one", SiteKind::Powerwall3).await, gateway("two", SiteKind::Powerwall2).await);
    let killed = gateway("killed", SiteKind::Powerwall3).await;
    let mut sick = Vec::new();
    for (id, fault, kind) in troubles() {
        sick.push((gateway(id, SiteKind::Powerwall3).await, fault, kind));
    }
    let control = gateway("control", SiteKind::Powerwall3).await;
    let undisturbed = serve(&[&control], &fast).await;
    let all: Vec<_> =
        [&one, &killed].into_iter().chain(sick.iter().map(|(sick, ..)| sick)).chain([&two]).collect();
    let disturbed = serve(&all, &fast).await;
    for gateway in &all {
        disturbed.health_becomes(&gateway.options().id, is_live).await;
    }
    undisturbed.health_becomes("control", is_live).await;

    let mut asked_before = Vec::new();
    for (gateway, fault, _) in &sick {
        gateway.set(fault.clone());
        asked_before.push(polls(gateway));
    }
    drop(killed);
    let before = [polls(&control), polls(&one), polls(&two)];
    until(|| polls(&control) >= before[0] + 10).await;
    let expected = polls(&control) - before[0];
    for (healthy, before) in [(&one, before[1]), (&two, before[2])] {
        let made = polls(healthy) - before;
        assert!(made + 2 >= expected, "{made} polls instead of {expected}\n{}", disturbed.log());
        assert_eq!(healthy.counters().most_in_flight(), 1);
    }
    for id in ["one", "two"] {
        let health = disturbed.health(id).await;
        assert_eq!((&health["state"], &health["failures"]), (&"live".into(), &0.into()), "{health}");
    }

    for ((gateway, fault, kind), asked_before) in sick.iter().zip(asked_before) {
        let id = &gateway.options().id;
        let health = disturbed.health_becomes(id, |health| health["failures"] != 0).await;
        assert_eq!(&health["last_error"]["kind"], kind, "{fault:?}: {health}");
        assert_eq!(gateway.counters().most_in_flight(), 1, "{id}");
        if matches!(*kind, "refused" | "rate_limited" | "busy") {
            assert_eq!(health["consecutive_failures"], 1, "{health}");
            assert!(health["next_attempt_seconds"].as_f64().unwrap() > 30.0, "{health}");
            let asked = polls(gateway) - asked_before;
            assert!(asked <= 1, "{id}: it wants to be left alone and was asked {asked} times");
        }
    }
    let health = disturbed.health_becomes("killed", |health| health["failures"] != 0).await;
    assert_eq!(health["last_error"]["kind"], "unreachable", "{health}");
    // Their last good data is still there, and says that it is not fresh.
    for id in sick.iter().map(|(gateway, ..)| gateway.options().id.as_str()).chain(["killed"]) {
        let status = disturbed.json(&format!("/api/gateways/{id}")).await;
        assert_eq!((&status["online"], &status["freshness"]), (&false.into(), &"stale".into()), "{id}");
        assert!(status["data"]["aggregates"]["site"].is_object(), "{id}");
    }
    assert_eq!(until_summed(&disturbed, 2).await["num_gateways"], 13);
}

#[actix_web::test]
async fn with_every_gateway_dead_the_faces_answer() {
    let dead = gateway("dead", SiteKind::Powerwall3).await;
    let list = list(&[&dead]);
    drop(dead);
    let environment = [("PW_GATEWAYS", list.as_str()), ("PW_PORT", "0")];
    let program = Program::start(&[], &environment).await;
    program.health_becomes("dead", |health| health["failures"] != 0).await;
    assert_eq!(program.get("/livez").await.0, 200);
    assert_eq!(program.get("/readyz").await.0, 503);
    assert_eq!(program.get("/aggregates").await, (200, "null".into()));
    assert_eq!(program.json("/health").await["status"], "unhealthy");
}

#[actix_web::test]
async fn a_gateway_that_comes_back_is_live_again() {
    let home = gateway("home", SiteKind::Powerwall2).await;
    home.set(Fault::Refuse);
    let program = serve(&[&home], &[]).await;
    program.health_becomes("home", |health| health["consecutive_failures"] == 1).await;
    home.heal();
    let health = program.health_becomes("home", is_live).await;
    assert_eq!((&health["consecutive_failures"], &health["last_error"]), (&0.into(), &Value::Null));
    program.has_said("gateway home: reachable again").await;
    assert!(program.log().contains(" and watches 1 gateway\n"), "{}", program.log());
}

#[actix_web::test]
async fn for_programs_every_line_of_the_log_is_an_object() {
    let home = gateway("home", SiteKind::Powerwall2).await;
    home.set(Fault::Status { code: 500, retry_after: None });
    let mut program = serve(&[&home], &[("PW_LOG_FORMAT", "json"), ("PW_DEBUG", "yes")]).await;
    program.health_becomes("home", |health| health["consecutive_failures"] == 1).await;
    home.heal();
    program.health_becomes("home", is_live).await;
    program.signal("TERM").await;
    program.ended().await;
    let log = program.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        for key in ["ts", "level", "target", "message"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
    }
    let of_event = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    for once in ["started", "outage_began", "outage_ended", "stopping"] {
        assert_eq!(of_event(once).len(), 1, "{once}: {log}");
    }
    let request = of_event("request")[0];
    assert_eq!((&request["route"], &request["status"]), (&"/health/gateways".into(), &200.into()));
    assert!(request["latency_ms"].is_u64(), "{request}");
    let [began, ended] = [of_event("outage_began")[0], of_event("outage_ended")[0]];
    assert_eq!(
        (&began["gateway"], &began["kind"], &began["level"]),
        (&"home".into(), &"status".into(), &"warn".into())
    );
    assert_eq!(began["status"], 500);
    assert_eq!((&ended["gateway"], &ended["failures"]), (&"home".into(), &1.into()));
    assert!(ended["latency_ms"].is_u64() && ended["seconds"].as_u64().unwrap() >= 5, "{ended}");
}

#[actix_web::test]
async fn it_stops_in_order_whatever_the_gateways_do() {
    let (home, hung) =
        (gateway("home", SiteKind::Powerwall3).await, gateway("hung", SiteKind::Powerwall3).await);
    hung.set(Fault::Hang);
    for signal in ["TERM", "INT"] {
        let mut program = serve(&[&home, &hung], &[]).await;
        program.health_becomes("home", is_live).await;
        let mut clients = Vec::new();
        for path in ["/ws/aggregate", "/ws/gateway/home", "/ws/gateway/hung"] {
            let (mut client, _) = connect_async(format!("ws://{}{path}", program.addr)).await.unwrap();
            client.next().await.unwrap().unwrap();
            clients.push(client);
        }
        program.signal(signal).await;
        for client in &mut clients {
            let goodbye = async {
                loop {
                    if let Message::Close(reason) = client.next().await.unwrap().unwrap() {
                        return reason.unwrap().code;
                    }
                }
            };
            assert_eq!(timeout(PATIENCE, goodbye).await.unwrap(), CloseCode::Away, "{signal}");
        }
        assert_eq!(program.ended().await.code(), Some(0), "{signal}: {}", program.log());
    }
}

#[actix_web::test]
async fn settings_are_read_again_on_sighup() {
    let (home, cabin) =
        (gateway("home", SiteKind::Powerwall3).await, gateway("cabin", SiteKind::Powerwall2).await);
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let mut write = |gateways: String| {
        file.as_file_mut().set_len(0).unwrap();
        std::io::Seek::rewind(file.as_file_mut()).unwrap();
        writeln!(file, "gateways: {gateways}").unwrap();
        file.flush().unwrap();
        file.path().to_str().unwrap().to_owned()
    };
    // JSON is YAML.
    let path = write(list(&[&home]));
    let environment = [("PW_PORT", "0"), ("PW_CONFIG", path.as_str())];
    let program = Program::start(&[], &environment).await;
    program.health_becomes("home", is_live).await;
    let connections = home.counters().connections();

    write(list(&[&home, &cabin]));
    program.signal("HUP").await;
    program.has_said("reloading the settings: 2 gateways").await;
    until_listed(&program, &["home", "cabin"]).await;
    program.health_becomes("cabin", is_live).await;
    assert_eq!(home.counters().connections(), connections, "what did not change goes on");

    write("[{\"id\":\"home\",\"hosts\":\"x\"}]".into());
    program.signal("HUP").await;
    program.has_said("keeping the previous settings").await;
    until_listed(&program, &["home", "cabin"]).await;

    write(list(&[&cabin]));
    program.signal("HUP").await;
    until_listed(&program, &["cabin"]).await;
    assert_eq!(program.get("/api/gateways/home").await.0, 404);
}

#[actix_web::test]
async fn a_pipe_in_place_of_the_settings_holds_up_nobody() {
    let home = gateway("home", SiteKind::Inverter).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateways.yaml");
    std::fs::write(&file, format!("gateways: {}", list(&[&home]))).unwrap();
    let mut program = Program::start(&[], &[("PW_PORT", "0"), ("PW_CONFIG", file.to_str().unwrap())]).await;
    program.health_becomes("home", is_live).await;

    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    program.signal("HUP").await;
    program.has_said("it is not a regular file").await;
    program.has_said("keeping the previous settings").await;
    program.health_becomes("home", is_live).await;
    program.signal("TERM").await;
    assert_eq!(program.ended().await.code(), Some(0));
}

#[actix_web::test]
async fn a_file_that_may_not_grow_is_a_full_disk_and_ends_nobody() {
    let home = gateway("home", SiteKind::Inverter).await;
    let folder = tempfile::tempdir().unwrap();
    let gateways = list(&[&home]);
    let auth = folder.path().display().to_string();
    let environment = [("PW_PORT", "0"), ("PW_GATEWAYS", gateways.as_str()), ("PW_AUTH_PATH", auth.as_str())];
    let program = Program::start_limited("-f 0", &environment).await;
    program.has_said(&format!("PW_AUTH_PATH={auth} cannot be written: File too large")).await;
    program.health_becomes("home", is_live).await;
}

#[actix_web::test]
async fn storage_that_cannot_be_written_is_said_at_start() {
    let home = gateway("home", SiteKind::Inverter).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = |name: &str| file.path().join(name).display().to_string();
    let gateways = list(&[&home]);
    let (auth, journal) = (inside("auth"), inside("journal.db"));
    let environment = [
        ("PW_PORT", "0"),
        ("PW_GATEWAYS", gateways.as_str()),
        ("PW_AUTH_PATH", &auth),
        ("PW_TIMESERIES_PATH", &journal),
    ];
    let program = Program::start(&[], &environment).await;
    program.has_said(&format!("PW_AUTH_PATH={auth} cannot be written")).await;
    program.has_said(&format!("{journal} cannot be used")).await;
    program.health_becomes("home", is_live).await;
}

/// The sum follows within a moment.
async fn until_summed(program: &Program, online: u32) -> Value {
    let summed = async {
        loop {
            let sum = program.json("/api/aggregate").await;
            if sum["num_online"] == online {
                return sum;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, summed).await.unwrap_or_else(|_| panic!("never {online} online\n{}", program.log()))
}

async fn until_listed(program: &Program, ids: &[&str]) {
    let listed = async {
        loop {
            let gateways = program.json("/api/gateways").await;
            if gateways.as_object().unwrap().keys().eq(ids) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, listed).await.unwrap_or_else(|_| panic!("{ids:?} never listed\n{}", program.log()));
}

#[actix_web::test]
async fn mistakes_in_the_settings_end_it_with_2_and_all_of_them() {
    let environment = [
        (
            "PW_GATEWAYS",
            r#"[{"id":"home","host":"10.0.0.1","gw_pwd":"CANARY12345","prot":443},{"id":"home"}]"#,
        ),
        ("PW_PORT", "eighty"),
        ("PW_CACHE_EXPIRE", "0"),
    ];
    for command in [&[][..], &["serve"], &["check-config"]] {
        let said = run(command, &environment).await;
        assert_eq!(said.code, Some(2), "{command:?}: {}", said.stderr);
        let named =
            ["PW_GATEWAYS[0].prot", "port", "PW_GATEWAYS[1].id", "PW_PORT", "eighty", "PW_CACHE_EXPIRE"];
        for name in named {
            assert!(said.stderr.contains(name), "{name} in {}", said.stderr);
        }
        assert!(!said.stderr.contains("CANARY"), "{}", said.stderr);
        assert_eq!(said.stdout, "");
    }
}

#[actix_web::test]
async fn without_a_gateway_it_says_what_to_do() {
    let said = run(&[], &[("PW_PORT", "0")]).await;
    assert_eq!(said.code, Some(2));
    for advice in ["PW_HOST", "PW_GATEWAYS", "gateways.yaml", "powerwall-server demo"] {
        assert!(said.stderr.contains(advice), "{}", said.stderr);
    }
}

#[actix_web::test]
async fn a_taken_port_is_named() {
    let home = gateway("home", SiteKind::Powerwall3).await;
    let program = serve(&[&home], &[]).await;
    let (list, port) = (list(&[&home]), program.addr.port().to_string());
    let said = run(&["--port", &port, "--bind-address", "127.0.0.1"], &[("PW_GATEWAYS", &list)]).await;
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{}", said.stderr);
    assert!(said.stderr.contains("PW_PORT"), "{}", said.stderr);
}

#[actix_web::test]
async fn a_container_can_ask_whether_it_is_alive() {
    let home = gateway("home", SiteKind::Powerwall3).await;
    let mut program = serve(&[&home], &[("PROXY_BASE_URL", "/pw")]).await;
    let port = program.addr.port().to_string();
    let environment = [("PW_PORT", port.as_str()), ("PROXY_BASE_URL", "/pw")];
    let alive = run(&["healthcheck"], &environment).await;
    assert_eq!((alive.code, alive.stderr.as_str()), (Some(0), ""));
    let url = format!("http://{}/nothing", program.addr);
    let wrong = run(&["healthcheck", "--url", &url], &[]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains("404"), "{}", wrong.stderr);
    program.signal("TERM").await;
    program.ended().await;
    let dead = run(&["healthcheck"], &environment).await;
    assert_eq!(dead.code, Some(1));
    assert!(dead.stderr.contains(&port), "{}", dead.stderr);
}

#[actix_web::test]
async fn the_demo_needs_no_powerwall() {
    let program = Program::start(&["demo", "--port", "0"], &[("PW_HOST", "not used by a demo")]).await;
    program.has_said("curl http://").await;
    // The last one is reached through a simulated Tesla account.
    for id in ["home", "cabin", "barn", "lake"] {
        program.health_becomes(id, is_live).await;
    }
    until_summed(&program, 4).await;
    let (status, page) = program.get("/").await;
    assert_eq!(status, 200);
    let files: HashSet<&str> = page.split('"').filter(|part| part.starts_with("static/")).collect();
    assert!(files.len() >= 2, "{page}");
    for file in files {
        assert_eq!(program.get(&format!("/{file}")).await.0, 200, "{file}");
    }
    // A week that never was, of every site.
    let start = powerwall_server::clock::unix_time() - 7.0 * 86_400.0;
    let path = format!("/api/history?bucket=day&start={start:.0}");
    let week = async {
        loop {
            let history = program.json(&path).await;
            let gateways = history["gateways"].as_object().unwrap();
            if gateways.len() == 4 && gateways.values().all(|one| one["rows"].as_array().unwrap().len() >= 7)
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, week).await.unwrap();
}

#[actix_web::test]
async fn journal_and_history_are_copied_while_the_service_runs() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name).display().to_string();
    let (path, copy) = (inside("history.db"), inside("copy.db"));
    let home = gateway("home", SiteKind::Powerwall3).await;
    let environment = [("PW_TIMESERIES_PATH", path.as_str()), ("PW_CACHE_EXPIRE", "1")];
    let program = serve(&[&home], &environment).await;
    program.health_becomes("home", is_live).await;
    // A gateway is read before the file has its tables.
    let size = async || program.json("/api/timeseries/status").await["db_size_bytes"].as_u64();
    let written = async {
        while size().await.is_none_or(|bytes| bytes <= 4096) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, written).await.unwrap();
    let copied = run(&["backup", &copy], &environment).await;
    assert_eq!(copied.code, Some(0), "{}", copied.stderr);
    assert!(copied.stdout.contains(&copy), "{}", copied.stdout);
    let again = run(&["backup", &copy], &environment).await;
    assert_eq!(again.code, Some(1), "{}", again.stdout);
    assert!(again.stderr.contains("nothing is overwritten"), "{}", again.stderr);
    let connection = rusqlite::Connection::open(&copy).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    for table in ["journal", "samples", "history_slots"] {
        let count = format!("SELECT count(*) FROM {table}");
        connection.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap();
    }
    let nowhere = run(&["backup", &inside("other.db")], &[("PW_TIMESERIES_PATH", "off")]).await;
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.stdout);
}
