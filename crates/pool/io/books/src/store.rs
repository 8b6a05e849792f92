use bq_ledger::{AuditReport, FeeBasisPoints, JournalHash, LedgerAccount, ShareSequence, Window, WindowUnits};
use bq_primitives::{AccountId, Address, Amount, BlockId, Height, TxId};

use crate::{BlockCounts, Candidate, NewPayout, Payout, PayoutEntry, PayoutId, PayoutState, PoolBlock, StoreError};

/// The ledger of one pool. Each call happens entirely or not at all and is on stable storage when it returns; a call that
/// was interrupted is simply made again. Times are milliseconds since 1970 and informational: nothing depends on them.
///
/// All calls block on disk. Every one may fail with any variant of [`StoreError`] that its documentation does not name.
#[expect(clippy::missing_errors_doc, reason = "the trait's own documentation says it once for all")]
pub trait LedgerStore: Send + Sync {
    /// The account of an address, made on first sight.
    fn account_for(&self, address: &Address, time_ms: u64) -> Result<AccountId, StoreError>;

    /// The account of an address, if it has one.
    fn find_account(&self, address: &Address) -> Result<Option<AccountId>, StoreError>;

    /// Where an account is paid.
    fn address_of(&self, account: AccountId) -> Result<Option<Address>, StoreError>;

    /// The account made last.
    fn newest_account(&self) -> Result<Option<AccountId>, StoreError>;

    /// The terms that hold for a block whose own share is `sequence`.
    fn scheme_at(&self, sequence: ShareSequence) -> Result<Option<Scheme>, StoreError>;

    /// New terms for blocks from `from` on. Nothing is written when they are the newest terms already.
    fn set_scheme(&self, from: ShareSequence, scheme: Scheme, time_ms: u64) -> Result<(), StoreError>;

    /// Stores a block before or while it is submitted. A known id is left as it is.
    fn add_candidate(&self, candidate: &Candidate) -> Result<(), StoreError>;

    /// Says where a block's own share stands in the share log. Only the first answer counts.
    fn set_winning_share(&self, block: &BlockId, sequence: ShareSequence) -> Result<(), StoreError>;

    /// Stored blocks whose own share is not known to be in the share log, with what is stored of the share.
    fn candidates_without_share(&self) -> Result<Vec<Candidate>, StoreError>;

    /// One block.
    fn pool_block(&self, id: &BlockId) -> Result<Option<PoolBlock>, StoreError>;

    /// The block whose coinbase this is. Blocks sealed from one template share it; a credited one comes first.
    fn block_of_coinbase(&self, coinbase: &TxId) -> Result<Option<PoolBlock>, StoreError>;

    /// A block's bytes, while they are kept: until it has matured or was rejected.
    fn block_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Blocks that the chain may still move, in increasing height: found and immature ones, and every other but rejected
    /// ones from `settled_from` on.
    fn watched_blocks(&self, settled_from: Height) -> Result<Vec<PoolBlock>, StoreError>;

    /// The newest blocks, newest first, at most `limit`.
    fn newest_blocks(&self, limit: usize) -> Result<Vec<PoolBlock>, StoreError>;

    /// Blocks per lane and state.
    fn block_counts(&self) -> Result<Vec<BlockCounts>, StoreError>;

    /// The position of the newest own share of a lane's blocks that are not rejected.
    fn newest_winning_share(&self, algorithm: bq_primitives::Algorithm) -> Result<Option<ShareSequence>, StoreError>;

    /// A found or orphaned block is on the best chain: splits its reward and the lane's residue over `window` (T10).
    /// Nothing happens when it is credited already. [`StoreError::State`] for a lost or rejected block.
    fn credit_block(
        &self,
        id: &BlockId,
        window: &Window,
        fee: FeeBasisPoints,
        time_ms: u64,
    ) -> Result<PoolBlock, StoreError>;

    /// A credited block's coins may be spent (T11). Nothing happens when it matured already.
    fn mature_block(&self, id: &BlockId, time_ms: u64) -> Result<PoolBlock, StoreError>;

    /// A block is not on the best chain (T12, or T13 once matured).
    fn orphan_block(&self, id: &BlockId, time_ms: u64) -> Result<PoolBlock, StoreError>;

    /// A lost block is back (T14).
    fn regain_block(&self, id: &BlockId, time_ms: u64) -> Result<PoolBlock, StoreError>;

    /// A found block breaks a rule.
    fn reject_block(&self, id: &BlockId) -> Result<PoolBlock, StoreError>;

    /// Accounts that can be paid at least `payout_min`, in increasing id.
    fn payable(&self, payout_min: Amount) -> Result<Vec<(AccountId, Amount)>, StoreError>;

    /// Sets a payout's amounts aside and stores its plan (T30).
    fn reserve_payout(&self, payout: &NewPayout) -> Result<Payout, StoreError>;

    /// Stores the signed bytes of a reserved payout, before anyone may see them.
    fn store_signed(&self, id: PayoutId, signed: &[u8]) -> Result<Payout, StoreError>;

    /// Moves an open, signed payout to broadcast, confirmed or blocked.
    fn mark_payout(&self, id: PayoutId, state: PayoutState) -> Result<Payout, StoreError>;

    /// A payout is buried (T31).
    fn finalize_payout(&self, id: PayoutId, time_ms: u64) -> Result<Payout, StoreError>;

    /// A payout can never confirm, which the caller has proved (T32).
    fn void_payout(&self, id: PayoutId, time_ms: u64) -> Result<Payout, StoreError>;

    /// Payouts whose amounts are set aside, oldest first.
    fn open_payouts(&self) -> Result<Vec<Payout>, StoreError>;

    /// One payout by its transaction.
    fn payout_of_txid(&self, txid: &TxId) -> Result<Option<Payout>, StoreError>;

    /// An account's payouts, newest first, at most `limit`; void ones are left out.
    fn payouts_of(&self, account: AccountId, limit: usize) -> Result<Vec<PayoutEntry>, StoreError>;

    /// One balance, on the account's own side.
    fn balance(&self, account: LedgerAccount) -> Result<u64, StoreError>;

    /// One miner's balances.
    fn miner_balances(&self, account: AccountId) -> Result<MinerBalances, StoreError>;

    /// All miners and all coins together.
    fn totals(&self) -> Result<Totals, StoreError>;

    /// Sum of debit balances less credit balances: 0 or the books are wrong.
    fn imbalance(&self) -> Result<i128, StoreError>;

    /// Commits to every journal line.
    fn journal_head(&self) -> Result<JournalHash, StoreError>;

    /// Replays the journal lines written since the last audit of this process (all of them the first time) and checks
    /// I1 to I7. [`StoreError::Integrity`] says what does not hold, and stops the writer.
    fn audit(&self) -> Result<AuditReport, StoreError>;
}

/// Terms on which a block is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// The pool's fee.
    pub fee: FeeBasisPoints,
    /// Length of the PPLNS window.
    pub window: WindowUnits,
}

/// What one miner is owed and was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinerBalances {
    /// Credited, not matured.
    pub immature: Amount,
    /// Can be paid.
    pub payable: Amount,
    /// Set aside for open payouts.
    pub in_flight: Amount,
    /// Sent by final payouts: without network fees.
    pub paid: Amount,
}

/// Sums over the whole pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Over all miners.
    pub miners: MinerBalances,
    /// Rewards that may not be spent yet.
    pub chain_immature: Amount,
    /// Coins that can be spent.
    pub chain_spendable: Amount,
    /// Coins set aside for open payouts.
    pub chain_in_flight: Amount,
}
