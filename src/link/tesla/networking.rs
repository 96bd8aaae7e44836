//! Where a gateway is on the home network, as it reports over Tesla's cloud.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::account::{Account, Renewer};
use super::command::{command, member};
use super::error::TeslaError;

/// Where it can be reached from the home, the cable first. A mobile connection is none of that.
const BLOCKS: [&str; 2] = ["eth", "wifi"];

/// The address of the gateway of `site`: of cable or Wi-Fi, the one that it uses, else the first that there
/// is. `None`: it reports none.
///
/// # Errors
/// With what Tesla has against the question.
pub async fn address(
    account: &Arc<Account>,
    web: &Renewer,
    site: u64,
) -> Result<Option<Ipv4Addr>, TeslaError> {
    let request = json!({ "get_networking_status_request": {} });
    let message = ("common", &request, "get_networking_status_response");
    let status = command(account, web, site, message, "address of the gateway").await?;
    Ok(status.as_ref().and_then(of))
}

fn of(status: &Value) -> Option<Ipv4Addr> {
    let found = BLOCKS.iter().filter_map(|block| {
        let block = member(status, block)?;
        let address = dotted(member(member(block, "ipv4_config")?, "address")?)?;
        let is_used = member(block, "active_route").and_then(Value::as_bool) == Some(true);
        (!address.is_unspecified()).then_some((is_used, address))
    });
    let found: Vec<_> = found.collect();
    let used = found.iter().find(|(is_used, _)| *is_used);
    used.or(found.first()).map(|(_, address)| *address)
}

/// A text, or a number with the first part of the address in its highest byte, as it was formerly.
fn dotted(value: &Value) -> Option<Ipv4Addr> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => Some(u32::try_from(value.as_u64()?).ok()?.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_in_use_counts_and_no_mobile_one() {
        let block = |address: Value, is_used: bool| {
            let config = json!({ "address": address });
            json!({ "ipv4_config": config, "active_route": is_used })
        };
        let (eth, wifi) = (block("192.168.1.5".into(), false), block("192.168.1.6".into(), true));
        let both = json!({ "eth": eth, "wifi": wifi, "gsm": block("10.0.0.1".into(), true) });
        assert_eq!(of(&both), Some(Ipv4Addr::new(192, 168, 1, 6)));
        assert_eq!(of(&json!({ "eth": eth })), Some(Ipv4Addr::new(192, 168, 1, 5)));
        let former = json!({ "wifi": block(3_232_235_782_u32.into(), true) });
        assert_eq!(of(&former), Some(Ipv4Addr::new(192, 168, 1, 6)));
        let other_spelling = json!({ "Eth": { "ipv4Config": { "address": "10.1.1.1" } } });
        assert_eq!(of(&other_spelling), Some(Ipv4Addr::new(10, 1, 1, 1)));
        for none in [json!({ "gsm": block("10.0.0.1".into(), true) }), json!({ "eth": null }), json!({})] {
            assert_eq!(of(&none), None, "{none}");
        }
        assert_eq!(
            of(&json!({ "eth": block("0.0.0.0".into(), true), "wifi": wifi })).unwrap().octets()[3],
            6
        );
    }
}
