//! The statistics of a pool in one SQLite file of their own, `statistics.sqlite`: beside the books and never needed by them.
//!
//! It is written in batches, without a sync for each: a crash of the machine may take the newest, and nothing that is paid out depends on
//! one. A file that cannot be read is moved aside and begun anew. What the values mean is `bq-pool-history`'s; this crate keeps them. Read
//! [`HistoryStore`] and [`Batch`] first.

mod batch;
mod error;
mod open;
mod store;

#[cfg(test)]
mod tests;

pub use batch::{Batch, BlockChange, BlockNote, SeriesRow};
pub use error::HistoryStoreError;
pub use open::FILE_NAME;
pub use store::{DayEarnings, HistoryStore};
