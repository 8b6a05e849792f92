use bq_consensus::{Branch, IndexEntry};
use bq_primitives::Height;

use crate::{
    BlockTree,
    tree::{NodeIndex, at_height},
};

/// One branch of the tree, from genesis to some block. Ancestors on the best header chain or the best chain cost one
/// look-up; the blocks above the fork are listed when the view is made.
#[derive(Clone, Debug)]
pub struct BranchView<'a> {
    tree: &'a BlockTree,
    trunk: &'a [NodeIndex],
    side: Vec<NodeIndex>,
    tip: NodeIndex,
}

impl<'a> BranchView<'a> {
    /// Walks down from `tip` to whichever listed chain it meets first.
    pub(crate) fn new(tree: &'a BlockTree, tip: NodeIndex) -> Option<Self> {
        let mut side = Vec::new();
        let mut at = tip;
        let chain = loop {
            if tree.lies_on(&tree.header_chain, at) {
                break &tree.header_chain;
            }
            if tree.lies_on(&tree.connected, at) {
                break &tree.connected;
            }
            side.push(at);
            at = tree.node(at)?.parent?;
        };
        side.reverse();
        let fork_len = usize::try_from(tree.node(at)?.entry.height.0).ok()?.checked_add(1)?;
        Some(Self { tree, trunk: chain.get(..fork_len)?, side, tip })
    }

    pub(crate) fn of_connected(tree: &'a BlockTree) -> Self {
        Self { tree, trunk: &tree.connected, side: Vec::new(), tip: tree.tip_index() }
    }
}

impl Branch for BranchView<'_> {
    fn entry(&self, height: Height) -> Option<&IndexEntry> {
        let index = at_height(self.trunk, height).or_else(|| {
            let above = usize::try_from(height.0).ok()?.checked_sub(self.trunk.len())?;
            self.side.get(above).copied()
        })?;
        self.tree.node(index).map(|node| &node.entry)
    }

    fn tip(&self) -> &IndexEntry {
        self.tree.entry_or_genesis(self.tip)
    }
}

/// A branch with headers on top that are not in the tree yet: what a run of headers is checked against, one by one,
/// before any of their proofs is.
#[derive(Clone, Debug)]
pub struct HeaderRun<'a> {
    base: BranchView<'a>,
    above: Vec<IndexEntry>,
}

impl<'a> HeaderRun<'a> {
    /// An empty run on `base`.
    #[must_use]
    pub const fn new(base: BranchView<'a>) -> Self {
        Self { base, above: Vec::new() }
    }

    /// Puts a checked header, a child of the tip, on top.
    pub fn push(&mut self, entry: IndexEntry) {
        self.above.push(entry);
    }
}

impl Branch for HeaderRun<'_> {
    fn entry(&self, height: Height) -> Option<&IndexEntry> {
        match height.0.checked_sub(self.base.tip().height.0) {
            None | Some(0) => self.base.entry(height),
            Some(distance) => self.above.get(usize::try_from(distance).ok()?.checked_sub(1)?),
        }
    }

    fn tip(&self) -> &IndexEntry {
        self.above.last().unwrap_or_else(|| self.base.tip())
    }
}
