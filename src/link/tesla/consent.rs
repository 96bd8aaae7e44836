//! The consent of a Tesla account: the address to open in a browser, the code in the address that comes
//! back, and the tokens that it is exchanged for. Whom to ask, and where the tokens go, is left to the
//! command line.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::account::{Renewed, encoded, form_call, renewed};
use super::error::TeslaError;
use super::region;
use super::web::Wires;
use crate::link::https::Answer;
use crate::link::json::Look;
use crate::settings::{Origin, Secret};

/// Where people log in; also at the server that gives tokens.
const LOGIN_HOST: &str = "auth.tesla.com";
const READS: &str = "openid offline_access energy_device_data";
const ORDERS: &str = "openid offline_access energy_device_data energy_cmds";
/// A code has some hundred letters at most.
pub(super) const LONGEST_CODE: usize = 4096;

/// What was registered at developer.tesla.com.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    pub client_id: String,
    pub secret: Secret,
    /// One of those that the application allows. Nothing need answer there.
    pub redirect: String,
}

/// Why an address that somebody pasted holds no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCode {
    #[error("that is neither an address with a code nor a code")]
    Absent,
    #[error(
        "that address belongs to another login (its state differs); open the address above, and paste what \
        comes of that"
    )]
    OtherLogin,
    #[error("Tesla refused: {0}")]
    Refused(String),
    #[error("that address is from neither auth.tesla.com nor auth.tesla.cn, and no token goes anywhere else")]
    Issuer,
    #[error("this machine has no random numbers")]
    NoRandom,
}

/// A consent that is being asked for.
pub struct Consent {
    state: String,
    /// Of PKCE: proves that who exchanges the code is who asked for it.
    verifier: Secret,
    may_order: bool,
}

impl Consent {
    /// `may_order`: to orders as well, not only to readings.
    ///
    /// # Errors
    /// If this machine has no random numbers.
    pub fn new(may_order: bool) -> Result<Self, NoCode> {
        Ok(Self { state: random()?, verifier: Secret::new(random()?), may_order })
    }

    fn scopes(&self) -> &'static str {
        if self.may_order { ORDERS } else { READS }
    }

    /// The address to open in a browser. `auth`: where tokens are given.
    pub fn address(&self, application: &Application, auth: &Origin) -> String {
        let challenge = digest(&SHA256, self.verifier.expose().as_bytes());
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(challenge);
        let host = if auth.host.ends_with(".tesla.com") { Origin::of(LOGIN_HOST) } else { auth.clone() };
        let query = [
            ("response_type", "code"),
            ("client_id", application.client_id.as_str()),
            ("redirect_uri", application.redirect.as_str()),
            ("scope", self.scopes()),
            ("state", self.state.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("locale", "en-US"),
            ("prompt", "login"),
            ("prompt_missing_scopes", "true"),
        ];
        let query: Vec<String> =
            query.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        format!("{host}/oauth2/v3/authorize?{}", query.join("&"))
    }

    /// The code in what somebody pasted: the address of the page that came after the login, or the code.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn code(&self, pasted: &str) -> Result<Secret, NoCode> {
        let pasted = pasted.trim();
        if pasted.len() > LONGEST_CODE {
            return Err(NoCode::Absent);
        }
        let query = pasted.split_once('?').map(|(_, query)| query.split('#').next().unwrap_or_default());
        let Some(query) = query else {
            let is_code = !pasted.is_empty()
                && pasted.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
            return if is_code { Ok(Secret::new(pasted)) } else { Err(NoCode::Absent) };
        };
        let value = |name: &str| {
            let mut fields = query.split('&').filter_map(|field| field.split_once('='));
            fields.find(|(key, _)| *key == name).and_then(|(_, value)| decoded(value))
        };
        if let Some(error) = value("error") {
            return Err(NoCode::Refused(value("error_description").unwrap_or(error)));
        }
        if value("state").is_some_and(|state| state != self.state) {
            return Err(NoCode::OtherLogin);
        }
        value("code").filter(|code| !code.is_empty()).map(Secret::new).ok_or(NoCode::Absent)
    }

    /// Exchanges the code for tokens. `base`: the API that they are for.
    ///
    /// # Errors
    /// With what Tesla has against it.
    pub async fn exchange(
        &self,
        wires: &dyn Wires,
        auth: &Origin,
        base: &Origin,
        (application, code): (&Application, &Secret),
    ) -> Result<Renewed, TeslaError> {
        let base = base.to_string();
        let call = form_call(&[
            ("grant_type", "authorization_code"),
            ("client_id", &application.client_id),
            ("client_secret", application.secret.expose()),
            ("code", code.expose()),
            ("audience", &base),
            ("redirect_uri", &application.redirect),
            ("scope", self.scopes()),
            ("code_verifier", self.verifier.expose()),
        ]);
        let answer = wires.send(auth, call).await?;
        match answer.status {
            200 => renewed(&answer),
            _ => Err(explained(&answer)),
        }
    }
}

/// What a refusal of a code means for the person who pasted it.
fn explained(answer: &Answer) -> TeslaError {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let word = body.at(&["error"]).name().unwrap_or_default();
    let why = match word {
        "invalid_auth_code" | "invalid_grant" => {
            "the code is too old or was used before: codes hold for some minutes, and once. Log in again"
        }
        "invalid_redirect_url" | "invalid_redirect_uri" => {
            "the redirect address is not one of those that the application allows"
        }
        "invalid_client" | "unauthorized_client" => {
            "the client id or the client secret is not that of the application"
        }
        _ => return TeslaError::of(answer, "token", ""),
    };
    TeslaError::SetUp(why.into())
}

/// The API for which a code was given, by its first letters.
pub fn base_of(code: &Secret) -> Option<Origin> {
    region::of_tokens(None, Some(code))
}

/// 32 random bytes, as letters that need no encoding.
pub(super) fn random() -> Result<String, NoCode> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoCode::NoRandom)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// A value of a query.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application() -> Application {
        let redirect = "https://example.com/access".into();
        Application { client_id: "a client".into(), secret: Secret::new("CanarySecret"), redirect }
    }

    #[test]
    fn the_address_asks_for_what_is_needed_and_holds_no_secret() {
        let consent = Consent::new(false).unwrap();
        let auth = Origin::parse("https://fleet-auth.prd.vn.cloud.tesla.com").unwrap();
        let address = consent.address(&application(), &auth);
        assert!(
            address.starts_with("https://auth.tesla.com/oauth2/v3/authorize?response_type=code&"),
            "{address}"
        );
        for part in [
            "client_id=a%20client",
            "redirect_uri=https%3A%2F%2Fexample.com%2Faccess",
            "scope=openid%20offline_access%20energy_device_data&",
            "prompt_missing_scopes=true",
        ] {
            assert!(address.contains(part), "{part}: {address}");
        }
        assert!(!address.contains("Canary") && !address.contains(consent.verifier.expose()));
        assert!(Consent::new(true).unwrap().address(&application(), &auth).contains("energy_cmds"));
        assert!(consent.state.len() >= 22);
    }

    #[test]
    fn a_code_is_found_in_what_comes_back() {
        let consent = Consent::new(true).unwrap();
        let code = |text: &str| consent.code(text).map(|code| code.expose().to_owned());
        let state = &consent.state;
        assert_eq!(code(" NA_abc-1.2~ \n"), Ok("NA_abc-1.2~".into()));
        let address =
            format!("https://example.com/access?locale=en&code=NA%5Fabc&state={state}&issuer=x#top");
        assert_eq!(code(&address), Ok("NA_abc".into()));
        assert_eq!(code("https://example.com/access?code=abc"), Ok("abc".into()));
        assert_eq!(code("https://example.com/?code=abc&state=other"), Err(NoCode::OtherLogin));
        let denied = "https://example.com/?error=login_cancelled&error_description=User+cancelled";
        assert_eq!(code(denied), Err(NoCode::Refused("User cancelled".into())));
        for odd in ["", "https://example.com/", "https://x/?code=", "two words", "?code=%zz"] {
            assert_eq!(code(odd), Err(NoCode::Absent), "{odd}");
        }
    }

    #[test]
    fn what_tesla_says_about_a_code_is_explained() {
        let said = |body: &str| {
            let answer = Answer { status: 400, body: body.to_owned().into(), ..Answer::default() };
            explained(&answer).to_string()
        };
        assert!(said(r#"{"error":"invalid_auth_code"}"#).contains("too old"));
        assert!(said(r#"{"error":"invalid_redirect_url"}"#).contains("redirect"));
        assert!(said(r#"{"error":"unauthorized_client"}"#).contains("client secret"));
        assert!(said("").contains("HTTP 400"));
    }
}
