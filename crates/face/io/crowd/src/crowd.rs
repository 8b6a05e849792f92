use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// Who is here, by where from: whoever brought most makes room first, and where nobody brought more than others the one that is here longest.
#[derive(Debug)]
pub struct Crowd<T> {
    homes: BTreeMap<Home, BTreeMap<u64, Arc<T>>>,
    entered: u64,
}

/// An address of version 4, or the /64 of one of version 6: what one client has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Home(IpAddr);

/// A member's place.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    home: Home,
    number: u64,
}

impl Home {
    /// Where this address is at home.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
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
    /// One more from there.
    pub fn enter(&mut self, home: Home, member: Arc<T>) -> Entry {
        self.entered = self.entered.saturating_add(1);
        self.homes.entry(home).or_default().insert(self.entered, member);
        Entry { home, number: self.entered }
    }

    /// One less; of one that has left already nothing is changed.
    pub fn leave(&mut self, Entry { home, number }: Entry) {
        let Some(members) = self.homes.get_mut(&home) else { return };
        members.remove(&number);
        if members.is_empty() {
            self.homes.remove(&home);
        }
    }

    /// How many are here. Looks at every home.
    #[must_use]
    pub fn members(&self) -> usize {
        self.homes.values().map(BTreeMap::len).sum()
    }

    /// How many of them are from there.
    #[must_use]
    pub fn members_of(&self, home: Home) -> usize {
        self.homes.get(&home).map_or(0, BTreeMap::len)
    }

    /// Takes out who makes room for one more of `home`: the oldest of the largest crowd, if that is larger than the other would be then, or the
    /// oldest of all for one of a home that has nobody here. Homes are cheap to who has a prefix of version 6.
    pub fn make_room(&mut self, home: Home) -> Option<Arc<T>> {
        let own = self.members_of(home);
        let (largest, members) = self.homes.iter().max_by_key(|(_, members)| members.len())?;
        let from =
            if members.len() > own.saturating_add(1) { *largest } else { self.oldest_home().filter(|_| own == 0)? };
        let (number, member) = self.homes.get(&from)?.first_key_value()?;
        let (number, member) = (*number, Arc::clone(member));
        self.leave(Entry { home: from, number });
        Some(member)
    }

    fn oldest_home(&self) -> Option<Home> {
        let first = |members: &BTreeMap<u64, Arc<T>>| members.first_key_value().map(|(number, _)| *number);
        self.homes.iter().min_by_key(|(_, members)| first(members)).map(|(home, _)| *home)
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
        assert_eq!(crowd.members(), 1);
        let many = [1, 2, 3].map(|_| crowd.enter(home("10.0.0.2"), Arc::new("many")));
        assert_eq!(crowd.make_room(home("10.0.0.2")), None, "not for one of its own");
        assert_eq!(crowd.make_room(home("10.0.0.3")).as_deref(), Some(&"many"));
        assert_eq!(crowd.make_room(home("10.0.0.1")), None, "two and one: it would only change who has two");
        many.into_iter().chain([few]).for_each(|entry| crowd.leave(entry));
        assert!(crowd.members() == 0 && crowd.homes.is_empty() && crowd.make_room(home("::1")).is_none());
    }

    #[test]
    fn where_each_home_has_one_the_oldest_makes_room_for_a_newcomer() {
        let mut crowd = Crowd::default();
        let homes = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
        let _entries = homes.map(|text| crowd.enter(home(text), Arc::new(text)));
        assert_eq!(crowd.make_room(home("10.0.0.3")), None, "he is here");
        assert_eq!(crowd.make_room(home("10.0.0.4")).as_deref(), Some(&"10.0.0.1"));
        crowd.enter(home("10.0.0.4"), Arc::new("10.0.0.4"));
        assert_eq!(crowd.make_room(home("10.0.0.1")).as_deref(), Some(&"10.0.0.2"), "everybody has his turn");
    }

    #[test]
    fn a_client_of_version_6_has_a_subnet() {
        assert_eq!(home("2001:db8::1"), home("2001:db8::ffff"));
        assert_ne!(home("2001:db8::1"), home("2001:db8:0:1::1"));
        assert_eq!(home("::ffff:10.0.0.1"), home("10.0.0.1"));
    }
}
