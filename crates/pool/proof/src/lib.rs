//! What a stranger needs to check a pool with nothing but the chain (SPEC 8.10): that a share stands in a frame, the frame in the
//! log, the log's head in a coinbase; and the file that carries this for one account.
//!
//! What this crate is not: it reads no file and asks no node. Whether a block is on the best chain is for the reader to look up
//! ([`Report::on_chain`]). It computes no credits: those follow by replay of the log (`bq-pool-machine`). Read [`AccountExport`]
//! and [`Receipt`] first.
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

mod coinbase;
mod document;
mod log;
mod path;
mod receipt;
mod share;

mod export;

mod check;
mod follow;

mod report;

mod error;

#[cfg(test)]
mod tests;

pub use coinbase::{Anchor, CoinbaseFault, CoinbaseProof, PoolIdentity};
pub use document::{Bytes, Document, DocumentError};
pub use error::{OrderFault, ProofError};
pub use export::{AccountExport, FrameShares, Run};
pub use log::{LogFault, LogProof};
pub use receipt::{Receipt, ReceiptFault, Receipted};
pub use report::{LaneShares, ProvedRun, Report};
pub use share::{ShareFault, ShareProof};
