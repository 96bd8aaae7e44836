//! `scan`: looks for gateways on the local network, gently: so many at a time, so many a second, and no
//! larger network than a house has.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::link::https::Https;
use crate::link::look::{Seen, look};
use crate::settings::CertificatePolicy;

/// Addresses asked at the same time; each is a socket.
const AT_A_TIME: usize = 64;
/// Between two first knocks.
const PAUSE: Duration = Duration::from_millis(5);
/// The largest network that is looked through: 4096 addresses, about a minute.
const SHORTEST_PREFIX: u8 = 20;
/// Whatever happens, a scan ends.
const LONGEST: Duration = Duration::from_secs(300);
/// A gateway that took the connection may take this long to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The address of every gateway on its own Wi-Fi.
const WIFI_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 91, 1);

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: Ipv4Addr,
    prefix: u8,
}

/// Why a network is not looked through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("{0:?} is not a network such as 192.168.1.0/24, nor an address")]
    NotANetwork(String),
    #[error("{0} has more than 4096 addresses; name a part of it, /20 or smaller")]
    TooLarge(String),
    #[error("{0} is not private; only with --public are addresses outside the house asked")]
    Public(String),
    #[error(
        "this machine has no private IPv4 address to derive a network from; name a network, such as \
         192.168.1.0/24"
    )]
    NoNetwork,
}

impl Network {
    /// `a.b.c.d/n`, or a single address.
    ///
    /// # Errors
    /// If it is none, too large, or – unless `public` – not private.
    pub fn parse(text: &str, public: bool) -> Result<Self, ScanError> {
        let bad = || ScanError::NotANetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.trim().parse().map_err(|_| bad())?;
        let prefix: u8 = prefix.trim().parse().map_err(|_| bad())?;
        if prefix > 32 {
            return Err(bad());
        }
        if prefix < SHORTEST_PREFIX {
            return Err(ScanError::TooLarge(text.to_owned()));
        }
        let network = Self { address: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix };
        // Private ranges are larger than what is looked through, so that both ends count.
        let (first, last) = network.ends();
        let private = is_private(first) && is_private(last);
        if !(public || private) {
            return Err(ScanError::Public(text.to_owned()));
        }
        Ok(network)
    }

    /// The network of the address this machine speaks from.
    ///
    /// # Errors
    /// If it is not a private one.
    pub fn of_this_machine() -> Result<Self, ScanError> {
        // Nothing is sent: a datagram socket only looks up which address it would speak from.
        let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
            socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
            socket.local_addr()
        });
        match own.map(|address| address.ip()) {
            Ok(IpAddr::V4(own)) if is_private(own) && !own.is_loopback() => {
                Ok(Self { address: Ipv4Addr::from_bits(own.to_bits() & mask(24)), prefix: 24 })
            }
            _ => Err(ScanError::NoNetwork),
        }
    }

    fn ends(self) -> (Ipv4Addr, Ipv4Addr) {
        let first = self.address.to_bits();
        (self.address, Ipv4Addr::from_bits(first | !mask(self.prefix)))
    }

    /// Those that can be a machine's.
    fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        let (first, last) = self.ends();
        let (first, last) = (first.to_bits(), last.to_bits());
        let hosts = if self.prefix >= 31 { first..=last } else { first + 1..=last - 1 };
        hosts.map(Ipv4Addr::from_bits)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn is_private(address: Ipv4Addr) -> bool {
    address.is_private() || address.is_loopback() || address.is_link_local()
}

/// What answers like a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub address: Ipv4Addr,
    pub seen: Seen,
}

/// Looks at each address of `networks` once, at `port`. `knock`: how long a connection may take.
pub async fn scan(networks: &[Network], port: u16, knock: Duration) -> Vec<Found> {
    let mut addresses: Vec<Ipv4Addr> = networks.iter().flat_map(|network| network.hosts()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let paced = stream::iter(addresses).then(async |address| {
        sleep(PAUSE).await;
        address
    });
    let looks = paced.map(|address| look_at(address, port, knock)).buffer_unordered(AT_A_TIME);
    let mut found = Vec::new();
    let all = looks.for_each(|seen| {
        found.extend(seen);
        std::future::ready(())
    });
    // What was found until then counts.
    let _ = timeout(LONGEST, all).await;
    found.sort_by_key(|one| one.address);
    found
}

async fn look_at(address: Ipv4Addr, port: u16, knock: Duration) -> Option<Found> {
    let connected = timeout(knock, TcpStream::connect((address, port))).await;
    drop(connected.ok()?.ok()?);
    let https = Https::new(&address.to_string(), port, &CertificatePolicy::Off, PATIENCE);
    let seen = look(&https).await.ok().filter(Seen::is_gateway)?;
    Some(Found { address, seen })
}

/// The networks to look through when nobody names any: that of this machine, and where gateways are on their
/// Wi-Fi.
///
/// # Errors
/// If this machine has none.
pub fn usual_networks() -> Result<Vec<Network>, ScanError> {
    Ok(vec![Network::of_this_machine()?, Network { address: WIFI_ADDRESS, prefix: 32 }])
}

/// For people: what was found, and with which settings it is reached.
pub fn report(found: &[Found], port: u16) -> String {
    let mut report = String::new();
    for Found { address, seen } in found {
        let (what, settings) = match seen {
            Seen::Gateway { din, firmware, kind, .. } => {
                let what = format!(
                    "{} {}, firmware {}",
                    kind.as_deref().unwrap_or("gateway"),
                    din.as_deref().unwrap_or("without a name"),
                    firmware.as_deref().unwrap_or("unknown")
                );
                (what, "PW_PASSWORD")
            }
            Seen::Powerwall3 if *address == WIFI_ADDRESS => ("Powerwall 3".into(), "PW_GW_PWD"),
            Seen::Powerwall3 => ("Powerwall 3".into(), "PW_PASSWORD (and PW_RSA_KEY_PATH for all of it)"),
            Seen::Guarded => ("gateway; it reports more after a login".into(), "PW_PASSWORD"),
            Seen::Stranger => continue,
        };
        let host = if port == 443 { address.to_string() } else { format!("{address}:{port}") };
        let _ = writeln!(
            report,
            "{address:<15}  {what}\n{:17}reach it with PW_HOST={host} and {settings}; to try the password:\n\
             {:17}powerwall-server doctor --host {host}",
            "", ""
        );
    }
    if found.is_empty() {
        let at = if port == 443 { String::new() } else { format!(" at port {port}") };
        let _ = writeln!(
            report,
            "No gateway found{at}. It may be switched off, in another network, or – a Powerwall 3 – \
             reachable only over its own Wi-Fi ({WIFI_ADDRESS}) or its wired port (10.42.1.x, 10.45.1.x). \
             To look at that port:\n\
             powerwall-server scan 10.42.1.0/24 10.45.1.0/24"
        );
    }
    report
}

/// For programs, in the shape of the tool before ours.
pub fn document(found: &[Found]) -> serde_json::Value {
    let one = |found: &Found| match &found.seen {
        Seen::Gateway { din, firmware, up_time, kind } => json!({
            "ip": found.address, "din": din, "firmware": firmware, "up_time": up_time,
            "kind": kind.as_deref().unwrap_or("gateway"),
        }),
        Seen::Powerwall3 => {
            json!({ "ip": found.address, "din": "Powerwall-3", "firmware": null, "kind": "powerwall3" })
        }
        Seen::Guarded | Seen::Stranger => {
            json!({ "ip": found.address, "din": null, "firmware": null, "kind": "gateway" })
        }
    };
    found.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_private_networks_are_looked_through() {
        let parse = |text: &str| Network::parse(text, false);
        let network = parse("192.168.1.77/24").unwrap();
        let hosts: Vec<_> = network.hosts().collect();
        assert_eq!(
            (hosts.len(), hosts[0], hosts[253]),
            (254, [192, 168, 1, 1].into(), [192, 168, 1, 254].into())
        );
        assert_eq!(parse("10.42.1.40").unwrap().hosts().collect::<Vec<_>>(), [Ipv4Addr::new(10, 42, 1, 40)]);
        assert_eq!(parse("10.0.0.0/31").unwrap().hosts().count(), 2);
        assert_eq!(parse("10.0.0.0/20").unwrap().hosts().count(), 4094);
        for (text, error) in [
            ("10.0.0.0/8", ScanError::TooLarge("10.0.0.0/8".into())),
            ("0.0.0.0/0", ScanError::TooLarge("0.0.0.0/0".into())),
            ("8.8.8.8", ScanError::Public("8.8.8.8".into())),
            ("100.64.0.0/24", ScanError::Public("100.64.0.0/24".into())),
            ("172.32.0.0/24", ScanError::Public("172.32.0.0/24".into())),
            ("192.168.1", ScanError::NotANetwork("192.168.1".into())),
            ("192.168.1.0/33", ScanError::NotANetwork("192.168.1.0/33".into())),
            ("home", ScanError::NotANetwork("home".into())),
        ] {
            assert_eq!(parse(text), Err(error));
        }
        assert!(Network::parse("8.8.8.8", true).is_ok());
    }
}
