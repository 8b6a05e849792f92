use std::cmp::Reverse;

use bq_primitives::{BlockId, Work};

use crate::{
    BlockTree,
    tree::{NodeIndex, splice},
};

/// A block that could end the best chain. Ordered so that the greatest wins: more chain work, then the header that
/// became known first (SPEC 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    chain_work: Work,
    first_seen: Reverse<NodeIndex>,
}

impl Candidate {
    pub(crate) const fn new(chain_work: Work, index: NodeIndex) -> Self {
        Self { chain_work, first_seen: Reverse(index) }
    }

    pub(crate) const fn index(self) -> NodeIndex {
        self.first_seen.0
    }
}

/// How the best chain gets from its tip to a better one. A plan: nothing has happened yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainChange {
    /// Blocks to disconnect, the tip first.
    pub disconnect: Vec<BlockId>,
    /// Blocks to connect, the lowest first; never empty in a plan.
    pub connect: Vec<BlockId>,
}

/// A change does not start at the tree's tip or does not form a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The block to disconnect is not the tip, or is genesis.
    #[error("block {0} is not the tip")]
    NotTheTip(BlockId),
    /// The block to connect is unknown, invalid, incomplete, or no child of the tip.
    #[error("block {0} does not connect to the tip")]
    DoesNotConnect(BlockId),
}

impl BlockTree {
    /// The change that leads to the best complete branch, if that has more chain work than the tip; equal work keeps the
    /// tip (SPEC 4.4).
    #[must_use]
    pub fn next_change(&self) -> Option<ChainChange> {
        let best = self.candidates.last()?.index();
        let path = self.path_from(&self.connected, best);
        let id_of = |index: &NodeIndex| self.node(*index).map(|node| node.entry.id);
        Some(ChainChange {
            disconnect: self.connected.get(path.fork_len..)?.iter().rev().filter_map(id_of).collect(),
            connect: path.above.iter().filter_map(id_of).collect(),
        })
    }

    /// Notes that a change was carried out.
    ///
    /// # Errors
    /// See [`ChangeError`]; the tree is unchanged then.
    pub fn apply(&mut self, change: &ChainChange) -> Result<(), ChangeError> {
        let mut keep = self.connected.len();
        for id in &change.disconnect {
            keep = keep.checked_sub(1).filter(|keep| *keep > 0).ok_or(ChangeError::NotTheTip(*id))?;
            if self.connected.get(keep).copied() != self.index(id) {
                return Err(ChangeError::NotTheTip(*id));
            }
        }
        let mut parent = keep.checked_sub(1).and_then(|top| self.connected.get(top)).copied();
        let mut above = Vec::with_capacity(change.connect.len());
        for id in &change.connect {
            let index = self.index(id).ok_or(ChangeError::DoesNotConnect(*id))?;
            let node = self.node(index).ok_or(ChangeError::DoesNotConnect(*id))?;
            if node.parent != parent || node.is_invalid || !node.is_complete {
                return Err(ChangeError::DoesNotConnect(*id));
            }
            above.push(index);
            parent = Some(index);
        }
        splice(&mut self.connected, keep, above);
        self.prune_candidates();
        Ok(())
    }

    /// Forgets candidates that the tip has caught up with. They cannot become interesting again: the tip's chain work
    /// never falls, because a plan is carried out whole or not at all.
    fn prune_candidates(&mut self) {
        let tip_work = self.work(self.tip_index());
        for set in [&mut self.candidates, &mut self.heads] {
            while set.first().is_some_and(|worst| worst.chain_work <= tip_work) {
                set.pop_first();
            }
        }
    }
}
