use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use bq_primitives::Timestamp;

/// Addresses that are shut out at the same time. When it is full, the ban that ends first is lifted.
pub const BANS_MAX: usize = 1024;

/// Who is shut out, and until when. An IPv6 /64 counts as one address: it is the least that a customer gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bans {
    until: BTreeMap<IpAddr, Timestamp>,
}

impl Bans {
    /// Shuts an address out until `until`; a longer ban that it has already stays.
    pub fn ban(&mut self, ip: IpAddr, until: Timestamp) {
        let name = name(ip);
        let is_new = !self.until.contains_key(&name);
        if is_new && self.until.len() >= BANS_MAX {
            let first = self.until.iter().min_by_key(|(ip, until)| (**until, **ip)).map(|(ip, _)| *ip);
            first.and_then(|first| self.until.remove(&first));
        }
        let end = self.until.entry(name).or_insert(until);
        *end = until.max(*end);
    }

    /// Whether it is shut out now.
    #[must_use]
    pub fn holds(&self, now: Timestamp, ip: IpAddr) -> bool {
        self.until.get(&name(ip)).is_some_and(|until| now < *until)
    }

    /// Forgets bans that are over.
    pub fn expire(&mut self, now: Timestamp) {
        self.until.retain(|_, until| now < *until);
    }

    /// Every ban, by address.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, Timestamp)> + '_ {
        self.until.iter().map(|(ip, until)| (*ip, *until))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.until.len()
    }

    /// Nobody is shut out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }
}

fn name(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip) >> 64 << 64)),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_ban_ends_covers_a_v6_network_and_is_never_shortened() {
        let mut bans = Bans::default();
        bans.ban(ip("192.0.2.1"), Timestamp(100));
        bans.ban(ip("192.0.2.1"), Timestamp(50));
        bans.ban(ip("2a01:db8:0:1::5"), Timestamp(60));
        assert!(bans.holds(Timestamp(99), ip("::ffff:192.0.2.1")));
        assert!(!bans.holds(Timestamp(100), ip("192.0.2.1")));
        assert!(bans.holds(Timestamp(59), ip("2a01:db8:0:1:ffff::9")));
        assert!(!bans.holds(Timestamp(59), ip("2a01:db8:0:2::5")));
        bans.expire(Timestamp(60));
        assert_eq!(bans.len(), 1);
    }

    #[test]
    fn a_full_list_forgives_whoever_would_be_forgiven_first() {
        let mut bans = Bans::default();
        for number in 0..=u32::try_from(BANS_MAX).unwrap() {
            bans.ban(IpAddr::from(number.to_be_bytes()), Timestamp(1000 + u64::from(number)));
        }
        assert_eq!(bans.len(), BANS_MAX);
        assert!(!bans.holds(Timestamp(0), ip("0.0.0.0")));
        assert!(bans.holds(Timestamp(0), ip("0.0.0.1")));
    }
}
