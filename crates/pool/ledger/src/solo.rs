use bq_primitives::{AccountId, Amount};

use crate::{Distribution, FeeBasisPoints, LedgerError};

/// The whole reward, less the fee, to the account of the winning share (SPEC 8.9). There is no residue, and the lane's own is
/// not touched: it belongs to those who share blocks.
///
/// # Errors
/// None in practice: a fee is never more than its reward.
pub fn solo(reward: Amount, fee: FeeBasisPoints, finder: AccountId) -> Result<Distribution, LedgerError> {
    let fee = fee.of(reward)?;
    let credit = reward.checked_sub(fee)?;
    let credits = if credit > Amount::ZERO { vec![(finder, credit)] } else { Vec::new() };
    Ok(Distribution { fee, credits, seed: Amount::ZERO, carry: Amount::ZERO, payees: 1 })
}
