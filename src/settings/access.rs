//! Who may read and who may give orders: `PW_CONTROL_SECRET`, `tokens:` and `anonymous:` of the file.
//! Comparing what a client sends is left to [`crate::control`].

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::item::Item;
use super::load::Reader;
use super::problem::Problems;
use super::values::{self, Refusal};
use super::{GatewaySettings, Secret, notify};
use crate::model::OrderKind;

/// The name under which `PW_CONTROL_SECRET` stands in the journal.
pub const CONTROL_SECRET: &str = "control secret";
/// Variables with the secret of a token begin like this.
const PREFIX: &str = "PW_TOKEN_";
/// Bytes that a secret needs, so that no number of guesses finds it.
const SHORTEST_SECRET: usize = 16;
/// More than a house has clients.
const MOST_TOKENS: usize = 100;

const KEYS: [&str; 6] = ["name", "role", "gateways", SECRET[0], SECRET[1], SECRET[2]];
/// Where the secret of a token may be.
const SECRET: [&str; 3] = ["secret", "secret_file", "secret_env"];
const ROLES: &str = "viewer, operator or owner";

/// What somebody may do. Each may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads, the journal and orders as well; gives none.
    Viewer,
    /// Changes settings that a phone app changes: reserve, mode, charging, export, max backup, storm watch,
    /// tariff.
    Operator,
    /// Everything: disconnects from the grid and sets the power of the battery as well.
    Owner,
}

impl Role {
    /// A stable word for the file and for bodies.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }

    /// Reads what [`Role::word`] writes.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Owner].into_iter().find(|role| role.word() == word)
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        Self::of_word(text).ok_or_else(|| format!("{text:?} is not {ROLES}"))
    }

    /// Whether it may give orders of this kind.
    pub fn may_order(self, kind: OrderKind) -> bool {
        self >= Self::needed_for(kind)
    }

    /// The least role that may give orders of this kind.
    pub fn needed_for(kind: OrderKind) -> Self {
        match kind {
            OrderKind::Reserve
            | OrderKind::ReserveHold
            | OrderKind::Mode
            | OrderKind::Operation
            | OrderKind::Charging
            | OrderKind::Export
            | OrderKind::MaxBackup
            | OrderKind::StormWatch
            | OrderKind::VehicleReserve
            | OrderKind::Tariff => Self::Operator,
            OrderKind::Islanding | OrderKind::Dispatch | OrderKind::Resume => Self::Owner,
        }
    }
}

/// A secret that somebody has been given, and what it is good for.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Stands in the journal beside what was done with it.
    pub name: String,
    pub role: Role,
    /// The ids of the gateways that it is good for; `None`: all.
    pub gateways: Option<Vec<String>>,
    pub secret: Secret,
}

impl Token {
    /// Whether it is good for the gateway `id`.
    pub fn reaches(&self, id: &str) -> bool {
        self.gateways.as_ref().is_none_or(|gateways| gateways.iter().any(|gateway| gateway == id))
    }
}

/// Who may do what.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// Whether readings need no token: `anonymous: viewer`.
    pub is_open: bool,
    /// Empty: nobody gives orders.
    pub tokens: Vec<Arc<Token>>,
}

impl Default for Access {
    fn default() -> Self {
        Self { is_open: true, tokens: Vec::new() }
    }
}

impl Access {
    /// One secret, whose owner may do everything.
    pub fn owned_by(secret: Secret) -> Self {
        Self { tokens: vec![Arc::new(owner(secret))], ..Self::default() }
    }
}

fn owner(secret: Secret) -> Token {
    Token { name: CONTROL_SECRET.to_owned(), role: Role::Owner, gateways: None, secret }
}

#[derive(Default, Deserialize)]
struct AccessVariables {
    pw_control_secret: Option<String>,
    pw_anonymous: Option<String>,
}

impl Reader {
    /// Who may do what; `gateways`: if they are all known.
    pub(super) fn access(&mut self, gateways: Option<&[GatewaySettings]>) -> Access {
        let raw: AccessVariables = self.variables();
        let in_file = std::mem::take(&mut self.access_in_file);
        let mut is_open =
            self.value("PW_ANONYMOUS", raw.pw_anonymous, true, anonymous, |open| shown(*open).into());
        if let Some((value, place)) = in_file.anonymous {
            match value.as_str().ok_or_else(|| "expected viewer or none".to_owned()).and_then(anonymous) {
                Ok(open) => {
                    is_open = open;
                    self.overrule("PW_ANONYMOUS", shown(open), &place);
                }
                Err(refusal) => self.problems.add(place, refusal),
            }
        }
        let mut tokens = Vec::new();
        if let Some(secret) = raw.pw_control_secret {
            self.note("PW_CONTROL_SECRET", "", true);
            tokens.push(owner(Secret::new(secret)));
        }
        let mut used = Vec::new();
        if let Some((list, place)) = &in_file.tokens {
            let ids = gateways.map(|known| known.iter().map(|one| one.facts.id.as_str()).collect::<Vec<_>>());
            let file = TokenFile { ids: ids.as_deref(), secrets: &self.named_secrets };
            tokens.extend(file.read(list, place, &mut used, &mut self.problems));
            check_doubles(&tokens, place, &mut self.problems);
        }
        let unused = |name: &String| name.starts_with(PREFIX) && !used.contains(name);
        for (name, _) in self.named_secrets.iter().filter(|(name, _)| unused(name)) {
            self.warnings.push(format!("{name} has no effect: no token in the file says secret_env: {name}"));
        }
        if !is_open && tokens.is_empty() && !self.has_ingress() {
            let what = "none: nobody could read, as there is no token; set PW_CONTROL_SECRET or tokens";
            self.problems.add("PW_ANONYMOUS", what);
        }
        Access { is_open, tokens: tokens.into_iter().map(Arc::new).collect() }
    }

    /// Keeps a variable that only entries of the file speak of. Whether it is one.
    pub(super) fn takes_named_secret(&mut self, name: &str, text: &str) -> bool {
        if !name.starts_with(PREFIX) && !name.starts_with(notify::PREFIX) {
            return false;
        }
        match values::secret(text) {
            Ok(secret) => {
                self.named_secrets.extend(secret.map(|secret| (name.to_owned(), Secret::new(secret))));
            }
            Err(refusal) => self.problems.add(name, refusal),
        }
        true
    }
}

fn anonymous(text: &str) -> Result<bool, Refusal> {
    match text {
        "viewer" => Ok(true),
        "none" => Ok(false),
        _ => Err(format!("{text:?} is neither viewer nor none")),
    }
}

fn shown(is_open: bool) -> &'static str {
    if is_open { "viewer" } else { "none" }
}

/// What reading tokens needs to know.
struct TokenFile<'a> {
    /// Of the gateways, if they are all known.
    ids: Option<&'a [&'a str]>,
    /// The variables that hold secrets of tokens.
    secrets: &'a [(String, Secret)],
}

impl TokenFile<'_> {
    /// Reads the list at `place`; the names of variables go into `used`.
    fn read(&self, list: &Value, place: &str, used: &mut Vec<String>, problems: &mut Problems) -> Vec<Token> {
        let entries = match list {
            Value::Null => return Vec::new(),
            Value::Array(entries) if entries.len() <= MOST_TOKENS => entries,
            _ => {
                problems.add(place, format!("expected a list of at most {MOST_TOKENS} tokens"));
                return Vec::new();
            }
        };
        let read = |(index, entry): (usize, &Value)| {
            let place = format!("{place}[{index}]");
            let Some(object) = entry.as_object() else {
                problems.add(place, "expected an object with name, role and secret_file");
                return None;
            };
            let mut item = Item { object, place: &place, problems };
            item.refuse_unknown_keys(&KEYS);
            let (name, role) = (item.name(), role(&mut item));
            let gateways = item.gateways(self.ids);
            let secret = item.secret(SECRET, (PREFIX, self.secrets, used), check);
            Some(Token { name: name?, role: role?, gateways: gateways?, secret: secret? })
        };
        entries.iter().enumerate().filter_map(read).collect()
    }
}

fn role(item: &mut Item<'_>) -> Option<Role> {
    match item.text("role") {
        Some(text) => Role::parse(&text).map_err(|refusal| item.problem("role", refusal)).ok(),
        None => {
            if !item.object.contains_key("role") {
                item.problem("role", format!("missing: {ROLES}"));
            }
            None
        }
    }
}

/// Whether it can be sent and cannot be guessed.
fn check(secret: &Secret) -> Result<(), Refusal> {
    if secret.expose().len() < SHORTEST_SECRET {
        return Err(format!("a secret needs {SHORTEST_SECRET} characters, so that guessing finds none"));
    }
    match secret.expose().chars().any(char::is_control) {
        true => Err("a secret is one line of text".into()),
        false => Ok(()),
    }
}

/// The journal must be able to say who it was.
fn check_doubles(tokens: &[Token], place: &str, problems: &mut Problems) {
    for (index, token) in tokens.iter().enumerate() {
        for other in &tokens[..index] {
            if other.name == token.name {
                problems.add(place, format!("two tokens have the name {}", token.name));
            } else if other.secret == token.secret {
                problems.add(place, format!("{} and {} have the same secret", other.name, token.name));
            }
        }
    }
}

#[cfg(test)]
#[path = "access/tests.rs"]
mod tests;
