//! Answers of a gateway without what strangers must not read.
//!
//! The routes that show answers of a gateway are open to everybody on the network, and its configuration
//! holds names, addresses, contract data and credentials of radios. What a key is called decides; what is not
//! known to be harmless by its place is shown only if nothing in its name speaks against it.

use serde_json::Value;

pub(super) const MASK: &str = "**********";

/// Words of key names whose values are hidden whole; several words stand one behind the other in the name.
const PRIVATE: [&str; 48] = [
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "psk",
    "secret",
    "secrets",
    "token",
    "credential",
    "credentials",
    "private",
    "ssid",
    "ssids",
    "bssid",
    "imei",
    "imsi",
    "iccid",
    "msisdn",
    "email",
    "emails",
    "phone",
    "phones",
    "contact",
    "contacts",
    "address",
    "addresses",
    "street",
    "city",
    "zip",
    "zipcode",
    "postal",
    "postcode",
    "lat",
    "lon",
    "lng",
    "latitude",
    "longitude",
    "coordinates",
    "gps",
    "customer id",
    "customer name",
    "account",
    "first name",
    "last name",
    "user name",
    "owner",
    "installer",
    "tariff",
];

/// The words of a name such as `wifi_password`, `wifiPassword`, `wifi-password` or `WIFIPassword2`, in lower
/// case and with a space between them.
fn words(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let mut words = String::with_capacity(key.len() + 8);
    for (place, character) in characters.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(place + 1);
        let begins = before.is_some_and(|before| {
            before.is_lowercase() && character.is_uppercase()
                || before.is_ascii_digit() != character.is_ascii_digit()
                || before.is_uppercase()
                    && character.is_uppercase()
                    && after.is_some_and(|c| c.is_lowercase())
        });
        if begins || !character.is_alphanumeric() {
            words.push(' ');
        }
        if character.is_alphanumeric() {
            words.extend(character.to_lowercase());
        }
    }
    words
}

/// Whether one of the private words is in a name. Part of a word does not count: the capacity of a battery is
/// not a city.
fn is_private(key: &str) -> bool {
    let words = words(key);
    let is_end = |neighbour: Option<char>| neighbour.is_none_or(|character| character == ' ');
    let stands_alone = |private: &str| {
        words.match_indices(private).any(|(start, private)| {
            let (before, after) = (&words[..start], &words[start + private.len()..]);
            is_end(before.chars().next_back()) && is_end(after.chars().next())
        })
    };
    PRIVATE.iter().any(|private| stands_alone(private)) || words.ends_with("password")
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
        for private in [
            "password",
            "wifiPassword",
            "wifi_password",
            "SSID",
            "macAddress",
            "customer_id",
            "apiToken2",
            "customerId",
            "customerID",
            "addresses",
            "ipAddresses",
            "lat",
            "gps_lon",
            "WIFIPassword",
            "accountId",
        ] {
            assert!(is_private(private), "{private}");
        }
        for harmless in [
            "max_capacity",
            "batteryCapacity",
            "velocity",
            "zipped",
            "tokens_used",
            "customer_preferred_export_rule",
            "latency",
            "flat",
            "location",
            "longest",
            "nominal_system_power_ac",
        ] {
            assert!(!is_private(harmless), "{harmless}");
        }
    }
}
