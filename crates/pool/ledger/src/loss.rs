use bq_primitives::{Amount, BlockId};

use crate::{Cause, LedgerAccount, LedgerError, Transfer};

/// T13: the coin of a matured block is gone. Miners keep their credit; what the pool can bear pays for it, in the order
/// given, and the rest is shown as a loss.
///
/// # Errors
/// None in practice: the parts never exceed the reward.
pub fn lost_block(
    block: BlockId,
    generation: u32,
    reward: Amount,
    bearers: &[(LedgerAccount, Amount)],
    coin: LedgerAccount,
) -> Result<Vec<Transfer>, LedgerError> {
    let cause = Cause::BlockLost { block, generation };
    let mut left = reward;
    let mut lines = Vec::new();
    for (debit, able) in bearers.iter().copied().chain([(LedgerAccount::OrphanLoss, Amount::MAX)]) {
        let amount = left.min(able);
        left = left.checked_sub(amount)?;
        if amount > Amount::ZERO {
            lines.push(Transfer { cause, debit, credit: coin, amount });
        }
    }
    Ok(lines)
}
