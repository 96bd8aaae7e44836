//! One house as the shared variables describe it, complete or not: for whoever sets it up.

use std::path::PathBuf;

use serde::Deserialize;

use super::credentials::customer_password;
use super::load::{Inputs, Reader};
use super::{AccountConfig, Problems, Secret, Settings, values};

/// What is known of a house before it is configured.
#[derive(Clone, Debug)]
pub struct House {
    /// The Tesla account.
    pub account: AccountConfig,
    /// The Tesla account of the owners API, `PW_EMAIL`.
    pub owners: AccountConfig,
    /// `PW_SITEID`: which site of the account it is.
    pub site: Option<u64>,
    /// `PW_HOST`: name or address of the gateway, and its port.
    pub address: Option<(String, u16)>,
    /// `PW_PASSWORD`, else the end of `PW_GW_PWD`: the customer password.
    pub password: Option<Secret>,
    /// `PW_RSA_KEY_PATH`: the private key for v1r.
    pub key: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct Variables {
    pw_email: Option<String>,
    pw_host: Option<String>,
    pw_gw_pwd: Option<String>,
    pw_password: Option<String>,
    pw_siteid: Option<String>,
    pw_rsa_key_path: Option<String>,
}

impl Settings {
    /// The house of the shared variables, whatever gateways are configured.
    ///
    /// # Errors
    /// If one of these variables is wrong.
    pub fn house(inputs: &Inputs) -> Result<House, Problems> {
        let account = Self::account(inputs)?;
        let mut reader = Reader::new(inputs);
        let (folder, shared) = (reader.polling().memory, reader.fleet());
        let given: Variables = reader.variables();
        let mut problems = Problems::default();
        let site = given.pw_siteid.as_deref().map(|text| {
            let id = text.trim().parse();
            id.map_err(|_| problems.add("PW_SITEID", "expected the number of an energy site")).ok()
        });
        let address = given.pw_host.as_deref().map(|text| {
            let host = values::host_and_port(text);
            host.map_err(|refusal| problems.add("PW_HOST", refusal)).ok()
        });
        let end = |password: String| customer_password(&Secret::new(password));
        let password = given.pw_password.map(Secret::new).or_else(|| given.pw_gw_pwd.map(end));
        reader.problems.0.append(&mut problems.0);
        match reader.problems.is_empty() {
            true => Ok(House {
                account,
                owners: shared.owners(folder.as_deref(), given.pw_email.as_deref()),
                site: site.flatten(),
                address: address.flatten().map(|(host, port)| (host, port.unwrap_or(443))),
                password,
                key: given.pw_rsa_key_path.map(|path| values::path(&path, reader.home.as_deref()).into()),
            }),
            false => Err(reader.problems),
        }
    }
}
