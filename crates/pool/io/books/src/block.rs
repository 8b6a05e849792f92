use bq_ledger::ShareSequence;
use bq_primitives::{
    AccountId, Algorithm, Amount, BlockId, Height, NetworkDifficulty, ShareDifficulty, Timestamp, TxId, WorkerName,
};

/// A block that one of the pool's shares turned out to be, as it is stored beside its submission to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Its lane.
    pub algorithm: Algorithm,
    /// What its coinbase pays the pool's key.
    pub reward: Amount,
    /// Its coinbase.
    pub coinbase: TxId,
    /// Time of its header.
    pub time: Timestamp,
    /// The share that it is; nothing when the block was found on the chain later and its share is not known.
    pub share: Option<CandidateShare>,
    /// The whole block, so that it can be submitted again; empty when the node has it already.
    pub bytes: Vec<u8>,
}

/// What the share log holds of a block's own share, in case the process dies before it is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateShare {
    /// Who found it.
    pub account: AccountId,
    /// On which machine.
    pub worker: WorkerName,
    /// Difficulty of the share.
    pub difficulty: ShareDifficulty,
    /// Difficulty of a block.
    pub network_difficulty: NetworkDifficulty,
    /// When it was accepted, in milliseconds since 1970.
    pub time_ms: u64,
}

/// A pool block and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolBlock {
    /// Its id.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Its lane.
    pub algorithm: Algorithm,
    /// What its coinbase pays the pool's key.
    pub reward: Amount,
    /// Its coinbase.
    pub coinbase: TxId,
    /// Time of its header.
    pub time: Timestamp,
    /// Who found it, if that is known.
    pub finder: Option<AccountId>,
    /// Position of its own share in the share log: where its window begins. Nothing until it is written there.
    pub winning_share: Option<ShareSequence>,
    /// Where it stands.
    pub state: BlockState,
    /// Counts how often its credit was reversed or its loss undone; part of every transfer's key.
    pub generation: u32,
}

/// Where a pool block stands. Only the chain moves it.
///
/// `Found -> Immature -> Matured`; `Immature -> Orphaned -> Immature`; `Matured -> Lost -> Matured`; `Found -> Orphaned`
/// and `Found -> Rejected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockState {
    /// Submitted, nothing booked.
    Found,
    /// Credited (T10).
    Immature,
    /// Payable (T11).
    Matured,
    /// Off the best chain, its credit, if there was one, reversed (T12).
    Orphaned,
    /// Off the best chain after it had matured (T13).
    Lost,
    /// It breaks a rule; it can never be on the chain.
    Rejected,
}

impl BlockState {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Found, Self::Immature, Self::Matured, Self::Orphaned, Self::Lost, Self::Rejected];

    /// The name in the database and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Immature => "immature",
            Self::Matured => "matured",
            Self::Orphaned => "orphaned",
            Self::Lost => "lost",
            Self::Rejected => "rejected",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// How many pool blocks of one lane are in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCounts {
    /// The lane.
    pub algorithm: Algorithm,
    /// The state.
    pub state: BlockState,
    /// How many.
    pub blocks: u64,
}
