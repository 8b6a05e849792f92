//! What a stranger needs to check a pool with nothing but the chain (SPEC 8.10): that a share stands in a frame, the frame in the
//! log, the log's head in a coinbase; what the pool owes in all, and each account in it; and the file that carries this for one
//! account.
//!
//! What this crate is not: it reads no file and asks no node. Whether a block is on the best chain is for the reader to look up
//! ([`Report::on_chain`]), and the signature of a [`Statement`] is checked by what the reader passes in. It computes no credits:
//! those follow by replay of the log (`bq-pool-machine`). Read [`Evidence`] and [`LiabilityTree`] first.
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

// The types under the name by which front ends and drivers know them, without the rest of what that crate needs.
extern crate bq_share_record as bq_mining_message;

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

mod liability;
mod liability_tree;
mod statement;

mod credit;
mod owed;

mod evidence;

#[cfg(test)]
mod tests;

pub use coinbase::{Anchor, CoinbaseFault, CoinbaseProof, PoolIdentity};
pub use credit::{CreditFault, CreditProof, CreditReceipt, Credited};
pub use document::{Bytes, Document, DocumentError};
pub use error::{OrderFault, ProofError};
pub use evidence::{Evidence, EvidenceError, Finding};
pub use export::{AccountExport, FrameShares, Run};
pub use liability::{LiabilityEpoch, LiabilitySecret, Pseudonym, Salt, SumNode};
pub use liability_tree::{LiabilityFault, LiabilityProof, LiabilityTree};
pub use log::{LogFault, LogProof};
pub use owed::{Owed, OwedFault, OwedReceipt, StatedOnChain};
pub use receipt::{Receipt, ReceiptFault, Receipted};
pub use report::{LaneShares, ProvedRun, Report};
pub use share::{ShareFault, ShareProof};
pub use statement::{SignedStatement, Statement, StatementFault};
