//! Who asks: the address by which a client is counted, also behind proxies. What is counted is up to those
//! who count.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;

/// Written by proxies: each appends the address that it was asked from.
const FORWARDED: &str = "x-forwarded-for";

/// A client as it is counted: an IPv4 address, or the /64 of an IPv6 address, all of which one host may use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client(IpAddr);

impl Client {
    /// The client of a request: the one behind the proxies in `trusted`, if it came through them.
    pub fn of(request: &HttpRequest, trusted: &TrustedProxies) -> Self {
        trusted.client(request.peer_addr(), request.headers())
    }

    /// Whether it is this machine.
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
            }
            address => address,
        })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(network) if !network.is_loopback() => write!(f, "{network}/64"),
            address => address.fmt(f),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The proxies whose word on the address of a client counts: `PW_TRUSTED_PROXIES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who asked `peer` to ask: the rightmost address of all `X-Forwarded-For` lines that is not trusted, as
    /// only what stands to the right of it was written by somebody trusted. Something that is not an address
    /// ends the search at the proxy that passed it on.
    pub fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Client {
        let mut address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        if self.0.is_empty() {
            return address.into();
        }
        let lines = headers.get_all(FORWARDED).rev().map(|line| line.to_str().unwrap_or_default());
        for hop in lines.flat_map(|line| line.rsplit(',')) {
            if !self.contains(address) {
                break;
            }
            let Some(before) = hop_address(hop) else { break };
            address = before;
        }
        address.into()
    }
}

impl FromIterator<Network> for TrustedProxies {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            write!(f, "{}{network}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Some proxies add the port, in brackets or not.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = || hop.parse().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address().or_else(with_port).or_else(bracketed)
}

/// An address, or all that share its first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// With zeros behind the prefix.
    first: IpAddr,
    prefix: u8,
}

impl Network {
    fn new(address: IpAddr, prefix: u8) -> Self {
        Self { first: masked(address, prefix), prefix }
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.prefix) == self.first
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// Not an address, nor a network.
#[derive(Debug, PartialEq, Eq)]
pub struct NoNetwork;

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(at, bits)| (at, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.map_or(Ok(most), str::parse).map_err(|_| NoNetwork)?;
        if prefix > most {
            return Err(NoNetwork);
        }
        match address.to_canonical() {
            // `::ffff:10.0.0.0/104` is `10.0.0.0/8`, which is how such clients are counted.
            canonical if canonical.is_ipv4() && address.is_ipv6() => {
                Ok(Self::new(canonical, prefix.checked_sub(96).ok_or(NoNetwork)?))
            }
            address => Ok(Self::new(address, prefix)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_one = self.prefix == if self.first.is_ipv4() { 32 } else { 128 };
        if is_one { self.first.fmt(f) } else { write!(f, "{}/{}", self.first, self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn client(address: &str) -> Client {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one_client() {
        assert_eq!(client("fd00:1::1"), client("fd00:1::ffff:ffff:ffff:ffff"));
        assert_ne!(client("fd00:1::1"), client("fd00:1:0:1::1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"), "an IPv4 client of an IPv6 socket");
        assert!(client("::1").is_loopback() && client("::ffff:127.0.0.1").is_loopback());
        assert_ne!(client("::1"), client("::2"), "no network but this machine");
        for (address, shown) in
            [("fd00:1::1", "fd00:1::/64"), ("::1", "::1"), ("::ffff:10.0.0.1", "10.0.0.1")]
        {
            assert_eq!(client(address).to_string(), shown);
        }
    }

    #[test]
    fn networks_are_read_and_shown() {
        for (text, shown) in [
            ("10.0.0.1", "10.0.0.1"),
            ("172.17.3.4/12", "172.16.0.0/12"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::1/8", "fd00::/8"),
            ("::1/128", "::1"),
            ("::/0", "::/0"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown, "{text}");
        }
        for odd in
            ["", "*", "proxy", "10.0.0.1/33", "10.0.0.1/", "::1/129", "10.0.0.1/-1", "::ffff:1.2.3.4/8"]
        {
            assert_eq!(odd.parse::<Network>(), Err(NoNetwork), "{odd}");
        }
    }

    #[test]
    fn only_what_a_trusted_proxy_wrote_counts() {
        let trusted: TrustedProxies =
            ["10.0.0.0/8", "::1"].iter().map(|text| text.parse::<Network>().unwrap()).collect();
        for (peer, lines, expected) in [
            // Not behind a proxy: its word does not count.
            ("192.0.2.1", &["9.9.9.9"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
            // What the client made up stands to the left.
            ("10.0.0.1", &["9.9.9.9, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["9.9.9.9", "192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7,10.0.0.3", "10.0.0.2"], "192.0.2.7"),
            // Everybody is trusted: the first of them asked.
            ("10.0.0.1", &["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
            // What is not an address came from the proxy before it.
            ("10.0.0.1", &["192.0.2.7, unknown, 10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", &["192.0.2.7, "], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.7", "\u{e9}"], "10.0.0.1"),
            // Ports, blanks, and IPv6 in all its ways.
            ("::1", &[" 192.0.2.7:4711 "], "192.0.2.7"),
            ("::1", &["[2001:db8::5]:4711"], "2001:db8::"),
            ("::1", &["[2001:db8::5]"], "2001:db8::"),
            ("::ffff:10.0.0.1", &["2001:db8::5"], "2001:db8::"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
                headers.append(HeaderName::from_static(FORWARDED), line);
            }
            let peer = SocketAddr::new(peer.parse().unwrap(), 1);
            assert_eq!(trusted.client(Some(peer), &headers), client(expected), "{peer} {lines:?}");
            let nobody = TrustedProxies::default();
            assert_eq!(nobody.client(Some(peer), &headers), peer.ip().into(), "{peer} {lines:?}");
        }
    }
}
