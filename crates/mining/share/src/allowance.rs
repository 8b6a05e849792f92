use std::collections::BTreeMap;

use crate::{Peer, UnixMs};

/// Processor time, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuTime(pub u64);

/// How much the strangers of one peer may make the verifier do in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowancePolicy {
    /// What they may cost at once.
    pub burst: CpuTime,
    /// What comes back each second.
    pub per_second: CpuTime,
    /// Peers that are kept track of.
    pub peers_max: usize,
}

/// What strangers may cost, by peer (SPEC 11.6): each claim is paid before it is hashed, and what was not hashed in vain is paid back. So one
/// who forges uses up what is allowed to his own address, and nobody has to be banned along with him.
#[derive(Debug)]
pub struct Allowances {
    policy: AllowancePolicy,
    /// What each has spent, and when that was counted. Whoever owes nothing is not here.
    spent: BTreeMap<Peer, (CpuTime, UnixMs)>,
}

impl Default for AllowancePolicy {
    fn default() -> Self {
        Self { burst: CpuTime(2_000_000), per_second: CpuTime(25_000), peers_max: 65_536 }
    }
}

impl Allowances {
    /// Nobody has spent anything.
    #[must_use]
    pub const fn new(policy: AllowancePolicy) -> Self {
        Self { policy, spent: BTreeMap::new() }
    }

    /// Pays for a claim that can wait; false if that is more than is left.
    pub fn pay(&mut self, now: UnixMs, peer: Peer, cost: CpuTime) -> bool {
        let spent = self.spent(now, peer);
        if spent.0.saturating_add(cost.0) > self.policy.burst.0 {
            return false;
        }
        self.owe(now, peer, cost);
        true
    }

    /// Pays for a claim that nothing may refuse, a block's, even with what is not there.
    pub fn owe(&mut self, now: UnixMs, peer: Peer, cost: CpuTime) {
        let spent = CpuTime(self.spent(now, peer).0.saturating_add(cost.0));
        self.make_room(now, peer);
        self.spent.insert(peer, (spent, now));
    }

    /// The claim was not hashed in vain.
    pub fn pay_back(&mut self, now: UnixMs, peer: Peer, cost: CpuTime) {
        match self.spent(now, peer).0.saturating_sub(cost.0) {
            0 => drop(self.spent.remove(&peer)),
            rest => drop(self.spent.insert(peer, (CpuTime(rest), now))),
        }
    }

    /// Whether a peer has used up more than it may: its new connections wait.
    #[must_use]
    pub fn is_in_debt(&self, now: UnixMs, peer: Peer) -> bool {
        self.spent(now, peer) > self.policy.burst
    }

    fn spent(&self, now: UnixMs, peer: Peer) -> CpuTime {
        self.spent.get(&peer).map_or(CpuTime(0), |&entry| self.left_of(now, entry))
    }

    fn left_of(&self, now: UnixMs, (spent, at): (CpuTime, UnixMs)) -> CpuTime {
        let back = now.ms_since(at).saturating_mul(self.policy.per_second.0) / 1000;
        CpuTime(spent.0.saturating_sub(back))
    }

    /// Drops those who owe nothing any more; if all do, the one who spent least: who forges most is never forgotten first.
    fn make_room(&mut self, now: UnixMs, peer: Peer) {
        if self.spent.len() < self.policy.peers_max.max(1) || self.spent.contains_key(&peer) {
            return;
        }
        let mut spent = std::mem::take(&mut self.spent);
        spent.retain(|_, entry| self.left_of(now, *entry) > CpuTime(0));
        if spent.len() >= self.policy.peers_max.max(1)
            && let Some(least) = spent.iter().min_by_key(|(_, entry)| self.left_of(now, **entry)).map(|(peer, _)| *peer)
        {
            spent.remove(&least);
        }
        self.spent = spent;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: CpuTime = CpuTime(35_000);

    fn peer(n: u8) -> Peer {
        Peer::of([192, 0, 2, n].into())
    }

    fn allowances() -> Allowances {
        Allowances::new(AllowancePolicy::default())
    }

    #[test]
    fn a_forger_gets_his_burst_and_then_what_comes_back() {
        let mut allowances = allowances();
        let tries =
            |allowances: &mut Allowances, ms| (0..100).filter(|_| allowances.pay(UnixMs(ms), peer(1), HASH)).count();
        assert_eq!(tries(&mut allowances, 0), 57);
        assert_eq!(tries(&mut allowances, 1_400), 1, "25 ms a second");
        assert_eq!(tries(&mut allowances, 14_000), 9);
        assert!(allowances.pay(UnixMs(14_000), peer(2), HASH), "another address pays for itself");
        assert_eq!(tries(&mut allowances, 1_000_000), 57);
    }

    /// A farm that comes back after an outage: every rig is a stranger until its first shares are verified.
    #[test]
    fn honest_strangers_are_never_kept_waiting() {
        let mut allowances = allowances();
        for round in 0..100 {
            for _ in 0..50 {
                assert!(allowances.pay(UnixMs(round), peer(1), HASH));
            }
            for _ in 0..50 {
                allowances.pay_back(UnixMs(round + 1), peer(1), HASH);
            }
        }
        assert!(allowances.spent.is_empty());
    }

    #[test]
    fn a_claim_of_a_block_is_never_refused_and_still_paid() {
        let mut allowances = allowances();
        for _ in 0..58 {
            allowances.owe(UnixMs(0), peer(1), HASH);
        }
        assert!(allowances.is_in_debt(UnixMs(0), peer(1)) && !allowances.pay(UnixMs(0), peer(1), HASH));
        assert!(!allowances.is_in_debt(UnixMs(1_200), peer(1)));
    }

    #[test]
    fn memory_is_bounded_and_who_forges_most_is_not_forgotten() {
        let mut allowances = Allowances::new(AllowancePolicy { peers_max: 3, ..AllowancePolicy::default() });
        for _ in 0..10 {
            allowances.owe(UnixMs(0), peer(1), HASH);
        }
        for n in 2..200 {
            allowances.owe(UnixMs(0), peer(n), HASH);
        }
        assert_eq!(allowances.spent.len(), 3);
        assert_eq!(allowances.spent[&peer(1)].0, CpuTime(350_000));
    }

    proptest! {
        /// Whatever is tried when, what was hashed in vain is at most the burst and what came back since.
        #[test]
        fn what_a_peer_can_cost_is_bounded(steps in proptest::collection::vec((0..5_000_u64, 0..2_000_u64, any::<bool>()), 1..200)) {
            let mut allowances = allowances();
            let (mut now, mut in_vain) = (0, 0);
            for (after_ms, cost_ms, is_honest) in steps {
                now += after_ms;
                let cost = CpuTime(cost_ms * 1_000);
                if allowances.pay(UnixMs(now), peer(1), cost) {
                    if is_honest {
                        allowances.pay_back(UnixMs(now), peer(1), cost);
                    } else {
                        in_vain += cost.0;
                    }
                }
                prop_assert!(in_vain <= 2_000_000 + now * 25);
            }
        }
    }
}
