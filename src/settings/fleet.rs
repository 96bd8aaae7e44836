//! What the links to Tesla's clouds need, FleetAPI and the owners API: where they are, whose token they take,
//! and how often they may be asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::Secret;
use super::values::{self, Refusal};
use crate::model::LinkKind;

/// The file of pypowerwall with the tokens of an account.
pub const TOKEN_FILE: &str = ".pypowerwall.fleetapi";
/// The file of pypowerwall with the tokens of the owners API, by e-mail address.
pub const OWNERS_FILE: &str = ".pypowerwall.auth";
/// What programs before this one take for an e-mail address when none is configured.
pub(super) const NO_EMAIL: [&str; 2] = ["email@example.com", "nobody@nowhere.com"];
/// Where Tesla gives tokens for the owners API.
pub const OWNERS_AUTH: &str = "auth.tesla.com";
/// Where Tesla gives tokens for FleetAPI.
const TESLA_AUTH: &str = "fleet-auth.prd.vn.cloud.tesla.com";
/// Tesla renews live values no more often than this, and counts each request.
pub(super) const USUAL_INTERVAL: Duration = Duration::from_secs(60);
/// Nobody asks more often than this, in seconds …
pub(super) const FASTEST: u64 = 5;
/// … and a gateway over the relay, where each question is a command.
pub(super) const FASTEST_RELAY: u64 = 300;

/// Scheme, host and port of an HTTPS server: `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Name or address, without port and without brackets.
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// On the usual port.
    pub fn of(host: &str) -> Self {
        Self { host: host.to_owned(), port: 443 }
    }

    /// # Errors
    /// If `text` is anything but `https://host[:port]`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refusal = || format!("{text:?} is not an address such as https://api.example.com");
        let rest = text.strip_prefix("https://").ok_or_else(refusal)?.trim_end_matches('/');
        if rest.contains(['/', '?', '#', '@', ' ']) {
            return Err(refusal());
        }
        let (host, port) = values::host_and_port(rest).map_err(|_| refusal())?;
        Ok(Self { host, port: port.unwrap_or(443) })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            443 => write!(f, "https://{host}"),
            port => write!(f, "https://{host}:{port}"),
        }
    }
}

/// Where the token of an account comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenSource {
    /// A provider's, which lives until it is withdrawn.
    Pasted(Secret),
    /// The file with access and refresh token that pypowerwall and this program share.
    File(PathBuf),
    /// The owners API: the account `email` in the file that pypowerwall and this program share; `None`: the
    /// only one there.
    Owners { file: PathBuf, email: Option<String> },
}

impl TokenSource {
    /// The file with the tokens.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Pasted(_) => None,
            Self::File(file) | Self::Owners { file, .. } => Some(file),
        }
    }

    pub fn is_owners(&self) -> bool {
        matches!(self, Self::Owners { .. })
    }
}

/// What all links to one account share.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountConfig {
    pub source: TokenSource,
    /// `PW_FLEET_BASE` or `PW_OWNERS_BASE`: the API; `None`: the tokens decide.
    pub base: Option<Origin>,
    /// `PW_FLEET_AUTH` or `PW_OWNERS_AUTH`: where tokens are renewed.
    pub auth: Origin,
    /// `PW_FLEET_CA`: authorities that count beside those of the system.
    pub authorities: Option<PathBuf>,
    /// `PW_FLEET_BUDGET`: the most requests of a day; `None`: as many as it takes.
    pub budget: Option<u64>,
    /// Where counts and cool-downs are kept over restarts; `None`: nowhere.
    pub ledger: Option<PathBuf>,
}

/// One site of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetConfig {
    pub account: AccountConfig,
    /// `siteid`: which site; `None`: the one of the token file, or the only one of the account.
    pub site: Option<u64>,
    /// `interval`: how often the site is asked.
    pub interval: Duration,
    /// `PW_LOCAL_FIRST=no`: in a standby, orders go over it before they go over a local link.
    pub takes_orders_first: bool,
}

impl FleetConfig {
    /// Which of Tesla's two clouds it is about.
    pub fn kind(&self) -> LinkKind {
        if self.account.source.is_owners() { LinkKind::Cloud } else { LinkKind::FleetApi }
    }
}

/// What all entries take over.
#[derive(Clone, Default)]
pub(super) struct FleetDefaults {
    pub base: Option<Origin>,
    pub auth: Option<Origin>,
    /// `PW_OWNERS_BASE`
    pub owners_base: Option<Origin>,
    /// `PW_OWNERS_AUTH`
    pub owners_auth: Option<Origin>,
    pub token: Option<Secret>,
    pub authorities: Option<PathBuf>,
    pub budget: Option<u64>,
    pub interval: Option<Duration>,
    /// `PW_CLOUD_HYBRID`: whether every local gateway has the cloud as standby.
    pub hybrid: bool,
    /// `PW_LOCAL_FIRST=no`: whether orders go over the cloud where it can take them.
    pub cloud_first: bool,
}

impl FleetDefaults {
    pub fn auth(&self) -> Origin {
        self.auth.clone().unwrap_or_else(|| Origin::of(TESLA_AUTH))
    }

    /// The account of whoever asks `base` with `token`, or with the token file in `folder`. `id`: of the
    /// gateway whose own the folder is.
    pub fn account(
        &self,
        base: Option<Origin>,
        token: Option<Secret>,
        folder: Option<&Path>,
        id: Option<&str>,
    ) -> AccountConfig {
        // A pasted token has no file whose folder would set accounts apart.
        let own = id.filter(|_| token.is_some()).map(|id| format!("{id}.")).unwrap_or_default();
        let ledger = folder.map(|folder| folder.join(format!(".powerwall-server.{own}tesla.json")));
        let source = match token {
            Some(token) => TokenSource::Pasted(token),
            None => TokenSource::File(folder.unwrap_or(Path::new("")).join(TOKEN_FILE)),
        };
        let (auth, authorities) = (self.auth(), self.authorities.clone());
        AccountConfig { source, base, auth, authorities, budget: self.budget, ledger }
    }

    /// The account `email` of the owners API, with the token file in `folder`.
    pub fn owners(&self, folder: Option<&Path>, email: Option<&str>) -> AccountConfig {
        let folder = folder.unwrap_or(Path::new(""));
        let email = email.map(str::trim).filter(|email| !email.is_empty() && !NO_EMAIL.contains(email));
        // Each account has its own counts; its address is nobody's business.
        let own = email.map(|email| format!("-{}", short_digest(&email.to_lowercase()))).unwrap_or_default();
        AccountConfig {
            source: TokenSource::Owners { file: folder.join(OWNERS_FILE), email: email.map(str::to_owned) },
            base: self.owners_base.clone(),
            auth: self.owners_auth.clone().unwrap_or_else(|| Origin::of(OWNERS_AUTH)),
            authorities: self.authorities.clone(),
            budget: self.budget,
            ledger: Some(folder.join(format!(".powerwall-server.owners{own}.json"))),
        }
    }
}

/// Whether `folder` holds tokens for the owners API, and none for FleetAPI.
pub(super) fn has_owners_tokens_only(folder: Option<&Path>) -> bool {
    let folder = folder.unwrap_or(Path::new(""));
    folder.join(OWNERS_FILE).is_file() && !folder.join(TOKEN_FILE).is_file()
}

/// Eight hexadecimal digits that stand for `text`.
fn short_digest(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_https_and_a_host_and_nothing_else() {
        for (text, shown) in [
            ("https://api.tessie.com", "https://api.tessie.com"),
            ("https://api.tessie.com/", "https://api.tessie.com"),
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), shown);
        }
        for odd in ["http://a.b", "a.b", "https://a.b/path", "https://", "https://u@a.b", "https://a.b?x"] {
            assert!(Origin::parse(odd).is_err(), "{odd}");
        }
    }
}
