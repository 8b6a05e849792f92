use std::{
    fmt,
    net::{AddrParseError, IpAddr, Ipv6Addr},
    str::FromStr,
};

/// Who a limit or a strike is counted for: an IPv4 address, or the /56 that an IPv6 user is usually given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    /// Who connects from `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 72 << 72))),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }

    pub(crate) const fn address(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for Peer {
    /// An address, or an IPv6 prefix with its length: `198.51.100.7`, `2001:db8:1:200::/56`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(v6) => write!(f, "{v6}/56"),
        }
    }
}

impl FromStr for Peer {
    type Err = AddrParseError;

    /// Reads what [`Peer`] is written as, and any address of it.
    ///
    /// # Errors
    /// Not an address.
    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.strip_suffix("/56").unwrap_or(text).parse().map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::of(text.parse().unwrap())
    }

    #[test]
    fn an_ipv6_user_is_one_peer_and_a_mapped_address_is_its_own() {
        assert_eq!(peer("2001:db8:1:200::1"), peer("2001:db8:1:2ff:9::1"));
        assert_ne!(peer("2001:db8:1:200::1"), peer("2001:db8:1:300::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    }

    #[test]
    fn what_is_written_is_read() {
        for (text, written) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2ff:9::1", "2001:db8:1:200::/56"),
            ("2001:db8:1:200::/56", "2001:db8:1:200::/56"),
        ] {
            let peer: Peer = text.parse().unwrap();
            assert_eq!(peer.to_string(), written);
            assert_eq!(written.parse(), Ok(peer));
        }
        assert!("192.0.2".parse::<Peer>().is_err());
    }
}
