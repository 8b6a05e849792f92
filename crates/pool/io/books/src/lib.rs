//! The pool's ledger on disk: accounts, the journal of transfers, pool blocks, payouts.
//!
//! [`LedgerStore`] is the whole of what the pool asks: coarse business operations, each of which happens entirely or not
//! at all, and which may be repeated after a crash without effect. [`SqliteLedger`] is the embedded implementation. What
//! a transfer *is* and whether it may be booked is decided in `bq-ledger`; this crate keeps it.
//!
//! What this crate is not: it knows no chain and no shares, and decides nothing about time. Read [`LedgerStore`] and
//! [`PoolBlock`] first.

mod block;
mod error;
mod payout;
mod store;

mod sqlite;

#[cfg(test)]
mod tests;

pub use block::{BlockCounts, BlockState, Candidate, CandidateShare, PoolBlock};
pub use error::StoreError;
pub use payout::{NewPayout, Payout, PayoutEntry, PayoutId, PayoutInput, PayoutState};
pub use sqlite::SqliteLedger;
pub use store::{LedgerStore, MinerBalances, Scheme, Totals};
