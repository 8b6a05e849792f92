use std::net::IpAddr;

use ipnet::IpNet;

/// Networks that the operator decided about (SPEC 11.11, 8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// Nobody connects from there.
    pub denied: Vec<IpNet>,
    /// Bans and limits of an address do not hold there.
    pub allowed: Vec<IpNet>,
}

/// What holds for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admittance {
    /// It may not connect.
    Denied,
    /// It is not counted by address, and not banned.
    Allowed,
    /// What the limits say.
    Ordinary,
}

impl Networks {
    /// What the operator decided about an address; an IPv4 address that is written as an IPv6 one is itself.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Admittance {
        let address = address.to_canonical();
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        if is_in(&self.denied) {
            Admittance::Denied
        } else if is_in(&self.allowed) {
            Admittance::Allowed
        } else {
            Admittance::Ordinary
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_network_is_denied_whatever_else_allows_it() {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let networks = Networks {
            denied: networks(&["198.51.100.0/24", "10.1.2.3/32", "2001:db8:bad::/48"]),
            allowed: networks(&["10.0.0.0/8", "198.51.100.7/32", "2001:db8::/32"]),
        };
        for (address, expected) in [
            ("198.51.100.1", Admittance::Denied),
            ("198.51.100.7", Admittance::Denied),
            ("::ffff:198.51.100.7", Admittance::Denied),
            ("10.1.2.3", Admittance::Denied),
            ("10.1.2.4", Admittance::Allowed),
            ("::ffff:10.1.2.4", Admittance::Allowed),
            ("2001:db8:bad::1", Admittance::Denied),
            ("2001:db8:1::1", Admittance::Allowed),
            ("192.0.2.1", Admittance::Ordinary),
            ("2001:db9::1", Admittance::Ordinary),
            ("127.0.0.1", Admittance::Ordinary),
        ] {
            assert_eq!(networks.of(address.parse().unwrap()), expected, "{address}");
        }
        assert_eq!(Networks::default().of([192, 0, 2, 1].into()), Admittance::Ordinary);
    }
}
