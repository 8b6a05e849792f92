//! What a coinbase pays whom (SPEC 8.8).

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use bq_ledger::{Distribution, FeeBasisPoints, LedgerAccount, LedgerError, Window, distribute};
use bq_mining_message::SharePosition;
use bq_primitives::{AccountId, Algorithm, Amount, AmountError};
use serde::{Deserialize, Serialize};

use crate::{LaneTerms, Scheme, State};

/// Terms of payment in the coinbase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectTerms {
    /// Who gets less than this is paid by a later block.
    pub min: Amount,
    /// Outputs to miners at most.
    pub payees_max: u32,
}

/// What the log is told of a block whose coinbase pays miners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectBlock {
    /// The share that found it, if that was written. It counts in later blocks.
    pub share: Option<SharePosition>,
    /// The newest share of its window; nothing if there was none yet.
    pub newest: Option<SharePosition>,
    /// What all outputs to miners sum to.
    pub total: Amount,
    /// Those outputs.
    pub paid: Vec<DirectOutput>,
}

/// An output of a coinbase to a miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectOutput {
    /// Its index.
    pub index: u32,
    /// Whom it pays.
    pub account: AccountId,
    /// What.
    pub amount: Amount,
}

/// All that a coinbase to be follows from, but for its reward.
#[derive(Clone, Debug)]
pub struct CoinbaseBasis {
    terms: DirectTerms,
    fee: FeeBasisPoints,
    carry_in: Amount,
    window: Window,
    carried: BTreeMap<AccountId, Amount>,
}

/// Whom a coinbase pays. What is left of the reward is the pool's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoinbasePlan {
    /// Accounts and amounts, in the order of the outputs; none is zero.
    pub outputs: Vec<(AccountId, Amount)>,
    /// What the pool's own output gets; it has none if this is zero.
    pub own: Amount,
    /// What the window gives accounts that a later block pays.
    pub put_off: Vec<(AccountId, Amount)>,
}

impl DirectBlock {
    /// What it pays each account.
    ///
    /// # Errors
    /// The sum of one leaves the range of amounts.
    pub fn by_account(&self) -> Result<BTreeMap<AccountId, Amount>, AmountError> {
        let mut sums: BTreeMap<AccountId, Amount> = BTreeMap::new();
        for output in &self.paid {
            let sum = sums.entry(output.account).or_default();
            *sum = sum.checked_add(output.amount)?;
        }
        Ok(sums)
    }
}

impl State {
    /// The terms under which a coinbase pays a lane's miners directly, its newest share being this; nothing if payouts do.
    #[must_use]
    pub fn direct_terms(&self, lane: Algorithm, newest: Option<SharePosition>) -> Option<(DirectTerms, LaneTerms)> {
        let terms = newest.map_or_else(|| self.terms(), |share| self.terms_of(share))?.lane(lane);
        match terms.scheme {
            Scheme::Direct { terms: direct, .. } => Some((direct, *terms)),
            Scheme::Pplns { .. } => None,
        }
    }

    /// What the coinbase of a lane's next block follows from. `pays_carried` unless SPEC 8.8.3 forbids it.
    ///
    /// # Errors
    /// [`LedgerError::Amount`]: books that hold more than all the coins there can be.
    pub fn coinbase_basis(
        &self,
        lane: Algorithm,
        (terms, of_lane): (DirectTerms, LaneTerms),
        window: Window,
        pays_carried: bool,
    ) -> Result<CoinbaseBasis, LedgerError> {
        let mut carried = BTreeMap::new();
        if pays_carried {
            for (account, balance) in self.books.of_miners(LedgerAccount::MinerCarried) {
                carried.insert(account, Amount::from_atoms(balance)?);
            }
        }
        let carry_in = Amount::from_atoms(self.books.balance(LedgerAccount::Carry(lane)))?;
        Ok(CoinbaseBasis { terms, fee: of_lane.fee, carry_in, window, carried })
    }
}

impl CoinbaseBasis {
    /// Outputs that the coinbase has at most, the pool's own included.
    #[must_use]
    pub fn outputs_max(&self) -> u32 {
        let carried = u32::try_from(self.carried.len()).unwrap_or(u32::MAX);
        let accounts = self.window.payees().saturating_add(carried);
        accounts.min(self.terms.payees_max).saturating_add(1)
    }

    /// The block pays nobody the balances that earlier ones put off.
    #[must_use]
    pub fn without_carried(mut self) -> Self {
        self.carried.clear();
        self
    }

    /// SPEC 8.8.3: who gets what out of `reward`.
    ///
    /// # Errors
    /// [`LedgerError::Amount`]: sums outside the range of amounts.
    pub fn plan(&self, reward: Amount) -> Result<CoinbasePlan, LedgerError> {
        let split = distribute(reward, self.fee, self.carry_in, &self.window)?;
        let taken = self.taken(&split)?;
        let credits = Amount::sum(taken.iter().map(|wish| wish.credit))?;
        // The residue of earlier blocks is among the credits and not among the reward.
        let mut rest = reward.atoms().saturating_sub(credits.atoms());
        let mut outputs = Vec::with_capacity(taken.len());
        for wish in taken {
            if wish.carried.atoms() <= rest {
                rest = rest.saturating_sub(wish.carried.atoms());
                outputs.push((wish.account, wish.sum));
            } else if wish.credit >= self.terms.min {
                outputs.push((wish.account, wish.credit));
            } else {
                rest = rest.saturating_add(wish.credit.atoms());
            }
        }
        outputs.retain(|(_, amount)| *amount > Amount::ZERO);
        outputs.sort_by_key(|(account, amount)| (Reverse(*amount), *account));
        while Amount::sum(outputs.iter().map(|(_, amount)| *amount))? > reward {
            // Only a residue larger than fee, seed and all that is put off together comes to this.
            outputs.pop();
        }
        let paid = Amount::sum(outputs.iter().map(|(_, amount)| *amount))?;
        let is_paid: BTreeSet<AccountId> = outputs.iter().map(|(account, _)| *account).collect();
        let put_off = split.credits.into_iter().filter(|(account, _)| !is_paid.contains(account)).collect();
        Ok(CoinbasePlan { outputs, own: reward.checked_sub(paid)?, put_off })
    }

    /// Accounts that come to the minimum, the largest first, as many as there may be outputs.
    fn taken(&self, split: &Distribution) -> Result<Vec<Wish>, LedgerError> {
        let mut sums: BTreeMap<AccountId, (Amount, Amount)> = BTreeMap::new();
        for (account, credit) in &split.credits {
            sums.entry(*account).or_default().0 = *credit;
        }
        for (account, carried) in &self.carried {
            sums.entry(*account).or_default().1 = *carried;
        }
        let mut wishes = Vec::new();
        for (account, (credit, carried)) in sums {
            let sum = credit.checked_add(carried)?;
            if sum >= self.terms.min {
                wishes.push(Wish { account, credit, carried, sum });
            }
        }
        wishes.sort_by_key(|wish| (Reverse(wish.sum), wish.account));
        wishes.truncate(usize::try_from(self.terms.payees_max).unwrap_or(usize::MAX));
        Ok(wishes)
    }
}

/// What an account is owed when a coinbase is made.
struct Wish {
    account: AccountId,
    credit: Amount,
    carried: Amount,
    sum: Amount,
}
