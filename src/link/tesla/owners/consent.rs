//! Logging in for the owners API: the address to open, the code in the address that comes back, and the
//! tokens that it is exchanged for. Whom to ask, and where the tokens go, is left to the command line.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::{CLIENT, Issuer};
use crate::link::bounds::LOGIN;
use crate::link::json::{Look, document};
use crate::link::tesla::account::{encoded, encoded_form};
use crate::link::tesla::consent::{LONGEST_CODE, NoCode, decoded, random};
use crate::link::tesla::error::{TeslaError, reason};
use crate::link::tesla::token_wire::NotPosted;
use crate::link::tesla::web::Wires;
use crate::settings::{Origin, Secret};

/// Where Tesla's app is called back. No browser shows it.
pub const CALLBACK: &str = "tesla://auth/callback";
/// Nothing about energy: the owner may do everything.
const SCOPES: &str = "openid email offline_access";
const PATH: &str = "/oauth2/v3/token";

/// A login that is under way.
pub struct Login {
    state: String,
    /// Of PKCE: proves that who exchanges the code is who asked for it.
    verifier: Secret,
}

impl Login {
    /// # Errors
    /// If this machine has no random numbers.
    pub fn new() -> Result<Self, NoCode> {
        Ok(Self { state: random()?, verifier: Secret::new(random()?) })
    }

    /// The address to open in a browser. `auth`: where tokens are given.
    pub fn address(&self, auth: &Origin, email: Option<&str>) -> String {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.expose().as_bytes()));
        let mut query = vec![
            ("client_id", CLIENT),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", SCOPES),
            ("state", self.state.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        query.extend(email.map(|email| ("login_hint", email)));
        let query: Vec<String> =
            query.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        format!("{auth}/oauth2/v3/authorize?{}", query.join("&"))
    }

    /// The code in the address that somebody copied, and who gave it.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn code(&self, pasted: &str) -> Result<(Secret, Issuer), NoCode> {
        let pasted = pasted.trim();
        let from = pasted.find(CALLBACK).ok_or(NoCode::Absent)?;
        let query = pasted[from..].split_once('?').map(|(_, query)| query).unwrap_or_default();
        let end = query.find(|letter: char| letter.is_whitespace() || "#'\"".contains(letter));
        let query = &query[..end.unwrap_or(query.len())];
        if query.len() > LONGEST_CODE {
            return Err(NoCode::Absent);
        }
        let value = |name: &str| {
            let mut fields = query.split('&').filter_map(|field| field.split_once('='));
            fields.find(|(key, _)| *key == name).and_then(|(_, value)| decoded(value))
        };
        // Whatever it says, it says of this login or not at all.
        if value("state").as_deref() != Some(self.state.as_str()) {
            return Err(NoCode::OtherLogin);
        }
        if let Some(error) = value("error") {
            return Err(NoCode::Refused(value("error_description").unwrap_or(error)));
        }
        let issuer = match value("issuer") {
            None => Issuer::World,
            Some(issuer) => Issuer::of(&issuer).ok_or(NoCode::Issuer)?,
        };
        let code = value("code").filter(|code| !code.is_empty()).ok_or(NoCode::Absent)?;
        Ok((Secret::new(code), issuer))
    }

    /// Exchanges the code for tokens, once; Tesla's answer with them.
    ///
    /// # Errors
    /// With what Tesla has against it.
    pub async fn exchange(
        &self,
        wires: &dyn Wires,
        auth: &Origin,
        code: &Secret,
    ) -> Result<Value, TeslaError> {
        let mut wire = wires.open(auth).await?;
        let form = encoded_form(&[
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT),
            ("code", code.expose()),
            ("code_verifier", self.verifier.expose()),
            ("redirect_uri", CALLBACK),
        ]);
        let answer = wire.post(PATH, form).await.map_err(|error| match error {
            NotPosted::Unsent(error) => error,
            NotPosted::Lost(why) => TeslaError::LoginNeeded(format!(
                "the answer with the tokens was lost ({why}), and a code holds once; begin anew"
            )),
        })?;
        let body: Value = document(&answer.body, &LOGIN).unwrap_or_default();
        match answer.status {
            200 if body.at(&["access_token"]).name().is_some() => Ok(body),
            200 => Err(TeslaError::Malformed("it holds no access token".into())),
            400 | 401 => Err(TeslaError::LoginNeeded(
                "the code is too old or was used before: codes hold for some minutes, and once; begin anew"
                    .into(),
            )),
            status => {
                let said = reason(&body).map(|said| format!(": {said}")).unwrap_or_default();
                Err(TeslaError::Refused(format!("HTTP {status}{said}")))
            }
        }
    }
}

/// The e-mail address in the identity that came with tokens.
pub fn email_of(tokens: &Value) -> Option<String> {
    let part = tokens.at(&["id_token"]).name()?.split('.').nth(1)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    let claims = document(&bytes, &LOGIN).ok()?;
    let email = [&["email"][..], &["data", "email"]].into_iter().find_map(|path| claims.at(path).name());
    email.map(str::to_owned)
}

/// What is surely wrong with an access token that somebody pasted, at `now`, Unix seconds; `None`: only Tesla
/// knows.
pub fn wrong_with(access: &Secret, now: f64) -> Option<&'static str> {
    let part = access.expose().split('.').nth(1);
    let bytes = part.and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
    let Some(claims) = bytes.and_then(|bytes| document(&bytes, &LOGIN).ok()) else {
        return Some("it is not an access token; was it cut off, or is it the refresh token?");
    };
    let is_for_owners = |audience: &Value| audience.as_str().is_some_and(|text| text.contains("owner-api"));
    let has_audience = match claims.at(&["aud"]) {
        Value::Array(list) => list.iter().any(is_for_owners),
        audience => is_for_owners(audience),
    };
    if !has_audience || claims.at(&["x-enc"]).is_null() {
        return Some("it is not for the owners API (its audience or x-enc is missing); use FleetAPI for it");
    }
    let is_over = claims.at(&["exp"]).as_f64().is_some_and(|end| end <= now);
    is_over.then_some("it has expired; make a new one")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_code_is_taken_from_the_address_of_this_login_only() {
        let login = Login::new().unwrap();
        let code = |text: &str| login.code(text).map(|(code, issuer)| (code.expose().to_owned(), issuer));
        let state = &login.state;
        let issuer = "issuer=https%3A%2F%2Fauth.tesla.cn%2Foauth2%2Fv3";
        let address = format!("tesla://auth/callback?code=a%2Db&state={state}&{issuer}");
        assert_eq!(code(&address), Ok(("a-b".into(), Issuer::China)));
        assert_eq!(code(&format!("  Location: {address}\n")), Ok(("a-b".into(), Issuer::China)));
        let plain = format!("tesla://auth/callback?code=ab&state={state}");
        assert_eq!(code(&plain), Ok(("ab".into(), Issuer::World)));
        let foreign = format!("{plain}&issuer=https%3A%2F%2Fevil.example");
        assert_eq!(code(&foreign), Err(NoCode::Issuer));
        for other in ["tesla://auth/callback?code=ab", "tesla://auth/callback?code=ab&state=x"] {
            assert_eq!(code(other), Err(NoCode::OtherLogin), "{other}");
        }
        let denied = format!("tesla://auth/callback?error=login_cancelled&state={state}");
        assert_eq!(code(&denied), Err(NoCode::Refused("login_cancelled".into())));
        for odd in ["", "abc", "https://auth.tesla.com/void/callback?code=ab", "tesla://"] {
            assert_eq!(code(odd), Err(NoCode::Absent), "{odd}");
        }
        let empty = format!("tesla://auth/callback?code=&state={state}");
        assert_eq!(code(&empty), Err(NoCode::Absent));
    }

    #[test]
    fn the_address_asks_for_what_teslas_app_asks_for() {
        let login = Login::new().unwrap();
        let address = login.address(&Issuer::World.auth(), Some("me@example.com"));
        for part in [
            "https://auth.tesla.com/oauth2/v3/authorize?client_id=ownerapi&",
            "redirect_uri=tesla%3A%2F%2Fauth%2Fcallback&",
            "scope=openid%20email%20offline_access&",
            "code_challenge_method=S256",
            "login_hint=me%40example.com",
        ] {
            assert!(address.contains(part), "{part}: {address}");
        }
        assert!(!address.contains(login.verifier.expose()));
    }

    #[test]
    fn a_pasted_token_shows_what_is_surely_wrong_with_it() {
        let token = |claims: Value| {
            Secret::new(format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())))
        };
        let good = json!({ "aud": ["https://owner-api.teslamotors.com/"], "x-enc": "x", "exp": 100 });
        assert_eq!(wrong_with(&token(good.clone()), 99.0), None);
        assert!(wrong_with(&token(good.clone()), 100.0).unwrap().contains("expired"));
        for missing in ["aud", "x-enc"] {
            let mut odd = good.clone();
            odd.as_object_mut().unwrap().remove(missing);
            assert!(wrong_with(&token(odd), 0.0).unwrap().contains("not for the owners API"), "{missing}");
        }
        assert!(wrong_with(&Secret::new("eyJ"), 0.0).unwrap().contains("not an access token"));
        let identity = BASE64_URL_SAFE_NO_PAD.encode(r#"{"data":{"email":"a@b.c"}}"#);
        assert_eq!(email_of(&json!({ "id_token": format!("x.{identity}.x") })).as_deref(), Some("a@b.c"));
        assert_eq!(email_of(&json!({})), None);
    }
}
