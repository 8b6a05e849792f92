use bq_consensus::{Coin, IndexEntry};
use bq_primitives::{Block, BlockId, Height, KeyHash, OutPoint, SealedHeader, TxId};
use bq_tree::BlockUndo;

use crate::{StoreChange, StoreError};

/// What the node asks of a chain store. Every read sees the last committed change. One writer at a time.
pub trait ChainStore: Send + Sync {
    /// Writes a change: whole and durable when this returns, or not at all.
    ///
    /// # Errors
    /// The change does not fit the stored chain: nothing was written. Or writing failed: then the store stops, and only
    /// [`ChainStore::recover`] tells whether the change arrived.
    fn commit(&self, change: &StoreChange) -> Result<(), StoreError>;

    /// Opens the file again after a failure of the disk. Reads the whole file, so not to be tried all the time.
    ///
    /// # Errors
    /// The disk still fails, and everything but this goes on failing; or the file does not hold what was committed.
    fn recover(&self) -> Result<Recovery, StoreError>;

    /// The error for stored data that contradicts itself or the rules; names the file and the way out.
    fn damaged(&self, what: String) -> StoreError;

    /// Every stored header, in the order in which they became known: parents before children.
    ///
    /// # Errors
    /// Reading failed, or a row is damaged.
    fn index(&self) -> Result<Vec<IndexedBlock>, StoreError>;

    /// The best chain, genesis first.
    ///
    /// # Errors
    /// Reading failed, or a row is damaged.
    fn best_chain(&self) -> Result<Vec<BlockId>, StoreError>;

    /// The headers and seals of those blocks that are stored, in the given order.
    ///
    /// # Errors
    /// Reading failed, or a row is damaged.
    fn headers(&self, ids: &[BlockId]) -> Result<Vec<SealedHeader>, StoreError>;

    /// A block whose body is stored.
    ///
    /// # Errors
    /// Reading failed, or a row is damaged.
    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError>;

    /// The same block encoded, put together from where it lies without being decoded.
    ///
    /// # Errors
    /// Reading failed, or a row is damaged.
    fn block_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError>;

    /// What a connected block spent.
    ///
    /// # Errors
    /// Reading failed, or a row is damaged.
    fn undo(&self, id: &BlockId) -> Result<Option<BlockUndo>, StoreError>;

    /// An unspent coin of the best chain.
    ///
    /// # Errors
    /// Reading failed, or a row is damaged.
    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError>;

    /// The unspent coins of a key on the best chain, oldest first.
    ///
    /// # Errors
    /// Reading failed, or a row is damaged.
    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<(OutPoint, Coin)>, StoreError>;

    /// Which transaction of the best chain spends an output.
    ///
    /// # Errors
    /// Reading failed.
    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, StoreError>;

    /// Where on the best chain a transaction is.
    ///
    /// # Errors
    /// Reading failed, or a row is damaged.
    fn confirmation(&self, txid: &TxId) -> Result<Option<Confirmation>, StoreError>;
}

/// A header as the store knows it when the node starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedBlock {
    /// Its light index entry.
    pub entry: IndexEntry,
    /// Its body is stored.
    pub has_body: bool,
    /// It, or an ancestor, turned out to be invalid.
    pub is_invalid: bool,
}

/// What became of a change whose commit failed, once the file is open again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The file holds what was committed and nothing else.
    WithoutFailed,
    /// The change that could not be reported as committed is there all the same.
    WithFailed,
}

/// Where on the best chain a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The block that holds it.
    pub block_id: BlockId,
    /// That block's height.
    pub height: Height,
    /// Height of the tip in the same snapshot.
    pub tip_height: Height,
}
