//! The tokens of an account, whichever file they are kept in.

use serde_json::Value;

use crate::link::tesla::owners::file::OwnersFile;
use crate::link::tesla::tokens::TokenFile;
use crate::settings::{Origin, Secret, TokenSource};

#[derive(Clone)]
pub(super) enum Tokens {
    Fleet(TokenFile),
    Owners(OwnersFile),
}

impl Tokens {
    /// None yet.
    pub fn of(source: &TokenSource) -> Self {
        match source {
            TokenSource::Owners { .. } => Self::Owners(OwnersFile::default()),
            _ => Self::Fleet(TokenFile::default()),
        }
    }

    /// `None`: `text` is not what such a file holds.
    pub fn parse(source: &TokenSource, text: &str) -> Option<Self> {
        Some(match source {
            TokenSource::Owners { email, .. } => Self::Owners(OwnersFile::parse(text, email.as_deref())?),
            _ => Self::Fleet(TokenFile::parse(text)?),
        })
    }

    pub fn text(&self) -> String {
        match self {
            Self::Fleet(file) => file.text(),
            Self::Owners(file) => file.text(),
        }
    }

    pub fn access_token(&self) -> Option<Secret> {
        match self {
            Self::Fleet(file) => file.access_token(),
            Self::Owners(file) => file.access_token(),
        }
    }

    pub fn refresh_token(&self) -> Option<Secret> {
        match self {
            Self::Fleet(file) => file.refresh_token(),
            Self::Owners(file) => file.refresh_token(),
        }
    }

    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::Fleet(file) => file.client_id(),
            Self::Owners(_) => None,
        }
    }

    pub fn audience(&self) -> Option<Origin> {
        match self {
            Self::Fleet(file) => file.audience(),
            Self::Owners(_) => None,
        }
    }

    pub fn site_id(&self) -> Option<u64> {
        match self {
            Self::Fleet(file) => file.site_id(),
            Self::Owners(_) => None,
        }
    }

    /// When the access token ends, as the file has it, Unix seconds.
    pub fn expires(&self) -> Option<f64> {
        match self {
            Self::Fleet(_) => None,
            Self::Owners(file) => file.expires(),
        }
    }

    /// Takes over new tokens of FleetAPI.
    pub fn renew(&mut self, access: &Secret, refresh: &Secret) {
        if let Self::Fleet(file) = self {
            file.renew(access, refresh);
        }
    }

    /// Takes over what the owners API gave, at `now`, Unix seconds.
    pub fn renew_owners(&mut self, answer: &Value, now: f64) {
        if let Self::Owners(file) = self {
            file.renew(answer, now);
        }
    }

    pub fn owners(&self) -> Option<&OwnersFile> {
        match self {
            Self::Fleet(_) => None,
            Self::Owners(file) => Some(file),
        }
    }
}
