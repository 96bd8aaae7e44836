//! Answers of a gateway without what strangers must not read.
//!
//! The routes that show answers of a gateway are open to everybody on the network, and its configuration holds names, addresses, contract data
//! and credentials of radios. What a key is called decides; what is not known to be harmless by its place is shown
//! only if nothing in its name speaks against it.

use serde_json::Value;

const MASK: &str = "**********";

/// Words in key names whose values are hidden whole.
const PRIVATE: [&str; 23] = [
    "password",
    "passwd",
    "passphrase",
    "psk",
    "secret",
    "token",
    "credential",
    "credentials",
    "private",
    "ssid",
    "email",
    "phone",
    "address",
    "street",
    "city",
    "zip",
    "postal",
    "latitude",
    "longitude",
    "customer_id",
    "owner",
    "installer",
    "tariff",
];

/// Whether one of the words is in a name such as `wifi_password`, `wifiPassword` or `wifi-password`. Part of a word
/// is none: the capacity of a battery is no city.
fn is_private(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let is_end = |at: usize| {
        let (before, after) = (key[..at].chars().next_back(), key[at..].chars().next());
        let between = before.zip(after).map(|(before, after)| {
            !before.is_alphanumeric()
                || !after.is_alphanumeric()
                || before.is_ascii_lowercase() && after.is_ascii_uppercase()
                || before.is_ascii_digit() != after.is_ascii_digit()
        });
        between.unwrap_or(true)
    };
    let stands_alone = |word: &str| {
        lower.match_indices(word).any(|(start, word)| is_end(start) && is_end(start + word.len()))
    };
    PRIVATE.iter().any(|word| stands_alone(word)) || lower.ends_with("password")
}

/// Masks private values; structure and key order stay.
pub fn redact(answer: &mut Value) {
    match answer {
        Value::Object(fields) => {
            for (key, value) in fields {
                match is_private(key) {
                    true if !value.is_null() => *value = MASK.into(),
                    _ => redact(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// `answer` with private values masked.
pub fn redacted(answer: &Value) -> Value {
    let mut answer = answer.clone();
    redact(&mut answer);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_private_is_left_and_the_rest_is() {
        let config = json!({
            "vin": "1707000-11-M--TG1", "site_info": {
                "site_name": "Home", "backup_reserve_percent": 24, "tariff_content": { "name": "Night rate" },
                "address": { "street": "Main Street 1" }, "installer": "Somebody", "phone": null,
            },
            "wifi": [{ "SSID": "cottage", "password": "hunter2", "enabled": true }],
        });
        let shown = redacted(&config);
        let text = shown.to_string();
        for private in ["Night rate", "Main Street", "Somebody", "cottage", "hunter2"] {
            assert!(!text.contains(private), "{text}");
        }
        assert_eq!(shown["site_info"]["backup_reserve_percent"], 24);
        assert_eq!(shown["site_info"]["phone"], Value::Null);
        assert_eq!(shown["wifi"][0]["enabled"], true);
        assert_eq!(shown["vin"], config["vin"]);
    }

    #[test]
    fn words_count_and_not_their_parts() {
        for private in
            ["password", "wifiPassword", "wifi_password", "SSID", "macAddress", "customer_id", "apiToken2"]
        {
            assert!(is_private(private), "{private}");
        }
        for harmless in [
            "max_capacity",
            "batteryCapacity",
            "velocity",
            "zipped",
            "tokens_used",
            "nominal_system_power_ac",
        ] {
            assert!(!is_private(harmless), "{harmless}");
        }
    }
}
