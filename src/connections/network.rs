//! The gateway of the network that this machine is in: requests from there may come from many.

use std::net::{IpAddr, Ipv4Addr};

const ROUTES: &str = "/proc/net/route";

/// The address that packets for anywhere else go to, where the system says so and it is a private one. In a
/// container behind a bridge, all clients that the bridge rewrites come from there.
pub fn default_gateway() -> Option<IpAddr> {
    gateway_in(&std::fs::read_to_string(ROUTES).ok()?)
}

fn gateway_in(routes: &str) -> Option<IpAddr> {
    routes.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (destination, gateway) = (words.next()?, words.next()?);
        // As the processor stores what came over the network.
        let address = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes());
        (destination == "00000000" && address.is_private()).then_some(address.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_that_of_the_default_route() {
        let line = |destination: u32, gateway: [u8; 4]| {
            format!(
                "eth0\t{destination:08X}\t{:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
                u32::from_ne_bytes(gateway)
            )
        };
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let local = line(0x0000_11AC, [0; 4]);
        let routes = format!("{head}{local}{}", line(0, [172, 17, 0, 1]));
        assert_eq!(gateway_in(&routes), Some([172, 17, 0, 1].into()));
        assert_eq!(gateway_in(&format!("{head}{local}")), None);
        assert_eq!(gateway_in(&format!("{head}{}", line(0, [8, 8, 8, 8]))), None, "not one of a house");
        for odd in ["", "x", "\n\n", "a b\nc 00000000 zz\n"] {
            assert_eq!(gateway_in(odd), None);
        }
    }
}
