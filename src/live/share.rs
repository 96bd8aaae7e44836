//! How many of the live clients may be of one address, so that one machine cannot take all places.

use std::net::{IpAddr, Ipv6Addr};

/// What one address may have at the same time.
pub struct Share {
    pub most: usize,
    /// Whether an address speaks for many clients and has no share: a trusted proxy.
    pub is_exempt: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

impl Default for Share {
    fn default() -> Self {
        Self { most: usize::MAX, is_exempt: Box::new(|_| false) }
    }
}

/// What is counted as one client: an IPv4 address, however it is written, or the /64 that a single machine picks its
/// IPv6 addresses from.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_is_one_client_whichever_address_it_uses() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("192.168.1.7"), network("::ffff:192.168.1.7"));
        assert_ne!(network("192.168.1.7"), network("192.168.1.8"));
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
    }
}
