//! The token files of the owners API that pypowerwall and this program share: `.pypowerwall.auth`, which
//! holds accounts by e-mail address, and `.pypowerwall.site`. What is not known here is kept.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use crate::link::json::Look;
use crate::settings::Secret;

/// Beside the token file: the number of the energy site.
pub const SITE_FILE: &str = ".pypowerwall.site";

/// All accounts of a file, and which of them is meant.
#[derive(Clone, Default, PartialEq)]
pub struct OwnersFile {
    accounts: Map<String, Value>,
    /// Its key; `None`: nobody knows.
    chosen: Option<String>,
}

impl std::fmt::Debug for OwnersFile {
    /// It holds nothing but secrets and addresses.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnersFile").finish_non_exhaustive()
    }
}

impl OwnersFile {
    /// With the account `email`: spelled otherwise in the file it is the same, and an account that is alone
    /// is meant whatever it is called. `None`: it is not such a file.
    pub fn parse(text: &str, email: Option<&str>) -> Option<Self> {
        let Ok(Value::Object(accounts)) = serde_json::from_str(text) else { return None };
        let is_same =
            |key: &&String| email.is_some_and(|email| key.trim().eq_ignore_ascii_case(email.trim()));
        let exact = accounts.keys().find(|key| email == Some(key.as_str()));
        let only = || accounts.keys().next().filter(|_| accounts.len() == 1);
        let chosen = exact.or_else(|| accounts.keys().find(is_same)).or_else(only).cloned();
        Some(Self { accounts, chosen })
    }

    /// As pypowerwall writes it: indented by two blanks.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"  "));
        // Writing a map of texts into memory cannot fail.
        let _ = self.accounts.serialize(&mut serializer);
        String::from_utf8(text).unwrap_or_default()
    }

    /// How many accounts it has.
    pub fn count(&self) -> usize {
        self.accounts.len()
    }

    /// Whether the account that is meant is called otherwise than `email`.
    pub fn is_another_than(&self, email: &str) -> bool {
        self.chosen.as_ref().is_some_and(|chosen| !chosen.trim().eq_ignore_ascii_case(email.trim()))
    }

    fn account(&self) -> &Value {
        self.chosen.as_ref().and_then(|key| self.accounts.get(key)).unwrap_or(&Value::Null)
    }

    fn token(&self, key: &str) -> Option<Secret> {
        self.account().at(&["sso", key]).name().map(Secret::new)
    }

    pub fn access_token(&self) -> Option<Secret> {
        self.token("access_token")
    }

    pub fn refresh_token(&self) -> Option<Secret> {
        self.token("refresh_token")
    }

    /// When the access token ends, Unix seconds; `None`: it does not say, or there is none.
    pub fn expires(&self) -> Option<f64> {
        self.account().at(&["sso", "expires_at"]).as_f64().filter(|end| *end > 0.0)
    }

    /// Who gave the tokens, as pypowerwall noted it.
    pub fn url(&self) -> Option<&str> {
        self.account().at(&["url"]).name()
    }

    /// Takes over what Tesla gave: `answer`, with the tokens, at `now`, Unix seconds. What it does not name
    /// stays.
    pub fn renew(&mut self, answer: &Value, now: f64) {
        let Some(key) = self.chosen.clone() else { return };
        let account = self.accounts.entry(key).or_insert_with(|| json!({}));
        if !account.at(&["sso"]).is_object() {
            account["sso"] = json!({});
        }
        let sso = &mut account["sso"];
        for key in ["token_type", "access_token", "refresh_token", "id_token", "expires_in", "scope"] {
            let given = answer.at(&[key]);
            if !given.is_null() && given.as_str() != Some("") {
                sso[key] = given.clone();
            }
        }
        let lives = answer.at(&["expires_in"]).as_f64().unwrap_or(0.0);
        sso["expires_at"] = Value::from((now + lives) as i64);
    }

    /// Puts an account in, or its tokens into the one there is, and means it from now on. `expires`: Unix
    /// seconds; 0 if there is no access token.
    pub fn put(&mut self, email: &str, url: &str, tokens: &Value, expires: i64) {
        let known = self.accounts.keys().find(|key| key.trim().eq_ignore_ascii_case(email.trim())).cloned();
        let key = known.unwrap_or_else(|| email.trim().to_owned());
        self.chosen = Some(key.clone());
        let mut sso = self.account().at(&["sso"]).clone();
        if !sso.is_object() {
            sso = json!({});
        }
        for (name, value) in tokens.as_object().into_iter().flatten() {
            sso[name] = value.clone();
        }
        sso["expires_at"] = expires.into();
        let account = self.accounts.entry(key).or_insert_with(|| json!({}));
        if !account.is_object() {
            *account = json!({});
        }
        account["url"] = url.into();
        account["sso"] = sso;
    }
}

/// The number in a site file; anything else is none.
pub fn site(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
  "Anna@Example.com": {
    "url": "https://auth.tesla.com/",
    "sso": {
      "token_type": "Bearer",
      "access_token": "a-anna",
      "refresh_token": "r-anna",
      "expires_at": 1790000000,
      "expires_in": 28800,
      "own": 1
    }
  },
  "bert@example.com": {
    "url": "https://auth.tesla.cn/",
    "sso": {
      "access_token": "",
      "refresh_token": "r-bert",
      "expires_at": 0
    }
  }
}"#;

    fn refresh(text: &str, email: Option<&str>) -> Option<String> {
        Some(OwnersFile::parse(text, email)?.refresh_token()?.expose().to_owned())
    }

    #[test]
    fn an_account_is_found_by_its_address_or_by_being_alone() {
        assert_eq!(refresh(FILE, Some("anna@example.COM")).as_deref(), Some("r-anna"));
        assert_eq!(refresh(FILE, Some("bert@example.com")).as_deref(), Some("r-bert"));
        assert_eq!(refresh(FILE, Some("carl@example.com")), None);
        assert_eq!(refresh(FILE, None), None, "two accounts, and nobody says which");
        let only = r#"{"anna@example.com": {"sso": {"refresh_token": "r"}}}"#;
        assert_eq!(refresh(only, None).as_deref(), Some("r"));
        assert_eq!(refresh(only, Some("carl@example.com")).as_deref(), Some("r"));
        assert!(OwnersFile::parse(only, None).unwrap().is_another_than("carl@example.com"));
        assert!(OwnersFile::parse("[]", None).is_none() && OwnersFile::parse("{", None).is_none());
        for odd in
            ["{}", r#"{"a": null}"#, r#"{"a": {"sso": []}}"#, r#"{"a": {"sso": {"refresh_token": 1}}}"#]
        {
            assert_eq!(refresh(odd, None), None, "{odd}");
        }
    }

    #[test]
    fn new_tokens_change_their_account_and_nothing_else() {
        let mut file = OwnersFile::parse(FILE, Some("anna@example.com")).unwrap();
        assert_eq!(file.text(), FILE, "byte for byte");
        assert_eq!(file.expires(), Some(1.79e9));
        file.renew(&json!({ "access_token": "a2", "refresh_token": "r2", "expires_in": 100 }), 1.8e9);
        let expected = FILE
            .replace("a-anna", "a2")
            .replace("r-anna", "r2")
            .replace("1790000000", "1800000100")
            .replace("28800", "100");
        assert_eq!(file.text(), expected);
        // An answer without a refresh token leaves the old one.
        file.renew(&json!({ "access_token": "a3", "expires_in": 100 }), 1.8e9);
        assert_eq!(file.refresh_token().unwrap().expose(), "r2");
        let bert = OwnersFile::parse(FILE, Some("bert@example.com")).unwrap();
        assert_eq!((bert.access_token(), bert.expires()), (None, None));
        assert_eq!(bert.url(), Some("https://auth.tesla.cn/"));
        assert!(!format!("{file:?}").contains("anna"));
    }

    #[test]
    fn a_login_adds_an_account_and_keeps_the_others() {
        let mut file = OwnersFile::parse(FILE, None).unwrap();
        let tokens = json!({ "access_token": "a9", "refresh_token": "r9", "expires_in": 28800 });
        file.put("anna@example.com", "https://auth.tesla.com/", &tokens, 1_790_000_000);
        let expected = FILE.replace("a-anna", "a9").replace("r-anna", "r9");
        assert_eq!(file.text(), expected);
        file.put("carl@example.com", "https://auth.tesla.cn/", &tokens, 5);
        assert_eq!((file.count(), file.url()), (3, Some("https://auth.tesla.cn/")));
    }

    #[test]
    fn a_site_is_a_number_with_or_without_a_new_line() {
        assert_eq!(
            [site("12"), site(" 12\n"), site("home"), site(""), site("-1")],
            [Some(12), Some(12), None, None, None]
        );
    }
}
