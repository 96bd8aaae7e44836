//! The keys that may sign for a gateway: registering one, and the list of all, over Tesla's cloud.
//!
//! What the cloud says of a key is a hint. Whether a gateway accepts it, only a signed question shows.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::account::{Account, Renewer};
use super::command::{command, member, number};
use super::error::TeslaError;
use crate::link::json::Look;

/// An RSA key in PKCS#1; other kinds register well and cannot sign.
const RSA: u8 = 1;
/// As the owner's app is one.
const CUSTOMER: u8 = 1;
const WHAT: &str = "keys of the gateway";
/// More than any gateway has.
const MOST: usize = 200;
/// What is shown of a description.
const LONGEST: usize = 60;

/// What became of a registration, as the cloud says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// Waits until somebody at the house confirms it.
    Pending,
    /// Nobody did in time: the same key is registered once more.
    TimedOut,
    Verified,
    Removed,
}

impl ClientState {
    fn of(value: Option<&Value>) -> Option<Self> {
        let names = ["PENDING_VERIFICATION", "PENDING_VERIFICATION_TIMEOUT", "VERIFIED", "REMOVED"];
        Some(match number(value, &names)? {
            1 => Self::Pending,
            2 => Self::TimedOut,
            3 => Self::Verified,
            4 => Self::Removed,
            _ => return None,
        })
    }

    /// For a list.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pending => "waits to be confirmed",
            Self::TimedOut => "not confirmed in time",
            Self::Verified => "may sign",
            Self::Removed => "removed",
        }
    }
}

/// A key that somebody registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// As it was registered: PKCS#1 DER for RSA.
    pub key: Vec<u8>,
    /// `None`: the cloud does not say.
    pub state: Option<ClientState>,
    /// What whoever registered it called it.
    pub description: Option<String>,
    /// How it was confirmed: 1 by somebody at the house, 2 over Bluetooth, 3 by another key, 4 by Tesla's
    /// cloud.
    pub verification: Option<u64>,
}

impl Client {
    fn of(value: &Value) -> Option<Self> {
        let key = BASE64_STANDARD.decode(member(value, "public_key")?.as_str()?.trim()).ok()?;
        let state = member(value, "state").or_else(|| member(value, "authorized_client_state"));
        let description = member(value, "description").and_then(Look::name);
        let shown = |text: &str| text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
        let ways = ["PRESENCE_PROOF", "BLE", "SIGNED", "HERMES_COMMAND"];
        let verification = number(member(value, "verification"), &ways);
        Some(Self { key, state: ClientState::of(state), description: description.map(shown), verification })
    }

    /// SHA-256 of the key in lower-case hex.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.key)
    }
}

/// By which people know a public key: SHA-256 in lower-case hex.
pub fn fingerprint(key: &[u8]) -> String {
    digest(&SHA256, key).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Registers `key` (PKCS#1 DER) for the gateway of `site`. The same key once more opens the time in which it
/// can be confirmed anew, and makes no second entry. `None`: the answer says nothing of a state.
///
/// # Errors
/// With what Tesla has against it.
pub async fn register(
    account: &Arc<Account>,
    web: &Renewer,
    site: u64,
    (key, description): (&[u8], &str),
) -> Result<Option<ClientState>, TeslaError> {
    let request = json!({ "add_authorized_client_request": {
        "key_type": RSA, "public_key": BASE64_STANDARD.encode(key), "authorized_client_type": CUSTOMER,
        "description": description,
    }});
    let message = ("authorization", &request, "add_authorized_client_response");
    let answer = command(account, web, site, message, "registration of keys").await?;
    let client = answer.as_ref().and_then(|answer| member(answer, "client"));
    Ok(client.and_then(|client| {
        let state = member(client, "state").or_else(|| member(client, "authorized_client_state"));
        ClientState::of(state)
    }))
}

/// All keys of the gateway of `site`. `None`: the answer says nothing, neither that there is one nor that
/// there is none.
///
/// # Errors
/// With what Tesla has against it.
pub async fn list(
    account: &Arc<Account>,
    web: &Renewer,
    site: u64,
) -> Result<Option<Vec<Client>>, TeslaError> {
    let request = json!({ "list_authorized_clients_request": {} });
    let message = ("authorization", &request, "list_authorized_clients_response");
    let answer = command(account, web, site, message, WHAT).await?;
    let clients = answer.as_ref().and_then(|answer| member(answer, "clients"));
    let Some(Value::Array(clients)) = clients else { return Ok(None) };
    Ok(Some(clients.iter().take(MOST).filter_map(Client::of).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_in_both_spellings_and_by_its_bytes() {
        let key = BASE64_STANDARD.encode([1, 2, 3]);
        let snake = json!({ "public_key": key, "state": 3, "description": "Phone\n", "verification": 1 });
        let camel = json!({ "publicKey": key, "authorizedClientState": "VERIFIED", "description": "Phone",
            "verification": "PRESENCE_PROOF" });
        let found = Client::of(&snake).unwrap();
        assert_eq!((found.state, found.key.as_slice()), (Some(ClientState::Verified), &[1, 2, 3][..]));
        assert_eq!(Some(found), Client::of(&camel));
        assert_eq!(Client::of(&json!({ "state": 3 })), None);
        assert_eq!(Client::of(&json!({ "public_key": key })).unwrap().state, None);
    }
}
