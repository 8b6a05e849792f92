//! Builds unsealed blocks: one body, and one candidate header for each algorithm that may seal the next block.
//!
//! A template passes every rule of validation but the proof of work. This crate selects nothing (that is
//! [`bq_mempool::Mempool::select`]), hashes no work and reads no clock. Read [`ParentFacts`] and [`BlockTemplate`]
//! first.
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

mod assemble;
mod error;
mod facts;
mod template;
#[cfg(test)]
mod tests;

pub use assemble::{TemplateRequest, assemble, room_for_transactions};
pub use error::TemplateError;
pub use facts::{AlgorithmFacts, ParentFacts};
pub use template::{BlockTemplate, CandidateHeader};
