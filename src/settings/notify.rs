//! `notify:` of the file: who is notified of what, and when nobody is to be disturbed. Sending is left to
//! [`crate::notify`].

use serde_json::Value;

use super::item::Item;
use super::load::Reader;
use super::problem::Problems;
use super::values::Refusal;
use super::{GatewaySettings, Secret};

/// Variables with the address or the token of a target begin like this.
pub(super) const PREFIX: &str = "PW_NOTIFY_";
/// More than a house has phones.
const MOST_TARGETS: usize = 20;

const KEYS: [&str; 11] =
    ["name", "kind", "on", "gateways", "quiet", URL[0], URL[1], URL[2], TOKEN[0], TOKEN[1], TOKEN[2]];
/// Where the address of a target may be: with many services, who knows it may send and read.
const URL: [&str; 3] = ["url", "url_file", "url_env"];
/// Where the token of a target may be.
const TOKEN: [&str; 3] = ["token", "token_file", "token_env"];
const QUIET_KEYS: [&str; 3] = ["from", "to", "except"];

/// What somebody can be notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// The home is cut off from the grid, or connected to it again.
    Outage,
    /// A gateway has not answered for a minute, or answers again.
    GatewayLost,
    /// An order came to nothing, or nobody knows what it came to.
    OrderFailed,
    /// A lease ended and its former state could not be ordered back.
    RestoreFailed,
    /// A gateway reports an alert.
    Alert,
    /// The battery is low while the home is cut off from the grid.
    LowCharge,
}

impl Happening {
    pub const ALL: [Self; 6] = [
        Self::Outage,
        Self::GatewayLost,
        Self::OrderFailed,
        Self::RestoreFailed,
        Self::Alert,
        Self::LowCharge,
    ];

    /// A stable word for the file and for messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::GatewayLost => "gateway_lost",
            Self::OrderFailed => "order_failed",
            Self::RestoreFailed => "restore_failed",
            Self::Alert => "alert",
            Self::LowCharge => "low_charge",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|happening| happening.word() == text)
    }
}

/// How a message is worded for whoever takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyKind {
    /// A JSON object of ours.
    Webhook,
    /// As ntfy takes it; the last part of the address is the topic.
    Ntfy,
}

/// When nobody is to be disturbed: what happens then is sent at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Minutes after midnight, in the time zone of the gateway.
    pub from: u16,
    pub to: u16,
    /// What is sent all the same.
    pub except: Vec<Happening>,
}

impl QuietHours {
    /// Whether `minute` of a day lies within.
    pub fn contain(&self, minute: u16) -> bool {
        match self.from <= self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }
}

/// One who is notified.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifyTarget {
    /// For the log.
    pub name: String,
    pub kind: NotifyKind,
    /// `http` or `https`.
    pub url: Secret,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// What it is notified of.
    pub on: Vec<Happening>,
    /// The ids of the gateways that it is for; `None`: all.
    pub gateways: Option<Vec<String>>,
    pub quiet: Option<QuietHours>,
}

impl NotifyTarget {
    /// Whether it wants to know of `happening` at `gateway`.
    pub fn wants(&self, happening: Happening, gateway: &str) -> bool {
        let is_for = |ids: &Vec<String>| ids.iter().any(|id| id == gateway);
        self.on.contains(&happening) && self.gateways.as_ref().is_none_or(is_for)
    }
}

impl Reader {
    /// Who is notified of what; `gateways`: if they are all known.
    pub(super) fn notify(&mut self, gateways: Option<&[GatewaySettings]>) -> Vec<NotifyTarget> {
        let mut used = Vec::new();
        let mut targets = Vec::new();
        if let Some((list, place)) = self.notify_in_file.take() {
            let ids = gateways.map(|known| known.iter().map(|one| one.facts.id.as_str()).collect::<Vec<_>>());
            targets = read(&list, &place, ids.as_deref(), &self.named_secrets, &mut used, &mut self.problems);
        }
        let unused = |name: &String| name.starts_with(PREFIX) && !used.contains(name);
        for (name, _) in self.named_secrets.iter().filter(|(name, _)| unused(name)) {
            self.warnings.push(format!("{name} has no effect: no entry of notify in the file names it"));
        }
        targets
    }
}

fn read(
    list: &Value,
    place: &str,
    ids: Option<&[&str]>,
    secrets: &[(String, Secret)],
    used: &mut Vec<String>,
    problems: &mut Problems,
) -> Vec<NotifyTarget> {
    let entries = match list {
        Value::Array(entries) if entries.len() <= MOST_TARGETS => entries,
        _ => {
            problems.add(place, format!("expected a list of at most {MOST_TARGETS} targets"));
            return Vec::new();
        }
    };
    let mut targets: Vec<NotifyTarget> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let Some(object) = entry.as_object() else {
            problems.add(place, "expected an object with name, kind and url_file");
            continue;
        };
        let mut item = Item { object, place: &place, problems };
        item.refuse_unknown_keys(&KEYS);
        let (name, kind) = (item.name(), kind(&mut item));
        let url = item.secret(URL, (PREFIX, secrets, used), is_address);
        let has_token = TOKEN.iter().any(|key| object.contains_key(*key));
        let token = has_token.then(|| item.secret(TOKEN, (PREFIX, secrets, used), is_line));
        let (on, quiet, gateways) = (on(&mut item), quiet(&mut item), item.gateways(ids));
        let (Some(name), Some(kind), Some(url), Some(on), Some(gateways)) = (name, kind, url, on, gateways)
        else {
            continue;
        };
        let (Some(token), Some(quiet)) = (token.map_or(Some(None), |token| token.map(Some)), quiet) else {
            continue;
        };
        if targets.iter().any(|known| known.name == name) {
            problems.add(place, format!("two targets have the name {name}"));
            continue;
        }
        targets.push(NotifyTarget { name, kind, url, token, on, gateways, quiet });
    }
    targets
}

fn kind(item: &mut Item<'_>) -> Option<NotifyKind> {
    match item.text("kind").as_deref() {
        Some("webhook") => Some(NotifyKind::Webhook),
        Some("ntfy") => Some(NotifyKind::Ntfy),
        other => {
            let what = other.map_or("missing".to_owned(), |text| format!("{text:?} is not"));
            item.problem("kind", format!("{what}: webhook or ntfy"));
            None
        }
    }
}

/// Everything, if nothing is said.
fn on(item: &mut Item<'_>) -> Option<Vec<Happening>> {
    match item.object.get("on") {
        None | Some(Value::Null) => Some(Happening::ALL.to_vec()),
        Some(list) => happenings(item, "on", list),
    }
}

fn happenings(item: &mut Item<'_>, key: &str, list: &Value) -> Option<Vec<Happening>> {
    let words = || Happening::ALL.map(Happening::word).join(", ");
    let Some(list) = list.as_array() else {
        item.problem(key, format!("expected a list of {}", words()));
        return None;
    };
    let mut found = Vec::new();
    for word in list {
        match word.as_str().and_then(Happening::parse) {
            Some(happening) => found.push(happening),
            None => item.problem(key, format!("{word} is not one of {}", words())),
        }
    }
    (found.len() == list.len()).then_some(found)
}

/// `None` if it is wrong; `Some(None)`: at any time.
fn quiet(item: &mut Item<'_>) -> Option<Option<QuietHours>> {
    let object = match item.object.get("quiet") {
        None | Some(Value::Null) => return Some(None),
        Some(Value::Object(object)) => object,
        Some(_) => {
            item.problem("quiet", "expected an object with from and to, such as \"22:00\" and \"07:00\"");
            return None;
        }
    };
    for key in object.keys().filter(|key| !QUIET_KEYS.contains(&key.as_str())) {
        item.problem("quiet", format!("unknown key {key}; known keys: {}", QUIET_KEYS.join(", ")));
    }
    let mut time = |key: &str| {
        let minute = object.get(key).and_then(Value::as_str).and_then(minute);
        if minute.is_none() {
            item.problem("quiet", format!("{key} is a time of day in quotes, such as \"22:00\""));
        }
        minute
    };
    let (from, to) = (time("from"), time("to"));
    let except = match object.get("except") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(list) => happenings(item, "quiet", list),
    };
    Some(Some(QuietHours { from: from?, to: to?, except: except? }))
}

/// Minutes after midnight of `22:00`.
pub(super) fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, most: u16| {
        let is_plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse::<u16>().ok()).flatten().filter(|number| *number <= most)
    };
    Some(number(hours, 23)? * 60 + number(minutes, 59).filter(|_| minutes.len() == 2)?)
}

fn is_address(url: &Secret) -> Result<(), Refusal> {
    let text = url.expose();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_whole = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let is_plain = text.chars().all(|character| character.is_ascii_graphic());
    match is_whole && is_plain {
        true => Ok(()),
        false => Err("expected an address that begins with https:// or http://".into()),
    }
}

fn is_line(token: &Secret) -> Result<(), Refusal> {
    match token.expose().chars().all(|character| character.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("a token is one word of visible characters".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn targets(list: &Value) -> Result<Vec<NotifyTarget>, String> {
        let mut problems = Problems::default();
        let secrets = [("PW_NOTIFY_PHONE".to_owned(), Secret::new("https://ntfy.example/my-house"))];
        let read = read(list, "f: notify", Some(&["home", "barn"]), &secrets, &mut Vec::new(), &mut problems);
        if problems.is_empty() { Ok(read) } else { Err(problems.to_string()) }
    }

    #[test]
    fn a_target_is_what_the_file_says() {
        let list = json!([
            { "name": "phone", "kind": "ntfy", "url_env": "PW_NOTIFY_PHONE", "on": ["outage", "low_charge"],
                "gateways": ["home"], "quiet": { "from": "22:30", "to": "07:00", "except": ["outage"] } },
            { "name": "hook", "kind": "webhook", "url": "http://192.168.1.9/hook", "token": "t0k" },
        ]);
        let read = targets(&list).unwrap();
        assert!(read[0].wants(Happening::Outage, "home"));
        assert!(!read[0].wants(Happening::Outage, "barn") && !read[0].wants(Happening::Alert, "home"));
        let quiet = read[0].quiet.clone().unwrap();
        assert_eq!((quiet.from, quiet.to), (1350, 420));
        assert!(quiet.contain(1350) && quiet.contain(0) && quiet.contain(419));
        assert!(!quiet.contain(420) && !quiet.contain(1349));
        assert_eq!((read[1].on.len(), read[1].quiet.is_none(), read[1].token.is_some()), (6, true, true));
        assert!(!format!("{read:?}").contains("my-house"), "an address is a secret");
    }

    #[test]
    fn what_is_wrong_names_the_key_and_what_it_takes_and_no_address() {
        for (entry, words) in [
            (
                json!({ "name": "a", "kind": "sms", "url": "https://a/b" }),
                "kind: \"sms\" is not: webhook or ntfy",
            ),
            (json!({ "name": "a", "kind": "ntfy", "url": "ftp://se.cret/x" }), "url: expected an address"),
            (
                json!({ "name": "a", "kind": "ntfy" }),
                "url: expected exactly one of url_file, url_env and url",
            ),
            (
                json!({ "name": "a", "kind": "ntfy", "url": "https://a/b", "on": ["rain"] }),
                "\"rain\" is not one of",
            ),
            (
                json!({
                    "name": "a", "kind": "ntfy", "url": "https://a/b",
                    "quiet": { "from": "25:00", "to": "7:00" }
                }),
                "from is a time of day",
            ),
            (json!({ "name": "a", "kind": "ntfy", "url": "https://a/b", "gateways": ["cabin"] }), "cabin"),
            (json!({ "name": "a", "kind": "ntfy", "url": "https://a/b", "urls": 1 }), "did you mean url?"),
            (json!({ "name": "a", "kind": "ntfy", "url_env": "PW_NOTIFY_X" }), "PW_NOTIFY_X is not set"),
        ] {
            let refused = targets(&json!([entry])).unwrap_err();
            assert!(refused.contains(words) && !refused.contains("se.cret"), "{words}: {refused}");
        }
    }
}
