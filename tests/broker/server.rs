//! A real nats-server of the test's own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use async_nats::jetstream::{self, Context};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::program::PATIENCE;
use super::tools::required_tool;

pub const SITE: &str = "north.17";

/// Ends with the test.
pub struct Server {
    program: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    pub port: u16,
    /// A configuration file, and what it takes from the environment.
    configured: Option<(PathBuf, &'static [(&'static str, &'static str)])>,
    /// Further arguments.
    more: Vec<String>,
}

impl Server {
    /// `None`: the test is skipped.
    pub async fn start() -> Option<Self> {
        Self::prepared(None).await
    }

    /// With a configuration file; `None`: the test is skipped.
    pub async fn with(file: &str, environment: &'static [(&'static str, &'static str)]) -> Option<Self> {
        Self::prepared(Some((file.into(), environment))).await
    }

    /// With the text of a configuration file, kept in `folder`; `None`: the test is skipped.
    pub async fn configured(text: &str, folder: &TempDir) -> Option<Self> {
        let file = folder.path().join("nats-server.conf");
        std::fs::write(&file, text).unwrap();
        Self::prepared(Some((file, &[]))).await
    }

    async fn prepared(
        configured: Option<(PathBuf, &'static [(&'static str, &'static str)])>,
    ) -> Option<Self> {
        let program = required_tool("nats-server")?;
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let (folder, more) = (tempfile::tempdir().unwrap(), Vec::new());
        let mut server = Self { program, folder, child: None, port, configured, more };
        server.begin().await;
        Some(server)
    }

    /// Three that are one; `None`: the test is skipped.
    pub async fn cluster() -> Option<[Self; 3]> {
        let program = required_tool("nats-server")?;
        let bound = [(); 6].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let ports = bound.each_ref().map(|listener| listener.local_addr().unwrap().port());
        let route = |port: u16| format!("nats://127.0.0.1:{port}");
        let routes = ports[3..].iter().map(|port| route(*port)).collect::<Vec<_>>().join(",");
        drop(bound);
        let mut servers = [0, 1, 2].map(|number| {
            let (name, own) = (format!("server-{number}"), route(ports[3 + number]));
            let more = ["-n", &name, "--cluster_name", "fleet", "--cluster", &own, "--routes", &routes];
            Self {
                program: program.clone(),
                folder: tempfile::tempdir().unwrap(),
                child: None,
                port: ports[number],
                configured: None,
                more: more.map(str::to_owned).to_vec(),
            }
        });
        for server in &mut servers {
            server.begin().await;
        }
        Some(servers)
    }

    /// Returns when it takes connections.
    pub async fn begin(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new(&self.program);
        if let Some((file, environment)) = &self.configured {
            command.arg("-c").arg(file).envs(environment.iter().copied());
        }
        let child = command
            .args(["-a", "127.0.0.1", "-p", &port, "-js", "-sd"])
            .arg(self.folder.path())
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.unwrap());
        let address = ("127.0.0.1", self.port);
        until(async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
    }

    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// As a power failure does.
    pub async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub async fn jetstream(&self) -> Context {
        jetstream::new(async_nats::connect(self.url()).await.unwrap())
    }

    /// Makes the streams as a centre does; the journal takes so many entries.
    pub async fn make_streams(&self, most_entries: i64) {
        let jetstream = self.jetstream().await;
        let bucket = Config {
            name: "KV_powerwall_sites".into(),
            subjects: vec!["$KV.powerwall_sites.>".into()],
            max_messages_per_subject: 1,
            allow_direct: true,
            ..Config::default()
        };
        jetstream.create_stream(bucket).await.unwrap();
        let slots = Config { retention: RetentionPolicy::WorkQueue, ..stream("slots") };
        jetstream.create_stream(slots).await.unwrap();
        self.allow_entries(most_entries).await;
    }

    /// The journal takes so many entries from now on.
    pub async fn allow_entries(&self, most: i64) {
        let journal = Config { max_messages: most, ..stream("journal") };
        let jetstream = self.jetstream().await;
        if jetstream.create_stream(journal.clone()).await.is_err() {
            jetstream.update_stream(journal).await.unwrap();
        }
    }

    /// Everything in a stream: message id and body.
    pub async fn messages(&self, stream: &str) -> Vec<(String, Value)> {
        self.messages_if_there(stream).await.unwrap()
    }

    /// The same; `None` while servers agree on who has the stream.
    pub async fn messages_if_there(&self, stream: &str) -> Option<Vec<(String, Value)>> {
        let stream = self.jetstream().await.get_stream(stream).await.ok()?;
        let state = stream.cached_info().state.clone();
        let mut all = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.ok()?;
            let id = message.headers.get("Nats-Msg-Id").map(|id| id.as_str().to_owned());
            all.push((id.unwrap_or_default(), serde_json::from_slice(&message.payload).unwrap()));
        }
        Some(all)
    }

    pub async fn count(&self, stream: &str) -> u64 {
        self.jetstream().await.get_stream(stream).await.unwrap().cached_info().state.messages
    }
}

fn stream(what: &str) -> Config {
    Config {
        name: format!("powerwall_{what}"),
        subjects: vec![format!("powerwall.{what}.>")],
        discard: DiscardPolicy::New,
        allow_direct: true,
        ..Config::default()
    }
}

/// Returns when `holds` does.
pub async fn until(holds: impl AsyncFnMut() -> bool) {
    within(PATIENCE, holds).await;
}

/// As [`until`], with a limit of its own.
pub async fn within(limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(limit, waiting).await.expect("it did not come to that");
}
