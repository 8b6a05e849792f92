use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet: whoever chooses a webhook must not reach what only this machine, its
/// network or its cloud can (IANA special-purpose registries, RFC 6890; and what clouds serve their own customers alone at addresses
/// that look public, by their documentation).
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
        // Clouds: the host of a machine at Azure; services of IBM Cloud; Google's private entries to its own, and its resolvers; the
        // resolvers of DigitalOcean.
        [168, 63, 129, 16] | [161, 26, ..] | [166, 8..=11, ..] => true,
        [199, 36, 153, 4..=11] | [35, 199, 192..=223, _] | [34, 126, 0..=63, _] => true,
        [67, 207, 67, 2 | 3] => true,
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
        // Google's private entries to its own services.
        [0x2600, 0x2d00, 2, fourth, ..] if fourth >> 8 == 0x10 || fourth >> 8 == 0x20 => true,
        [0x2001, 0x4860, third, ..] if third >> 6 == 0x8040 >> 6 => true,
        // ISATAP: the IPv4 address that it ends with is the one that is called.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => true,
        // Global unicast is 2000::/3. Outside lie loopback, unique local, link-local, multicast and the prefixes that embed IPv4.
        [first, ..] => first < 0x2000 || first > 0x3fff,
    };
    !is_special
}
