use bq_primitives::WorkerName;

use crate::{
    BlockCursor, BlocksView, CoinbasePaymentsView, CoinbaseView, EarningsView, EvidenceWanted, HistoryView,
    LiabilitiesView, MinerView, Page, PayoutsView, PoolView, SettingsView, WorkerCursor, WorkersView,
};

/// What the HTTP API and the status line need of the pool. Every call reads memory or the database's read side.
pub trait PoolViews: Send + Sync + 'static {
    /// The pool at a glance.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn pool(&self) -> Result<PoolView, ViewError>;

    /// Pool blocks, newest first.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn blocks(&self, page: &Page<BlockCursor>) -> Result<BlocksView, ViewError>;

    /// What came in of everybody's shares, in steps of `5m`, `1h` or `1d`; nothing for another step.
    ///
    /// # Errors
    /// The statistics cannot be read.
    fn history(&self, step: &str) -> Result<Option<HistoryView>, ViewError>;

    /// The coinbases that are being mined; nothing until there is a template.
    ///
    /// # Errors
    /// The books cannot be read.
    fn coinbase(&self) -> Result<Option<CoinbaseView>, ViewError>;

    /// What coinbases paid one miner, newest first; nothing when it never mined here.
    ///
    /// # Errors
    /// The books cannot be read.
    fn coinbases(&self, address: &str, page: &Page<BlockCursor>) -> Result<Option<CoinbasePaymentsView>, ViewError>;

    /// One miner by payout address; nothing when it never mined here.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn miner(&self, address: &str) -> Result<Option<MinerView>, ViewError>;

    /// Workers of one miner; nothing when it never mined here.
    ///
    /// # Errors
    /// The statistics cannot be read.
    fn workers(&self, address: &str, page: &Page<WorkerCursor>) -> Result<Option<WorkersView>, ViewError>;

    /// Payouts of one miner, by their number, newest first; nothing when it never mined here.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn payouts(&self, address: &str, page: &Page<u64>) -> Result<Option<PayoutsView>, ViewError>;

    /// What one miner earned, by the day since 1970, newest first; nothing when it never mined here.
    ///
    /// # Errors
    /// The statistics cannot be read.
    fn earnings(&self, address: &str, page: &Page<u32>) -> Result<Option<EarningsView>, ViewError>;

    /// As [`PoolViews::history`] for one miner, or one worker of it; nothing when it never mined here.
    ///
    /// # Errors
    /// The statistics cannot be read.
    fn miner_history(
        &self,
        address: &str,
        worker: Option<&WorkerName>,
        step: &str,
    ) -> Result<Option<HistoryView>, ViewError>;

    /// What one account set for itself (SPEC 8.11); nothing when it never mined here.
    ///
    /// # Errors
    /// The books cannot be read.
    fn settings(&self, address: &str) -> Result<Option<SettingsView>, ViewError>;

    /// What an account is given to check the pool with: a file (SPEC 8.10.10). Nothing if there is no such thing, or not yet.
    ///
    /// # Errors
    /// The books cannot be read.
    fn evidence(&self, address: &str, wanted: &EvidenceWanted) -> Result<Option<Vec<u8>>, ViewError> {
        let _ = (address, wanted);
        Ok(None)
    }

    /// What the pool said it owes, newest first.
    ///
    /// # Errors
    /// The books cannot be read.
    fn liabilities(&self) -> Result<LiabilitiesView, ViewError> {
        Ok(LiabilitiesView { statements: Vec::new() })
    }

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
