//! The ordered way from a block to the tip, for whoever keeps accounts of blocks that joined and left the best chain.
use bq_primitives::{BlockId, Height};

use crate::{
    BlockTree,
    tree::{NodeIndex, Path},
};

/// How the best chain gets from a block, where a reader stopped, to its tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The block is not in the tree: the node lost it, or has not synced it yet.
    Unknown,
    /// The block is off the best chain, and a header chain with more work than the tip is known whose bodies are missing:
    /// whether the block left is not decided yet. Nothing may be booked as orphaned meanwhile.
    HeadersAhead {
        /// Height of the tip.
        tip: Height,
        /// Height of the best header.
        best_header: Height,
    },
    /// Blocks that left and joined the best chain.
    Steps(ChainSteps),
}

/// A walk from a block down to the best chain and up towards its tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSteps {
    /// Where the walk meets the best chain: the block itself when it lies on it. Everything above it, up to the block,
    /// left the best chain.
    pub fork: BlockId,
    /// Its height.
    pub fork_height: Height,
    /// Blocks of the best chain above the fork, lowest first; cut to the asked number.
    pub connected: Vec<(Height, BlockId)>,
    /// `connected` ends with the tip, or the fork is the tip. Otherwise ask again from the last block connected.
    pub reaches_tip: bool,
}

impl BlockTree {
    /// The way from `from` to the tip, with at most `blocks_max` blocks connected.
    ///
    /// A block on the best chain always has steps. One off it has none while headers lead bodies: after the loss of a chain
    /// store the node knows the headers of the whole chain long before it has the bodies, and every block in between looks
    /// as if it had left.
    #[must_use]
    pub fn route(&self, from: &BlockId, blocks_max: usize) -> Route {
        let Some(index) = self.index(from) else { return Route::Unknown };
        let (tip, best_header) = (self.tip(), self.best_header());
        if !self.is_connected(index) && best_header.chain_work > tip.chain_work {
            return Route::HeadersAhead { tip: tip.height, best_header: best_header.height };
        }
        Route::Steps(self.steps(index, blocks_max))
    }

    fn steps(&self, from: NodeIndex, blocks_max: usize) -> ChainSteps {
        let Path { fork_len, .. } = self.path_from(&self.connected, from);
        // A fork lies on the best chain, which always holds genesis.
        let fork = fork_len.checked_sub(1).and_then(|top| self.connected.get(top)).copied().unwrap_or(self.root());
        let fork = self.entry_or_genesis(fork);
        let above = self.connected.get(fork_len..).unwrap_or_default();
        let entries = above.iter().take(blocks_max).filter_map(|index| self.node(*index)).map(|node| &node.entry);
        ChainSteps {
            fork: fork.id,
            fork_height: fork.height,
            connected: entries.map(|entry| (entry.height, entry.id)).collect(),
            reaches_tip: above.len() <= blocks_max,
        }
    }
}
