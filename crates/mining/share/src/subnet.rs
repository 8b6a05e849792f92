use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Peer;

/// The addresses that one customer of a network may easily have many of: an IPv4 /24, an IPv6 /48 (RFC 6177: what a site is given).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet(IpAddr);

impl Peer {
    /// Where it is.
    #[must_use]
    pub fn subnet(self) -> Subnet {
        Subnet(match self.address() {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() >> 8 << 8)),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_subnet() {
        let subnet = |text: &str| Peer::of(text.parse().unwrap()).subnet();
        assert_eq!(subnet("198.51.100.1"), subnet("198.51.100.254"));
        assert_ne!(subnet("198.51.100.1"), subnet("198.51.101.1"));
        assert_eq!(subnet("::ffff:198.51.100.1"), subnet("198.51.100.2"));
        assert_eq!(subnet("2001:db8:1:100::1"), subnet("2001:db8:1:ff00::1"));
        assert_ne!(subnet("2001:db8:1::1"), subnet("2001:db8:2::1"));
    }
}
