use bq_primitives::{BlockId, Height};

use crate::{
    BlockTree,
    tree::{NodeIndex, at_height},
};

/// How many ids of a locator follow each other without a gap.
const DENSE_IDS: u32 = 10;

impl BlockTree {
    /// Ids of the best header chain, newest first: the last ten, then in steps that double, then genesis. At most 43 ids
    /// for any height.
    #[must_use]
    pub fn locator(&self) -> Vec<BlockId> {
        let mut ids = Vec::new();
        let mut height = self.best_header().height;
        let mut step = 1_u32;
        for count in 0_u32.. {
            ids.extend(at_height(&self.header_chain, height).and_then(|index| self.id(index)));
            if height == Height::GENESIS {
                break;
            }
            if count >= DENSE_IDS {
                step = step.saturating_mul(2);
            }
            height = Height(height.0.saturating_sub(step));
        }
        ids
    }

    /// Ids of the best chain above the first locator id that lies on it, or above genesis; lowest first, at most `max`.
    #[must_use]
    pub fn ids_after(&self, locator: &[BlockId], max: usize) -> Vec<BlockId> {
        let fork = locator
            .iter()
            .filter_map(|id| self.index(id))
            .find(|index| self.is_connected(*index))
            .unwrap_or(self.root());
        let fork_height = self.entry_or_genesis(fork).height;
        let above = usize::try_from(fork_height.0).unwrap_or(usize::MAX).saturating_add(1);
        self.connected.iter().skip(above).take(max).filter_map(|index| self.id(*index)).collect()
    }

    /// Blocks of the best header chain without a body, lowest first, at most `max`.
    #[must_use]
    pub fn missing_bodies(&self, max: usize) -> Vec<BlockId> {
        let shared = self.path_from(&self.header_chain, self.tip_index()).fork_len;
        self.header_chain
            .iter()
            .skip(shared)
            .filter_map(|index| self.node(*index))
            .filter(|node| !node.has_body)
            .take(max)
            .map(|node| node.entry.id)
            .collect()
    }

    fn id(&self, index: NodeIndex) -> Option<BlockId> {
        self.node(index).map(|node| node.entry.id)
    }
}
