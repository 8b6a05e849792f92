//! Branches that compete with the best header chain for the next place at the tip.
use bq_primitives::BlockId;

use crate::{
    BlockTree,
    fork_choice::Candidate,
    tree::{NodeIndex, Path},
};

impl BlockTree {
    /// Blocks without a body on branches that have more chain work than the tip and leave the best header chain at a
    /// complete block; lowest first, at most `max` of each of at most `branches` branches, most work first. Empty unless
    /// bodies of the best header chain are missing: whoever keeps those back must not hold up everyone else.
    #[must_use]
    pub fn rival_bodies(&self, branches: usize, max: usize) -> Vec<Vec<BlockId>> {
        let best = self.best_header_index();
        let others = self.heads.iter().rev().map(|head| head.index()).filter(|head| *head != best);
        others.filter_map(|head| self.missing_above_fork(head, max)).take(branches).collect()
    }

    /// Nothing if the branch starts where bodies are missing anyway, or lacks none.
    fn missing_above_fork(&self, head: NodeIndex, max: usize) -> Option<Vec<BlockId>> {
        let Path { above, .. } = self.path_from(&self.header_chain, head);
        let fork = self.node(*above.first()?)?.parent?;
        if !self.node(fork)?.is_complete {
            return None;
        }
        let nodes = above.iter().filter_map(|index| self.node(*index));
        let missing: Vec<_> = nodes.filter(|node| !node.has_body).take(max).map(|node| node.entry.id).collect();
        (!missing.is_empty()).then_some(missing)
    }

    /// Keeps the set of heads: `child` was put on top of `parent`.
    pub(crate) fn note_head(&mut self, parent: NodeIndex, child: NodeIndex) {
        let parent = Candidate::new(self.work(parent), parent);
        self.heads.remove(&parent);
        let work = self.work(child);
        if work > self.work(self.tip_index()) {
            self.heads.insert(Candidate::new(work, child));
        }
    }

    /// Keeps the set of heads: a child of `parent` turned out to be invalid.
    pub(crate) fn restore_head(&mut self, parent: NodeIndex) {
        let has_child =
            self.node(parent).is_some_and(|node| node.children.iter().any(|child| !self.is_invalid(*child)));
        let work = self.work(parent);
        if !has_child && !self.is_invalid(parent) && work > self.work(self.tip_index()) {
            self.heads.insert(Candidate::new(work, parent));
        }
    }
}
