//! What a coinbase pays whom (SPEC 8.8).

use std::{cmp::Reverse, collections::BTreeMap};

use bq_ledger::{Distribution, FeeBasisPoints, LedgerAccount, LedgerError, Window, distribute};
use bq_mining_message::SharePosition;
use bq_primitives::{AccountId, Algorithm, Amount, AmountError, Height};
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
    /// Minimums that accounts chose, where they are above the terms'.
    minimums: BTreeMap<AccountId, Amount>,
}

/// Whom a coinbase pays. What is left of the reward is the pool's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoinbasePlan {
    /// Accounts and amounts, in the order of the outputs; none is zero.
    pub outputs: Vec<(AccountId, Amount)>,
    /// What the pool's own output gets; it has none if this is zero.
    pub own: Amount,
    /// What else accounts are owed by then, older balances too as far as they were looked at: a later block pays it.
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
        let own = self.settings.accounts.keys().filter_map(|account| Some((*account, self.own_minimum(*account)?)));
        let minimums = own.filter(|(_, minimum)| *minimum > terms.min).collect();
        Ok(CoinbaseBasis { terms, fee: of_lane.fee, carry_in, window, carried, minimums })
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
    pub fn leave_carried(&mut self) {
        self.carried.clear();
    }

    /// SPEC 8.8.3: who gets what out of `reward`, in a block of this height.
    ///
    /// # Errors
    /// [`LedgerError::Amount`]: sums outside the range of amounts.
    pub fn plan(&self, reward: Amount, height: Height) -> Result<CoinbasePlan, LedgerError> {
        let split = distribute(reward, self.fee, self.carry_in, &self.window)?;
        let mut own = reward;
        let mut outputs = Vec::new();
        let mut put_off = Vec::new();
        let payees_max = usize::try_from(self.terms.payees_max).unwrap_or(usize::MAX);
        for (account, sum) in self.in_turn(&split, height)? {
            let part = sum.min(own);
            // What an account chose bounds what it is owed, not what is left of a reward: else it might never be paid.
            let is_due = part >= self.terms.min && sum >= self.minimum(account);
            let paid = if is_due && outputs.len() < payees_max { part } else { Amount::ZERO };
            own = own.checked_sub(paid)?;
            if paid > Amount::ZERO {
                outputs.push((account, paid));
            }
            let later = sum.checked_sub(paid)?;
            if later > Amount::ZERO {
                put_off.push((account, later));
            }
        }
        outputs.sort_by_key(|(account, amount)| (Reverse(*amount), *account));
        Ok(CoinbasePlan { outputs, own, put_off })
    }

    /// What an account must be owed to be paid.
    fn minimum(&self, account: AccountId) -> Amount {
        self.minimums.get(&account).copied().unwrap_or(self.terms.min)
    }

    /// What each account would get, in the order in which they are asked: whose balance alone comes to the minimum first, and of those
    /// another at each height, so that no balance waits for ever behind miners who earn more.
    fn in_turn(&self, split: &Distribution, height: Height) -> Result<Vec<(AccountId, Amount)>, LedgerError> {
        let mut sums: BTreeMap<AccountId, Amount> = split.credits.iter().copied().collect();
        for (account, carried) in &self.carried {
            let sum = sums.entry(*account).or_default();
            *sum = sum.checked_add(*carried)?;
        }
        let waits =
            |account: &AccountId| self.carried.get(account).is_some_and(|carried| *carried >= self.minimum(*account));
        let (mut in_turn, mut others): (Vec<_>, Vec<_>) = sums.into_iter().partition(|(account, _)| waits(account));
        let first = usize::try_from(height.0).unwrap_or(0).checked_rem(in_turn.len()).unwrap_or(0);
        in_turn.rotate_left(first);
        others.sort_by_key(|(account, sum)| (Reverse(*sum), *account));
        in_turn.extend(others);
        Ok(in_turn)
    }
}
