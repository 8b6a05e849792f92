use std::collections::{BTreeMap, BTreeSet};

use bq_consensus::{IndexEntry, SealedHeader};
use bq_primitives::{BlockId, Work};
use bq_store::NewHeader;

/// How many headers are kept that matter to nobody yet: 30 MiB of them, or 455 days of blocks ten minutes apart.
pub(crate) const LOW_WORK_HEADERS_MAX: usize = 65_536;

/// Headers with good proofs on branches that are far behind the best one (SPEC 9.2). Anybody can make any number of these
/// at the difficulty of long ago, so they are kept in memory only, a bounded number of them; a branch that catches up is
/// taken out whole. When it is full, the end of the branch with the least work gives way: a branch that left the best
/// chain lately has the work of all it shares with it, and is the last to go.
#[derive(Debug)]
pub(crate) struct LowWorkHeaders {
    max: usize,
    headers: BTreeMap<BlockId, Kept>,
    /// Headers without a child here.
    ends: BTreeSet<(Work, BlockId)>,
}

#[derive(Debug)]
struct Kept {
    sealed: SealedHeader,
    entry: IndexEntry,
    children: usize,
}

impl LowWorkHeaders {
    pub(crate) const fn new(max: usize) -> Self {
        Self { max, headers: BTreeMap::new(), ends: BTreeSet::new() }
    }

    pub(crate) fn contains(&self, id: &BlockId) -> bool {
        self.headers.contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.headers.len()
    }

    /// Keeps a header; `false` when there is no room, because nothing here has less work except what it builds on.
    pub(crate) fn insert(&mut self, sealed: SealedHeader, entry: IndexEntry) -> bool {
        if self.contains(&entry.id) {
            return true;
        }
        while self.headers.len() >= self.max {
            let Some((work, id)) = self.ends.iter().find(|(_, id)| *id != entry.parent_id).copied() else {
                return false;
            };
            if work >= entry.chain_work {
                return false;
            }
            self.remove(&id);
        }
        if let Some(parent) = self.headers.get_mut(&entry.parent_id) {
            parent.children += 1;
            self.ends.remove(&(parent.entry.chain_work, entry.parent_id));
        }
        self.ends.insert((entry.chain_work, entry.id));
        self.headers.insert(entry.id, Kept { sealed, entry, children: 0 });
        true
    }

    /// The headers here that a branch ending in `tip` consists of, lowest first; none when `tip` is not here.
    pub(crate) fn branch(&self, tip: &BlockId) -> Vec<IndexEntry> {
        let mut branch: Vec<_> = self.down_from(tip).map(|kept| kept.entry).collect();
        branch.reverse();
        branch
    }

    /// Takes such a branch out, to be stored.
    pub(crate) fn take_branch(&mut self, tip: &BlockId) -> Vec<NewHeader> {
        let stored = |kept: &Kept| NewHeader { sealed: kept.sealed, entry: kept.entry };
        let mut branch: Vec<_> = self.down_from(tip).map(stored).collect();
        for header in &branch {
            self.remove(&header.entry.id);
        }
        branch.reverse();
        branch
    }

    fn down_from(&self, tip: &BlockId) -> impl Iterator<Item = &Kept> {
        std::iter::successors(self.headers.get(tip), |kept| self.headers.get(&kept.entry.parent_id))
    }

    fn remove(&mut self, id: &BlockId) {
        let Some(Kept { entry, .. }) = self.headers.remove(id) else { return };
        self.ends.remove(&(entry.chain_work, *id));
        if let Some(parent) = self.headers.get_mut(&entry.parent_id) {
            parent.children -= 1;
            if parent.children == 0 {
                self.ends.insert((parent.entry.chain_work, entry.parent_id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_consensus::Params;
    use bq_primitives::{ExtraNonce, Seal, U256};

    /// A header numbered `number` with a parent and a chain work; nothing else about it matters here.
    fn header(number: u32, parent: BlockId, work: u64) -> (SealedHeader, IndexEntry) {
        let params = Params::regtest();
        let mut header = params.genesis_block().header;
        header.parent_id = parent;
        let seal = Seal::RandomX { extranonce: ExtraNonce::default(), nonce: number };
        let sealed = SealedHeader { header, seal };
        let entry = IndexEntry {
            id: sealed.id(),
            parent_id: parent,
            chain_work: Work(U256::from(work)),
            ..params.genesis_entry()
        };
        (sealed, entry)
    }

    /// Adds up to `count` headers above `parent`, while there is room; how many were kept, and the last of them.
    fn grow(pool: &mut LowWorkHeaders, mut parent: BlockId, work: u64, count: u32, salt: u32) -> (usize, BlockId) {
        let mut kept = 0;
        for step in 0..count {
            let (sealed, entry) = header(salt + step, parent, work + u64::from(step));
            if !pool.insert(sealed, entry) {
                break;
            }
            kept += 1;
            parent = entry.id;
        }
        (kept, parent)
    }

    #[test]
    fn spam_with_little_work_never_displaces_a_branch_with_more() {
        let mut pool = LowWorkHeaders::new(100);
        let (kept, tip) = grow(&mut pool, BlockId([1; 32]), 1_000_000, 60, 0);
        assert_eq!(kept, 60);
        // A thousand branches of one header each, and one long one.
        for salt in 0..1000 {
            grow(&mut pool, BlockId([2; 32]), 5, 1, 10_000 + salt);
        }
        grow(&mut pool, BlockId([3; 32]), 5, 500, 50_000);
        assert_eq!((pool.len(), pool.branch(&tip).len()), (100, 60));
        // The one with more work goes on growing, at the cost of the others.
        let (kept, tip) = grow(&mut pool, tip, 1_000_060, 60, 100);
        assert_eq!((kept, pool.len(), pool.branch(&tip).len()), (40, 100, 100), "and stops where it is alone");
    }

    #[test]
    fn a_branch_is_taken_out_whole_and_what_builds_on_it_stays() {
        let mut pool = LowWorkHeaders::new(100);
        let (_, middle) = grow(&mut pool, BlockId([1; 32]), 10, 5, 0);
        let (_, tip) = grow(&mut pool, middle, 15, 5, 100);
        let (_, other) = grow(&mut pool, middle, 15, 3, 200);
        let taken = pool.take_branch(&tip);
        assert_eq!((taken.len(), taken[9].entry.id, pool.len()), (10, tip, 3));
        assert!(taken.windows(2).all(|pair| pair[1].entry.parent_id == pair[0].entry.id));
        assert_eq!(pool.branch(&other).len(), 3);
        assert_eq!(pool.take_branch(&tip), []);
        assert_eq!(pool.take_branch(&other).len(), 3);
        assert!(pool.headers.is_empty() && pool.ends.is_empty());
    }
}
