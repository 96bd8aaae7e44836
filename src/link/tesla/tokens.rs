//! Tokens of an account: the file that pypowerwall and this program share, and what an access token says of
//! itself. Renewing them is left to [`super::account`].

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value};

use crate::link::bounds::LOGIN;
use crate::link::json::{Look, document};
use crate::settings::{Origin, Secret};

/// `.pypowerwall.fleetapi`. Keys that are not known here are kept.
#[derive(Clone, Default, PartialEq)]
pub struct TokenFile(Map<String, Value>);

impl std::fmt::Debug for TokenFile {
    /// It holds nothing but secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenFile").finish_non_exhaustive()
    }
}

impl TokenFile {
    /// `None`: it is not such a file.
    pub fn parse(text: &str) -> Option<Self> {
        match serde_json::from_str(text) {
            Ok(Value::Object(keys)) => Some(Self(keys)),
            _ => None,
        }
    }

    /// As pypowerwall writes it: indented by four blanks.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
        // Writing a map of texts into memory cannot fail.
        let _ = self.0.serialize(&mut serializer);
        String::from_utf8(text).unwrap_or_default()
    }

    fn name(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.name()
    }

    pub fn access_token(&self) -> Option<Secret> {
        self.name("access_token").map(Secret::new)
    }

    pub fn refresh_token(&self) -> Option<Secret> {
        self.name("refresh_token").map(Secret::new)
    }

    pub fn client_id(&self) -> Option<&str> {
        self.name("CLIENT_ID")
    }

    /// The API of its region.
    pub fn audience(&self) -> Option<Origin> {
        Origin::parse(self.name("AUDIENCE")?).ok()
    }

    /// A number, or a text with one, as some versions of pypowerwall wrote it.
    pub fn site_id(&self) -> Option<u64> {
        let value = self.0.get("site_id")?;
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    /// Takes over what Tesla gave for a refresh token.
    pub fn renew(&mut self, access: &Secret, refresh: &Secret) {
        self.0.insert("access_token".into(), access.expose().into());
        self.0.insert("refresh_token".into(), refresh.expose().into());
    }

    /// The application of the owner: client id, secret, and the address that logins return to.
    pub fn application(&self) -> [Option<&str>; 3] {
        ["CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI"].map(|key| self.name(key))
    }

    /// Sets a key that is no token.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub fn domain(&self) -> Option<&str> {
        self.name("DOMAIN")
    }

    pub fn set_audience(&mut self, base: &Origin) {
        self.0.insert("AUDIENCE".into(), base.to_string().into());
    }
}

/// What an access token says of itself. Nobody checks its signature: it only saves questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Unix seconds.
    pub expires: Option<f64>,
    /// What the owner consented to; `None`: it does not say.
    pub scopes: Option<Vec<String>>,
    /// `NA`, `EU`, `CN`.
    pub region: Option<String>,
    /// Who gave it, `https://auth.tesla.com/oauth2/v3`, say.
    pub issuer: Option<String>,
}

impl Claims {
    /// Of a token that says nothing, nothing is known.
    pub fn of(token: &Secret) -> Self {
        let claims = token.expose().split('.').nth(1).and_then(|part| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
            document(&bytes, &LOGIN).ok()
        });
        let claims = claims.unwrap_or_default();
        let scopes = match claims.at(&["scp"]) {
            Value::Array(list) => Some(list.iter().filter_map(Look::name).map(str::to_owned).collect()),
            Value::String(text) => Some(text.split(' ').map(str::to_owned).collect()),
            _ => None,
        };
        Self {
            expires: claims.at(&["exp"]).as_f64(),
            scopes,
            region: claims.at(&["ou_code"]).name().map(str::to_owned),
            issuer: claims.at(&["iss"]).name().map(str::to_owned),
        }
    }

    /// Whether the owner consented to orders; unknown counts as yes, and Tesla decides.
    pub fn may_control(&self) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|scope| scope == "energy_cmds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As pypowerwall wrote it.
    const FILE: &str = r#"{
    "CLIENT_ID": "a-client",
    "CLIENT_SECRET": "a-secret",
    "DOMAIN": "example.com",
    "REDIRECT_URI": "https://example.com/access",
    "AUDIENCE": "https://fleet-api.prd.eu.vn.cloud.tesla.com",
    "partner_token": "p",
    "partner_account": {
        "client_id": "a-client"
    },
    "access_token": "old-access",
    "refresh_token": "old-refresh",
    "site_id": "1234"
}"#;

    #[test]
    fn a_file_of_pypowerwall_keeps_everything_but_the_tokens() {
        let mut file = TokenFile::parse(FILE).unwrap();
        assert_eq!(file.text(), FILE, "byte for byte");
        assert_eq!(file.site_id(), Some(1234));
        assert_eq!(file.audience().unwrap().host, "fleet-api.prd.eu.vn.cloud.tesla.com");
        file.renew(&Secret::new("new-access"), &Secret::new("new-refresh"));
        let expected = FILE.replace("old-access", "new-access").replace("old-refresh", "new-refresh");
        assert_eq!(file.text(), expected);
        assert!(!format!("{file:?}").contains("a-secret"));
    }

    #[test]
    fn a_site_is_a_number_however_it_is_written_and_a_broken_file_is_none() {
        let site = |text: &str| TokenFile::parse(text).and_then(|file| file.site_id());
        assert_eq!(site(r#"{"site_id": 5}"#), Some(5));
        assert_eq!(site(r#"{"site_id": " 5 "}"#), Some(5));
        assert_eq!(site(r#"{"site_id": null}"#), None);
        assert_eq!(TokenFile::parse("[]"), None);
        assert_eq!(TokenFile::parse("{"), None);
    }

    #[test]
    fn a_token_says_when_it_ends_what_it_may_and_where_it_belongs() {
        let payload = BASE64_URL_SAFE_NO_PAD
            .encode(r#"{"exp": 1790000000, "scp": ["openid", "energy_device_data"], "ou_code": "EU"}"#);
        let claims = Claims::of(&Secret::new(format!("e30.{payload}.x")));
        assert_eq!((claims.expires, claims.region.as_deref()), (Some(1.79e9), Some("EU")));
        assert!(!claims.may_control());
        assert_eq!(Claims::of(&Secret::new("no-jwt")), Claims::default());
        assert!(Claims::default().may_control());
    }
}
