//! The chain store: blocks, the best chain, its unspent coins and the indexes over both, in one file.
//!
//! [`ChainStore`] is what the node sees; [`RedbStore`] keeps it in a redb database. One [`StoreChange`] is one atomic,
//! durable transaction: after a crash the store stands exactly before or exactly after it. Nothing here knows a rule;
//! what is handed in was validated. Read those three types first.

mod chain_store;
mod change;
mod codec;
mod error;
mod fault;
mod identity;
mod redb_store;
mod snapshot;
mod tables;
mod write;

#[cfg(test)]
mod tests;

pub use chain_store::{ChainStore, Confirmation, IndexedBlock, Recovery};
pub use change::{ChainStep, ChainUpdate, NewHeader, StoreChange};
pub use error::StoreError;
pub use identity::StoreIdentity;
pub use redb::StorageBackend;
pub use redb_store::{RedbStore, STORE_FILE};
