use bq_pool_machine::{LogHash, LogHead, LogNumber};

use crate::StoreError;

/// The log of one pool and the rows that are derived from it. Each call happens entirely or not at all and is on stable storage
/// when it returns. All calls block on disk.
///
/// # Errors
/// Every call may fail with any variant of [`StoreError`]; nothing was written then.
#[expect(clippy::missing_errors_doc, reason = "the trait's own documentation says it once for all")]
pub trait BookStore: Send + Sync + 'static {
    /// Appends events and writes rows, in one step. [`StoreError::Head`] unless the log ends where the batch expects.
    fn append(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Where the log ends.
    fn head(&self) -> Result<LogHead, StoreError>;

    /// Events from a number on, at most `max`, oldest first.
    fn read(&self, from: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// The newest events of a kind, newest first, at most `max`, that are older than `before`.
    fn newest(&self, kind: &str, before: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// The oldest events of a kind from a number on, oldest first, at most `max`.
    fn oldest(&self, kind: &str, from: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let mut events = self.newest(kind, LogNumber(u64::MAX), usize::MAX)?;
        events.retain(|stored| stored.head.number >= from);
        events.reverse();
        events.truncate(max);
        Ok(events)
    }

    /// The hash of one event; nothing behind the end, and zero before the first.
    fn hash_at(&self, number: LogNumber) -> Result<Option<LogHash>, StoreError>;

    /// The newest checkpoint.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError>;

    /// The oldest checkpoint that is kept: where an audit begins that does not have the shares of what came before. The newest, of a
    /// store that keeps no other.
    fn oldest_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.checkpoint()
    }

    /// One row.
    fn row(&self, kind: RowKind, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Rows of a kind and group, by falling order, from below `before` on, at most `max`.
    fn rows(&self, kind: RowKind, group: &str, before: u64, max: usize) -> Result<Vec<StoredRow>, StoreError>;

    /// Rows of a kind and group, by falling order and, of the same order, falling key, from below the row `after` on, at most `max`. Row by
    /// row the same list as [`BookStore::rows`], which pages of it do not cut between rows of one order.
    fn page(
        &self,
        kind: RowKind,
        group: &str,
        after: Option<(u64, &str)>,
        max: usize,
    ) -> Result<Vec<StoredRow>, StoreError>;

    /// Writes a copy of everything, as it is at one moment, to a new file.
    fn back_up(&self, into: &std::path::Path) -> Result<(), StoreError>;
}

/// What is appended together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Where the log must end before.
    pub expected: LogHead,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// Rows that are put in place of those with the same key.
    pub rows: Vec<Row>,
    /// A state that the events before its number come to.
    pub checkpoint: Option<Checkpoint>,
    /// What becomes of the checkpoints before that one.
    pub older: OlderCheckpoints,
}

/// Which checkpoints are kept beside a new one: a start reads on from the newest, an audit of a log without its oldest shares from the
/// oldest. One that was only written so that a start needs less makes room for the next, so that an audit has much to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OlderCheckpoints {
    /// The new one is one of those: two others stay, otherwise one.
    pub is_passing: bool,
    /// The newest one so far is.
    pub forgotten: Option<LogNumber>,
}

/// An event to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its number and the hash that commits to it.
    pub head: LogHead,
    /// Its name, for people and for [`BookStore::newest`].
    pub kind: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number and the hash that commits to it.
    pub head: LogHead,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A state of the pool as a starting point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The newest event in it.
    pub head: LogHead,
    /// Its bytes.
    pub state: Vec<u8>,
}

/// A derived row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub kind: RowKind,
    /// Its name, unique within the kind.
    pub key: String,
    /// What it is listed under; may be empty.
    pub group: String,
    /// Its place in the list.
    pub order: u64,
    /// Its content; nothing removes the row.
    pub value: Option<Vec<u8>>,
}

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Its name.
    pub key: String,
    /// Its place in the list.
    pub order: u64,
    /// Its content.
    pub value: Vec<u8>,
}

/// What rows are about. The store only tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    /// A balance, as text.
    Balance,
    /// A pool block.
    Block,
    /// A pool block's bytes, while they may be needed.
    BlockBytes,
    /// A payout.
    Payout,
    /// The signed bytes of a payout.
    Signed,
    /// What a payout pays an account.
    Payment,
    /// What the coinbase of a block pays an account.
    CoinbasePayment,
    /// What an event binds of a block's credits.
    Credits,
    /// What an event binds of the liabilities, and the pool's signature.
    Liabilities,
}

impl RowKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Balance,
        Self::Block,
        Self::BlockBytes,
        Self::Payout,
        Self::Signed,
        Self::Payment,
        Self::CoinbasePayment,
        Self::Credits,
        Self::Liabilities,
    ];

    /// The name in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balance => "balance",
            Self::Block => "block",
            Self::BlockBytes => "block_bytes",
            Self::Payout => "payout",
            Self::Signed => "signed",
            Self::Payment => "payment",
            Self::CoinbasePayment => "coinbase_payment",
            Self::Credits => "credits",
            Self::Liabilities => "liabilities",
        }
    }
}
