//! The rule list of SPEC 7, in stages from cheap to costly. Passing a stage changes the type: transactions are looked at
//! only under a proven header, and only a [`ValidBlock`] says what a block does to the coins.

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

use bq_primitives::{Block, Timestamp};

use crate::{BlockError, Branch, CoinView, Params, ProofOfWork, SignatureVerifier};

/// All rules for one block, in the order of SPEC 7: header in context (7.1 to 7.5), proof (7.6), body (7.7, 7.8), spends
/// (7.9). `branch` ends with the parent, `coins` are those after it, `now` is the local clock.
///
/// # Errors
/// The first rule that it breaks.
pub fn validate_block(
    params: &Params,
    branch: &dyn Branch,
    block: Block,
    now: Timestamp,
    pow: &dyn ProofOfWork,
    coins: &dyn CoinView,
    signatures: &dyn SignatureVerifier,
) -> Result<ValidBlock, BlockError> {
    let Block { header, seal, transactions } = block;
    let header = check_header(params, branch, SealedHeader { header, seal }, now)?;
    let header = check_proof(header, pow)?;
    let block = check_body(header, transactions)?;
    check_spends(params, block, coins, signatures)
}
