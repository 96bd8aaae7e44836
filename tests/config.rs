//! The ready-made files under `config/`, each checked by the tool it is for or used against the running
//! server.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::tools::required_tool;
use common::{Outputs, SECOND, http, snapshot, telemetry};
use futures_util::StreamExt;
use powerwall_server::model::Freshness;
use powerwall_server::settings::{HttpSettings, Inputs, Settings};
use powerwall_server::simulator::SiteKind;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn config(file: &str) -> PathBuf {
    Path::new(ROOT).join("config").join(file)
}

fn text(file: &str) -> String {
    std::fs::read_to_string(config(file)).unwrap()
}

/// Runs `program` and returns what it said.
///
/// # Panics
/// With what it said, if it is not content.
fn run(command: &mut Command) -> String {
    let outcome = command.output().unwrap();
    let said =
        [outcome.stdout, outcome.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(outcome.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn prometheus_accepts_its_configuration_and_the_alerts_fire_when_they_should() {
    let Some(promtool) = required_tool("promtool") else { return };
    run(Command::new(&promtool).args(["check", "config"]).arg(config("prometheus/prometheus.yml")));
    run(Command::new(&promtool).args(["test", "rules"]).arg(config("prometheus/alerts.test.yml")));
}

/// What `config/nginx/powerwall.conf` is included by, with nothing outside `folder`.
fn nginx_around(folder: &Path, site: &Path) -> PathBuf {
    let (place, site) = (folder.display(), site.display());
    let whole = format!(
        "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/error.log;\nevents {{}}\nhttp \
            {{\n\
         access_log off;\nclient_body_temp_path {place}/body;\nproxy_temp_path {place}/proxy;\n\
         fastcgi_temp_path {place}/fastcgi;\nuwsgi_temp_path {place}/uwsgi;\nscgi_temp_path {place}/scgi;\n\
         include {site};\n}}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, whole).unwrap();
    file
}

#[test]
fn nginx_accepts_its_configuration() {
    let Some(nginx) = required_tool("nginx") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = nginx_around(folder.path(), &config("nginx/powerwall.conf"));
    let said = run(Command::new(nginx).arg("-t").arg("-c").arg(file).arg("-p").arg(folder.path()));
    assert!(!said.contains("[warn]"), "{said}");
}

#[test]
fn caddy_accepts_its_configuration() {
    let Some(caddy) = required_tool("caddy") else { return };
    let home = tempfile::tempdir().unwrap();
    let mut check = Command::new(&caddy);
    check.args(["validate", "--adapter", "caddyfile", "--config"]).arg(config("caddy/Caddyfile"));
    let said = run(check.env("HOME", home.path()));
    assert!(said.contains("Valid configuration"), "{said}");
    let formatted = Command::new(&caddy).arg("fmt").arg(config("caddy/Caddyfile")).output().unwrap();
    assert_eq!(String::from_utf8(formatted.stdout).unwrap(), text("caddy/Caddyfile"), "caddy fmt");
}

#[actix_web::test]
async fn behind_nginx_pages_and_feeds_are_below_the_path() {
    let Some(nginx) = required_tool("nginx") else { return };
    let (outputs, port) = (below_a_path().await, free_port());
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("powerwall.conf");
    let conf = text("nginx/powerwall.conf")
        .replace("listen 8080;", &format!("listen 127.0.0.1:{port};"))
        .replace("127.0.0.1:8675", &outputs.addr.to_string());
    std::fs::write(&site, conf).unwrap();
    let mut proxy = tokio::process::Command::new(nginx);
    proxy.arg("-c").arg(nginx_around(folder.path(), &site)).arg("-p").arg(folder.path());
    passes_everything_on(proxy, port).await;
}

#[actix_web::test]
async fn behind_caddy_pages_and_feeds_are_below_the_path() {
    let Some(caddy) = required_tool("caddy") else { return };
    let (outputs, port) = (below_a_path().await, free_port());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Caddyfile");
    // Without the address at which it takes orders, which another Caddy may have.
    let conf = text("caddy/Caddyfile")
        .replace(":8080 {", &format!("{{\n\tadmin off\n}}\nhttp://127.0.0.1:{port} {{"))
        .replace("127.0.0.1:8675", &outputs.addr.to_string());
    std::fs::write(&file, conf).unwrap();
    let mut proxy = tokio::process::Command::new(caddy);
    proxy.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).env("HOME", folder.path());
    passes_everything_on(proxy, port).await;
}

async fn below_a_path() -> Outputs {
    let snapshot = snapshot("home", &telemetry(SiteKind::Powerwall3).await, Freshness::Live);
    Outputs::with(vec![snapshot], HttpSettings { base_path: "/powerwall".into(), ..http() }, 30 * SECOND)
}

/// Free a moment ago, which is as much as can be known of a port that another program will take.
fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

async fn passes_everything_on(mut proxy: tokio::process::Command, port: u16) {
    let mut proxy = proxy.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let client = awc::Client::builder().disable_redirects().finish();
    let get = async |path: &str| {
        let answer = client.get(format!("http://127.0.0.1:{port}{path}")).send();
        let mut answer = answer.await.map_err(|error| error.to_string())?;
        let body = answer.body().await.map_err(|error| error.to_string())?;
        Ok::<_, String>((answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
    };
    let up = async {
        while get("/powerwall/livez").await.is_err() {
            assert_eq!(proxy.try_wait().unwrap(), None, "the proxy ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, up).await.expect("the proxy answers");
    for path in ["/powerwall/", "/powerwall/api/aggregate", "/powerwall/docs", "/powerwall/static/docs.js"] {
        assert_eq!(get(path).await.unwrap().0, 200, "{path}");
    }
    assert_eq!(get("/powerwall").await.unwrap().0, 308, "links in the page need the slash");
    assert_ne!(get("/metrics").await.unwrap().0, 200, "nothing but what is below the path");
    let address = format!("ws://127.0.0.1:{port}/powerwall/ws/aggregate");
    let (mut client, _) = connect_async(address).await.unwrap();
    for _ in 0..2 {
        let frame = timeout(PATIENCE, client.next()).await.unwrap().unwrap().unwrap();
        assert!(frame.into_text().unwrap().contains("total_load_power"));
    }
}

#[test]
fn systemd_accepts_its_unit() {
    let Some(analyze) = required_tool("systemd-analyze") else { return };
    let folder = tempfile::tempdir().unwrap();
    // The program is not installed where the unit expects it.
    let unit = text("systemd/powerwall-server.service")
        .replace("/usr/bin/powerwall-server", env!("CARGO_BIN_EXE_powerwall-server"));
    let file = folder.path().join("powerwall-server.service");
    std::fs::write(&file, unit).unwrap();
    let said = run(Command::new(analyze).args(["verify", "--man=no"]).arg(&file));
    let about_ours: Vec<&str> = said.lines().filter(|line| line.contains("powerwall-server")).collect();
    assert!(about_ours.is_empty(), "{about_ours:?}");
}

#[test]
fn the_example_of_a_configuration_file_has_no_mistake() {
    let path = config("gateways.example.yaml").to_str().unwrap().to_owned();
    let inputs = Inputs { environment: vec![("PW_CONFIG".into(), path)], flags: Vec::new() };
    let settings = Settings::load(&inputs).map_err(|problems| problems.to_string()).unwrap();
    assert_eq!(settings.gateways.len(), 3);
}

/// What Home Assistant writes into the add-on's /data/options.json is a configuration file, with every key of
/// its form.
#[test]
fn the_options_of_the_home_assistant_add_on_are_a_configuration_file() {
    let add_on: Value = serde_norway::from_str(&text("home-assistant/addon/config.yaml")).unwrap();
    let samples = [
        ("id", "home"),
        ("name", "Home"),
        ("host", "10.42.1.40"),
        ("gw_pwd", "ABCDEFGHIJ"),
        ("wifi_host", "192.168.91.1"),
        ("timezone", "Europe/Berlin"),
        ("type", "powerwall"),
    ];
    let offered = add_on["schema"]["gateways"][0].as_object().unwrap();
    assert!(samples.iter().all(|(key, _)| offered.contains_key(*key)));
    let gateway: Value =
        samples.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();

    let folder = tempfile::tempdir().unwrap();
    let options = folder.path().join("options.json");
    let token = serde_json::json!({ "name": "car", "role": "operator", "secret": "0123456789abcdef" });
    let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&token), keys(&add_on["schema"]["tokens"][0]));
    // As they are at first but for the gateway, and with everything.
    let first = serde_json::json!({ "gateways": [gateway], "tokens": add_on["options"]["tokens"] });
    let all = serde_json::json!({ "gateways": [gateway], "tokens": [token], "anonymous": "none" });
    let mut environment: Vec<(String, String)> = add_on["environment"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    environment.retain(|(name, _)| name != "PW_CONFIG");
    environment.push(("PW_CONFIG".into(), options.to_str().unwrap().to_owned()));
    for (written, tokens) in [(first, 0), (all, 1)] {
        assert!(keys(&written).iter().all(|key| add_on["schema"].get(key).is_some()));
        std::fs::write(&options, written.to_string()).unwrap();
        let inputs = Inputs { environment: environment.clone(), flags: Vec::new() };
        let settings = Settings::load(&inputs).map_err(|problems| problems.to_string()).unwrap();
        assert_eq!((settings.gateways.len(), settings.access.tokens.len()), (1, tokens));
        assert!(settings.http.ingress.contains([172, 30, 32, 2].into()));
    }
}

/// Every file that a compose file mounts is there, and every variable that it sets is one.
#[test]
fn compose_files_mount_what_is_there_and_set_what_is_known() {
    for file in ["../docker-compose.yml", "compose-monitoring.yml", "compose-mqtt.yml", "compose-fleet.yml"] {
        let compose: Value = serde_norway::from_str(&text(file)).unwrap();
        let services = compose["services"].as_object().unwrap();
        let ours = &services["powerwall-server"];
        for name in ours["environment"].as_object().unwrap().keys() {
            let known = powerwall_server::settings::variables::effect(name);
            assert!(known.is_some(), "{name} of {file}");
        }
        let volumes =
            services.values().flat_map(|service| service["volumes"].as_array().into_iter().flatten());
        for volume in volumes {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let is_there = match source.strip_prefix("./") {
                // Passwords are made by the person who starts it; the file says how.
                Some(path) => path.starts_with("secrets/") || Path::new(ROOT).join(path).exists(),
                None => compose["volumes"].as_object().unwrap().contains_key(source),
            };
            assert!(is_there, "{source} of {file}");
        }
    }
}

async fn home() -> Outputs {
    Outputs::of(vec![snapshot("home", &telemetry(SiteKind::Powerwall3).await, Freshness::Live)])
}

#[actix_web::test]
async fn what_telegraf_asks_for_is_there() {
    let conf = text("telegraf/telegraf.conf");
    if let Some(python) = required_tool("python3") {
        let check = "import sys, tomllib; tomllib.load(open(sys.argv[1], 'rb'))";
        run(Command::new(python).args(["-c", check]).arg(config("telegraf/telegraf.conf")));
    }
    let outputs = home().await;
    let paths: Vec<&str> = conf
        .split('"')
        .filter_map(|text| text.strip_prefix("${POWERWALL_URL}"))
        .filter(|path| !path.is_empty())
        .collect();
    assert!(paths.len() >= 9, "{paths:?}");
    for path in paths {
        let answer = outputs.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        if path != "/metrics" {
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert!(body.is_object(), "{path}: Telegraf makes fields of an object");
        }
    }
}

#[actix_web::test]
async fn what_home_assistant_reads_is_there() {
    let list: Value = serde_norway::from_str(&text("home-assistant/rest.yaml")).unwrap();
    let outputs = home().await;
    let mut sensors = 0;
    for resource in list.as_array().unwrap() {
        let path = resource["resource"].as_str().unwrap().strip_prefix("http://localhost:8675").unwrap();
        let body = outputs.json(path).await;
        let kinds = ["sensor", "binary_sensor"].iter().filter_map(|kind| resource[kind].as_array());
        for sensor in kinds.flatten() {
            for template in ["value_template", "availability"] {
                let template = sensor[template].as_str().unwrap();
                for used in template.split("value_json.").skip(1) {
                    let end = used.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap();
                    assert!(body[&used[..end]].is_number(), "{} of {path}", &used[..end]);
                }
            }
            sensors += 1;
        }
    }
    assert_eq!(sensors, 8);
}
