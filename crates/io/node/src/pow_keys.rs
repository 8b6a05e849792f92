use std::time::{Duration, Instant};

use bq_chain::BlockTree;
use bq_consensus::{Branch, ContextualHeader, pow_key};
use bq_pow::{ethash_epoch, randomx_key_height};
use bq_primitives::{Algorithm, BlockId, Height, PowKey};
use parking_lot::Mutex;

use crate::Node;

/// How many blocks ahead tables are built. Below the RandomX lag (SPEC 5.4), so that the key block is known by then.
const LOOKAHEAD_BLOCKS: u32 = 32;
/// Tables of long ago that may be built at once, and how often one more. A table costs up to a second of one core, and
/// each one asked for displaces another that is needed.
const FOREIGN_BUILDS_MAX: u32 = 2;
const FOREIGN_BUILD_EVERY: Duration = Duration::from_secs(600);

/// Bounds how often someone who sends headers on old branches, with proofs that nobody has looked at, makes us build
/// tables for them.
#[derive(Debug)]
pub(crate) struct KeyBudget {
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: u32,
    refilled: Instant,
    last: Option<PowKey>,
}

impl Default for KeyBudget {
    fn default() -> Self {
        let bucket = Bucket { tokens: FOREIGN_BUILDS_MAX, refilled: Instant::now(), last: None };
        Self { bucket: Mutex::new(bucket) }
    }
}

impl KeyBudget {
    /// Takes a token for a key, unless it is the one that the last token went to.
    fn take(&self, key: PowKey, now: Instant) -> bool {
        let mut bucket = self.bucket.lock();
        if bucket.last == Some(key) {
            return true;
        }
        while bucket.tokens < FOREIGN_BUILDS_MAX && now >= bucket.refilled + FOREIGN_BUILD_EVERY {
            bucket.tokens += 1;
            bucket.refilled += FOREIGN_BUILD_EVERY;
        }
        if bucket.tokens == 0 {
            return false;
        }
        if bucket.tokens == FOREIGN_BUILDS_MAX {
            bucket.refilled = now;
        }
        bucket.tokens -= 1;
        bucket.last = Some(key);
        true
    }
}

impl Node {
    /// Whether the proof of this header may be examined now: its table is one that the best chain or the best header
    /// chain uses anyway, or the budget for others has something left.
    pub(crate) fn allow_key(&self, tree: &BlockTree, parent_id: &BlockId, header: &ContextualHeader) -> bool {
        let key = header.key();
        key == PowKey::Sha256d
            || *parent_id == tree.best_header().id
            || self.expected_keys(tree).contains(&key)
            || self.keys.take(key, Instant::now())
    }

    /// The tables that the next blocks on the best chain need, now and [`LOOKAHEAD_BLOCKS`] later.
    pub(crate) fn expected_keys(&self, tree: &BlockTree) -> Vec<PowKey> {
        let branch = tree.tip_branch();
        let mut keys = Vec::new();
        for algorithm in Algorithm::ALL {
            let is_active =
                |height: Height| self.params.eras.at(height).is_some_and(|era| era.algorithm(algorithm).is_some());
            let tip = branch.tip().height.0;
            let (next, later) = (Height(tip.saturating_add(1)), Height(tip.saturating_add(LOOKAHEAD_BLOCKS)));
            let now = is_active(next).then(|| pow_key(&self.params, &branch, algorithm)).flatten();
            let then = is_active(later).then(|| self.key_at(&branch, algorithm, later)).flatten();
            keys.extend(now);
            keys.extend(then.filter(|key| Some(*key) != now));
        }
        keys.retain(|key| *key != PowKey::Sha256d);
        keys
    }

    /// The key of a height above the branch's tip, where the branch decides it already (SPEC 5.4).
    fn key_at(&self, branch: &dyn Branch, algorithm: Algorithm, height: Height) -> Option<PowKey> {
        match algorithm {
            Algorithm::Sha256d => Some(PowKey::Sha256d),
            Algorithm::RandomX => branch.entry(randomx_key_height(height)).map(|key| PowKey::RandomX(key.id)),
            Algorithm::Ethash => {
                let activation = self.params.eras.first_activation(Algorithm::Ethash)?;
                ethash_epoch(height, activation).map(PowKey::Ethash)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_tables_are_built_seldom() {
        let budget = KeyBudget::default();
        let key = |number: u8| PowKey::RandomX(BlockId([number; 32]));
        let start = Instant::now();
        assert!(budget.take(key(1), start));
        assert!(budget.take(key(1), start));
        assert!(budget.take(key(2), start));
        assert!(!budget.take(key(3), start));
        assert!(!budget.take(key(3), start + FOREIGN_BUILD_EVERY / 2));
        assert!(budget.take(key(3), start + FOREIGN_BUILD_EVERY));
        assert!(!budget.take(key(4), start + FOREIGN_BUILD_EVERY));
        // However long nothing was asked for, the budget holds no more than its size.
        let late = start + FOREIGN_BUILD_EVERY * 50;
        assert!(budget.take(key(5), late) && budget.take(key(6), late) && !budget.take(key(7), late));
    }
}
