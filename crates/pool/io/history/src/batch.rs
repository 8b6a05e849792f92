use bq_pool_history::{BlockEarnings, EndedRound, LuckHistory, Ring, Round, SeriesKey};
use bq_primitives::{Algorithm, BlockId};

/// What is written together. Writing the same batch twice comes to the same as writing it once.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Series that changed, each once. In the order of their keys, pages of the file are written once.
    pub series: Vec<SeriesRow>,
    /// Series that are forgotten.
    pub dropped: Vec<SeriesKey>,
    /// The present round of each lane that changed.
    pub rounds: Vec<(Algorithm, Round)>,
    /// What is known of blocks, in the order in which it came to be.
    pub blocks: Vec<BlockNote>,
    /// Every share before this place in the share log is counted in what was written so far; nothing leaves it as it is.
    pub counted_before: Option<u64>,
    /// Earnings of days before this one are forgotten.
    pub days_from: Option<u32>,
}

/// A series as it is kept.
#[derive(Clone, Debug)]
pub struct SeriesRow {
    /// Its name.
    pub key: SeriesKey,
    /// `Series::to_bytes`.
    pub value: Vec<u8>,
    /// Slots to be put into its stored rings.
    pub due: Option<Box<[Ring; 3]>>,
    /// Of an account or a lane.
    pub luck: Option<LuckHistory>,
}

/// Something about a block of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockNote {
    /// Which.
    pub id: BlockId,
    /// What.
    pub change: BlockChange,
}

/// What may come to be known of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockChange {
    /// The round that it ended.
    Round(EndedRound),
    /// What it credits now, in place of what it credited before; nothing while it is orphaned.
    Earnings(Option<BlockEarnings>),
    /// Its earnings stay as they are, whatever becomes of it.
    Settled,
}
