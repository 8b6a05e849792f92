use std::collections::{BTreeMap, BTreeSet};

use bq_mining_message::ShareSequence;
use bq_primitives::KeyHash;

/// So many are remembered, some 4 MiB: more than the blocks of years. Of more the newest, which pages show first.
const FINDERS_MAX: usize = 65_536;

/// Whose share a block of the pool was, once somebody asked: the log tells it only by a whole segment.
#[derive(Debug, Default)]
pub(crate) struct Finders(BTreeMap<ShareSequence, KeyHash>);

impl Finders {
    /// Those that are known.
    pub(crate) fn of(&self, shares: &BTreeSet<ShareSequence>) -> BTreeMap<ShareSequence, KeyHash> {
        shares.iter().filter_map(|share| Some((*share, *self.0.get(share)?))).collect()
    }

    /// Remembers what the log said.
    pub(crate) fn note(&mut self, read: &BTreeMap<ShareSequence, KeyHash>) {
        self.0.extend(read);
        while self.0.len() > FINDERS_MAX {
            self.0.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_and_no_more_than_fit() {
        let mut finders = Finders::default();
        let all: BTreeMap<_, _> = (1..=70_000_u64).map(|n| (ShareSequence(n), KeyHash([1; 32]))).collect();
        finders.note(&all);
        let asked = [1, 70_000, 70_001].map(ShareSequence);
        assert_eq!(finders.of(&asked.into()).into_keys().collect::<Vec<_>>(), [ShareSequence(70_000)]);
        assert_eq!(finders.0.len(), FINDERS_MAX);
    }
}
