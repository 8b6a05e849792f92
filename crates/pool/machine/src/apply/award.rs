//! By which scheme a block that joins is booked, and what that comes to (SPEC 8.2, 8.3, 8.9).

use std::ops::ControlFlow;

use bq_ledger::{
    BlockCredit, FeeBasisPoints, Head, LedgerAccount, PerShare, PpsIncome, ShareWeight, TidesFold, Transfer, Window,
    WindowFold, WindowUnits, distribute, solo,
};
use bq_mining_message::{AccountScheme, SharePay, SharePosition, SharePrice};
use bq_primitives::{AccountId, Amount};

use super::Step;
use crate::{Candidate, EarnedShare, Fault, LaneTerms, PoolBlock, Shares, State, TidesTerms, Winning};

/// Who gets what a block brings.
pub(super) enum Award {
    /// A window, less a fee.
    Window(Window, FeeBasisPoints),
    /// Its finder, less a fee.
    Finder(AccountId, FeeBasisPoints),
    /// The reserve that pays shares for themselves.
    Reserve(SharePrice),
}

/// A TIDES window ends also where its shares come to this many units, so that no rise of the difficulty makes it reach back without end
/// (SPEC 8.9.5).
const TIDES_UNITS_MAX: u128 = 64;

impl State {
    /// As the share says that found it; as the lane's terms where that is not known. Nothing when its shares are lost.
    pub(super) fn award_of(&self, step: &Step<'_>, candidate: &Candidate) -> Result<Option<Award>, Fault> {
        let (from, head) = match &candidate.winning {
            Winning::Share(share) => {
                let own = self.own_share(step.shares, candidate, *share)?;
                if own.pay != SharePay::Window {
                    return self.award_by(step, candidate, (*share, own)).map(Some);
                }
                (Some(*share), Head::Half)
            }
            Winning::After(share) => (Some(*share), Head::Whole),
            Winning::NoShares => (None, Head::Whole),
            Winning::Coinbase(direct) => (direct.newest, Head::Whole),
            Winning::Lost => return Ok(None),
        };
        let (window, LaneTerms { fee, .. }) = self.lane_window(step, candidate, from, head)?;
        Ok(Some(Award::Window(window, fee)))
    }

    /// The lines of a block that joins.
    pub(super) fn award(&self, block: &PoolBlock, award: Award) -> Result<Vec<Transfer>, Fault> {
        let Candidate { id, algorithm, .. } = block.candidate;
        let (generation, reward) = (block.generation, block.candidate.reward()?);
        let credit = |carry_in, distribution| {
            let credit =
                BlockCredit { block: id, generation, algorithm, reward, carry_in, distribution: &distribution };
            Ok(credit.transfers()?)
        };
        match award {
            Award::Window(window, fee) => {
                let carry_in = Amount::from_atoms(self.books.balance(LedgerAccount::Carry(algorithm)))?;
                credit(carry_in, distribute(reward, fee, carry_in, &window)?)
            }
            Award::Finder(finder, fee) => credit(Amount::ZERO, solo(reward, fee, finder)?),
            Award::Reserve(price) => {
                let kind = if price.fees.is_some() { PerShare::Fpps } else { PerShare::Pps };
                let reserve_max = kind.reserve_income_max(price.subsidy)?;
                Ok(PpsIncome { block: id, generation, algorithm, reward, reserve_max }.transfers()?)
            }
        }
    }

    fn own_share(&self, shares: &dyn Shares, of: &Candidate, at: SharePosition) -> Result<EarnedShare, Fault> {
        let mut own = None;
        let mut each = |share: &EarnedShare| {
            own = Some(*share);
            ControlFlow::Break(())
        };
        shares.walk_back(of.algorithm, at, &self.accounts, &mut each)?;
        let SharePosition { front_end, sequence } = at;
        own.ok_or(Fault::WinningShare { block: of.id, front_end, sequence })
    }

    fn award_by(
        &self,
        step: &Step<'_>,
        candidate: &Candidate,
        (at, own): (SharePosition, EarnedShare),
    ) -> Result<Award, Fault> {
        match own.pay {
            SharePay::PerShare(price) => Ok(Award::Reserve(price)),
            SharePay::Tides => {
                let never = TidesTerms { window: WindowUnits::DEFAULT, fee: FeeBasisPoints::default() };
                let terms = self.offer_with(AccountScheme::Tides, at).tides.unwrap_or(never);
                Ok(Award::Window(self.tides_window(step, candidate, (at, own), terms)?, terms.fee))
            }
            SharePay::Solo | SharePay::Window => {
                let fee = self.offer_with(AccountScheme::Solo, at).solo.unwrap_or_default();
                Ok(Award::Finder(own.account, fee))
            }
        }
    }

    /// SPEC 8.2: the lane's shares that windows pay, and the terms that held for the first of them.
    fn lane_window(
        &self,
        step: &Step<'_>,
        candidate: &Candidate,
        from: Option<SharePosition>,
        head: Head,
    ) -> Result<(Window, LaneTerms), Fault> {
        let terms = from.map_or_else(|| self.terms(), |share| self.terms_of(share));
        let no_terms = Fault::Terms { field: "terms", reason: "none are in force" };
        let all = terms.ok_or(no_terms)?;
        let (window, terms) = (all.window(candidate.algorithm), *all.lane(candidate.algorithm));
        let mut fold = WindowFold::new(window, head);
        if let Some(from) = from {
            let mut each = |share: &EarnedShare| match share.pay {
                SharePay::Window => fold.add(share.account, share.weight),
                SharePay::PerShare(_) | SharePay::Solo | SharePay::Tides => ControlFlow::Continue(()),
            };
            step.shares.walk_back(candidate.algorithm, from, &self.accounts, &mut each)?;
        }
        Ok((fold.finish(), terms))
    }

    fn tides_window(
        &self,
        step: &Step<'_>,
        candidate: &Candidate,
        (at, own): (SharePosition, EarnedShare),
        terms: TidesTerms,
    ) -> Result<Window, Fault> {
        let mut fold = TidesFold::new(terms.window, own.network_difficulty, Head::Half);
        let mut left = TIDES_UNITS_MAX.saturating_mul(u128::from(ShareWeight::ONE.parts()));
        let mut each = |share: &EarnedShare| {
            if share.pay != SharePay::Tides {
                return ControlFlow::Continue(());
            }
            left = left.saturating_sub(u128::from(share.weight.parts()));
            let full = fold.add(share.account, share.difficulty);
            if left == 0 { ControlFlow::Break(()) } else { full }
        };
        step.shares.walk_back(candidate.algorithm, at, &self.accounts, &mut each)?;
        Ok(fold.finish())
    }
}
