//! The rules of SPEC 7, in stages from cheap to costly: header in context (7.1 to 7.5), proof (7.6), body (7.7, 7.8), spends
//! (7.9). Passing a stage changes the type: transactions are looked at only under a proven header, and only a
//! [`ValidBlock`] says what a block does to the coins. No function runs all of them: a node has a header long before its
//! body, and the coins after a block's parent only once its branch is the best.

mod body;
mod header;
mod proof;
mod spends;
mod transaction;

pub use body::{WellFormedBlock, check_body};
pub use bq_primitives::SealedHeader;
pub use header::{ContextualHeader, HEADER_VERSION, check_header};
pub use proof::{ProvenHeader, check_proof};
pub use spends::{
    SpendContext, Spends, ValidBlock, check_spends, check_transaction_coins, check_transaction_signatures,
    check_transaction_spends,
};
pub use transaction::{TRANSACTION_VERSION, check_transaction};
