use std::collections::{BTreeSet, VecDeque};

use bq_primitives::BlockId;

use crate::ShareKey;

/// The proven shares of one algorithm, over all connections, so that each is credited once. Only shares whose proof holds
/// enter: what costs nothing to make must not cost memory.
///
/// Bounded by shares per parent and by parents. When full it refuses rather than forgets: a share that cannot be
/// remembered could be paid twice.
#[derive(Debug)]
pub struct DuplicateSet {
    shares_max: usize,
    /// Newest tip first.
    parents: VecDeque<(BlockId, BTreeSet<ShareKey>)>,
}

/// What inserting a share found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Never seen: it may be credited.
    First,
    /// Credited before.
    Again,
    /// Its parent is no recent tip.
    Forgotten,
    /// No room until the tip moves.
    Full,
}

/// Tips remembered, so that a chain that flips between two of them does not pay old shares again.
const PARENTS_KEPT: usize = 4;

impl DuplicateSet {
    /// A set for at most `shares_max` shares per parent.
    #[must_use]
    pub fn new(shares_max: usize) -> Self {
        Self { shares_max, parents: VecDeque::new() }
    }

    /// The tip is now `parent`; what belongs to old tips is dropped.
    pub fn on_tip(&mut self, parent: BlockId) {
        let known = self.parents.iter().position(|(id, _)| *id == parent);
        let entry = known.and_then(|index| self.parents.remove(index));
        self.parents.push_front(entry.unwrap_or((parent, BTreeSet::new())));
        self.parents.truncate(PARENTS_KEPT);
    }

    /// Credited before.
    #[must_use]
    pub fn contains(&self, parent: &BlockId, key: &ShareKey) -> bool {
        self.parents.iter().any(|(id, shares)| id == parent && shares.contains(key))
    }

    /// Remembers a share whose proof was verified in full.
    pub fn insert(&mut self, parent: &BlockId, key: ShareKey) -> Sighting {
        let Some((_, shares)) = self.parents.iter_mut().find(|(id, _)| id == parent) else {
            return Sighting::Forgotten;
        };
        if shares.contains(&key) {
            return Sighting::Again;
        }
        if shares.len() >= self.shares_max {
            return Sighting::Full;
        }
        shares.insert(key);
        Sighting::First
    }

    /// Takes a share out again: it was proven, but could not be booked.
    pub fn remove(&mut self, parent: &BlockId, key: &ShareKey) {
        if let Some((_, shares)) = self.parents.iter_mut().find(|(id, _)| id == parent) {
            shares.remove(key);
        }
    }

    /// Shares remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parents.iter().fold(0, |sum, (_, shares)| sum.saturating_add(shares.len()))
    }

    /// Nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> ShareKey {
        ShareKey([n; 16])
    }

    #[test]
    fn each_share_counts_once_per_parent_until_its_tip_is_old() {
        let tips: Vec<BlockId> = (0..6).map(|n| BlockId([n; 32])).collect();
        let mut set = DuplicateSet::new(2);
        assert_eq!(set.insert(&tips[0], key(1)), Sighting::Forgotten);
        set.on_tip(tips[0]);
        assert_eq!(set.insert(&tips[0], key(1)), Sighting::First);
        assert_eq!(set.insert(&tips[0], key(1)), Sighting::Again);
        assert_eq!(set.insert(&tips[0], key(2)), Sighting::First);
        assert_eq!(set.insert(&tips[0], key(3)), Sighting::Full);
        set.on_tip(tips[1]);
        set.on_tip(tips[0]); // flips back: nothing is forgotten
        assert!(set.contains(&tips[0], &key(1)));
        for tip in &tips[2..6] {
            set.on_tip(*tip);
        }
        assert_eq!(set.insert(&tips[0], key(1)), Sighting::Forgotten);
        assert!(set.is_empty());
    }
}
