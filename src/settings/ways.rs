//! Every way that the credentials of a gateway allow, not only the one that counts: for trying them out.

use serde_json::{Map, Value};

use super::credentials::customer_password;
use super::gateways::{self, Defaults};
use super::problem::Problems;
use super::values;
use super::{GatewaySettings, Secret};

/// What holds for a gateway however it is reached.
const COMMON: [&str; 10] = [
    "id",
    "name",
    "host",
    "port",
    "email",
    "authpath",
    "timezone",
    "timeout",
    "tedapi_api_version",
    "certificate",
];

/// The ways to one gateway on the local network.
#[derive(Clone, Debug)]
pub struct Ways {
    pub id: String,
    /// Name or address, without port.
    pub host: String,
    pub port: u16,
    /// What is configured, if it is complete.
    pub configured: Option<GatewaySettings>,
    /// With the gateway password.
    pub tedapi: Option<GatewaySettings>,
    /// With the customer password.
    pub customer: Option<GatewaySettings>,
    /// Whether the customer password was not given, but taken from the end of the gateway password.
    pub customer_password_derived: bool,
    /// Whether the customer password that was given is the end of the gateway password, as it is unless the
    /// owner changed it; `None` without both.
    pub passwords_agree: Option<bool>,
    /// With the key.
    pub v1r: Option<GatewaySettings>,
}

/// The ways of each entry that has a host, right or wrong otherwise.
pub(super) fn of(list: &Value, defaults: &Defaults) -> Vec<Ways> {
    let entries = list.as_array().into_iter().flatten().filter_map(Value::as_object);
    entries.filter_map(|entry| ways(entry, defaults)).collect()
}

fn ways(entry: &Map<String, Value>, defaults: &Defaults) -> Option<Ways> {
    let text = |key: &str| match entry.get(key)? {
        Value::String(text) => values::secret(text).ok()?,
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (host, port) = values::host_and_port(&text("host")?).ok()?;
    let own_port = text("port").and_then(|port| port.parse().ok());
    let gateway_password = text("gw_pwd").map(Secret::new);
    let given = text("password").map(Secret::new).or_else(|| defaults.password.clone());
    let derived = gateway_password.as_ref().map(customer_password);
    let passwords_agree = given.as_ref().zip(derived.as_ref()).map(|(given, derived)| given == derived);
    let customer_password = given.as_ref().or(derived.as_ref()).map(|password| password.expose().to_owned());

    // Nothing but these credentials, so that they decide. Lifetime energies would take a login of their own.
    let bare = Defaults { password: None, bearer: false, lifetime_energy: false, ..defaults.clone() };
    let with = |credentials: &[(&str, Value)]| {
        let mut reduced: Map<String, Value> = entry.clone();
        reduced.retain(|key, _| COMMON.contains(&key.as_str()));
        reduced.entry("id").or_insert_with(|| "default".into());
        reduced.extend(credentials.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        only(reduced, &bare)
    };
    let own = |key: &str| Some((key.to_owned(), entry.get(key)?.clone()));
    Some(Ways {
        id: text("id").unwrap_or_else(|| "default".into()),
        host,
        port: port.or(own_port).unwrap_or(443),
        configured: only(entry.clone(), defaults),
        tedapi: own("gw_pwd").and_then(|(_, password)| with(&[("gw_pwd", password)])),
        customer: customer_password.as_ref().and_then(|text| with(&[("password", text.as_str().into())])),
        customer_password_derived: given.is_none() && derived.is_some(),
        passwords_agree,
        v1r: own("rsa_key_path")
            .zip(customer_password)
            .and_then(|((_, key), text)| with(&[("rsa_key_path", key), ("password", text.into())])),
    })
}

/// The gateway of a single entry, if there is nothing wrong with it.
fn only(entry: Map<String, Value>, defaults: &Defaults) -> Option<GatewaySettings> {
    let mut problems = Problems::default();
    gateways::read(&Value::Array(vec![entry.into()]), "", defaults, &mut problems).gateways.pop()
}
