use std::collections::{BTreeMap, VecDeque};

use bq_ledger::{
    Accrual, FeeBasisPoints, Head, LedgerError, ShareValue, ShareWeight, TidesFold, Window, WindowFold, WindowUnits,
    distribute,
};
use bq_primitives::{AccountId, Amount, NetworkDifficulty, ShareDifficulty};
use bq_random::Rng;

use crate::Scheme;

/// What a job's shares are worth.
#[derive(Clone, Copy, Debug)]
pub struct SimJob {
    difficulty: ShareDifficulty,
    network: NetworkDifficulty,
    weight: ShareWeight,
}

/// A share as a pool sees it.
#[derive(Clone, Copy, Debug)]
pub struct SimShare {
    /// Whose it is.
    pub account: AccountId,
    /// What it was found for.
    pub job: SimJob,
}

/// What one share brought whom, in atoms.
pub type Paid = Vec<(AccountId, u64)>;

/// Shares after which what is paid per share is credited (T20).
const SETTLED_EACH: u32 = 64;

/// The shares of one lane, and the payments that they cause.
#[derive(Clone, Debug)]
pub struct Pool {
    scheme: Scheme,
    reward: Amount,
    fee: FeeBasisPoints,
    /// Oldest first, as many as a window can hold.
    shares: VecDeque<SimShare>,
    kept: usize,
    carry: Amount,
    round: BTreeMap<AccountId, u128>,
    accruals: BTreeMap<AccountId, Accrual>,
    unsettled: u32,
    /// What went to the seed of the window.
    seeded: u64,
}

impl SimJob {
    /// Shares of so many hashes, where a block takes this many.
    #[must_use]
    pub fn new(difficulty: u128, network: NetworkDifficulty) -> Self {
        let difficulty = ShareDifficulty::from_hashes(u64::try_from(difficulty).unwrap_or(u64::MAX));
        Self { difficulty, network, weight: ShareWeight::of(difficulty, network) }
    }

    /// A share's part of a block (SPEC 8.1).
    #[must_use]
    pub const fn weight(&self) -> ShareWeight {
        self.weight
    }

    /// Whether a share is a block: as likely as its part of one.
    pub fn is_block(&self, rng: &mut Rng) -> bool {
        rng.next_u64() >> 4 < self.weight.parts()
    }
}

impl Pool {
    /// Without a share. No window is longer than `kept` shares.
    #[must_use]
    pub const fn new(scheme: Scheme, reward: Amount, fee: FeeBasisPoints, kept: usize) -> Self {
        Self {
            scheme,
            reward,
            fee,
            shares: VecDeque::new(),
            kept,
            carry: Amount::ZERO,
            round: BTreeMap::new(),
            accruals: BTreeMap::new(),
            unsettled: 0,
            seeded: 0,
        }
    }

    /// What the seed got, in atoms.
    #[must_use]
    pub const fn seeded(&self) -> u64 {
        self.seeded
    }

    /// The next share, and who is paid because of it.
    ///
    /// # Errors
    /// As the ledger.
    pub fn take(&mut self, share: SimShare, is_block: bool) -> Result<Paid, LedgerError> {
        self.shares.push_back(share);
        if self.shares.len() > self.kept {
            self.shares.pop_front();
        }
        match self.scheme {
            Scheme::Pplns(units) => self.pay_window(is_block, |pool| pool.window(units, Head::Half, 0)),
            Scheme::Direct(units) => self.pay_window(is_block, |pool| pool.window(units, Head::Whole, 1)),
            Scheme::Tides(units) => self.pay_window(is_block, |pool| pool.tides(units, share.job.network)),
            Scheme::Unseeded(units) => self.pay_window(is_block, |pool| pool.unseeded(units)),
            Scheme::Pps => self.pay_share(share),
            Scheme::Prop => Ok(self.pay_round(share, is_block)),
        }
    }

    fn pay_window(&mut self, is_block: bool, window: impl Fn(&Self) -> Window) -> Result<Paid, LedgerError> {
        if !is_block {
            return Ok(Paid::new());
        }
        let split = distribute(self.reward, self.fee, self.carry, &window(self))?;
        self.carry = split.carry;
        self.seeded = self.seeded.saturating_add(split.seed.atoms());
        Ok(split.credits.into_iter().map(|(account, credit)| (account, credit.atoms())).collect())
    }

    /// The newest `skipped` shares do not count.
    fn window(&self, units: WindowUnits, head: Head, skipped: usize) -> Window {
        let mut fold = WindowFold::new(units, head);
        for share in self.shares.iter().rev().skip(skipped) {
            if fold.add(share.account, share.job.weight).is_break() {
                break;
            }
        }
        fold.finish()
    }

    fn tides(&self, units: WindowUnits, block: NetworkDifficulty) -> Window {
        let mut fold = TidesFold::new(units, block, Head::Half);
        for share in self.shares.iter().rev() {
            if fold.add(share.account, share.job.difficulty).is_break() {
                break;
            }
        }
        fold.finish()
    }

    /// The seed's part goes to the oldest account there is: what is left of the rule when nobody keeps a seed is that those who are
    /// there share it by weight.
    fn unseeded(&self, units: WindowUnits) -> Window {
        let window = self.window(units, Head::Half, 0);
        let filled = window.whole().saturating_sub(window.seed());
        let grown = |weight: u128| weight.saturating_mul(window.whole() >> 20) / (filled >> 20).max(1);
        let mut weights: Vec<(AccountId, u128)> =
            window.weights().map(|(account, weight)| (account, grown(weight))).collect();
        let sum: u128 = weights.iter().map(|(_, weight)| *weight).sum();
        if let Some((_, first)) = weights.first_mut() {
            *first = first.saturating_add(window.whole()).saturating_sub(sum);
        }
        Window::from_parts(units, weights, 0).unwrap_or(window)
    }

    fn pay_share(&mut self, share: SimShare) -> Result<Paid, LedgerError> {
        let value = ShareValue::of(share.job.weight, self.reward, self.fee)?;
        let accrual = self.accruals.entry(share.account).or_default();
        *accrual = accrual.added(value)?;
        self.unsettled += 1;
        if self.unsettled < SETTLED_EACH {
            return Ok(Paid::new());
        }
        self.unsettled = 0;
        let mut paid = Paid::new();
        for (account, accrual) in &mut self.accruals {
            let (credit, rest) = accrual.flush();
            *accrual = rest;
            paid.push((*account, credit.atoms()));
        }
        Ok(paid)
    }

    fn pay_round(&mut self, share: SimShare, is_block: bool) -> Paid {
        let sum = self.round.entry(share.account).or_default();
        *sum = sum.saturating_add(share.job.weight.parts().into());
        if !is_block {
            return Paid::new();
        }
        let round = std::mem::take(&mut self.round);
        let whole: u128 = round.values().sum();
        let net = u128::from(self.reward.atoms());
        // Less the fee, as a pool would; 2^53 times the weight of a thousand blocks fits.
        let net = net - net * u128::from(self.fee.get()) / 10_000;
        let part = |weight: u128| u64::try_from(net * (weight >> 10) / (whole >> 10).max(1)).unwrap_or(0);
        round.into_iter().map(|(account, weight)| (account, part(weight))).collect()
    }
}
