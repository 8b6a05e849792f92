use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use bq_primitives::{DecodeError, Decoder};

/// Where a node can be dialled: an IP address and a TCP port, each in its one form (an IPv4 address is never written as
/// IPv6). Names are not passed between peers: whoever looks them up could answer each asker differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    ip: IpAddr,
    port: u16,
}

/// Who hands out addresses of one kind together: the unit in which an attacker gets them cheaply. IPv4 /16, IPv6 /32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetGroup {
    /// This machine.
    Loopback,
    /// The first two bytes.
    V4([u8; 2]),
    /// The first four bytes.
    V6([u8; 4]),
}

impl Endpoint {
    /// Bytes of the encoding: 16 of address (IPv4 as `::ffff:a.b.c.d`) and 2 of port, little-endian.
    pub const BYTES: usize = 18;

    /// Nothing for port 0 and for addresses that name no single machine.
    #[must_use]
    pub fn new(ip: IpAddr, port: u16) -> Option<Self> {
        let ip = ip.to_canonical();
        let is_broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        (port != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast).then_some(Self { ip, port })
    }

    /// The address.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// As the system's calls want it.
    #[must_use]
    pub const fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// The group of its address.
    #[must_use]
    pub fn group(&self) -> NetGroup {
        NetGroup::of(self.ip)
    }

    /// Whether strangers can reach it: not private, not local, not set aside for documentation.
    #[must_use]
    pub fn is_routable(&self) -> bool {
        match self.ip {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                let is_shared = a == 100 && (64..128).contains(&b);
                let is_reserved = a == 0 || a >= 240 || (a == 198 && (b == 18 || b == 19));
                !(ip.is_private()
                    || ip.is_loopback()
                    || ip.is_link_local()
                    || ip.is_documentation()
                    || is_shared
                    || is_reserved)
            }
            IpAddr::V6(ip) => {
                let [first, second, ..] = ip.segments();
                // Global unicast is 2000::/3; 2001:db8::/32 is for documentation.
                first & 0xe000 == 0x2000 && (first, second) != (0x2001, 0x0db8)
            }
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let ip = match self.ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        out.extend(ip.octets());
        out.extend(self.port.to_le_bytes());
    }

    /// Nothing where [`Endpoint::new`] gives nothing.
    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Option<Self>, DecodeError> {
        let ip = Ipv6Addr::from(decoder.array::<16>()?);
        let port = u16::from_le_bytes(decoder.array()?);
        Ok(Self::new(IpAddr::V6(ip), port))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.socket(), f)
    }
}

impl NetGroup {
    /// The group of an address. IPv4 inside IPv6 (mapped, NAT64, 6to4) counts as the IPv4 address it carries.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                match ip.segments() {
                    [0x0064, 0xff9b, 0, 0, 0, 0, high, _] => Self::V4(high.to_be_bytes()),
                    [0x2002, ..] => Self::of_v4(Ipv4Addr::new(c, d, e, f)),
                    _ => Self::V6([a, b, c, d]),
                }
            }
        }
    }

    const fn of_v4(ip: Ipv4Addr) -> Self {
        let [a, b, ..] = ip.octets();
        Self::V4([a, b])
    }

    /// Five bytes that name the group: a tag, then the prefix, zero-filled.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 5] {
        match self {
            Self::Loopback => [0; 5],
            Self::V4([a, b]) => [4, a, b, 0, 0],
            Self::V6([a, b, c, d]) => [6, a, b, c, d],
        }
    }

    pub(crate) const fn from_bytes(bytes: [u8; 5]) -> Option<Self> {
        match bytes {
            [0, 0, 0, 0, 0] => Some(Self::Loopback),
            [4, a, b, 0, 0] => Some(Self::V4([a, b])),
            [6, a, b, c, d] => Some(Self::V6([a, b, c, d])),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Option<Endpoint> {
        let socket: SocketAddr = text.parse().unwrap();
        Endpoint::new(socket.ip(), socket.port())
    }

    #[test]
    fn groups_follow_whoever_hands_the_addresses_out() {
        let group = |text: &str| NetGroup::of(text.parse().unwrap());
        assert_eq!(group("203.0.113.9"), NetGroup::V4([203, 0]));
        assert_eq!(group("::ffff:203.0.113.9"), NetGroup::V4([203, 0]));
        assert_eq!(group("64:ff9b::203.0.113.9"), NetGroup::V4([203, 0]));
        assert_eq!(group("2002:cb00:7109::1"), NetGroup::V4([203, 0]));
        assert_eq!(group("2a01:4f8:1:2::3"), NetGroup::V6([0x2a, 0x01, 0x04, 0xf8]));
        assert_eq!((group("127.3.2.1"), group("::1")), (NetGroup::Loopback, NetGroup::Loopback));
        for text in ["203.0.113.9", "2a01:4f8::1", "::1"] {
            assert_eq!(NetGroup::from_bytes(group(text).to_bytes()), Some(group(text)));
        }
        assert_eq!(NetGroup::from_bytes([4, 1, 2, 3, 0]), None);
    }

    #[test]
    fn only_what_strangers_can_reach_is_routable() {
        for yes in ["8.8.8.8:1", "[2a01:4f8::1]:8333", "[::ffff:8.8.8.8]:1"] {
            assert!(endpoint(yes).unwrap().is_routable(), "{yes}");
        }
        for no in [
            "10.1.2.3:1",
            "192.168.0.1:1",
            "127.0.0.1:1",
            "100.64.0.1:1",
            "169.254.0.1:1",
            "198.18.0.1:1",
            "[::1]:1",
            "[fe80::1]:1",
            "[2001:db8::1]:1",
            "240.0.0.1:1",
        ] {
            assert!(!endpoint(no).unwrap().is_routable(), "{no}");
        }
        for none in ["8.8.8.8:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"] {
            assert_eq!(endpoint(none), None, "{none}");
        }
    }
}
