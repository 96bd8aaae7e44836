//! The page on which an owner consents, and the code that comes of it. This owner needs no page: who asks for
//! the right things is sent back at once.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::state::{Asking, State};
use super::{CLIENT_ID, CLIENT_SECRET, REDIRECT};
use crate::simulator::http::Answer;

/// Sends the browser back with a code, or with what is wrong.
pub(super) fn consent(state: &mut State, path: &str) -> Answer {
    let query = path.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let value = |name: &str| {
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| plain(value)).unwrap_or_default()
    };
    let refused = |word: &str| Answer::new(400, json!({ "error": word }).to_string());
    if value("client_id") != CLIENT_ID || value("response_type") != "code" {
        return refused("invalid_client");
    }
    if value("redirect_uri") != REDIRECT {
        return refused("invalid_redirect_uri");
    }
    // As much as Tesla wants of it.
    if value("state").len() < 16 {
        return refused("invalid_state");
    }
    let state_word = value("state");
    if !state.consents {
        let query = format!("error=login_cancelled&error_description=User+cancelled&state={state_word}");
        return redirect(&query);
    }
    let wanted = value("scope");
    let scopes = state.scopes.iter().filter(|scope| wanted.split(' ').any(|wanted| wanted == *scope));
    let asking = Asking { challenge: value("code_challenge"), scopes: scopes.cloned().collect() };
    let code = format!("NA_simulated-code-{}", state.given.len());
    state.given.push(code.clone());
    state.codes.insert(code.clone(), asking);
    redirect(&format!("locale=en-US&code={code}&state={state_word}&issuer=simulated"))
}

fn redirect(query: &str) -> Answer {
    let headers = format!("Location: {REDIRECT}?{query}\r\n");
    Answer { status: 302, headers, body: "".into() }
}

/// Tokens for a code, which holds once.
pub(super) fn exchange(
    state: &mut State,
    field: impl Fn(&str) -> String,
) -> Result<(String, String), (u16, &'static str)> {
    if field("client_secret") != CLIENT_SECRET {
        return Err((401, "invalid_client"));
    }
    if plain(&field("redirect_uri")) != REDIRECT {
        return Err((400, "invalid_redirect_url"));
    }
    let asking = state.codes.remove(&field("code")).ok_or((400, "invalid_auth_code"))?;
    let proof = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, field("code_verifier").as_bytes()));
    if proof != asking.challenge {
        return Err((400, "invalid_auth_code"));
    }
    state.scopes = asking.scopes;
    Ok(state.log_in())
}

/// A value as it was before it was put into an address.
pub(super) fn plain(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or_default();
        bytes.push(if byte == b'%' { (digit() * 16 + digit()) as u8 } else { byte });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
