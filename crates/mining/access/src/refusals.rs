use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    mem,
};

use bq_mining_message::RefusalInfo;
use bq_primitives::{Address, Algorithm, KeyHash, Network, WorkerName};
use bq_share::{Peer, UnixMs};

use crate::crowds::Crowds;

/// Why logins and shares failed, by address, for a while: so that whoever mines to it can find out without asking anyone
/// (SPEC 11.11.6). What comes from one peer is kept apart from what others bring in, of the same address too, and pushes out nothing else.
#[derive(Debug)]
pub struct Refusals {
    policy: RefusalsPolicy,
    by_source: BTreeMap<Source, Entries>,
    /// The one with the oldest news first.
    by_age: BTreeSet<(Sequence, Source)>,
    /// What each peer brought in that is still here.
    crowds: Crowds<(Sequence, Source)>,
    sequence: Sequence,
}

/// Whose logins or shares, and where they came from; nobody is who the trusted are.
type Source = (Who, Option<Peer>);

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalsPolicy {
    /// For how many milliseconds a refusal is told.
    pub kept_ms: u64,
    /// Addresses in all; one that several peers bring in counts for each of them.
    pub addresses_max: usize,
    /// Addresses that one peer may bring in.
    pub addresses_per_peer_max: usize,
    /// Different refusals of one address that one peer may bring in.
    pub refusals_max: usize,
    /// Different refusals of one address that are told.
    pub told_max: usize,
}

impl Default for RefusalsPolicy {
    fn default() -> Self {
        Self { kept_ms: 3_600_000, addresses_max: 10_000, addresses_per_peer_max: 64, refusals_max: 32, told_max: 256 }
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
        Self { policy, by_source: BTreeMap::new(), by_age: BTreeSet::new(), crowds: Crowds::new(), sequence: 0 }
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
        let source = (who, peer);
        if !self.by_source.contains_key(&source) {
            self.make_room(peer);
        }
        self.sequence = self.sequence.saturating_add(1);
        let sequence = self.sequence;
        let entries = self.by_source.entry(source.clone()).or_insert(Entries { sequence, refusals: Vec::new() });
        let before = mem::replace(&mut entries.sequence, sequence);
        let (before, news) = ((before, source.clone()), (sequence, source));
        self.by_age.remove(&before);
        self.crowds.remove(peer, &before);
        self.by_age.insert(news.clone());
        self.crowds.insert(peer, news);
        entries.note(now, (what, algorithm, worker), reason, self.policy.refusals_max);
    }

    fn make_room(&mut self, peer: Option<Peer>) {
        let is_full = self.by_source.len() >= self.policy.addresses_max;
        // Nobody is who the trusted are: they are many, and bounded by the whole alone.
        let has_most = peer.is_some() && self.crowds.len_of(peer) >= self.policy.addresses_per_peer_max;
        let own = self.crowds.oldest_of(peer).filter(|_| is_full || has_most);
        let oldest = own.or_else(|| self.crowds.oldest_of_most().filter(|_| is_full));
        if let Some((_, source)) = oldest.cloned() {
            self.forget(&source);
        }
    }

    fn forget_old(&mut self, now: UnixMs) {
        while let Some((_, source)) = self.by_age.first().cloned()
            && self.by_source.get(&source).is_none_or(|entries| now.ms_since(entries.last()) >= self.policy.kept_ms)
        {
            self.forget(&source);
        }
    }

    fn forget(&mut self, source: &Source) {
        let Some(entries) = self.by_source.remove(source) else { return };
        let key = (entries.sequence, source.clone());
        self.by_age.remove(&key);
        let (_, peer) = source;
        self.crowds.remove(*peer, &key);
    }

    /// What was refused lately, the newest first; what is the same is told once, wherever it came from. Where that is too much, what came from
    /// where `asker` asks goes before all else, and what is newest from each peer before what is second from any.
    #[must_use]
    pub fn of(&self, now: UnixMs, who: &Who, asker: Option<Peer>) -> Vec<RefusalInfo> {
        let from_all = self.by_source.range((who.clone(), None)..).take_while(|((other, _), _)| other == who);
        let ranked = from_all.flat_map(|((_, peer), entries)| {
            let is_askers = asker.is_some() && *peer == asker;
            let rank = move |age: usize| if is_askers { 0 } else { age.saturating_add(1) };
            entries.refusals.iter().rev().enumerate().map(move |(age, refusal)| (rank(age), refusal))
        });
        let mut recent: Vec<_> =
            ranked.filter(|(_, refusal)| now.ms_since(refusal.last) < self.policy.kept_ms).collect();
        recent.sort_by_key(|(rank, refusal)| (*rank, Reverse(refusal.last)));
        let mut told: Vec<Refusal> = Vec::new();
        for (_, refusal) in recent {
            let known = told.iter().position(|known| known.is_same(refusal));
            if let Some(known) = known.and_then(|index| told.get_mut(index)) {
                known.add(refusal);
            } else if told.len() < self.policy.told_max {
                told.push(refusal.clone());
            }
        }
        told.sort_by_key(|refusal| Reverse(refusal.last));
        told.iter().map(Refusal::info).collect()
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
        let worker = worker.cloned();
        let mut refusal = Refusal { what, algorithm, worker, reason: reason.into(), count: 1, first: now, last: now };
        if let Some(index) = self.refusals.iter().position(|known| known.is_same(&refusal)) {
            refusal.add(&self.refusals.remove(index));
        }
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
    fn is_same(&self, other: &Self) -> bool {
        (self.what, self.algorithm, &self.worker, &self.reason)
            == (other.what, other.algorithm, &other.worker, &other.reason)
    }

    /// Counts another that is the same.
    fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
    }

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
        refusals.of(UnixMs(0), who, None).iter().map(|refusal| refusal.count).collect()
    }

    #[test]
    fn the_same_refusal_is_counted_and_the_newest_comes_first() {
        let mut refusals = refusals();
        let rig = WorkerName::new("rig").unwrap();
        let of_rig = (What::Share, Algorithm::Ethash, Some(&rig));
        refusals.note(UnixMs(1_000), (peer(1), key(1)), of_rig, "Stale");
        refusals.note(UnixMs(2_000), (peer(1), key(1)), SHARE, "Stale");
        refusals.note(UnixMs(3_500), (peer(2), key(1)), of_rig, "Stale");
        let told = refusals.of(UnixMs(4_000), &key(1), None);
        assert_eq!((told[0].count, told[0].first, told[0].last, told[0].worker.as_deref()), (2, 1, 3, Some("rig")));
        assert_eq!((told[1].count, told.len()), (1, 2));
        refusals.note(UnixMs(4_000), (peer(1), key(1)), SHARE, "Duplicate");
        assert_eq!(count(&refusals, &key(1)), [1, 1, 1], "the oldest of one address from one peer goes");
        assert_eq!(refusals.of(UnixMs(3_603_499), &key(1), None).len(), 2);
        assert_eq!(refusals.of(UnixMs(3_603_500), &key(1), None).len(), 1, "an hour");
        refusals.note(UnixMs(3_700_000), (peer(1), key(2)), SHARE, "Stale");
        assert_eq!(refusals.by_source.len(), 1);
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
        assert_eq!((refusals.by_source.len(), refusals.by_age.len()), (6, 6));
        assert_eq!(count(&refusals, &key(198)).len(), 0, "the oldest of one of those that brought most");
        refusals.note(UnixMs(0), (peer(3), key(5)), SHARE, "Stale");
        assert_eq!([1, 4, 5].map(|n| count(&refusals, &key(n)).len()), [1, 0, 1], "its own, where all is full");
        let [brought, peers] = refusals.crowds.counts();
        assert_eq!((brought, peers.0), ((6, 6), peers.1));
    }

    /// Whoever logs in to a victim's address, before or after him and in whatever words, hides nothing that the victim has to read.
    #[test]
    fn nobody_pushes_out_what_another_brought_in_to_the_same_address() {
        let mut refusals = Refusals::new(RefusalsPolicy { told_max: 8, addresses_max: 100, ..refusals().policy });
        let worker = |n: u8| WorkerName::new(&format!("rig{n}")).unwrap();
        let note = |refusals: &mut Refusals, at, from, (to, rig)| {
            let what = (What::Login, Algorithm::Sha256d, Some(&worker(rig)));
            refusals.note(UnixMs(at), (peer(from), key(to)), what, "wrong token");
        };
        // The same words first, so that the victim's would be counted with them, and then many others.
        note(&mut refusals, 0, 2, (1, 0));
        note(&mut refusals, 1, 1, (1, 0));
        for n in 1..=100 {
            note(&mut refusals, 2, 2, (1, n));
            note(&mut refusals, 2, 2, (1 + n, n));
        }
        for n in 3..=5 {
            note(&mut refusals, 3, n, (1, n));
        }
        let told = refusals.of(UnixMs(4), &key(1), None);
        let of_victim: Vec<_> = told.iter().filter(|refusal| refusal.worker.as_deref() == Some("rig0")).collect();
        assert!(of_victim.len() == 1 && of_victim[0].count == 1, "{told:?}");
        assert!(told.is_sorted_by_key(|refusal| Reverse(refusal.last)));
        refusals.policy.told_max = 5;
        let told = refusals.of(UnixMs(4), &key(1), None);
        assert!(told.len() == 5 && told.iter().any(|refusal| refusal.worker.as_deref() == Some("rig0")), "{told:?}");
    }

    /// As many as like may fail at a victim's address, or anywhere, with as much as each may bring.
    #[test]
    fn many_others_hide_nothing_from_who_asks_from_where_it_happened() {
        let policy = RefusalsPolicy { told_max: 4, addresses_max: 40, addresses_per_peer_max: 4, ..refusals().policy };
        let mut refusals = Refusals::new(policy);
        refusals.note(UnixMs(0), (peer(1), key(1)), SHARE, "the victim's");
        for n in 2..=30 {
            for other in 100..110 {
                refusals.note(UnixMs(1), (peer(n), key(other)), SHARE, "Stale");
            }
            refusals.note(UnixMs(1), (peer(n), key(1)), SHARE, &format!("of {n}"));
        }
        let told = refusals.of(UnixMs(2), &key(1), peer(1));
        assert!(told.len() == 4 && told.iter().any(|refusal| refusal.reason == "the victim's"), "{told:?}");
        assert_eq!(refusals.by_source.len(), 40);
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
        assert_eq!(refusals.of(UnixMs(0), &key(1), None)[0].reason, "\u{e4}".repeat(100));
    }
}
