use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bq_chain_api::HeaderSource;
use bq_consensus::{Branch, ContextualHeader, pow_key};
use bq_pow::{ethash_epoch, randomx_key_height};
use bq_primitives::{Algorithm, BlockId, Height, PowKey};
use bq_tree::BlockTree;
use parking_lot::Mutex;

use crate::Node;

/// How many blocks ahead tables are built. Below the RandomX lag (SPEC 5.4), so that the key block is known by then.
const LOOKAHEAD_BLOCKS: u32 = 32;
/// The source of what no peer sent. Peers' sources are below 2^40.
pub(crate) const OURSELVES: HeaderSource = HeaderSource(u64::MAX);
/// Foreign tables that may be built at once for all peers together, and how often one more. A table costs up to a second
/// of one core, and each one asked for displaces another that is needed.
const FOREIGN_BUILDS_MAX: u32 = 2;
const FOREIGN_BUILD_EVERY: Duration = Duration::from_secs(600);
/// How often one source may have a foreign table built.
const SOURCE_BUILD_EVERY: Duration = Duration::from_secs(3600);
/// Sources that wait for their next one. When it is full, the one that has waited longest is forgotten.
const SOURCES_MAX: usize = 1024;

/// Bounds how often those who send headers on old branches, with proofs that nobody has looked at, make us build tables
/// for them. Both budgets, the common one and the source's own, get back what was taken for a table once the first header
/// that needed it is proven: a branch with work behind it is held up by neither.
#[derive(Debug, Default)]
pub(crate) struct KeyBudget(Mutex<Budget>);

#[derive(Debug, Default)]
struct Budget {
    /// Builds that were not given back, and when the oldest of them is forgiven.
    spent: u32,
    forgiven_at: Option<Instant>,
    /// When each source may ask again.
    sources: BTreeMap<HeaderSource, Instant>,
    /// The table that was built last.
    current: Option<PowKey>,
}

impl KeyBudget {
    /// Whether it is the table that was built last: asking for it again costs nothing.
    pub(crate) fn is_current(&self, key: &PowKey) -> bool {
        self.0.lock().current.as_ref() == Some(key)
    }

    /// Takes a build out of both budgets; `false` when one of them is empty.
    pub(crate) fn take(&self, source: HeaderSource, key: PowKey, now: Instant) -> bool {
        let mut budget = self.0.lock();
        budget.forgive(now);
        let is_waiting = budget.sources.get(&source).is_some_and(|until| now < *until);
        if is_waiting || budget.spent >= FOREIGN_BUILDS_MAX {
            return false;
        }
        budget.spent += 1;
        budget.forgiven_at.get_or_insert(now + FOREIGN_BUILD_EVERY);
        if budget.sources.len() >= SOURCES_MAX {
            let oldest = budget.sources.iter().min_by_key(|(_, until)| **until).map(|(source, _)| *source);
            oldest.and_then(|oldest| budget.sources.remove(&oldest));
        }
        budget.sources.insert(source, now + SOURCE_BUILD_EVERY);
        budget.current = Some(key);
        true
    }

    /// The first header that needed the table is proven.
    pub(crate) fn give_back(&self, source: HeaderSource, key: PowKey) {
        let mut budget = self.0.lock();
        if budget.current == Some(key) && budget.sources.remove(&source).is_some() {
            budget.spent = budget.spent.saturating_sub(1);
        }
    }
}

impl Budget {
    fn forgive(&mut self, now: Instant) {
        while let Some(at) = self.forgiven_at.filter(|at| *at <= now) {
            self.spent = self.spent.saturating_sub(1);
            self.forgiven_at = (self.spent > 0).then(|| at + FOREIGN_BUILD_EVERY);
        }
        self.sources.retain(|_, until| now < *until);
    }
}

/// The tables that a run of headers may use without taking them out of a budget.
#[derive(Debug)]
pub(crate) enum UsualKeys {
    /// It goes on with the best header chain: whatever it needs, everybody will.
    All,
    /// Those that the best chain needs now and soon.
    Only(Vec<PowKey>),
}

impl UsualKeys {
    pub(crate) fn hold(&self, key: &PowKey) -> bool {
        match self {
            Self::All => true,
            Self::Only(keys) => *key == PowKey::Sha256d || keys.contains(key),
        }
    }
}

impl Node {
    /// Whether the proof of this block may be examined now: its table is one that the best chain or the best header
    /// chain uses anyway, or the budget for others has something left. Nobody sends blocks unasked but our own miners.
    pub(crate) fn allow_key(&self, tree: &BlockTree, parent_id: &BlockId, header: &ContextualHeader) -> bool {
        let key = header.key();
        self.usual_keys(tree, parent_id).hold(&key)
            || self.keys.is_current(&key)
            || self.keys.take(OURSELVES, key, Instant::now())
    }

    pub(crate) fn usual_keys(&self, tree: &BlockTree, parent_id: &BlockId) -> UsualKeys {
        if *parent_id == tree.best_header().id { UsualKeys::All } else { UsualKeys::Only(self.expected_keys(tree)) }
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

    fn key(number: u8) -> PowKey {
        PowKey::RandomX(BlockId([number; 32]))
    }

    const fn source(number: u64) -> HeaderSource {
        HeaderSource(number)
    }

    #[test]
    fn all_sources_together_have_old_tables_built_seldom() {
        let budget = KeyBudget::default();
        let start = Instant::now();
        assert!(budget.take(source(1), key(1), start));
        assert!(budget.is_current(&key(1)) && !budget.is_current(&key(2)));
        assert!(budget.take(source(2), key(2), start));
        assert!(!budget.take(source(3), key(3), start));
        assert!(!budget.take(source(3), key(3), start + FOREIGN_BUILD_EVERY / 2));
        assert!(budget.take(source(3), key(3), start + FOREIGN_BUILD_EVERY));
        assert!(!budget.take(source(4), key(4), start + FOREIGN_BUILD_EVERY));
        // However long nothing was asked for, the budget holds no more than its size.
        let late = start + FOREIGN_BUILD_EVERY * 50;
        assert!(budget.take(source(5), key(5), late) && budget.take(source(6), key(6), late));
        assert!(!budget.take(source(7), key(7), late));
    }

    /// For a day, one source asks for another table every second.
    #[test]
    fn one_source_has_one_table_built_per_hour() {
        let budget = KeyBudget::default();
        let start = Instant::now();
        let day = (0..86_400_u32).map(|second| start + Duration::from_secs(u64::from(second)));
        let builds = day.zip(0_u32..).filter(|(now, turn)| budget.take(source(1), key(u8::from(turn % 2 == 0)), *now));
        assert_eq!(builds.count(), 24);
    }

    #[test]
    fn a_table_that_was_worth_building_costs_nothing() {
        let budget = KeyBudget::default();
        let start = Instant::now();
        for number in 0..50 {
            assert!(budget.take(source(1), key(number), start), "{number}");
            budget.give_back(source(1), key(number));
        }
        assert!(budget.take(source(1), key(99), start));
        assert!(!budget.take(source(1), key(98), start), "this one was not");
        budget.give_back(source(2), key(99));
        assert!(!budget.take(source(1), key(98), start), "nobody gives back for another");
    }
}
