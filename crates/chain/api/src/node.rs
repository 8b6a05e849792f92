use bq_condition::Condition;
use bq_primitives::{
    Algorithm, Block, BlockId, CompactTarget, Header, Height, KeyHash, Network, OutPoint, Seal, Timestamp, Transaction,
    TxId, TxOut, Work,
};
use futures_core::stream::BoxStream;

use crate::{BlockRefusal, DifficultyView, Route, Template, TemplateRequest, TransactionRefusal};

/// All that the pool, the RPC server, the HTTP API and the wallet may ask of a node. In process, or over RPC when they
/// run apart. Calls may block on disk or on proof-of-work verification: never call them on an async worker thread
/// unless the comment says that they are cheap.
pub trait NodeApi: Send + Sync + 'static {
    /// Which chain this node follows. Cheap.
    fn network(&self) -> Network;

    /// The genesis block's id, which every signature commits to. Cheap.
    fn genesis_id(&self) -> BlockId;

    /// Confirmations before a coinbase output may be spent. Cheap.
    fn coinbase_maturity(&self) -> u32;

    /// The best chain's end. Cheap.
    fn tip(&self) -> TipSummary;

    /// The newest tip, after each change from now on; a slow reader skips those in between. Ends with the node. For what the
    /// tip is now ask [`NodeApi::tip`], after this call, so that no change falls between the two.
    fn tip_changes(&self) -> BoxStream<'static, TipSummary>;

    /// An unsealed block on the tip, with one header per active algorithm over the same body. It passes every rule but
    /// the proof of work.
    ///
    /// # Errors
    /// The store failed, or the coinbase data is too long.
    fn template(&self, request: &TemplateRequest) -> Result<Template, NodeError>;

    /// Validates a sealed block in full and adds it to the chain.
    ///
    /// # Errors
    /// The rule it breaks, or that it is already known.
    fn submit_block(&self, block: Block) -> Result<BlockId, SubmitBlockError>;

    /// A block by id, on whichever branch.
    ///
    /// # Errors
    /// The store failed.
    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError>;

    /// A block as it is encoded, by id, on whichever branch; served as it is stored, without being decoded.
    ///
    /// # Errors
    /// The store failed.
    fn block_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, NodeError> {
        Ok(self.block(id)?.map(|block| block.to_bytes()))
    }

    /// Where a block stands.
    ///
    /// # Errors
    /// The store failed.
    fn block_summary(&self, id: &BlockId) -> Result<Option<BlockSummary>, NodeError>;

    /// The id of the best chain's block at `height`.
    ///
    /// # Errors
    /// The store failed.
    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError>;

    /// The ordered way from a block to the tip, seen in one moment: what left the best chain above the fork, and at most
    /// `blocks_max` blocks that joined it. Whoever remembers the last block that it was told about misses no step and sees
    /// none twice. In process cheap.
    ///
    /// # Errors
    /// The store failed, or this kind of node cannot tell.
    fn route(&self, from: &BlockId, blocks_max: usize) -> Result<Route, NodeError>;

    /// Every unspent output of a key on the best chain, oldest first.
    ///
    /// # Errors
    /// The store failed.
    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<Coin>, NodeError>;

    /// Which transaction spends `outpoint`, on the best chain or else in the mempool; nothing while it is unspent.
    ///
    /// # Errors
    /// The store failed.
    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, NodeError>;

    /// Admits a transaction to the mempool and relays it.
    ///
    /// # Errors
    /// The rule it breaks, or that it is already known.
    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError>;

    /// Where a transaction stands.
    ///
    /// # Errors
    /// The store failed.
    fn transaction_status(&self, txid: &TxId) -> Result<TransactionStatus, NodeError>;

    /// Difficulty, estimated hashrate and mempool, for people.
    ///
    /// # Errors
    /// The store failed.
    fn mining_info(&self) -> Result<MiningInfo, NodeError>;

    /// What the node cannot do at present, each with its reason; empty when all is well. Cheap.
    fn conditions(&self) -> Vec<Condition> {
        Vec::new()
    }

    /// Each algorithm's difficulty explained and forecast, for people. Worked out once for each tip.
    ///
    /// # Errors
    /// The store failed, or this kind of node cannot tell.
    fn difficulty(&self) -> Result<DifficultyView, NodeError> {
        Err(NodeError::Request("this node does not report on difficulty".into()))
    }
}

/// The end of the best chain, and what the next block must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TipSummary {
    /// The tip.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: Timestamp,
    /// Sum of block weights up to it.
    pub chain_work: Work,
    /// The algorithms that may seal the next block, with the bits each needs.
    pub next_bits: Vec<(Algorithm, CompactTarget)>,
}

/// Where a block stands relative to the best chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Its id.
    pub id: BlockId,
    /// Its header.
    pub header: Header,
    /// Its proof.
    pub seal: Seal,
    /// Chain work up to it.
    pub chain_work: Work,
    /// Blocks on the best chain from it to the tip, itself included; nothing when it lies on a side branch.
    pub confirmations: Option<u32>,
}

/// An unspent output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Its name.
    pub outpoint: OutPoint,
    /// Amount and owner.
    pub output: TxOut,
    /// Height of the block that made it.
    pub height: Height,
    /// Made by a coinbase, so spendable only after maturity.
    pub is_coinbase: bool,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Never seen, evicted, or replaced.
    Unknown,
    /// Waiting for a block.
    InMempool,
    /// In the best chain.
    Confirmed {
        /// The block that holds it.
        block_id: BlockId,
        /// Its height.
        height: Height,
        /// Blocks from it to the tip, itself included.
        confirmations: u32,
    },
}

/// The chain and the mempool in figures.
#[derive(Clone, Debug, PartialEq)]
pub struct MiningInfo {
    /// The tip.
    pub tip: TipSummary,
    /// Per active algorithm: estimated network hashrate in hashes per second over the last hour of chain time.
    pub network_hashrate: Vec<(Algorithm, f64)>,
    /// Transactions waiting.
    pub mempool_transactions: usize,
    /// Their weight.
    pub mempool_weight: u64,
    /// Connected peers.
    pub peers: usize,
}

/// The node could not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NodeError {
    /// Disk or database trouble; the text names the file.
    #[error("store: {0}")]
    Store(String),
    /// The request can never succeed.
    #[error("{0}")]
    Request(String),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}

/// A block was not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitBlockError {
    /// It is already part of the block tree.
    #[error("block is already known")]
    Duplicate,
    /// Its parent is not known; it may become valid later.
    #[error("parent {0} is not known")]
    UnknownParent(BlockId),
    /// Its time is too far ahead of the local clock; it may become valid later.
    #[error(transparent)]
    TooEarly(BlockRefusal),
    /// It never becomes valid.
    #[error(transparent)]
    Invalid(BlockRefusal),
    /// Its proof and body are good, and the store cannot take it at present: it is kept in memory, told to peers if it could
    /// be examined in full, and added once the store works again. Handing it in again changes nothing.
    #[error("block {id} is kept until it can be stored: {reason}")]
    Kept {
        /// The block.
        id: BlockId,
        /// Why it cannot be stored.
        reason: String,
    },
    /// The node failed, not the block.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// A transaction was not admitted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitTransactionError {
    /// It waits in the mempool or is confirmed already: for the sender as good as success.
    #[error("transaction is already known")]
    Duplicate,
    /// It breaks a rule, spends what does not exist or is spent, or does not fit the mempool.
    #[error(transparent)]
    Invalid(TransactionRefusal),
    /// The mempool is full of better-paying transactions.
    #[error("mempool is full")]
    Full,
    /// The node failed, not the transaction.
    #[error(transparent)]
    Node(#[from] NodeError),
}
