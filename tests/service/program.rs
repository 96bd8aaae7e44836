//! The real program, started as its user would start it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Enough to see why a test failed.
const LINES_KEPT: usize = 100_000;

/// The program.
const EXECUTABLE: &str = env!("CARGO_BIN_EXE_powerwall-server");

/// Nothing of this machine's environment reaches the program.
fn command(executable: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(executable);
    // A folder /data of this machine is none of ours.
    command.args(arguments).env_clear().env("PW_TIMESERIES_PATH", "off").envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// What a command that ends by itself said.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let output = timeout(PATIENCE, command(EXECUTABLE.as_ref(), arguments, environment).output())
        .await
        .unwrap()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Everything the program has printed so far.
#[derive(Default)]
struct Log {
    lines: Mutex<VecDeque<String>>,
    grew: Notify,
}

impl Log {
    fn follow(self: &Arc<Self>, stream: impl AsyncRead + Unpin + 'static) {
        let log = self.clone();
        actix_web::rt::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut kept = log.lines.lock().unwrap();
                kept.push_back(line);
                if kept.len() > LINES_KEPT {
                    kept.pop_front();
                }
                drop(kept);
                log.grew.notify_one();
            }
        });
    }

    fn find<T>(&self, what: impl FnMut(&String) -> Option<T>) -> Option<T> {
        self.lines.lock().unwrap().iter().find_map(what)
    }
}

/// The running program. It is killed when this is dropped.
pub struct Program {
    child: Child,
    log: Arc<Log>,
    pub addr: SocketAddr,
}

impl Program {
    /// Returns when it listens.
    pub async fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_executable(EXECUTABLE.as_ref(), arguments, environment).await
    }

    /// As [`Program::start`], with what the shell's `ulimit` gets.
    pub async fn start_limited(limit: &str, environment: &[(&str, &str)]) -> Self {
        let script = format!("ulimit {limit} && exec {EXECUTABLE}");
        Self::start_executable("/bin/sh".as_ref(), &["-c", &script], environment).await
    }

    /// As [`Program::start`], with another executable that says where it listens.
    pub async fn start_executable(
        executable: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = command(executable, arguments, environment).spawn().unwrap();
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take().unwrap());
        log.follow(child.stderr.take().unwrap());
        let listening = async {
            loop {
                let addr = |line: &String| {
                    let rest = line.split_once(" listens on ")?.1;
                    rest.split(' ').next()?.parse().ok()
                };
                if let Some(addr) = log.find(addr) {
                    return addr;
                }
                log.grew.notified().await;
            }
        };
        let addr = timeout(PATIENCE, listening).await.unwrap_or_else(|_| panic!("{}", log_of(&log)));
        Self { child, log, addr }
    }

    /// Returns when a line of the log holds `text`.
    pub async fn has_said(&self, text: &str) {
        let said = async {
            while self.log.find(|line| line.contains(text).then_some(())).is_none() {
                self.log.grew.notified().await;
            }
        };
        timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("no {text:?} in:\n{}", self.log()));
    }

    pub fn log(&self) -> String {
        log_of(&self.log)
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.addr);
        let mut response = awc::Client::default().get(url).send().await.unwrap();
        let body = response.body().limit(16 << 20).await.unwrap();
        (response.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
    }

    pub async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await.1).unwrap()
    }

    /// `/health/gateways` of one gateway; null before the program, which listens first, knows it.
    pub async fn health(&self, id: &str) -> Value {
        let list = self.json("/health/gateways").await;
        let mut gateways = list["gateways"].as_array().unwrap().iter();
        gateways.find(|gateway| gateway["id"] == id).cloned().unwrap_or_default()
    }

    /// Asks for the health of a gateway until it is as expected.
    pub async fn health_becomes(&self, id: &str, expected: impl Fn(&Value) -> bool) -> Value {
        let becomes = async {
            loop {
                let health = self.health(id).await;
                if !health.is_null() && expected(&health) {
                    return health;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(PATIENCE, becomes).await {
            Ok(health) => health,
            Err(_) => panic!("{id} stays {}\n{}", self.health(id).await, self.log()),
        }
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Memory in use.
    pub fn resident_kilobytes(&self) -> u64 {
        self.kilobytes("VmRSS:")
    }

    /// What the system says of the process in a line that begins like this.
    pub fn kilobytes(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let value = status.lines().find_map(|known| known.strip_prefix(line)).unwrap();
        value.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id().unwrap())).unwrap().count()
    }

    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(sent.success());
    }

    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{}", log_of(&self.log)))
            .unwrap()
    }
}

fn log_of(log: &Log) -> String {
    log.lines.lock().unwrap().iter().fold(String::new(), |text, line| text + line + "\n")
}
