use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet: whoever chooses a webhook must not reach what only this machine, its
/// network or its cloud can (IANA special-purpose registries, RFC 6890).
pub(crate) const fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        // This network, private, loopback, link-local, shared with the provider's customers.
        [0 | 10 | 127, ..] | [169, 254, ..] | [192, 168, ..] => true,
        [172, second, ..] if second >= 16 && second <= 31 => true,
        [100, second, ..] if second >= 64 && second <= 127 => true,
        // Protocol assignments, documentation, 6to4 relays, benchmarks.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // Multicast, reserved, broadcast.
        [first, ..] => first >= 224,
    };
    !is_special
}

const fn is_public_v6(address: Ipv6Addr) -> bool {
    let is_special = match address.segments() {
        // Teredo, benchmarks, ORCHID and what else 2001::/23 is for; documentation; 6to4, which leads to any IPv4 address.
        [0x2001, second, ..] if second < 0x200 => true,
        [0x2001, 0xdb8, ..] | [0x2002, ..] => true,
        [0x3fff, second, ..] if second < 0x1000 => true,
        // Global unicast is 2000::/3. Outside lie loopback, unique local, link-local, multicast and the prefixes that embed IPv4.
        [first, ..] => first < 0x2000 || first > 0x3fff,
    };
    !is_special
}
