//! The embedded ledger database.

mod accounts;
mod audit;
mod blocks;
mod fault;
mod journal;
mod open;
mod payouts;
mod sums;
mod values;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bq_ledger::{AuditReport, Auditor, FeeBasisPoints, JournalHash, LedgerAccount, ShareSequence, Window};
use bq_primitives::{AccountId, Address, Algorithm, Amount, BlockId, Height, Network, TxId};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{
    BlockCounts, Candidate, LedgerStore, MinerBalances, NewPayout, Payout, PayoutEntry, PayoutId, PayoutState,
    PoolBlock, Scheme, StoreError, Totals,
};
use fault::Fault;

/// The ledger in one SQLite file: one writing connection, one reading connection, write-ahead log, every commit synced.
pub struct SqliteLedger {
    path: PathBuf,
    network: Network,
    reader: Mutex<Connection>,
    // Closed after the reader: the last connection to close empties the write-ahead log, and a reader cannot.
    writer: Mutex<Writer>,
    auditor: Mutex<Auditor>,
}

struct Writer {
    connection: Connection,
    /// What the books contradict; once set, nothing more is written.
    stopped: Option<String>,
}

impl SqliteLedger {
    /// Opens the ledger, which is made if the file is missing or empty, and checks the file and its owner.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for a file of another chain or kind, [`StoreError::Corrupt`] for a damaged one.
    pub fn open(path: &Path, network: Network, genesis: &BlockId) -> Result<Self, StoreError> {
        let (writer, reader) = open::open(path, network, genesis)?;
        Ok(Self {
            path: path.to_owned(),
            network,
            writer: Mutex::new(Writer { connection: writer, stopped: None }),
            reader: Mutex::new(reader),
            auditor: Mutex::default(),
        })
    }

    /// Runs `work` in one transaction that is written entirely or not at all.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>) -> Result<T, StoreError> {
        let mut writer = lock(&self.writer);
        let Writer { connection, stopped } = &mut *writer;
        if let Some(reason) = stopped {
            return Err(StoreError::Integrity { path: self.path.clone(), reason: reason.clone() });
        }
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|fault: Fault| {
            let error = fault.into_error(&self.path);
            if let StoreError::Integrity { reason, .. } = &error {
                tracing::error!(path = %self.path.display(), reason, "the ledger stops writing");
                *stopped = Some(reason.clone());
            }
            error
        })
    }

    #[cfg(test)]
    pub(crate) fn with_writer(&self, work: impl FnOnce(&Connection)) {
        work(&lock(&self.writer).connection);
    }

    /// Runs `work` on one snapshot.
    fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>) -> Result<T, StoreError> {
        let mut reader = lock(&self.reader);
        let run = || {
            let transaction = reader.transaction()?;
            work(&transaction)
        };
        run().map_err(|fault: Fault| fault.into_error(&self.path))
    }
}

/// A panic while the lock was held leaves no half-written state: the transaction was rolled back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LedgerStore for SqliteLedger {
    fn account_for(&self, address: &Address, time_ms: u64) -> Result<AccountId, StoreError> {
        if let Some(account) = self.find_account(address)? {
            return Ok(account);
        }
        self.write(|tx| accounts::account_for(tx, address, time_ms))
    }

    fn find_account(&self, address: &Address) -> Result<Option<AccountId>, StoreError> {
        self.read(|tx| accounts::find(tx, address))
    }

    fn address_of(&self, account: AccountId) -> Result<Option<Address>, StoreError> {
        self.read(|tx| accounts::address_of(tx, account, self.network))
    }

    fn newest_account(&self) -> Result<Option<AccountId>, StoreError> {
        self.read(accounts::newest)
    }

    fn scheme_at(&self, sequence: ShareSequence) -> Result<Option<Scheme>, StoreError> {
        self.read(|tx| accounts::scheme_at(tx, sequence))
    }

    fn set_scheme(&self, from: ShareSequence, scheme: Scheme, time_ms: u64) -> Result<(), StoreError> {
        self.write(|tx| accounts::set_scheme(tx, from, scheme, time_ms))
    }

    fn add_candidate(&self, candidate: &Candidate) -> Result<(), StoreError> {
        self.write(|tx| blocks::add(tx, candidate))
    }

    fn set_winning_share(&self, block: &BlockId, sequence: ShareSequence) -> Result<(), StoreError> {
        self.write(|tx| blocks::set_winning_share(tx, block, sequence))
    }

    fn candidates_without_share(&self) -> Result<Vec<Candidate>, StoreError> {
        self.read(blocks::without_share)
    }

    fn pool_block(&self, id: &BlockId) -> Result<Option<PoolBlock>, StoreError> {
        self.read(|tx| blocks::find(tx, id))
    }

    fn block_of_coinbase(&self, coinbase: &TxId) -> Result<Option<PoolBlock>, StoreError> {
        self.read(|tx| blocks::of_coinbase(tx, coinbase))
    }

    fn block_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|tx| blocks::bytes(tx, id))
    }

    fn watched_blocks(&self, settled_from: Height) -> Result<Vec<PoolBlock>, StoreError> {
        self.read(|tx| blocks::watched(tx, settled_from))
    }

    fn newest_blocks(&self, limit: usize) -> Result<Vec<PoolBlock>, StoreError> {
        self.read(|tx| blocks::newest(tx, limit))
    }

    fn block_counts(&self) -> Result<Vec<BlockCounts>, StoreError> {
        self.read(blocks::counts)
    }

    fn newest_winning_share(&self, algorithm: Algorithm) -> Result<Option<ShareSequence>, StoreError> {
        self.read(|tx| blocks::newest_winning_share(tx, algorithm))
    }

    fn credit_block(
        &self,
        id: &BlockId,
        window: &Window,
        fee: FeeBasisPoints,
        time_ms: u64,
    ) -> Result<PoolBlock, StoreError> {
        self.write(|tx| blocks::credit(tx, id, window, fee, time_ms))
    }

    fn mature_block(&self, id: &BlockId, time_ms: u64) -> Result<PoolBlock, StoreError> {
        self.write(|tx| blocks::mature(tx, id, time_ms))
    }

    fn orphan_block(&self, id: &BlockId, time_ms: u64) -> Result<PoolBlock, StoreError> {
        self.write(|tx| blocks::orphan(tx, id, time_ms))
    }

    fn regain_block(&self, id: &BlockId, time_ms: u64) -> Result<PoolBlock, StoreError> {
        self.write(|tx| blocks::regain(tx, id, time_ms))
    }

    fn reject_block(&self, id: &BlockId) -> Result<PoolBlock, StoreError> {
        self.write(|tx| blocks::reject(tx, id))
    }

    fn payable(&self, payout_min: Amount) -> Result<Vec<(AccountId, Amount)>, StoreError> {
        self.read(|tx| sums::payable(tx, payout_min))
    }

    fn reserve_payout(&self, payout: &NewPayout) -> Result<Payout, StoreError> {
        self.write(|tx| payouts::reserve(tx, payout))
    }

    fn store_signed(&self, id: PayoutId, signed: &[u8]) -> Result<Payout, StoreError> {
        self.write(|tx| payouts::store_signed(tx, id, signed))
    }

    fn mark_payout(&self, id: PayoutId, state: PayoutState) -> Result<Payout, StoreError> {
        self.write(|tx| payouts::mark(tx, id, state))
    }

    fn finalize_payout(&self, id: PayoutId, time_ms: u64) -> Result<Payout, StoreError> {
        self.write(|tx| payouts::finalize(tx, id, time_ms))
    }

    fn void_payout(&self, id: PayoutId, time_ms: u64) -> Result<Payout, StoreError> {
        self.write(|tx| payouts::void(tx, id, time_ms))
    }

    fn open_payouts(&self) -> Result<Vec<Payout>, StoreError> {
        self.read(payouts::open)
    }

    fn payout_of_txid(&self, txid: &TxId) -> Result<Option<Payout>, StoreError> {
        self.read(|tx| payouts::of_txid(tx, txid))
    }

    fn payouts_of(&self, account: AccountId, limit: usize) -> Result<Vec<PayoutEntry>, StoreError> {
        self.read(|tx| payouts::of_account(tx, account, limit))
    }

    fn balance(&self, account: LedgerAccount) -> Result<u64, StoreError> {
        self.read(|tx| journal::balance(tx, account))
    }

    fn miner_balances(&self, account: AccountId) -> Result<MinerBalances, StoreError> {
        self.read(|tx| sums::miner(tx, account))
    }

    fn totals(&self) -> Result<Totals, StoreError> {
        self.read(sums::totals)
    }

    fn imbalance(&self) -> Result<i128, StoreError> {
        self.read(sums::imbalance)
    }

    fn journal_head(&self) -> Result<JournalHash, StoreError> {
        self.read(|tx| Ok(journal::tail(tx)?.hash))
    }

    fn audit(&self) -> Result<AuditReport, StoreError> {
        let mut auditor = lock(&self.auditor);
        let outcome = self.read(|tx| audit::continue_audit(tx, &mut auditor));
        if let Err(StoreError::Integrity { reason, .. }) = &outcome {
            tracing::error!(path = %self.path.display(), reason, "the ledger stops writing");
            lock(&self.writer).stopped.get_or_insert_with(|| reason.clone());
        }
        outcome
    }
}
