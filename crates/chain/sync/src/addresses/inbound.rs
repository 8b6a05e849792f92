use std::{collections::BTreeMap, net::IpAddr};

use crate::NetGroup;

/// How many connections others may open to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundLimits {
    /// In all.
    pub total: usize,
    /// From one address.
    pub per_ip: usize,
    /// From one network group.
    pub per_group: usize,
    /// Loopback addresses are held to the total alone: whole networks run on one machine in tests.
    pub exempt_loopback: bool,
}

impl InboundLimits {
    /// The limits of SPEC 9.2 for `total` connections.
    #[must_use]
    pub const fn new(total: usize) -> Self {
        Self { total, per_ip: 2, per_group: 8, exempt_loopback: true }
    }
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboundRefusal {
    /// Its address has all the connections that one address gets.
    #[error("{0} connections from one address")]
    PerIp(usize),
    /// Its network group has all the connections that one group gets.
    #[error("{0} connections from one network group")]
    PerGroup(usize),
    /// No place is left, and no other group holds more places than its own.
    #[error("all {0} places are taken")]
    Full(usize),
}

/// The places for those who connect to us, half-open connections included. When all are taken, whoever comes from a group
/// that is represented less displaces the youngest connection of the group that is represented most: a crowd from a few
/// networks cannot keep everybody else out. Connections that we opened have places of their own elsewhere.
///
/// `K` names a connection; later connections have greater names.
#[derive(Clone, Debug)]
pub struct InboundSlots<K> {
    limits: InboundLimits,
    held: BTreeMap<K, IpAddr>,
}

impl<K: Copy + Ord> InboundSlots<K> {
    /// No connection yet.
    #[must_use]
    pub const fn new(limits: InboundLimits) -> Self {
        Self { limits, held: BTreeMap::new() }
    }

    /// Gives a connection a place. The connection in the answer loses its own and is to be closed.
    ///
    /// # Errors
    /// Why there is no place for it.
    pub fn admit(&mut self, connection: K, ip: IpAddr) -> Result<Option<K>, InboundRefusal> {
        let InboundLimits { total, per_ip, per_group, .. } = self.limits;
        let ip = ip.to_canonical();
        let group = NetGroup::of(ip);
        let of_group = self.of_group(group);
        if !self.is_exempt(group) {
            if self.held.values().filter(|other| **other == ip).count() >= per_ip {
                return Err(InboundRefusal::PerIp(per_ip));
            }
            if of_group >= per_group {
                return Err(InboundRefusal::PerGroup(per_group));
            }
        }
        let displaced = if self.held.len() < total {
            None
        } else {
            Some(self.displaced_by(of_group).ok_or(InboundRefusal::Full(total))?)
        };
        if let Some(displaced) = displaced {
            self.held.remove(&displaced);
        }
        self.held.insert(connection, ip);
        Ok(displaced)
    }

    /// The connection is closed, or never came about.
    pub fn release(&mut self, connection: &K) {
        self.held.remove(connection);
    }

    /// Whether it has a place: it had one, and was not displaced.
    #[must_use]
    pub fn holds(&self, connection: &K) -> bool {
        self.held.contains_key(connection)
    }

    /// Places that are taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Nobody is connected to us.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn is_exempt(&self, group: NetGroup) -> bool {
        self.limits.exempt_loopback && group == NetGroup::Loopback
    }

    fn of_group(&self, group: NetGroup) -> usize {
        self.held.values().filter(|ip| NetGroup::of(**ip) == group).count()
    }

    /// The youngest connection of the largest group, if that holds at least two places more than the newcomer's.
    fn displaced_by(&self, of_group: usize) -> Option<K> {
        let mut groups: BTreeMap<NetGroup, (usize, K)> = BTreeMap::new();
        for (connection, ip) in &self.held {
            let (count, youngest) = groups.entry(NetGroup::of(*ip)).or_insert((0, *connection));
            *count = count.saturating_add(1);
            *youngest = *connection;
        }
        let (count, youngest) = groups.into_values().max()?;
        (count > of_group.saturating_add(1)).then_some(youngest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
        IpAddr::from([a, b, c, d])
    }

    #[test]
    fn two_hundred_addresses_of_one_group_get_the_places_of_one_group() {
        let mut slots = InboundSlots::new(InboundLimits::new(64));
        let admitted = (0..200_u8).filter(|n| slots.admit(u32::from(*n), ip(6, 6, *n, *n)).is_ok()).count();
        assert_eq!(admitted, 8);
        assert_eq!(slots.admit(1000, ip(6, 6, 255, 1)), Err(InboundRefusal::PerGroup(8)));
        assert_eq!(slots.admit(1001, ip(9, 9, 9, 9)), Ok(None));
        assert_eq!(slots.admit(1002, ip(9, 9, 9, 9)), Ok(None));
        assert_eq!(slots.admit(1003, ip(9, 9, 9, 9)), Err(InboundRefusal::PerIp(2)));
    }

    #[test]
    fn a_crowd_from_few_groups_makes_room_for_others_youngest_first() {
        let mut slots = InboundSlots::new(InboundLimits::new(16));
        for n in 0..16_u8 {
            assert_eq!(slots.admit(u32::from(n), ip(6, n % 2, 0, n)), Ok(None));
        }
        // Sixteen places, eight each: the newcomers take the youngest, in turn from whichever group is larger.
        assert_eq!(slots.admit(100, ip(20, 0, 0, 1)), Ok(Some(15)));
        assert_eq!(slots.admit(101, ip(21, 0, 0, 1)), Ok(Some(14)));
        assert_eq!(slots.admit(102, ip(6, 0, 0, 99)), Err(InboundRefusal::Full(16)), "the crowd cannot come back");
        slots.release(&100);
        assert_eq!(slots.admit(103, ip(22, 0, 0, 1)), Ok(None));
        assert_eq!(slots.len(), 16);
    }

    #[test]
    fn places_that_are_spread_evenly_stay() {
        let mut slots = InboundSlots::new(InboundLimits::new(8));
        for n in 0..8_u8 {
            slots.admit(u32::from(n), ip(n + 1, 0, 0, 1)).unwrap();
        }
        assert_eq!(slots.admit(50, ip(99, 0, 0, 1)), Err(InboundRefusal::Full(8)));
        let mut one = InboundSlots::new(InboundLimits { exempt_loopback: false, ..InboundLimits::new(8) });
        assert!(one.admit(1, ip(127, 0, 0, 1)).is_ok() && one.admit(2, ip(127, 0, 0, 1)).is_ok());
        assert_eq!(one.admit(3, ip(127, 0, 0, 1)), Err(InboundRefusal::PerIp(2)));
    }
}
