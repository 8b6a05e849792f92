use bq_primitives::{AccountId, Algorithm, Amount, BlockId};

use crate::{Cause, LedgerAccount, LedgerError, Transfer, block_transfers::coins};

/// T20: what shares earned becomes payable, out of the reserve. Accounts that are credited nothing get no line; lines are in
/// the order given, which should be that of rising numbers, each account once.
#[must_use]
pub fn pps_credit(
    algorithm: Algorithm,
    segment: u64,
    credits: impl IntoIterator<Item = (AccountId, Amount)>,
) -> Vec<Transfer> {
    let cause = Cause::PpsCredited { algorithm, segment };
    let credits = credits.into_iter().filter(|(_, amount)| *amount > Amount::ZERO);
    credits
        .map(|(account, amount)| {
            let (debit, credit) = (LedgerAccount::PpsReserve, LedgerAccount::MinerPayable(account));
            Transfer { cause, debit, credit, amount }
        })
        .collect()
}

/// A pool block whose shares are paid for already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PpsIncome {
    /// The block.
    pub block: BlockId,
    /// How often it came back.
    pub generation: u32,
    /// Its lane.
    pub algorithm: Algorithm,
    /// What its coinbase pays the pool.
    pub reward: Amount,
    /// The most that the reserve gets of it, [`crate::PerShare::reserve_income_max`].
    pub reserve_max: Amount,
}

impl PpsIncome {
    /// T21 when it joins the best chain: the reserve gets what shares were paid for, the pool earns the rest. When it leaves
    /// before maturity, [`crate::reverse_credit`] takes these lines back.
    ///
    /// # Errors
    /// None in practice: a part of the reward is never more than the reward.
    pub fn transfers(&self) -> Result<Vec<Transfer>, LedgerError> {
        let cause = Cause::PpsIncome { block: self.block, generation: self.generation };
        let debit = LedgerAccount::ChainImmature(self.algorithm);
        let reserve = self.reward.min(self.reserve_max);
        let earned = self.reward.checked_sub(reserve)?;
        let parts =
            [(LedgerAccount::PpsImmature, reserve), (LedgerAccount::FeeIncome(self.algorithm), earned)].into_iter();
        let parts = parts.filter(|(_, amount)| *amount > Amount::ZERO);
        Ok(parts.map(|(credit, amount)| Transfer { cause, debit, credit, amount }).collect())
    }
}

/// T21 at maturity, from the block's own lines of when it joined: its income joins the reserve, its coin may be spent.
///
/// # Errors
/// [`LedgerError::Amount`] when sums leave the range of amounts, which lines written by T21 cannot cause.
pub fn mature_income(block: BlockId, generation: u32, income_lines: &[Transfer]) -> Result<Vec<Transfer>, LedgerError> {
    let cause = Cause::PpsIncome { block, generation };
    let income = income_lines.iter().filter(|line| line.credit == LedgerAccount::PpsImmature);
    let income = Amount::sum(income.map(|line| line.amount))?;
    let income = (LedgerAccount::PpsImmature, LedgerAccount::PpsReserve, income);
    let lines = [income].into_iter().chain(coins(income_lines)?);
    Ok(lines
        .filter(|(_, _, amount)| *amount > Amount::ZERO)
        .map(|(debit, credit, amount)| Transfer { cause, debit, credit, amount })
        .collect())
}
