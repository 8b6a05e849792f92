//! Transactions that wait for a block: which are kept, which give way, and which a template takes first.
//!
//! The caller has already verified every transaction against the chain (and, for chains of unconfirmed transactions,
//! against [`Mempool::output`]); this crate sees no signature and no coin. It decides what follows from the pool alone:
//! duplicates, conflicts, limits, order and eviction. The same calls in the same order give the same pool: there is no
//! clock, and arrival is a sequence number. Read [`Mempool`] and [`Candidate`] first.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod admit;
mod blocks;
mod candidate;
mod density;
mod error;
mod family;
mod limits;
mod pool;
mod replace;
mod select;
#[cfg(test)]
mod tests;

pub use admit::Admission;
pub use blocks::Removed;
pub use candidate::{Candidate, PooledTransaction};
pub use density::Density;
pub use error::AdmitError;
pub use limits::MempoolLimits;
pub use pool::Mempool;
pub use select::Selection;
