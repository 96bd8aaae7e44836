//! A real InfluxDB 1 of the test's own, with what Powerwall-Dashboard keeps in it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Duration, sleep, timeout};

use super::program::PATIENCE;
use super::tools::required_tool;

/// Ends with the test.
pub struct Influx {
    _folder: TempDir,
    _child: Child,
    port: u16,
    client: PathBuf,
}

impl Influx {
    /// `None`: the test is skipped. `login`: it wants this name and password.
    pub async fn start(login: Option<(&str, &str)>) -> Option<Self> {
        let (program, client) = (required_tool("influxd")?, required_tool("influx")?);
        let folder = tempfile::tempdir().unwrap();
        let (port, other) = (free_port(), free_port());
        let home = folder.path().display();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{other}\"\n\
             [meta]\ndir = \"{home}/meta\"\n[data]\ndir = \"{home}/data\"\nwal-dir = \"{home}/wal\"\n\
             [monitor]\nstore-enabled = false\n\
             [http]\nbind-address = \"127.0.0.1:{port}\"\nlog-enabled = false\nauth-enabled = {}\n",
            login.is_some()
        );
        let path = folder.path().join("influxdb.conf");
        std::fs::write(&path, config).unwrap();
        let child = Command::new(program)
            .arg("-config")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let database = Self { _folder: folder, _child: child, port, client };
        let answering = async {
            while awc::Client::default().get(format!("{}/ping", database.url())).send().await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, answering).await.expect("influxd answers");
        if let Some((name, password)) = login {
            database
                .tell(&format!("CREATE USER {name} WITH PASSWORD '{password}' WITH ALL PRIVILEGES"))
                .await;
        }
        Some(database)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it answers to a query; nothing may be wrong with that.
    pub async fn tell(&self, query: &str) -> Value {
        self.tell_as("", query).await
    }

    /// As [`Influx::tell`], with a name and a password, `name:password`.
    pub async fn tell_as(&self, login: &str, query: &str) -> Value {
        let url = format!("{}/query?db=powerwall&epoch=s", self.url());
        let form = [("q", query)];
        let mut request = awc::Client::default().post(url);
        if let Some((name, password)) = login.split_once(':') {
            request = request.basic_auth(name, password);
        }
        let mut response = request.send_form(&form).await.unwrap();
        let answer: Value = serde_json::from_slice(&response.body().limit(64 << 20).await.unwrap()).unwrap();
        let is_wrong = answer.get("error").or(answer["results"][0].get("error"));
        assert_eq!(is_wrong, None, "{query}");
        answer
    }

    /// Writes lines with times in seconds.
    pub async fn write(&self, policy: &str, lines: &[String]) {
        for lines in lines.chunks(5_000) {
            let url = format!("{}/write?db=powerwall&precision=s&rp={policy}", self.url());
            let response = awc::Client::default().post(url).send_body(lines.join("\n")).await.unwrap();
            assert_eq!(response.status().as_u16(), 204);
        }
    }

    /// The number in the first column behind the time, of the first row.
    pub async fn number(&self, query: &str) -> f64 {
        self.tell(query).await["results"][0]["series"][0]["values"][0][1].as_f64().unwrap()
    }

    /// What its own client exports.
    pub async fn exported(&self, query: &str) -> String {
        let port = self.port.to_string();
        let export = Command::new(&self.client)
            .args(["-host", "127.0.0.1", "-port", &port, "-database", "powerwall"])
            .args(["-execute", query, "-format", "csv"])
            .output();
        String::from_utf8(export.await.unwrap().stdout).unwrap()
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
