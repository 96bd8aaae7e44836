//! The gateway's configuration without what strangers must not read.
//!
//! The routes that show it are open to everybody on the network, and the file holds names, addresses, contract data
//! and credentials of radios. What a key is called decides; what is not known to be harmless by its place is shown
//! only if nothing in its name speaks against it.

use serde_json::Value;

const MASK: &str = "**********";

/// Parts of key names whose values are hidden whole.
const PRIVATE: [&str; 22] = [
    "password",
    "passwd",
    "passphrase",
    "psk",
    "secret",
    "token",
    "credential",
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

fn is_private(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    PRIVATE.iter().any(|part| key.contains(part))
}

/// `config` with private values masked; structure and key order stay.
pub fn redacted(config: &Value) -> Value {
    match config {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let hidden = is_private(key) && !value.is_null();
                (key.clone(), if hidden { MASK.into() } else { redacted(value) })
            })
            .collect(),
        Value::Array(items) => items.iter().map(redacted).collect(),
        plain => plain.clone(),
    }
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
}
