//! A real mosquitto of the test's own, and a client that remembers what it hears.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::program::PATIENCE;
use super::tools::required_tool;

/// How a broker differs from one that takes anybody over plain TCP.
#[derive(Default)]
pub struct Options {
    /// User name and password that it wants.
    pub login: Option<(&'static str, &'static str)>,
    /// PEM files of its certificate and key, for a second listener.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The folder of a configuration to use instead, with its paths replaced; it wants the users `powerwall`
    /// and `homeassistant`, whose passwords are `of-powerwall` and `of-homeassistant`.
    pub example: Option<PathBuf>,
}

/// Ends with the test.
pub struct Broker {
    program: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    pub port: u16,
    /// Of the listener with TLS.
    pub tls_port: u16,
}

impl Broker {
    /// `None`: the test is skipped.
    pub async fn start(options: Options) -> Option<Self> {
        let program = required_tool("mosquitto")?;
        let folder = tempfile::tempdir().unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = match &options.example {
            Some(example) => {
                std::fs::copy(example.join("acl"), path("acl")).unwrap();
                hash_passwords(
                    &path("passwords"),
                    &["powerwall", "homeassistant"].map(|user| (user, format!("of-{user}"))),
                )
                .await;
                let config = std::fs::read_to_string(example.join("mosquitto.conf")).unwrap();
                let home = folder.path().display();
                config
                    .replace("listener 1883", &format!("user root\nlistener {port} 127.0.0.1"))
                    .replace("/mosquitto/config", &home.to_string())
                    .replace("/mosquitto/data", &home.to_string())
            }
            None => plain_config(&options, port, tls_port, folder.path()).await,
        };
        std::fs::write(path("mosquitto.conf"), config).unwrap();
        let mut broker = Self { program, folder, child: None, port, tls_port };
        broker.go_on().await;
        Some(broker)
    }

    /// Starts, after a stop with what it remembered. Returns when it listens.
    pub async fn go_on(&mut self) {
        let config = self.folder.path().join("mosquitto.conf");
        let child = Command::new(&self.program)
            .args(["-c", &config.display().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.unwrap());
        let listening = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, listening).await.expect("mosquitto listens");
        let ended = self.child.as_mut().unwrap().try_wait().unwrap();
        assert_eq!(ended, None, "somebody else listens on port {}", self.port);
    }

    /// Ends it in order, so that it remembers what is retained.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let id = child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().await.unwrap().success());
        timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    }

    /// Loses what it remembered, as one without persistence does. To be called while it is stopped.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.folder.path().join("mosquitto.db"));
    }

    /// Somebody who hears everything from now on, and what is retained.
    pub async fn listener(&self) -> Listener {
        Listener::new(self.port, None).await
    }
}

async fn plain_config(options: &Options, port: u16, tls_port: u16, folder: &Path) -> String {
    let folder = folder.display();
    let mut config =
        format!("listener {port} 127.0.0.1\npersistence true\npersistence_location {folder}/\nuser root\n");
    match options.login {
        Some((username, password)) => {
            let passwords = format!("{folder}/passwords");
            hash_passwords(&passwords, &[(username, password.to_owned())]).await;
            config += &format!("allow_anonymous false\npassword_file {passwords}\n");
        }
        None => config += "allow_anonymous true\n",
    }
    if let Some((certificate, key)) = &options.tls {
        let (certificate, key) = (certificate.display(), key.display());
        config += &format!("listener {tls_port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n");
    }
    config
}

async fn hash_passwords(path: &str, users: &[(&str, String)]) {
    let lines = users.iter().map(|(user, password)| format!("{user}:{password}\n"));
    std::fs::write(path, lines.collect::<String>()).unwrap();
    let program = required_tool("mosquitto_passwd").expect("it comes with mosquitto");
    assert!(Command::new(program).args(["-U", path]).status().await.unwrap().success());
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[derive(Default)]
struct Heard {
    /// The newest payload of each topic, and whether it came retained.
    newest: Mutex<BTreeMap<String, (String, bool)>>,
    /// Every message, in order.
    all: Mutex<Vec<(String, String)>>,
    grew: Notify,
}

/// A client of the broker.
pub struct Listener {
    client: AsyncClient,
    heard: Arc<Heard>,
}

impl Listener {
    pub async fn new(port: u16, login: Option<(&str, &str)>) -> Self {
        let mut options = MqttOptions::new(format!("listener-{}", rand::random::<u32>()), "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        if let Some((username, password)) = login {
            options.set_credentials(username, password);
        }
        let (client, mut events) = AsyncClient::new(options, 16);
        let heard = Arc::new(Heard::default());
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let (mut ready, log, subscriber) = (Some(ready), heard.clone(), client.clone());
        actix_web::rt::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        subscriber.subscribe("#", QoS::AtLeastOnce).await.unwrap();
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.take().map(|ready| ready.send(()))),
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        let payload = String::from_utf8(message.payload.to_vec()).unwrap();
                        log.all.lock().unwrap().push((message.topic.clone(), payload.clone()));
                        log.newest.lock().unwrap().insert(message.topic, (payload, message.retain));
                        log.grew.notify_one();
                    }
                    Ok(_) => {}
                    Err(_) => sleep(Duration::from_millis(50)).await,
                }
            }
        });
        timeout(PATIENCE, is_ready).await.unwrap().unwrap();
        Self { client, heard }
    }

    /// The newest payload of a topic.
    pub fn newest(&self, topic: &str) -> Option<String> {
        self.heard.newest.lock().unwrap().get(topic).map(|(payload, _)| payload.clone())
    }

    /// Topics with the newest payload that is not empty.
    pub fn topics(&self) -> BTreeMap<String, String> {
        let newest = self.heard.newest.lock().unwrap();
        let newest = newest.iter().filter(|(_, (payload, _))| !payload.is_empty());
        newest.map(|(topic, (payload, _))| (topic.clone(), payload.clone())).collect()
    }

    /// How many messages were heard that a test is interested in.
    pub fn count(&self, of_interest: impl Fn(&str, &str) -> bool) -> usize {
        let all = self.heard.all.lock().unwrap();
        all.iter().filter(|(topic, payload)| of_interest(topic, payload)).count()
    }

    pub fn forget(&self) {
        self.heard.newest.lock().unwrap().clear();
        self.heard.all.lock().unwrap().clear();
    }

    /// Returns when `is_true` of what was heard.
    pub async fn until(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_true(self) {
                self.heard.grew.notified().await;
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            panic!("never: {what}; heard {:#?}", self.heard.newest.lock().unwrap());
        }
    }

    /// Returns when the newest payload of `topic` is `payload`.
    pub async fn becomes(&self, topic: &str, payload: &str) {
        self.until(&format!("{topic} = {payload}"), |listener| {
            listener.newest(topic).as_deref() == Some(payload)
        })
        .await;
    }

    /// The announcement at `topic`, once there is one.
    pub async fn announcement(&self, topic: &str) -> Value {
        self.until(topic, |listener| listener.newest(topic).is_some_and(|payload| !payload.is_empty())).await;
        serde_json::from_str(&self.newest(topic).unwrap()).unwrap()
    }

    pub async fn say(&self, topic: &str, payload: &str, retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
    }
}
