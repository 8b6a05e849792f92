use crate::{BlocksView, MinerView, PoolView};

/// What the HTTP API and the status line need of the pool. Every call reads memory or the database's read side.
pub trait PoolViews: Send + Sync + 'static {
    /// The pool at a glance.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn pool(&self) -> Result<PoolView, ViewError>;

    /// The newest pool blocks, newest first.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn blocks(&self, limit: usize) -> Result<BlocksView, ViewError>;

    /// One miner by payout address; nothing when it never mined here.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn miner(&self, address: &str) -> Result<Option<MinerView>, ViewError>;

    /// Sum of debits less sum of credits over the whole ledger, in atoms: 0 or the books are wrong.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn ledger_imbalance_atoms(&self) -> Result<i128, ViewError>;
}

/// The ledger could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("ledger: {0}")]
pub struct ViewError(pub String);
