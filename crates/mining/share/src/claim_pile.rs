use std::{cmp::Reverse, collections::BTreeMap};

use crate::Subnet;

/// Strangers' claims of blocks that wait to be hashed (SPEC 11.6, 5).
///
/// Nobody can tell one from a forged one without hashing it, and of forged ones as many can come, before it and after it, as there are addresses. So subnets take
/// turns: the one that had fewest looked at lately comes first, and of several the one that claimed last; of one subnet the newest comes first.
#[derive(Debug)]
pub struct ClaimPile<T> {
    waiting: BTreeMap<Option<Subnet>, Vec<(u64, T)>>,
    /// How many of each were taken lately.
    taken: BTreeMap<Option<Subnet>, u64>,
    claims: u64,
}

/// Subnets whose turns are remembered; of more, all have half as many behind them.
const SUBNETS_MAX: usize = 4_096;

impl<T> Default for ClaimPile<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), taken: BTreeMap::new(), claims: 0 }
    }
}

impl<T> ClaimPile<T> {
    /// One more, from an address of this subnet; nothing for one that is counted nowhere.
    pub fn put(&mut self, subnet: Option<Subnet>, claim: T) {
        self.claims = self.claims.saturating_add(1);
        self.waiting.entry(subnet).or_default().push((self.claims, claim));
    }

    /// The next to be hashed.
    pub fn take(&mut self) -> Option<T> {
        let turn = |(subnet, claims): &(&Option<Subnet>, &Vec<(u64, T)>)| {
            let newest = claims.last().map(|(number, _)| *number);
            (self.taken.get(*subnet).copied().unwrap_or(0), Reverse(newest))
        };
        let subnet = *self.waiting.iter().min_by_key(turn)?.0;
        let claims = self.waiting.get_mut(&subnet)?;
        let (_, claim) = claims.pop()?;
        if claims.is_empty() {
            self.waiting.remove(&subnet);
        }
        let taken = self.taken.entry(subnet).or_default();
        *taken = taken.saturating_add(1);
        self.forget();
        Some(claim)
    }

    /// Nobody waits: what was is over. Too many are remembered: the past counts half.
    fn forget(&mut self) {
        if self.waiting.is_empty() {
            self.taken.clear();
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
        assert_eq!(drained(&mut pile), ["nobody's", "a3", "b2", "b1", "a2", "a1"]);
        assert!(pile.waiting.is_empty() && pile.taken.is_empty());
    }

    /// Forged ones before it and after it, and more all the time.
    #[test]
    fn no_flow_from_few_subnets_buries_a_claim_of_another() {
        let mut pile = ClaimPile::default();
        for n in 0..200 {
            pile.put(subnet(n % 4), "forged");
        }
        (0..40).for_each(|_| assert_eq!(pile.take(), Some("forged")));
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
        assert_eq!(waits, Some(0));
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
