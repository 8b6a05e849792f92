//! Where a pool's log of events is kept, with copies of what it comes to: the [`BookStore`] trait, and [`SqliteBooks`].
//!
//! What this crate is not: it knows nothing about money. It appends bytes in order, keeps rows that it does not understand, and
//! finds both again; what they mean is decided in `bq-pool-machine`. Read [`BookStore`] and [`Batch`] first.

mod error;
mod sqlite;
mod store;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use sqlite::{RawRow, SqliteBooks};
pub use store::{Batch, BookStore, Checkpoint, NewEvent, OlderCheckpoints, Row, RowKind, StoredEvent, StoredRow};
