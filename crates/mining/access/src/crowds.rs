use std::collections::{BTreeMap, BTreeSet};

use bq_share::Peer;

/// What each network address brought in, in order of age, and who brought most: whoever did makes room where all is full, so that many with
/// little push out nobody who brought less. Nobody is who the trusted are.
#[derive(Debug)]
pub(crate) struct Crowds<K> {
    by_peer: BTreeMap<Option<Peer>, BTreeSet<K>>,
    by_size: BTreeSet<(usize, Option<Peer>)>,
}

impl<K: Ord> Crowds<K> {
    pub(crate) const fn new() -> Self {
        Self { by_peer: BTreeMap::new(), by_size: BTreeSet::new() }
    }

    pub(crate) fn insert(&mut self, peer: Option<Peer>, key: K) {
        self.change(peer, |keys| keys.insert(key));
    }

    pub(crate) fn remove(&mut self, peer: Option<Peer>, key: &K) {
        self.change(peer, |keys| keys.remove(key));
    }

    fn change(&mut self, peer: Option<Peer>, change: impl FnOnce(&mut BTreeSet<K>) -> bool) {
        let keys = self.by_peer.entry(peer).or_default();
        self.by_size.remove(&(keys.len(), peer));
        change(keys);
        if keys.is_empty() {
            self.by_peer.remove(&peer);
        } else {
            self.by_size.insert((keys.len(), peer));
        }
    }

    /// How much one brought that is still here.
    pub(crate) fn len_of(&self, peer: Option<Peer>) -> usize {
        self.by_peer.get(&peer).map_or(0, BTreeSet::len)
    }

    /// The oldest that one brought.
    pub(crate) fn oldest_of(&self, peer: Option<Peer>) -> Option<&K> {
        self.by_peer.get(&peer)?.first()
    }

    /// The oldest of whoever brought most.
    pub(crate) fn oldest_of_most(&self) -> Option<&K> {
        let (_, peer) = self.by_size.last()?;
        self.oldest_of(*peer)
    }
}

#[cfg(test)]
impl<K> Crowds<K> {
    /// What all brought, counted twice, and who they are, counted twice: each pair is of two equal numbers.
    pub(crate) fn counts(&self) -> [(usize, usize); 2] {
        let brought = self.by_peer.values().map(BTreeSet::len).sum();
        [(brought, self.by_size.iter().map(|(count, _)| count).sum()), (self.by_peer.len(), self.by_size.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_brought_most_is_known_whatever_comes_and_goes() {
        let peer = |n: u64| {
            let last = u8::try_from(n % 5).unwrap();
            (last > 0).then(|| Peer::of([192, 0, 2, last].into()))
        };
        let (mut crowds, mut model) = (Crowds::new(), BTreeSet::new());
        let mut seed = 1_u64;
        for step in 0..5_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (from, key) = (peer(seed >> 33), (seed >> 40) % 50);
            if step % 3 == 2 {
                crowds.remove(from, &key);
                model.remove(&(from, key));
            } else {
                crowds.insert(from, key);
                model.insert((from, key));
            }
            let of = |peer| model.iter().filter(move |(from, _)| *from == peer).map(|(_, key)| *key);
            let most = (0..5).map(|n| (of(peer(n)).count(), peer(n))).max().filter(|(count, _)| *count > 0);
            assert_eq!(crowds.oldest_of_most().copied(), most.and_then(|(_, peer)| of(peer).min()));
            assert_eq!((crowds.len_of(from), crowds.oldest_of(from).copied()), (of(from).count(), of(from).min()));
            assert!(crowds.counts().iter().all(|(one, other)| one == other), "{crowds:?}");
        }
    }
}
