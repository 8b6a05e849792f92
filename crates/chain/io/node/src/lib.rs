//! The node: one chain, one mempool, and everything that changes them.
//!
//! [`Node`] ties the pure parts together: rules from `bq-consensus`, fork choice from `bq-tree`, waiting transactions
//! from `bq-mempool`, templates from `bq-template`, disk from `bq-store`. Others see it through
//! `bq_chain_api::{NodeApi, SyncApi}`. It knows no socket and no miner. Read [`Node`] and [`NodeConfig`] first.
//!
//! One writer: every change of the chain or the mempool happens under one lock. Proofs of work are verified before it is
//! taken, signatures once per transaction. A change of the best chain is one transaction of the store, made while readers
//! wait, so that memory and disk never disagree; a crash leaves the last committed change.

mod api;
mod blocks;
mod chain_change;
mod coins;
mod commit;
mod config;
mod difficulty;
mod hashrate;
mod headers;
mod held;
mod kept;
mod low_work;
mod mempool;
mod metrics;
mod node;
mod open;
mod pow_keys;
mod signatures;
mod sync_api;
mod templates;
mod trouble;
mod upkeep;

#[cfg(test)]
mod tests;

pub use config::{LocalClock, MachineClock, NodeConfig, StoreSettings};
pub use node::Node;
pub use open::{NodeOpenError, store_identity};
pub use signatures::{SignatureCounts, VerifiedSignatures};
