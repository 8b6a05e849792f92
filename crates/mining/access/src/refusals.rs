use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use bq_mining_message::RefusalInfo;
use bq_primitives::{Address, Algorithm, KeyHash, Network, WorkerName};
use bq_share::{Peer, UnixMs};

/// Why logins and shares failed, by address, for a while: so that whoever mines to it can find out without asking anyone
/// (SPEC 11.11.6). What a stranger can put here is bounded, and pushes out what he put here before what others did.
#[derive(Debug)]
pub struct Refusals {
    policy: RefusalsPolicy,
    by_who: BTreeMap<Who, Entries>,
    /// The one with the oldest news first.
    by_age: BTreeSet<(Sequence, Who)>,
    /// How many addresses each peer brought in that are still here.
    by_peer: BTreeMap<Option<Peer>, BTreeSet<(Sequence, Who)>>,
    sequence: Sequence,
}

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalsPolicy {
    /// For how many milliseconds a refusal is told.
    pub kept_ms: u64,
    /// Addresses in all.
    pub addresses_max: usize,
    /// Addresses that one peer may bring in.
    pub addresses_per_peer_max: usize,
    /// Different refusals of one address.
    pub refusals_max: usize,
}

impl Default for RefusalsPolicy {
    fn default() -> Self {
        Self { kept_ms: 3_600_000, addresses_max: 10_000, addresses_per_peer_max: 64, refusals_max: 32 }
    }
}

/// Whose logins or shares they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// An address of this network.
    Key(KeyHash),
    /// What else was written where an address should be: mistyped, or of another network.
    Text(Box<str>),
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A login.
    Login,
    /// A share.
    Share,
    /// To go on with a connection.
    Connection,
}

type Sequence = u64;

#[derive(Debug)]
struct Entries {
    /// When something was added last.
    sequence: Sequence,
    /// Who brought the address in.
    peer: Option<Peer>,
    /// The newest last.
    refusals: Vec<Refusal>,
}

#[derive(Clone, Debug)]
struct Refusal {
    what: What,
    algorithm: Algorithm,
    worker: Option<WorkerName>,
    reason: Box<str>,
    count: u64,
    first: UnixMs,
    last: UnixMs,
}

/// A reason is a sentence; whoever makes longer ones is cut short.
const REASON_BYTES_MAX: usize = 200;

impl Who {
    /// What a login names: its address, whatever follows it.
    #[must_use]
    pub fn of_login(login: &str, network: Network) -> Option<Self> {
        const CHARS_MAX: usize = 128;
        let address = login.split(['.', '/', '+']).next().unwrap_or_default();
        let plain = !address.is_empty()
            && address.len() <= CHARS_MAX
            && address.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain.then(|| match Address::parse(address, network) {
            Ok(address) => Self::Key(address.key_hash),
            Err(_) => Self::Text(address.into()),
        })
    }
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Share => "share",
            Self::Connection => "connection",
        }
    }
}

impl Refusals {
    /// Nothing was refused.
    #[must_use]
    pub const fn new(policy: RefusalsPolicy) -> Self {
        Self { policy, by_who: BTreeMap::new(), by_age: BTreeSet::new(), by_peer: BTreeMap::new(), sequence: 0 }
    }

    /// Something was refused, in the words that the miner was told.
    pub fn note(
        &mut self,
        now: UnixMs,
        (peer, who): (Option<Peer>, Who),
        (what, algorithm, worker): (What, Algorithm, Option<&WorkerName>),
        reason: &str,
    ) {
        self.forget_old(now);
        if !self.by_who.contains_key(&who) {
            self.make_room(peer);
        }
        self.sequence = self.sequence.saturating_add(1);
        let sequence = self.sequence;
        let new = Entries { sequence, peer, refusals: Vec::new() };
        let entries = self.by_who.entry(who.clone()).or_insert(new);
        let before = mem::replace(&mut entries.sequence, sequence);
        let of_peer = self.by_peer.entry(entries.peer).or_default();
        self.by_age.remove(&(before, who.clone()));
        of_peer.remove(&(before, who.clone()));
        self.by_age.insert((sequence, who.clone()));
        of_peer.insert((sequence, who));
        entries.note(now, (what, algorithm, worker), reason, self.policy.refusals_max);
    }

    fn make_room(&mut self, peer: Option<Peer>) {
        // Nobody is who the trusted are: they are many, and bounded by the whole alone.
        let counted = peer.is_some().then(|| self.by_peer.get(&peer)).flatten();
        let of_peer = counted.filter(|of_peer| of_peer.len() >= self.policy.addresses_per_peer_max);
        if let Some((_, who)) = of_peer.and_then(BTreeSet::first).cloned() {
            self.forget(&who);
        } else if self.by_who.len() >= self.policy.addresses_max
            && let Some((_, who)) = self.by_age.first().cloned()
        {
            self.forget(&who);
        }
    }

    fn forget_old(&mut self, now: UnixMs) {
        while let Some((_, who)) = self.by_age.first().cloned()
            && self.by_who.get(&who).is_none_or(|entries| now.ms_since(entries.last()) >= self.policy.kept_ms)
        {
            self.forget(&who);
        }
    }

    fn forget(&mut self, who: &Who) {
        let Some(entries) = self.by_who.remove(who) else { return };
        let key = (entries.sequence, who.clone());
        self.by_age.remove(&key);
        if let Some(of_peer) = self.by_peer.get_mut(&entries.peer) {
            of_peer.remove(&key);
            if of_peer.is_empty() {
                self.by_peer.remove(&entries.peer);
            }
        }
    }

    /// What was refused lately, the newest first.
    #[must_use]
    pub fn of(&self, now: UnixMs, who: &Who) -> Vec<RefusalInfo> {
        let refusals = self.by_who.get(who).map_or(&[][..], |entries| &entries.refusals);
        let recent = |refusal: &&Refusal| now.ms_since(refusal.last) < self.policy.kept_ms;
        refusals.iter().rev().filter(recent).map(Refusal::info).collect()
    }
}

impl Entries {
    fn note(
        &mut self,
        now: UnixMs,
        (what, algorithm, worker): (What, Algorithm, Option<&WorkerName>),
        reason: &str,
        refusals_max: usize,
    ) {
        let reason = reason.get(..reason.floor_char_boundary(REASON_BYTES_MAX)).unwrap_or_default();
        let same = |refusal: &Refusal| {
            refusal.what == what
                && refusal.algorithm == algorithm
                && refusal.worker.as_ref() == worker
                && *refusal.reason == *reason
        };
        let mut refusal = match self.refusals.iter().position(same) {
            Some(index) => self.refusals.remove(index),
            None => {
                let worker = worker.cloned();
                Refusal { what, algorithm, worker, reason: reason.into(), count: 0, first: now, last: now }
            }
        };
        refusal.count = refusal.count.saturating_add(1);
        refusal.last = now;
        if self.refusals.len() >= refusals_max.max(1) {
            self.refusals.remove(0);
        }
        self.refusals.push(refusal);
    }

    fn last(&self) -> UnixMs {
        self.refusals.last().map_or(UnixMs(0), |refusal| refusal.last)
    }
}

impl Refusal {
    fn info(&self) -> RefusalInfo {
        RefusalInfo {
            what: self.what.name().to_owned(),
            algorithm: self.algorithm.to_string(),
            worker: self.worker.as_ref().map(ToString::to_string),
            reason: self.reason.to_string(),
            count: self.count,
            first: self.first.timestamp().0,
            last: self.last.timestamp().0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: (What, Algorithm, Option<&WorkerName>) = (What::Share, Algorithm::Ethash, None);

    fn refusals() -> Refusals {
        let policy = RefusalsPolicy {
            addresses_max: 6,
            addresses_per_peer_max: 3,
            refusals_max: 2,
            ..RefusalsPolicy::default()
        };
        Refusals::new(policy)
    }

    fn peer(n: u8) -> Option<Peer> {
        Some(Peer::of([192, 0, 2, n].into()))
    }

    fn key(n: u8) -> Who {
        Who::Key(KeyHash([n; 32]))
    }

    fn count(refusals: &Refusals, who: &Who) -> Vec<u64> {
        refusals.of(UnixMs(0), who).iter().map(|refusal| refusal.count).collect()
    }

    #[test]
    fn the_same_refusal_is_counted_and_the_newest_comes_first() {
        let mut refusals = refusals();
        let rig = WorkerName::new("rig").unwrap();
        let of_rig = (What::Share, Algorithm::Ethash, Some(&rig));
        refusals.note(UnixMs(1_000), (peer(1), key(1)), of_rig, "Stale");
        refusals.note(UnixMs(2_000), (peer(1), key(1)), SHARE, "Stale");
        refusals.note(UnixMs(3_500), (peer(2), key(1)), of_rig, "Stale");
        let told = refusals.of(UnixMs(4_000), &key(1));
        assert_eq!((told[0].count, told[0].first, told[0].last, told[0].worker.as_deref()), (2, 1, 3, Some("rig")));
        assert_eq!((told[1].count, told.len()), (1, 2));
        refusals.note(UnixMs(4_000), (peer(1), key(1)), SHARE, "Duplicate");
        assert_eq!(count(&refusals, &key(1)), [1, 2], "the oldest of one address goes");
        assert_eq!(refusals.of(UnixMs(3_603_499), &key(1)).len(), 2);
        assert_eq!(refusals.of(UnixMs(3_603_500), &key(1)).len(), 1, "an hour");
        refusals.note(UnixMs(3_700_000), (peer(1), key(2)), SHARE, "Stale");
        assert_eq!(refusals.by_who.len(), 1);
    }

    #[test]
    fn one_peer_pushes_out_only_what_it_brought_in() {
        let mut refusals = refusals();
        for n in 1..=3 {
            refusals.note(UnixMs(0), (peer(1), key(n)), SHARE, "Stale");
        }
        for n in 10..=200 {
            refusals.note(UnixMs(0), (peer(2), key(n)), SHARE, "Stale");
        }
        assert_eq!([1, 2, 3, 198, 199, 200].map(|n| count(&refusals, &key(n)).len()), [1; 6]);
        refusals.note(UnixMs(0), (peer(3), key(4)), SHARE, "Stale");
        assert_eq!((refusals.by_who.len(), refusals.by_age.len()), (6, 6));
        assert_eq!(count(&refusals, &key(1)).len(), 0, "the one without news for longest");
        let of_peers: usize = refusals.by_peer.values().map(BTreeSet::len).sum();
        assert_eq!(of_peers, 6);
    }

    #[test]
    fn the_trusted_are_not_one_peer() {
        let mut refusals = refusals();
        for n in 1..=8 {
            refusals.note(UnixMs(0), (None, key(n)), SHARE, "Stale");
        }
        assert_eq!([1, 2, 3, 4, 8].map(|n| count(&refusals, &key(n)).len()), [0, 0, 1, 1, 1]);
    }

    #[test]
    fn a_login_names_its_address_or_what_stands_in_its_place() {
        let address = Address { network: Network::Devnet, key_hash: KeyHash([5; 32]) }.to_string();
        let of = |login: &str| Who::of_login(login, Network::Devnet);
        assert_eq!(of(&format!("{address}.rig#1+20")), Some(Who::Key(KeyHash([5; 32]))));
        let elsewhere = Address { network: Network::Testnet, key_hash: KeyHash([5; 32]) }.to_string();
        assert_eq!(of(&elsewhere), Some(Who::Text(elsewhere.as_str().into())));
        assert_eq!(of("alice/rig"), Some(Who::Text("alice".into())));
        for login in ["", ".rig", "a b", "<script>", &"x".repeat(129)] {
            assert_eq!(of(login), None, "{login}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let mut refusals = refusals();
        refusals.note(UnixMs(0), (None, key(1)), SHARE, &"\u{e4}".repeat(150));
        assert_eq!(refusals.of(UnixMs(0), &key(1))[0].reason, "\u{e4}".repeat(100));
    }
}
