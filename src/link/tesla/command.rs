//! Messages to a gateway that Tesla's cloud passes on unsigned, and what an answer to one holds.
//!
//! Islanding never goes this way: gateways acknowledge it unsigned and do nothing. It serves the keys that
//! may sign ([`super::clients`]), the address on the home network ([`super::networking`]), and max backup
//! ([`super::backups`]), which the gateway itself lists.

use std::sync::Arc;

use serde_json::{Value, json};

use super::account::{Account, Question, Renewer};
use super::error::TeslaError;
use crate::link::bounds::CONFIG;
use crate::link::json::document;

/// The gateway is known by its DIN.
const BY_DIN: u8 = 1;

/// Sends `message` of `category` to the gateway of `site`; what the gateway answered, whatever the cloud put
/// around it. `None`: an answer of another shape, which means nothing.
pub(super) async fn command(
    account: &Arc<Account>,
    web: &Renewer,
    site: u64,
    (category, message, answer): (&str, &Value, &str),
    what: &str,
) -> Result<Option<Value>, TeslaError> {
    let body = answered(account, web, site, (category, message), what).await?;
    Ok(held(&body, category, answer).cloned())
}

/// As [`command`], with everything around it; null if it is no JSON.
pub(super) async fn answered(
    account: &Arc<Account>,
    web: &Renewer,
    site: u64,
    (category, message): (&str, &Value),
    what: &str,
) -> Result<Value, TeslaError> {
    let path = format!("/api/1/energy_sites/{site}/command");
    let body = json!({
        "command_type": "grpc_command",
        "command_properties": { "identifier_type": BY_DIN, "message": { category: message } },
    });
    let question = Question::post(&path, what, body.to_string().into());
    let body = account.ask(web, question).await?.body;
    Ok(document(&body, &CONFIG).unwrap_or_default())
}

/// What the gateway answered, in whatever the cloud put around it.
pub(super) fn held<'a>(body: &'a Value, category: &str, answer: &str) -> Option<&'a Value> {
    let held = ["response", "message", "payload", category, "message", answer];
    let found = held.iter().try_fold(body, |value, key| member(value, key));
    found.filter(|value| value.is_object())
}

/// The member that is called `key` in any of the spellings of these answers: `publicKey`, `public_key`,
/// `PublicKey`.
pub(super) fn member<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let plain = |text: &str| text.replace('_', "").to_ascii_lowercase();
    let key = plain(key);
    value.as_object()?.iter().find(|(known, _)| plain(known) == key).map(|(_, value)| value)
}

/// A number, or the place of a name in `names`, which count from 1; a name may have a prefix.
pub(super) fn number(value: Option<&Value>, names: &[&str]) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => {
            let text = text.trim().to_ascii_uppercase();
            let is_it = |name: &&str| text == **name || text.ends_with(&format!("_STATE_{name}"));
            let named = names.iter().position(is_it).map(|at| at as u64 + 1);
            named.or_else(|| text.parse().ok())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_member_is_found() {
        for spelling in ["publicKey", "public_key", "PublicKey", "PUBLIC_KEY"] {
            assert_eq!(member(&json!({ spelling: 1 }), "public_key"), Some(&json!(1)), "{spelling}");
        }
        assert_eq!(member(&json!({ "key": 1 }), "public_key"), None);
        assert_eq!(member(&json!([1]), "public_key"), None);
    }

    #[test]
    fn a_name_counts_as_its_number() {
        let names = ["PENDING_VERIFICATION", "PENDING_VERIFICATION_TIMEOUT", "VERIFIED"];
        let found = |value: Value| number(Some(&value), &names);
        assert_eq!(found(3.into()), Some(3));
        assert_eq!(found("3".into()), Some(3));
        assert_eq!(found("VERIFIED".into()), Some(3));
        assert_eq!(found("AUTHORIZED_STATE_PENDING_VERIFICATION".into()), Some(1));
        assert_eq!(found("PENDING_VERIFICATION_TIMEOUT".into()), Some(2));
        assert_eq!(found("whatever".into()), None);
        assert_eq!(found(Value::Null), None);
    }
}
