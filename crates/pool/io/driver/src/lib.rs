//! The pool: takes verified shares and blocks from the Stratum server, keeps the share log and the ledger, and pays.
//!
//! [`Pool`] implements [`bq_mining_message::PoolApi`] and [`bq_views::PoolViews`]. Two threads work for it: one keeps the
//! block template fresh, one settles: on every new tip it moves pool blocks between their states, compares the books
//! with the chain to the atom, and drives payouts. Only the chain decides what a block or a payout is; nothing is decided
//! by time or by a reply that did not come.
//!
//! What this crate is not: it speaks no Stratum and hashes nothing, it reaches the chain only through
//! [`bq_chain_api::NodeApi`], and it holds no key: a [`PayoutSigner`] does. Read [`Pool`] and [`PoolConfig`] first.

mod config;
mod error;
mod pool;
mod signer;

mod accounts;
mod clock;
mod core;
mod shares;
mod templates;

mod lane;
mod stats;

mod blocks;
mod recovery;
mod settle;

mod payouts;
mod reconcile;

mod metrics;
mod views;

#[cfg(test)]
mod tests;

pub use config::PoolConfig;
pub use error::PoolError;
pub use pool::Pool;
pub use signer::{PayoutSigner, SignerError};
