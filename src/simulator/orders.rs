//! How a simulated gateway takes orders: what its configuration says, what it acts on, and what goes wrong in
//! between.

use std::time::Duration;

use prost::bytes::Bytes;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::commands::{self, Command, Commanded};
use super::scene::Scene;
use crate::link::tedapi::wire::{
    Common, Envelope, ErrorResponse, File, FileRead, Files, LOCAL_HTTPS, Participant, SiteMessage, Status,
    UpdateFile,
};

const MODES: [&str; 3] = ["self_consumption", "autonomous", "backup"];
const FILE: &str = "config.json";
const EXPORT: &str = "customer_preferred_export_rule";
const CHARGING: &str = "disallow_charge_from_grid_with_solar_installed";
/// Codes of `google.rpc.Status`.
const INVALID: i32 = 3;
const DENIED: i32 = 7;
const ABORTED: i32 = 10;
const NOT_IMPLEMENTED: i32 = 12;

/// What is wrong with how a gateway takes orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderFault {
    /// Says yes and does nothing.
    Ignored,
    /// Says yes, and does it after this long.
    Late(Duration),
    /// Changes its configuration and does not act on it.
    WithoutEffect,
    /// Says no.
    Refused,
    /// Answers so many orders with 401.
    Unauthorized(u32),
    /// Over v1r: somebody else changes the configuration just before each of so many orders.
    Conflict(u32),
    /// Does it, and answers without an acknowledgement.
    Unacknowledged,
    /// Its firmware has nothing but the configuration.
    NotImplemented,
    /// Of several settings in one order, does the first alone; of a max backup, cancels the former one alone.
    HalfApplied,
}

/// Settings that Tesla's cloud hands on; `None`: it says nothing of that one.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivered {
    /// Raw scale.
    pub reserve: Option<f64>,
    pub mode: Option<String>,
    pub charging: Option<bool>,
    pub export: Option<String>,
}

/// What the house has been ordered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Orders {
    /// Orders that arrived, whatever came of them.
    pub received: u64,
    /// Orders that were carried out.
    pub executed: u64,
}

/// The settings of one house, at whatever address they are changed.
pub(super) struct Control {
    /// As the configuration has it, raw scale.
    pub reserve: Value,
    pub mode: &'static str,
    /// The configuration as it was written; `None`: as it was delivered.
    pub written: Option<Bytes>,
    /// The reserve that the gateway acts on.
    pub acts_on: f64,
    pub fault: Option<OrderFault>,
    pub orders: Orders,
    /// What was ordered beside the configuration.
    pub commanded: Commanded,
    /// What is yet to come, and when.
    late: Vec<(Instant, Change)>,
    late_commands: Vec<(Instant, Command)>,
}

#[derive(Clone)]
struct Change {
    reserve: Value,
    mode: &'static str,
    written: Option<Bytes>,
}

impl Control {
    pub fn new() -> Self {
        Self {
            reserve: json!(24),
            mode: MODES[0],
            written: None,
            acts_on: 24.0,
            fault: None,
            orders: Orders::default(),
            commanded: Commanded::default(),
            late: Vec::new(),
            late_commands: Vec::new(),
        }
    }

    /// Lets happen what is due.
    pub fn live(&mut self, now: Instant) {
        let (due, late) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        let due: Vec<(Instant, Change)> = due;
        due.into_iter().for_each(|(_, change)| self.apply(change));
        let commands = std::mem::take(&mut self.late_commands);
        let (due, late): (Vec<_>, Vec<_>) = commands.into_iter().partition(|(at, _)| *at <= now);
        self.late_commands = late;
        due.into_iter().for_each(|(at, command)| self.commanded.apply(command, at));
        self.commanded.dispatch = self.commanded.dispatch.filter(|(_, ends)| *ends > now);
    }

    /// As [`Control::execute`], for what is no change of the configuration.
    pub fn execute_command(&mut self, command: Command, now: Instant) {
        self.orders.executed += 1;
        match self.fault {
            Some(OrderFault::Ignored | OrderFault::WithoutEffect) => {}
            Some(OrderFault::Late(by)) => self.late_commands.push((now + by, command)),
            _ => self.commanded.apply(command, now),
        }
    }

    fn apply(&mut self, change: Change) {
        if self.fault != Some(OrderFault::WithoutEffect) {
            self.acts_on = change.reserve.as_f64().unwrap_or(self.acts_on);
        }
        (self.reserve, self.mode, self.written) = (change.reserve, change.mode, change.written);
    }

    /// Carries an order out that was found right, unless something is wrong.
    fn execute(&mut self, change: Change, now: Instant) {
        self.orders.executed += 1;
        match self.fault {
            Some(OrderFault::Ignored) => {}
            Some(OrderFault::Late(by)) => self.late.push((now + by, change)),
            Some(OrderFault::HalfApplied) => self.apply(Change { mode: self.mode, written: None, ..change }),
            _ => self.apply(change),
        }
    }

    /// Somebody else sets the backup reserve in the configuration, `blob`.
    pub fn somebody_sets_reserve(&mut self, raw: f64, blob: &Bytes) {
        let mut config: Value = serde_json::from_slice(blob).unwrap_or_default();
        config["site_info"]["backup_reserve_percent"] = json!(raw);
        let written = self.written.is_some().then(|| config.to_string().into());
        self.apply(Change { reserve: json!(raw), mode: self.mode, written });
    }

    /// Tesla's cloud hands on settings that somebody changed there; `blob`: the configuration as it is. The
    /// reserve is on the raw scale.
    pub fn deliver(&mut self, asked: &Delivered, blob: &Bytes, now: Instant) {
        self.orders.received += 1;
        let mut config: Value = serde_json::from_slice(blob).unwrap_or_default();
        if let Some(reserve) = asked.reserve {
            config["site_info"]["backup_reserve_percent"] = json!(reserve);
        }
        if let Some(allowed) = asked.charging {
            config["site_info"][CHARGING] = (!allowed).into();
        }
        if let Some(rule) = &asked.export {
            config["site_info"][EXPORT] = rule.as_str().into();
        }
        let mode = asked.mode.as_deref().and_then(|mode| MODES.into_iter().find(|known| *known == mode));
        let mode = mode.unwrap_or(self.mode);
        config["default_real_mode"] = mode.into();
        let reserve = asked.reserve.map_or_else(|| self.reserve.clone(), |reserve| json!(reserve));
        let written = without_defaults(&config.to_string().into(), config);
        self.execute(Change { reserve, mode, written: Some(written) }, now);
    }

    /// Whether the sender of an order is to log in again.
    pub fn is_unauthorized(&mut self) -> bool {
        match &mut self.fault {
            Some(OrderFault::Unauthorized(left)) if *left > 0 => {
                *left -= 1;
                self.orders.received += 1;
                true
            }
            _ => false,
        }
    }

    /// `POST /api/operation`: status and body.
    pub fn operate(&mut self, body: &[u8], now: Instant) -> (u16, String) {
        self.orders.received += 1;
        if self.fault == Some(OrderFault::Refused) {
            return (403, r#"{"code":403,"error":"Unable to POST to resource"}"#.into());
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let mode = MODES.into_iter().find(|mode| body["real_mode"] == **mode);
        let reserve = body.get("backup_reserve_percent");
        let reserve = reserve.filter(|raw| raw.as_f64().is_some_and(|raw| (0.0..=100.0).contains(&raw)));
        let (Some(mode), Some(reserve)) = (mode, reserve) else {
            return (400, r#"{"code":400,"error":"bad request"}"#.into());
        };
        self.execute(Change { reserve: reserve.clone(), mode, written: None }, now);
        if self.fault == Some(OrderFault::Unacknowledged) {
            return (500, String::new());
        }
        (200, json!({ "real_mode": mode, "backup_reserve_percent": reserve }).to_string())
    }

    /// A change of the configuration, over v1r; `blob`: the configuration as it is.
    pub fn update(&mut self, update: &UpdateFile, blob: &Bytes, din: &str, now: Instant) -> Envelope {
        self.orders.received += 1;
        let answer =
            |files: Option<Files>, error: Option<(i32, &str)>| Envelope { files, ..answer_of(din, error) };
        match &mut self.fault {
            Some(OrderFault::Refused) => return answer(None, Some((DENIED, "permission denied"))),
            Some(OrderFault::Conflict(left)) if *left > 0 => {
                *left -= 1;
                self.written = Some(touched(blob));
                return answer(None, Some((ABORTED, "hash mismatch")));
            }
            _ => {}
        }
        if update.hash.as_ref() != hash(blob) {
            return answer(None, Some((ABORTED, "hash mismatch")));
        }
        let Some(change) = self.change(update, din) else {
            return answer(None, Some((INVALID, "invalid file")));
        };
        self.execute(change, now);
        let response = (self.fault != Some(OrderFault::Unacknowledged)).then(FileRead::default);
        answer(Some(Files { update_response: response, ..Files::default() }), None)
    }

    /// The answer to a message, which is an order unless it asks for the list of backup events.
    pub fn command(&mut self, message: &SiteMessage, din: &str, now: Instant) -> Envelope {
        let answer = |site: Option<SiteMessage>, error: Option<(i32, &str)>| Envelope {
            site,
            ..answer_of(din, error)
        };
        if message.list_backups.is_some() {
            let backups = Some(self.commanded.backups());
            return answer(Some(SiteMessage { backups, ..SiteMessage::default() }), None);
        }
        self.orders.received += 1;
        if self.fault == Some(OrderFault::Refused) {
            return answer(None, Some((DENIED, "permission denied")));
        }
        if self.fault == Some(OrderFault::NotImplemented) {
            return answer(None, Some((NOT_IMPLEMENTED, "not implemented")));
        }
        // The second half of two is the one that fails.
        if self.fault == Some(OrderFault::HalfApplied) && message.schedule_backup.is_some() {
            return answer(None, Some((DENIED, "permission denied")));
        }
        let (command, done) = match commands::read(message) {
            Ok(read) => read,
            Err(error) => return answer(None, Some(error)),
        };
        if let Some(command) = command {
            self.execute_command(command, now);
        }
        match self.fault {
            Some(OrderFault::Unacknowledged) => answer(Some(SiteMessage::default()), None),
            _ => answer(Some(done), None),
        }
    }

    /// What an update changes, if it is a configuration of this gateway.
    fn change(&self, update: &UpdateFile, din: &str) -> Option<Change> {
        let file = update.file.as_ref().filter(|file| update.domain == 1 && file.name == FILE)?;
        let config: Value = serde_json::from_slice(&file.blob).ok()?;
        let mode = MODES.into_iter().find(|mode| config["default_real_mode"] == **mode)?;
        let reserve = config["site_info"]["backup_reserve_percent"].clone();
        let is_right = config["vin"] == din && reserve.is_number();
        is_right.then(|| Change { reserve, mode, written: Some(without_defaults(&file.blob, config)) })
    }
}

/// The envelope of an answer to an order; `error`: a code and a text.
fn answer_of(din: &str, error: Option<(i32, &str)>) -> Envelope {
    Envelope {
        delivery_channel: LOCAL_HTTPS,
        sender: Some(Participant::din(din)),
        recipient: Some(Participant::authorized_client()),
        common: error.map(|(code, message)| {
            let status = Some(Status { code, message: message.into() });
            Common { error: Some(ErrorResponse { status }), ..Common::default() }
        }),
        ..Envelope::default()
    }
}

/// The configuration as the gateway keeps it: settings that are `false` are left out.
fn without_defaults(blob: &Bytes, mut config: Value) -> Bytes {
    let info = config["site_info"].as_object_mut();
    let is_default = |info: &mut serde_json::Map<String, Value>| {
        info.get(CHARGING).is_some_and(|value| *value == false) && info.shift_remove(CHARGING).is_some()
    };
    match info.is_some_and(is_default) {
        true => config.to_string().into(),
        false => blob.clone(),
    }
}

/// The configuration after somebody else has changed something in it.
fn touched(blob: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(blob);
    match text.strip_suffix(' ') {
        Some(shorter) => shorter.to_owned().into(),
        None => format!("{text} ").into(),
    }
}

fn hash(blob: &Bytes) -> Vec<u8> {
    digest(&SHA256, blob).as_ref().to_vec()
}

/// The configuration as it is read, with its hash.
pub(super) fn read(scene: &Scene<'_>) -> FileRead {
    let blob = config(scene);
    let hash = hash(&blob).into();
    FileRead { file: Some(File { name: FILE.into(), blob }), hash }
}

/// The configuration, byte for byte.
pub(super) fn config(scene: &Scene<'_>) -> Bytes {
    scene.written.clone().unwrap_or_else(|| scene.config().to_string().into())
}
