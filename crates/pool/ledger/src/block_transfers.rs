use std::collections::BTreeMap;

use bq_primitives::{AccountId, Algorithm, Amount, BlockId};

use crate::{Cause, Distribution, LedgerAccount, LedgerError, Transfer};

/// A pool block that is on the best chain, with what is to be booked for it (T10).
#[derive(Clone, Debug)]
pub struct BlockCredit<'a> {
    /// The block.
    pub block: BlockId,
    /// How often it came back.
    pub generation: u32,
    /// Its lane.
    pub algorithm: Algorithm,
    /// What its coinbase pays the pool.
    pub reward: Amount,
    /// The lane's whole matured residue, which the distribution already contains.
    pub carry_in: Amount,
    /// The split.
    pub distribution: &'a Distribution,
}

impl BlockCredit<'_> {
    /// T10: reward and residue to miners, seed, fee and the block's own residue. The residue pays the first parties, so
    /// at most one party gets two lines.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`] unless the distribution splits exactly reward and residue.
    pub fn transfers(&self) -> Result<Vec<Transfer>, LedgerError> {
        let lane = self.algorithm;
        let cause = Cause::BlockCredited { block: self.block, generation: self.generation };
        let mut carry_left = self.carry_in;
        let mut reward_left = self.reward;
        let mut transfers = Vec::new();
        for (credit, amount) in self.parties() {
            let from_carry = amount.min(carry_left);
            let from_reward = amount.checked_sub(from_carry)?;
            carry_left = carry_left.checked_sub(from_carry)?;
            reward_left = reward_left.checked_sub(from_reward)?;
            let sources = [(LedgerAccount::Carry(lane), from_carry), (LedgerAccount::ChainImmature(lane), from_reward)];
            transfers.extend(
                sources.into_iter().filter(|(_, amount)| *amount > Amount::ZERO).map(|(debit, amount)| Transfer {
                    cause,
                    debit,
                    credit,
                    amount,
                }),
            );
        }
        if carry_left == Amount::ZERO && reward_left == Amount::ZERO {
            Ok(transfers)
        } else {
            Err(LedgerError::Overflow)
        }
    }

    fn parties(&self) -> impl Iterator<Item = (LedgerAccount, Amount)> + '_ {
        let Distribution { fee, credits, seed, carry, .. } = self.distribution;
        let miners = credits.iter().map(|(account, amount)| (LedgerAccount::MinerImmature(*account), *amount));
        let rest = [
            (LedgerAccount::Seed(self.algorithm), *seed),
            (LedgerAccount::FeeIncome(self.algorithm), *fee),
            (LedgerAccount::CarryPending(self.block), *carry),
        ];
        miners.chain(rest)
    }
}

/// T15: what the coinbase of a block pays is taken off what the payee is owed: the sources that `owed` names, in their order. What
/// exceeds all of them is the pool's loss.
///
/// # Errors
/// None in practice: the parts never exceed the payment.
pub fn pay_in_coinbase(
    (block, generation): (BlockId, u32),
    lane: Algorithm,
    paid: &BTreeMap<AccountId, Amount>,
    owed: impl Fn(AccountId) -> Result<Vec<(LedgerAccount, Amount)>, LedgerError>,
) -> Result<Vec<Transfer>, LedgerError> {
    let cause = Cause::BlockPaid { block, generation };
    let credit = LedgerAccount::ChainImmature(lane);
    let mut lines = Vec::with_capacity(paid.len());
    for (account, amount) in paid {
        let mut left = *amount;
        for (debit, able) in owed(*account)?.into_iter().chain([(LedgerAccount::WriteOff, Amount::MAX)]) {
            let amount = left.min(able);
            left = left.checked_sub(amount)?;
            if amount > Amount::ZERO {
                lines.push(Transfer { cause, debit, credit, amount });
            }
        }
    }
    Ok(lines)
}

/// T11 from the block's own T10 and T15 lines: what it still owes each miner goes to the account that `due` names, its residue joins
/// the lane's, its coin may be spent.
///
/// # Errors
/// [`LedgerError::Overflow`] when sums leave the range of amounts, which lines written by T10 cannot cause.
pub fn mature(
    block: BlockId,
    generation: u32,
    credit_lines: &[Transfer],
    due: fn(AccountId) -> LedgerAccount,
) -> Result<Vec<Transfer>, LedgerError> {
    let cause = Cause::BlockMatured { block, generation };
    let mut miners: BTreeMap<AccountId, Amount> = BTreeMap::new();
    let mut residue = Amount::ZERO;
    let mut lane = None;
    // Every T15 line takes off what a T10 line of the same batch brought.
    let is_paid = |line: &&Transfer| matches!(line.credit, LedgerAccount::ChainImmature(_));
    let (paid, credited): (Vec<&Transfer>, Vec<&Transfer>) = credit_lines.iter().partition(is_paid);
    for line in credited {
        if let LedgerAccount::ChainImmature(algorithm) | LedgerAccount::Carry(algorithm) = line.debit {
            lane = Some(algorithm);
        }
        match line.credit {
            LedgerAccount::MinerImmature(account) => add(miners.entry(account).or_default(), line.amount)?,
            LedgerAccount::CarryPending(_) => add(&mut residue, line.amount)?,
            _ => {}
        }
    }
    for line in paid {
        if let LedgerAccount::MinerImmature(account) = line.debit {
            take(miners.entry(account).or_default(), line.amount)?;
        }
    }
    let miners =
        miners.into_iter().map(|(account, amount)| (LedgerAccount::MinerImmature(account), due(account), amount));
    let carry = lane.map(|algorithm| (LedgerAccount::CarryPending(block), LedgerAccount::Carry(algorithm), residue));
    Ok(miners
        .chain(carry)
        .chain(coins(credit_lines)?)
        .filter(|(_, _, amount)| *amount > Amount::ZERO)
        .map(|(debit, credit, amount)| Transfer { cause, debit, credit, amount })
        .collect())
}

/// What maturity does to a block's coin, from its own T10, T15 or T21 lines: debit, credit and amount.
pub(crate) fn coins(
    lines: &[Transfer],
) -> Result<impl Iterator<Item = (LedgerAccount, LedgerAccount, Amount)>, LedgerError> {
    let mut rewards: BTreeMap<Algorithm, Amount> = BTreeMap::new();
    for line in lines {
        if let LedgerAccount::ChainImmature(algorithm) = line.debit {
            add(rewards.entry(algorithm).or_default(), line.amount)?;
        }
    }
    for line in lines {
        if let LedgerAccount::ChainImmature(algorithm) = line.credit {
            take(rewards.entry(algorithm).or_default(), line.amount)?;
        }
    }
    Ok(rewards
        .into_iter()
        .map(|(algorithm, amount)| (LedgerAccount::ChainSpendable, LedgerAccount::ChainImmature(algorithm), amount)))
}

/// T12: every T10 and T15 line backwards, also the residue that the block had taken in; or every T21 line.
#[must_use]
pub fn reverse_credit(block: BlockId, generation: u32, credit_lines: &[Transfer]) -> Vec<Transfer> {
    let cause = Cause::BlockOrphaned { block, generation };
    credit_lines.iter().map(|line| line.reversed(cause)).collect()
}

fn add(sum: &mut Amount, amount: Amount) -> Result<(), LedgerError> {
    *sum = sum.checked_add(amount)?;
    Ok(())
}

fn take(sum: &mut Amount, amount: Amount) -> Result<(), LedgerError> {
    *sum = sum.checked_sub(amount)?;
    Ok(())
}
