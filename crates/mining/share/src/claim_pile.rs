use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use crate::Subnet;

/// Strangers' claims of blocks that wait to be hashed (SPEC 11.6, 5).
///
/// Nobody can tell one from a forged one without hashing it, and of forged ones as many can come, before it and after it, as there are addresses. So subnets take
/// turns: the one that had fewest looked at lately comes first, and of several the one that claimed last; of one subnet the newest comes first. Whoever
/// has new subnets faster than hashes are computed would keep all others waiting for ever: so every fourth turn is that of the subnet that has waited for
/// longest, and of its oldest claim.
#[derive(Debug)]
pub struct ClaimPile<T> {
    waiting: BTreeMap<Option<Subnet>, Claims<T>>,
    /// How many of each were taken lately.
    taken: BTreeMap<Option<Subnet>, u64>,
    claims: u64,
    turns: u64,
}

/// Those of one subnet.
#[derive(Debug)]
struct Claims<T> {
    /// Oldest first, by number.
    waiting: VecDeque<(u64, T)>,
    /// The number that the pile was at when one of them was taken last, or else when the first came.
    since: u64,
}

/// Subnets whose turns are remembered; of more, all have half as many behind them.
const SUBNETS_MAX: usize = 4_096;
/// One turn in so many is for whoever has waited for longest.
const PATIENT_TURN: u64 = 4;

impl<T> Default for ClaimPile<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), taken: BTreeMap::new(), claims: 0, turns: 0 }
    }
}

impl<T> ClaimPile<T> {
    /// One more, from an address of this subnet; nothing for one that is counted nowhere.
    pub fn put(&mut self, subnet: Option<Subnet>, claim: T) {
        let number = self.number();
        let new = || Claims { waiting: VecDeque::new(), since: number };
        self.waiting.entry(subnet).or_insert_with(new).waiting.push_back((number, claim));
    }

    /// The next to be hashed.
    pub fn take(&mut self) -> Option<T> {
        let is_patient = self.turns.saturating_add(1).is_multiple_of(PATIENT_TURN);
        let subnet = if is_patient { self.longest() } else { self.fewest() }?;
        let number = self.number();
        let claims = self.waiting.get_mut(&subnet)?;
        claims.since = number;
        let (_, claim) = if is_patient { claims.waiting.pop_front() } else { claims.waiting.pop_back() }?;
        if claims.waiting.is_empty() {
            self.waiting.remove(&subnet);
        }
        let taken = self.taken.entry(subnet).or_default();
        *taken = taken.saturating_add(1);
        self.turns = self.turns.saturating_add(1);
        self.forget();
        Some(claim)
    }

    fn number(&mut self) -> u64 {
        self.claims = self.claims.saturating_add(1);
        self.claims
    }

    /// Which has waited for longest.
    fn longest(&self) -> Option<Option<Subnet>> {
        self.waiting.iter().min_by_key(|(_, claims)| claims.since).map(|(subnet, _)| *subnet)
    }

    /// Which had fewest looked at.
    fn fewest(&self) -> Option<Option<Subnet>> {
        let turn = |(subnet, claims): &(&Option<Subnet>, &Claims<T>)| {
            let newest = claims.waiting.back().map(|(number, _)| *number);
            (self.taken.get(*subnet).copied().unwrap_or(0), Reverse(newest))
        };
        self.waiting.iter().min_by_key(turn).map(|(subnet, _)| *subnet)
    }

    /// Nobody waits: what was is over. Too many are remembered: the past counts half.
    fn forget(&mut self) {
        if self.waiting.is_empty() {
            self.taken.clear();
            self.turns = 0;
        }
        while self.taken.len() > SUBNETS_MAX {
            self.taken.retain(|_, taken| {
                *taken /= 2;
                *taken > 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Peer;

    fn subnet(n: u8) -> Option<Subnet> {
        Some(Peer::of(std::net::IpAddr::from([10, 0, n, 1])).subnet())
    }

    fn drained(pile: &mut ClaimPile<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| pile.take()).collect()
    }

    #[test]
    fn of_one_subnet_the_newest_comes_first_and_subnets_take_turns() {
        let mut pile = ClaimPile::default();
        for (from, claim) in [(1, "a1"), (1, "a2"), (2, "b1"), (2, "b2"), (1, "a3")] {
            pile.put(subnet(from), claim);
        }
        pile.put(None, "nobody's");
        assert_eq!(drained(&mut pile), ["nobody's", "a3", "b2", "a1", "b1", "a2"], "the fourth is for who waits");
        assert!(pile.waiting.is_empty() && pile.taken.is_empty());
    }

    /// Forged ones before it and after it, and more all the time.
    #[test]
    fn no_flow_from_few_subnets_buries_a_claim_of_another() {
        let mut pile = ClaimPile::default();
        for n in 0..200 {
            pile.put(subnet(n % 4), "forged");
        }
        (0..42).for_each(|_| assert_eq!(pile.take(), Some("forged")));
        pile.put(subnet(99), "true");
        for n in 0..200 {
            pile.put(subnet(n % 4), "forged");
        }
        assert_eq!(pile.take(), Some("true"));
        // One that comes while each subnet has had its turn waits for no more than one of each.
        pile.put(subnet(99), "true again");
        let waits = (0..).find(|_| {
            pile.put(subnet(3), "forged");
            pile.take() == Some("true again")
        });
        assert!(waits <= Some(1), "{waits:?}");
    }

    /// Two new subnets claim for each hash that is computed: nobody who was there before them waits for more than four turns of each who was there
    /// before him.
    #[test]
    fn no_claim_waits_for_ever_whatever_comes() {
        let fresh = |n: u32| {
            let [_, a, b, c] = n.to_be_bytes();
            Some(Peer::of(std::net::IpAddr::from([100 + a, b, c, 1])).subnet())
        };
        for before in [0, 1, 10, 100] {
            let mut pile = ClaimPile::default();
            (0..before).for_each(|n| pile.put(fresh(n), "forged"));
            pile.put(subnet(99), "true");
            let waits = (0..4 * (before + 2)).position(|turn| {
                pile.put(fresh(1_000 + 2 * turn), "forged");
                pile.put(fresh(1_001 + 2 * turn), "forged");
                pile.take() == Some("true")
            });
            assert!(waits.is_some(), "behind {before}");
        }
    }

    /// The slow and obvious way: one list of all that wait, in the order in which they came.
    #[derive(Default)]
    struct Model {
        waiting: Vec<(u8, u64)>,
        taken: BTreeMap<u8, u64>,
        /// Since when each subnet waits, counted in claims and turns.
        since: BTreeMap<u8, usize>,
        moments: usize,
        turns: u64,
    }

    impl Model {
        fn put(&mut self, from: u8, claim: u64) {
            self.moments += 1;
            if self.waiting.iter().all(|(other, _)| *other != from) {
                self.since.insert(from, self.moments);
            }
            self.waiting.push((from, claim));
        }

        fn take(&mut self) -> Option<u64> {
            self.moments += 1;
            let places = 0..self.waiting.len();
            let from = |place: &usize| self.waiting[*place].0;
            let place = if self.turns % 4 == 3 {
                places.min_by_key(|place| (self.since[&from(place)], *place))
            } else {
                places.min_by_key(|place| (self.taken.get(&from(place)).copied().unwrap_or(0), Reverse(*place)))
            }?;
            let (from, claim) = self.waiting.remove(place);
            self.since.insert(from, self.moments);
            *self.taken.entry(from).or_default() += 1;
            self.turns += 1;
            if self.waiting.is_empty() {
                *self = Self::default();
            }
            Some(claim)
        }
    }

    proptest::proptest! {
        #[test]
        fn as_the_slow_way(steps in proptest::collection::vec(proptest::option::of(0..6_u8), 0..200)) {
            let (mut pile, mut model) = (ClaimPile::default(), Model::default());
            for (number, step) in (0..).zip(steps) {
                match step {
                    Some(from) => {
                        pile.put(subnet(from), number);
                        model.put(from, number);
                    }
                    None => proptest::prop_assert_eq!(pile.take(), model.take()),
                }
            }
        }
    }

    #[test]
    fn what_is_remembered_of_subnets_is_bounded() {
        let mut pile = ClaimPile::default();
        pile.put(None, "last");
        for n in 0..20_000_u32 {
            let [.., b, c] = n.to_be_bytes();
            let peer = Peer::of(std::net::IpAddr::from([10, b, c, 1]));
            pile.put(Some(peer.subnet()), "one");
            assert!(pile.take().is_some() && pile.taken.len() <= SUBNETS_MAX);
        }
    }
}
