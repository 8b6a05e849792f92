use bq_chain_api::AtomsView;
use bq_primitives::BlockId;
use serde::{Deserialize, Serialize};

/// Which proof is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceWanted {
    /// All shares that are on the chain up to an event of the log, as far back as the bounds allow; the newest event that a block names
    /// without one.
    Shares(Option<u64>),
    /// One share by its number; the newest that a block covers without one.
    Share(Option<u64>),
    /// What a block credited.
    Credit(BlockId),
    /// What is owed, by a statement; by the newest without one.
    Owed(Option<u64>),
}

/// What the pool said it owes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiabilitiesView {
    /// Statements of which miners can still be shown their part, newest first.
    pub statements: Vec<StatementView>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementView {
    /// Its name.
    pub epoch: u64,
    /// The event of the log that holds its root.
    pub event: u64,
    /// The hash of that event.
    pub event_hash: String,
    /// Levels of the tree below its root.
    pub depth: u8,
    /// Hash of the root.
    pub root: String,
    /// All that is owed, in atoms.
    pub sum: AtomsView,
    /// How many accounts are owed something.
    pub accounts: u32,
    /// The pool's ML-DSA-65 key, in hex.
    pub public_key: String,
    /// Its signature, in hex; empty while it is not signed.
    pub signature: String,
    /// The block that names the event or a later one; null while there is none.
    pub block: Option<String>,
}
