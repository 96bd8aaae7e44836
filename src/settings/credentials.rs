//! What an entry gives that decides how its gateway is reached, and where files of it lie. Reading the entry
//! is left to [`super::gateways`], deciding to [`super::modes`].

use std::path::PathBuf;

use super::modes::{Fact, Given};
use super::{RsaKey, Secret};

/// What an entry gives that decides how its gateway is reached. Something that is given and wrong counts as
/// given.
pub(super) struct Credentials {
    pub has_host: bool,
    pub has_gateway_password: bool,
    pub has_rsa_key: bool,
    pub has_wifi_host: bool,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub email: Option<String>,
    pub site_id: Option<String>,
    pub timezone: Option<String>,
    pub wifi_host: Option<(String, Option<u16>)>,
    pub rsa_key: Option<RsaKey>,
    pub cloud_mode: bool,
    pub fleetapi: bool,
    pub relay: bool,
    pub bearer: bool,
    pub gateway_password: Option<Secret>,
    /// The customer password as given, not as derived.
    pub password: Option<Secret>,
    pub lifetime_energy: bool,
}

impl Credentials {
    /// For the table.
    pub fn summary(&self) -> Given {
        let is_wifi_address = self.host.as_deref() == Some("192.168.91.1");
        let facts = [
            (Fact::Host, self.has_host),
            (Fact::WifiAddress, is_wifi_address && self.port.is_none_or(|port| port == 443)),
            (Fact::GatewayPassword, self.has_gateway_password),
            (Fact::CustomerPassword, self.password.is_some()),
            (Fact::RsaKey, self.has_rsa_key),
            (Fact::WifiHost, self.has_wifi_host),
            (Fact::Email, self.email.is_some()),
            (Fact::CloudMode, self.cloud_mode),
            (Fact::FleetApi, self.fleetapi),
            (Fact::Relay, self.relay),
            (Fact::Bearer, self.bearer),
        ];
        Given::of(facts.into_iter().filter(|(_, given)| *given).map(|(fact, _)| fact))
    }

    /// The customer password, given or derived.
    pub fn customer_password(&self) -> Option<Secret> {
        self.password.clone().or_else(|| self.gateway_password.as_ref().map(customer_password))
    }
}

/// Where files of one gateway lie, and what is said of its certificate.
pub(super) struct Places {
    /// `None`: nowhere.
    pub folder: Option<PathBuf>,
    pub id: Option<String>,
    pub certificate: Option<String>,
    /// Sets the files of one link apart from those of another of the same gateway.
    pub prefix: String,
}

impl Places {
    pub fn file(&self, what: &str) -> Option<PathBuf> {
        let (folder, id) = self.folder.as_ref().zip(self.id.as_ref())?;
        Some(folder.join(format!(".powerwall-server.{id}.{}{what}", self.prefix)))
    }

    /// What sets the files of this link apart, as part of a name: `.standby1`, or nothing.
    pub fn own(&self) -> String {
        self.prefix.strip_suffix('.').map(|own| format!(".{own}")).unwrap_or_default()
    }
}

/// The customer password is the end of the gateway password, unless the owner chose another one.
pub(super) fn customer_password(gateway_password: &Secret) -> Secret {
    let text = gateway_password.expose();
    let start = text.char_indices().rev().nth(4).map_or(0, |(at, _)| at);
    Secret::new(&text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_customer_password_is_the_last_five_characters() {
        for (gateway, customer) in [("ABCDEFGHIJ", "FGHIJ"), ("ABC", "ABC"), ("ÄÖÜäöüß", "Üäöüß")]
        {
            assert_eq!(customer_password(&Secret::new(gateway)), Secret::new(customer), "{gateway}");
        }
    }
}
