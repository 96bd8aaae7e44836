//! A real Chromium without a window, driven over its DevTools protocol.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::tools::required_tool;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Browsers are hungry: two at a time.
static TURN: Semaphore = Semaphore::const_new(2);

/// What the protocol's socket leads to.
struct Wire {
    orders: mpsc::UnboundedSender<Message>,
    number: Cell<u64>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<Value>>>,
    /// By session: what the page did, as the browser reports it.
    events: RefCell<HashMap<String, Vec<Value>>>,
}

pub struct Browser {
    wire: Rc<Wire>,
    /// Killed when this is dropped.
    _process: Child,
    _profile: TempDir,
    _turn: SemaphorePermit<'static>,
}

impl Browser {
    /// `None` if there is no Chromium and the test has to be skipped.
    pub async fn start() -> Option<Self> {
        let program = required_tool("chromium")?;
        let turn = TURN.acquire().await.unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--remote-debugging-port=0", "--js-flags=--expose-gc", "--lang=en-GB"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = async {
            while let Some(line) = said.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once("DevTools listening on ") {
                    return address.trim().to_owned();
                }
            }
            panic!("Chromium ended before it listened");
        };
        let address = timeout(PATIENCE, address).await.expect("Chromium starts");
        // It must be able to go on complaining.
        actix_web::rt::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        let wire = connect(&address).await;
        Some(Self { wire, _process: process, _profile: profile, _turn: turn })
    }

    /// A page of its own, without anything of the pages before it except what the profile keeps.
    pub async fn page(&self) -> Page {
        let target = self.wire.order("Target.createTarget", json!({ "url": "about:blank" }), None).await;
        let target = target["targetId"].as_str().unwrap().to_owned();
        let attach = json!({ "targetId": target, "flatten": true });
        let session = self.wire.order("Target.attachToTarget", attach, None).await;
        let session = session["sessionId"].as_str().unwrap().to_owned();
        let page = Page { wire: self.wire.clone(), target, session };
        for domain in ["Page", "Runtime", "Log", "Network", "HeapProfiler", "Performance"] {
            page.order(&format!("{domain}.enable"), json!({})).await;
        }
        page.order("Emulation.setLocaleOverride", json!({ "locale": "en-GB" })).await;
        page.order("Emulation.setTimezoneOverride", json!({ "timezoneId": "Europe/Berlin" })).await;
        page.order("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        page.size(1280, 800).await;
        page.theme("dark").await;
        page
    }
}

async fn connect(address: &str) -> Rc<Wire> {
    let config = tokio_tungstenite::tungstenite::protocol::WebSocketConfig::default()
        .max_message_size(Some(256 << 20))
        .max_frame_size(Some(256 << 20));
    let (socket, _) =
        tokio_tungstenite::connect_async_with_config(address, Some(config), false).await.unwrap();
    let (mut sending, mut heard) = socket.split();
    let (orders, mut queue) = mpsc::unbounded_channel();
    let wire = Rc::new(Wire {
        orders,
        number: Cell::new(0),
        waiting: RefCell::default(),
        events: RefCell::default(),
    });
    actix_web::rt::spawn(async move {
        while let Some(order) = queue.recv().await {
            if sending.send(order).await.is_err() {
                return;
            }
        }
    });
    let listener = Rc::downgrade(&wire);
    actix_web::rt::spawn(async move {
        while let (Some(Ok(message)), Some(wire)) = (heard.next().await, listener.upgrade()) {
            let Ok(text) = message.to_text() else { continue };
            let Ok(event) = serde_json::from_str::<Value>(text) else { continue };
            wire.hear(event);
        }
    });
    wire
}

impl Wire {
    fn hear(&self, event: Value) {
        if let Some(number) = event["id"].as_u64() {
            if let Some(waiting) = self.waiting.borrow_mut().remove(&number) {
                let _ = waiting.send(event);
            }
        } else if let Some(session) = event["sessionId"].as_str() {
            let mut events = self.events.borrow_mut();
            events.entry(session.to_owned()).or_default().push(event);
        }
    }

    async fn order(&self, method: &str, parameters: Value, session: Option<&str>) -> Value {
        let number = self.number.get() + 1;
        self.number.set(number);
        let mut order = json!({ "id": number, "method": method, "params": parameters });
        if let Some(session) = session {
            order["sessionId"] = session.into();
        }
        let (sender, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(number, sender);
        self.orders.send(Message::text(order.to_string())).unwrap();
        let answer =
            timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{method} is answered")).unwrap();
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }
}

/// A tab. Closed with the browser, or by [`Page::close`].
pub struct Page {
    wire: Rc<Wire>,
    target: String,
    session: String,
}

impl Page {
    pub async fn order(&self, method: &str, parameters: Value) -> Value {
        self.wire.order(method, parameters, Some(&self.session)).await
    }

    pub async fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.order("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// `dark` or `light`, as the browser's user prefers.
    pub async fn theme(&self, theme: &str) {
        self.media(&[("prefers-color-scheme", theme)]).await;
    }

    pub async fn media(&self, features: &[(&str, &str)]) {
        let features: Value =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.order("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Runs before anything of the pages that are opened from now on.
    pub async fn before_everything(&self, script: &str) {
        self.order("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    pub async fn open(&self, url: &str) {
        let opened = self.order("Page.navigate", json!({ "url": url })).await;
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
    }

    /// Opens a page of ours and waits until it has drawn what it heard.
    pub async fn see(&self, url: &str) {
        self.open(url).await;
        self.until("document.body?.dataset.ready === 'yes'").await;
    }

    /// The value of a JavaScript expression, promises included.
    pub async fn value(&self, expression: &str) -> Value {
        let ask = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.order("Runtime.evaluate", ask).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    pub async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({})?.innerText ?? ''", json!(selector))).await;
        // Numbers and units are tied by a blank that does not break.
        text.as_str().unwrap_or_default().replace('\u{a0}', " ")
    }

    /// Returns when `condition` holds.
    pub async fn until(&self, condition: &str) {
        let holds = async {
            // While a page is being replaced there is nobody to ask.
            let ask = json!({ "expression": condition, "returnByValue": true });
            while self.order("Runtime.evaluate", ask.clone()).await["result"]["value"] != true {
                sleep(Duration::from_millis(30)).await;
            }
        };
        if timeout(PATIENCE, holds).await.is_err() {
            let shown = self.value("document.body?.innerText").await;
            panic!("{condition} does not come to pass; shown: {shown}; reported: {:?}", self.complaints());
        }
    }

    /// Presses a key by its name.
    pub async fn press(&self, key: &str) {
        let text = if key == "Enter" { "\r" } else { "" };
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            _ => 27,
        };
        for kind in ["keyDown", "keyUp"] {
            let mut press = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                press["text"] = text.into();
            }
            self.order("Input.dispatchKeyEvent", press).await;
        }
    }

    /// A picture of the whole page, kept as test output.
    pub async fn picture(&self, name: &str) -> PathBuf {
        let height = self.value("Math.max(innerHeight, document.documentElement.scrollHeight)").await;
        let width = self.value("innerWidth").await;
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        self.taken(name, json!({ "format": "png", "captureBeyondViewport": true, "clip": clip })).await
    }

    /// A picture of what is in the window, kept as test output.
    pub async fn view(&self, name: &str) -> PathBuf {
        self.taken(name, json!({ "format": "png" })).await
    }

    async fn taken(&self, name: &str, ask: Value) -> PathBuf {
        let picture = self.order("Page.captureScreenshot", ask).await;
        let bytes = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Bytes of JavaScript objects and the number of elements, after everything useless is gone.
    pub async fn weight(&self) -> (f64, f64) {
        for _ in 0..2 {
            self.order("HeapProfiler.collectGarbage", json!({})).await;
        }
        let heap = self.order("Runtime.getHeapUsage", json!({})).await;
        let nodes = self.value("document.querySelectorAll('*').length").await;
        (heap["usedSize"].as_f64().unwrap(), nodes.as_f64().unwrap())
    }

    fn events(&self) -> Vec<Value> {
        self.wire.events.borrow().get(&self.session).cloned().unwrap_or_default()
    }

    /// Every error on the console.
    pub fn complaints(&self) -> Vec<String> {
        let complaints = self.events().into_iter().filter(|event| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => {
                matches!(event["params"]["type"].as_str(), Some("error" | "warning" | "assert"))
            }
            Some("Log.entryAdded") => {
                matches!(event["params"]["entry"]["level"].as_str(), Some("error" | "warning"))
            }
            _ => false,
        });
        complaints.map(|event| event["params"].to_string()).collect()
    }

    /// Every address that was asked for.
    pub fn requests(&self) -> Vec<String> {
        let asked = self.events().into_iter().filter_map(|event| {
            let parameters = &event["params"];
            let url = match event["method"].as_str()? {
                "Network.requestWillBeSent" => &parameters["request"]["url"],
                "Network.webSocketCreated" => &parameters["url"],
                _ => return None,
            };
            Some(url.as_str()?.to_owned())
        });
        asked.collect()
    }

    /// Nothing went wrong, and nobody but `host` was asked for anything.
    pub fn is_clean(&self, host: &str) {
        assert_eq!(self.complaints(), Vec::<String>::new());
        // What an address holds itself, nobody is asked for: pictures of the browser's own controls.
        for url in self.requests().into_iter().filter(|url| !url.starts_with("data:")) {
            let rest = url.split_once("://").map_or("", |(_, rest)| rest);
            assert!(rest.starts_with(&format!("{host}/")), "asked for {url}");
        }
    }

    pub async fn close(self) {
        self.wire.order("Target.closeTarget", json!({ "targetId": self.target }), None).await;
        self.wire.events.borrow_mut().remove(&self.session);
    }
}
