use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// Who is here, by where from: whoever brought most makes room first.
#[derive(Debug)]
pub(crate) struct Crowd<T> {
    homes: BTreeMap<Home, BTreeMap<u64, Arc<T>>>,
    entered: u64,
}

/// An address of version 4, or the /64 of one of version 6: what one client has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Home(IpAddr);

/// A member's place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    home: Home,
    number: u64,
}

impl Home {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into()),
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

impl<T> Default for Crowd<T> {
    fn default() -> Self {
        Self { homes: BTreeMap::new(), entered: 0 }
    }
}

impl<T> Crowd<T> {
    pub(crate) fn enter(&mut self, home: Home, member: Arc<T>) -> Entry {
        self.entered += 1;
        self.homes.entry(home).or_default().insert(self.entered, member);
        Entry { home, number: self.entered }
    }

    pub(crate) fn leave(&mut self, Entry { home, number }: Entry) {
        let Some(members) = self.homes.get_mut(&home) else { return };
        members.remove(&number);
        if members.is_empty() {
            self.homes.remove(&home);
        }
    }

    /// Takes out who makes room for one more of `home`: the oldest of the largest crowd, if that is larger than the other would be then.
    pub(crate) fn make_room(&mut self, home: Home) -> Option<Arc<T>> {
        let own = self.homes.get(&home).map_or(0, BTreeMap::len);
        let (largest, members) = self.homes.iter().max_by_key(|(_, members)| members.len())?;
        if members.len() <= own + 1 {
            return None;
        }
        let (number, member) = members.first_key_value().map(|(number, member)| (*number, Arc::clone(member)))?;
        self.leave(Entry { home: *largest, number });
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(text: &str) -> Home {
        Home::of(text.parse().unwrap())
    }

    #[test]
    fn the_oldest_of_the_largest_crowd_makes_room_for_somebody_else() {
        let mut crowd = Crowd::default();
        let few = crowd.enter(home("10.0.0.1"), Arc::new("few"));
        let many = [1, 2, 3].map(|_| crowd.enter(home("10.0.0.2"), Arc::new("many")));
        assert_eq!(crowd.make_room(home("10.0.0.2")), None, "not for one of its own");
        assert_eq!(crowd.make_room(home("10.0.0.3")).as_deref(), Some(&"many"));
        assert_eq!(crowd.make_room(home("10.0.0.1")), None, "two and one: it would only change who has two");
        many.into_iter().chain([few]).for_each(|entry| crowd.leave(entry));
        assert!(crowd.homes.is_empty() && crowd.make_room(home("::1")).is_none());
    }

    #[test]
    fn a_client_of_version_6_has_a_subnet() {
        assert_eq!(home("2001:db8::1"), home("2001:db8::ffff"));
        assert_ne!(home("2001:db8::1"), home("2001:db8:0:1::1"));
        assert_eq!(home("::ffff:10.0.0.1"), home("10.0.0.1"));
    }
}
