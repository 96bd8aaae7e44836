//! A process that serves, seen from outside: its answers, its memory, its CPU time.
#![allow(dead_code, reason = "every benchmark uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(120);

#[expect(clippy::disallowed_methods, reason = "nothing else runs on this thread")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// It is killed when this is dropped.
pub struct Program {
    child: Child,
    addr: SocketAddr,
    /// What it reads at the start, kept for as long as it runs.
    _file: NamedTempFile,
}

fn file_with(content: &[u8], suffix: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().expect("there is a place for it");
    file.write_all(content).expect("there is space for it");
    file
}

impl Program {
    /// The service, with these gateways. Returns when it listens.
    pub fn start(gateways: &Value) -> Self {
        Self::start_with(gateways, &[])
    }

    /// The same with more variables.
    pub fn start_with(gateways: &Value, variables: &[(&str, &str)]) -> Self {
        let file = file_with(serde_json::json!({ "gateways": gateways }).to_string().as_bytes(), ".yaml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_powerwall-server"));
        command.env("PW_CONFIG", file.path()).env("PW_PORT", "0").env("PW_BIND_ADDRESS", "127.0.0.1");
        command.envs(variables.iter().copied());
        Self::run(command, file)
    }

    /// This benchmark in another role, which finds `content` in a file.
    pub fn start_role(role: &str, content: &[u8]) -> Self {
        let file = file_with(content, ".json");
        let mut command = Command::new(std::env::current_exe().expect("this program is a file"));
        command.arg(role).arg(file.path());
        Self::run(command, file)
    }

    fn run(mut command: Command, file: NamedTempFile) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it can be started");
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (found, hears) = std::sync::mpsc::channel();
        for stream in [Box::new(stdout) as Box<dyn Read + Send>, Box::new(stderr)] {
            let found = found.clone();
            // Reads to the end, so that the program never waits for somebody to read its log.
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let addr = line.split_once(" listens on ").and_then(|(_, rest)| rest.split(' ').next());
                    if let Some(addr) = addr.and_then(|addr| addr.parse().ok()) {
                        let _ = found.send(addr);
                    }
                }
            });
        }
        let addr = hears.recv_timeout(PATIENCE).expect("it listens");
        Self { child, addr, _file: file }
    }

    /// A line on its standard input, for roles that read it.
    pub fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{line}").expect("it reads");
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn get(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.addr)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0);
        Ok(answer.split_off(head + 4))
    }

    /// Asks until the body is as `wanted`.
    pub fn wait_for(&self, path: &str, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            match self.get(path) {
                Ok(body) if wanted(&body) => return body,
                _ => pause(Duration::from_millis(1)),
            }
        }
        panic!("{path} does not become what it should be");
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("this is Linux")
    }

    pub fn resident_mb(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes / 1024.0
    }

    /// Processor time used so far, by all threads, in user mode and in the kernel.
    pub fn cpu(&self) -> Duration {
        const TICKS_PER_SECOND: f64 = 100.0; // on every Linux
        let stat = self.proc("stat");
        let (_, fields) = stat.rsplit_once(')').expect("the name stands in parentheses");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
        Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
    }

    /// Asks it to stop; how long that took.
    pub fn stop(mut self) -> Duration {
        let started = Instant::now();
        let found = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        assert!(found.is_ok_and(|status| status.success()));
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
        started.elapsed()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
