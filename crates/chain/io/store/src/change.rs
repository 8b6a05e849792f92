use std::{collections::BTreeMap, sync::Arc};

use bq_consensus::{Coin, IndexEntry};
use bq_primitives::{BlockId, OutPoint, SealedHeader, Transaction};
use bq_tree::BlockUndo;

/// All that one transaction of the store writes. Every part may be empty.
#[derive(Clone, Debug, Default)]
pub struct StoreChange {
    /// Headers that became known, parents before children.
    pub headers: Vec<NewHeader>,
    /// Bodies of blocks whose headers are stored, or are among `headers`.
    pub bodies: Vec<(BlockId, Arc<Vec<Transaction>>)>,
    /// Blocks that turned out to be invalid.
    pub invalid: Vec<BlockId>,
    /// A change of the best chain.
    pub chain: Option<ChainUpdate>,
}

/// A header with what was computed from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHeader {
    /// The header and its proof.
    pub sealed: SealedHeader,
    /// Its light index entry; names the block.
    pub entry: IndexEntry,
}

/// A change of the best chain: what a `ChainChange` plans, with all that carrying it out needs.
#[derive(Clone, Debug, Default)]
pub struct ChainUpdate {
    /// Blocks to take off, the tip first.
    pub disconnect: Vec<ChainStep>,
    /// Blocks to put on, the lowest first.
    pub connect: Vec<ChainStep>,
    /// Every coin that the whole change touches, as it is afterwards: nothing when spent or gone.
    pub coins: BTreeMap<OutPoint, Option<Coin>>,
}

/// One block of a change.
#[derive(Clone, Debug)]
pub struct ChainStep {
    /// The block.
    pub id: BlockId,
    /// Its header and proof.
    pub sealed: SealedHeader,
    /// Its body.
    pub transactions: Arc<Vec<Transaction>>,
    /// The coins it spends.
    pub undo: BlockUndo,
}
