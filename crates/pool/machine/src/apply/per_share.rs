//! Shares that are paid for themselves, and the reserve that pays them (SPEC 8.9).

use std::collections::BTreeMap;

use bq_ledger::{Accrual, Cause, FeeBasisPoints, LedgerAccount, PerShare, RuinBound, ShareValue, Transfer, pps_credit};
use bq_mining_message::{FrontEndId, SharePay, SharePrice, ShareSequence};
use bq_primitives::{AccountId, Algorithm, Amount};

use super::Step;
use crate::{EarnedShare, Event, Fault, LogNumber, Offer, PerShareEvent, State, offer::OfferFrom, state::take};

type Accruals = BTreeMap<(AccountId, Algorithm), Accrual>;

impl State {
    /// Shares from here on may be paid by other schemes. No earlier one is paid for itself, so nothing before is ever settled.
    pub(super) fn set_offer(&mut self, offer: &Offer) -> Result<(), Fault> {
        if offer.pays_per_share() {
            for (front_end, head) in &self.front_ends {
                self.per_share.settled.entry(*front_end).or_insert(head.next);
            }
        }
        self.per_share.offers.push(OfferFrom { shares: self.next_shares(), offer: *offer });
        Ok(())
    }

    pub(super) fn per_share(&mut self, step: &mut Step<'_>, event: &PerShareEvent) -> Result<(), Fault> {
        match *event {
            PerShareEvent::Template { height, fees, subsidy } => {
                self.per_share.fees.note(height, fees, subsidy);
                self.per_share.subsidy = subsidy;
                Ok(())
            }
            PerShareEvent::Begun | PerShareEvent::Ended => self.turn(event),
            PerShareEvent::Settled { front_end, end } => self.settle(step, front_end, end),
        }
    }

    /// Only what follows from the books is told.
    fn turn(&mut self, event: &PerShareEvent) -> Result<(), Fault> {
        if self.per_share_turn() != Some(Event::PerShare(*event)) {
            return Err(Fault::PerShare("the reserve does not say so"));
        }
        self.per_share.is_open = matches!(event, PerShareEvent::Begun);
        Ok(())
    }

    /// T20 for all that is accrued, as far as the reserve reaches.
    fn settle(&mut self, step: &mut Step<'_>, front_end: FrontEndId, end: ShareSequence) -> Result<(), Fault> {
        let next = self.front_ends.get(&front_end).map_or(ShareSequence::FIRST, |head| head.next);
        let from = self.per_share.settled.get(&front_end).copied().unwrap_or(ShareSequence::FIRST);
        if end <= from || end > next {
            return Err(Fault::PerShare("those shares are settled, or not there"));
        }
        let accruals = self.accrued_with(step, front_end, from, end)?;
        let before = std::mem::replace(&mut self.per_share.accruals, accruals);
        let result = self.flush(step.number).and_then(|lines| step.book(self, lines));
        if result.is_err() {
            self.per_share.accruals = before;
            return result;
        }
        self.per_share.accruals.retain(|_, accrual| accrual.parts() > 0);
        self.per_share.settled.insert(front_end, end);
        Ok(())
    }

    fn accrued_with(
        &self,
        step: &Step<'_>,
        front_end: FrontEndId,
        from: ShareSequence,
        end: ShareSequence,
    ) -> Result<Accruals, Fault> {
        let mut accruals = self.per_share.accruals.clone();
        let mut result = Ok(());
        let mut each = |share: &EarnedShare| {
            let (SharePay::PerShare(price), Ok(())) = (share.pay, &result) else { return };
            let accrual = accruals.entry((share.account, share.algorithm)).or_default();
            match value_of(share, price).and_then(|value| Ok(accrual.added(value)?)) {
                Ok(added) => *accrual = added,
                Err(fault) => result = Err(fault),
            }
        };
        step.shares.walk(front_end, from..end, &self.accounts, &mut each)?;
        result.map(|()| accruals)
    }

    /// The whole atoms of every accrual, in the order of accounts, while the reserve has as much.
    fn flush(&mut self, number: LogNumber) -> Result<Vec<Transfer>, Fault> {
        let mut left = self.pps_reserve();
        let mut lines = Vec::new();
        for lane in Algorithm::ALL {
            let mut credits = Vec::new();
            for ((account, _), accrual) in self.per_share.accruals.iter_mut().filter(|((_, of), _)| *of == lane) {
                let (credit, rest) = accrual.flush_up_to(left);
                left = left.checked_sub(credit)?;
                *accrual = rest;
                credits.push((*account, credit));
            }
            lines.extend(pps_credit(lane, number.0, credits));
        }
        Ok(lines)
    }

    pub(super) fn fund_reserve(&mut self, step: &mut Step<'_>, amount: Amount) -> Result<(), Fault> {
        let sources = self.earned_less(self.losses());
        let has = sources.iter().fold(0_u64, |sum, (_, able)| sum.saturating_add(*able));
        let needed = amount.atoms();
        let parts = take(&sources, amount).filter(|_| needed > 0).ok_or(Fault::NotEarned { has, needed })?;
        let cause = Cause::Operator { event: step.number.0 };
        let credit = LedgerAccount::PpsReserve;
        step.book(self, parts.into_iter().map(|(debit, amount)| Transfer { cause, debit, credit, amount }).collect())
    }

    /// Never below what keeps it open, nor what is owed: 8.9.6.
    pub(super) fn release_reserve(&mut self, step: &mut Step<'_>, amount: Amount) -> Result<(), Fault> {
        let (account, needed) = (LedgerAccount::PpsReserve, amount.atoms());
        let kept = match self.per_share.is_open {
            true => self.reserve_needed(RuinBound::OneInThousand).unwrap_or(Amount::MAX).atoms(),
            false => 0,
        };
        let has = self.pps_reserve().atoms().saturating_sub(kept.saturating_add(self.accrued()));
        if needed == 0 || has < needed {
            return Err(Fault::NotCovered { account, has, needed });
        }
        let cause = Cause::Operator { event: step.number.0 };
        step.book(self, vec![Transfer { cause, debit: account, credit: LedgerAccount::GiftIncome, amount }])
    }
}

fn value_of(share: &EarnedShare, SharePrice { subsidy, fees, fee_bp }: SharePrice) -> Result<ShareValue, Fault> {
    let kind = if fees.is_some() { PerShare::Fpps } else { PerShare::Pps };
    let block = kind.block_value(subsidy, fees.unwrap_or_default())?;
    // Shares with another fee cannot be read.
    let fee = FeeBasisPoints::new(fee_bp).map_err(|_| Fault::PerShare("a fee above 100 %"))?;
    Ok(ShareValue::of(share.weight, block, fee)?)
}
