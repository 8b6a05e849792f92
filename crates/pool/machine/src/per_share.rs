//! What the books say of schemes beside those of the lanes (SPEC 8.9).

use bq_ledger::{Accrual, LedgerAccount, RuinBound};
use bq_mining_message::{AccountScheme, FrontEndId, SchemePays, SharePay, SharePrice, ShareSequence};
use bq_primitives::{AccountId, Algorithm, Amount, Height, KeyHash};

use crate::{BlockState, Event, Offer, PerShareEvent, SchemeWish, State};

impl State {
    /// How an account is paid for what it mines from now on: as it chose, else as is usual, and by PPLNS where that is not offered.
    #[must_use]
    pub fn scheme_of(&self, payee: &KeyHash) -> AccountScheme {
        let offer = self.offer();
        let settings = self.accounts.find(payee).and_then(|account| self.settings.of(account));
        let chosen = settings.and_then(|settings| settings.current.scheme.chosen()).unwrap_or(offer.usual);
        if offer.has(chosen) { chosen } else { AccountScheme::default() }
    }

    /// Whether accounts may choose a scheme (SPEC 8.11.3).
    #[must_use]
    pub fn offers(&self, wish: SchemeWish) -> bool {
        wish.chosen().is_none_or(|scheme| self.offer().has(scheme))
    }

    /// Whether accounts could ever choose another scheme than that of the lanes.
    #[must_use]
    pub fn offers_others(&self) -> bool {
        let has_others = |offer: &Offer| {
            AccountScheme::ALL.into_iter().any(|scheme| scheme != AccountScheme::Pplns && offer.has(scheme))
        };
        self.per_share.offers.iter().any(|from| has_others(&from.offer))
    }

    /// What shares are paid by that are sent on a template of this height, beside whose fees a block earns `subsidy`.
    #[must_use]
    pub fn scheme_pays(&self, height: Height, subsidy: Amount) -> SchemePays {
        let offer = self.offer();
        let price =
            |fee: bq_ledger::FeeBasisPoints, fees| SharePay::PerShare(SharePrice { subsidy, fees, fee_bp: fee.get() });
        let is_open = self.per_share.is_open;
        let average = self.per_share.fees.before(height);
        let pays = [
            (AccountScheme::Pps, offer.pps.filter(|_| is_open).map(|fee| price(fee, None))),
            (AccountScheme::Fpps, offer.fpps.filter(|_| is_open).map(|fee| price(fee, Some(average)))),
            (AccountScheme::Solo, offer.solo.map(|_| SharePay::Solo)),
            (AccountScheme::Tides, offer.tides.map(|_| SharePay::Tides)),
        ];
        let mut of = SchemePays::default();
        for (scheme, pay) in pays {
            for lane in Algorithm::ALL {
                of.set(scheme, lane, pay.unwrap_or_default());
            }
        }
        of
    }

    /// What a block earned beside fees when the pool made its newest template that was told; zero before the first.
    #[must_use]
    pub const fn subsidy(&self) -> Amount {
        self.per_share.subsidy
    }

    /// Shares of new jobs may be paid for themselves.
    #[must_use]
    pub const fn pays_per_share(&self) -> bool {
        self.per_share.is_open
    }

    /// What an account earned by shares that are paid for themselves, and was not credited.
    #[must_use]
    pub fn accrual(&self, account: AccountId, lane: Algorithm) -> Accrual {
        self.per_share.accruals.get(&(account, lane)).copied().unwrap_or_default()
    }

    /// The whole atoms of all accruals: what the reserve is owed for.
    #[must_use]
    pub fn accrued(&self) -> u64 {
        let whole = self.per_share.accruals.values().map(|accrual| accrual.flush().0.atoms());
        whole.fold(0, u64::saturating_add)
    }

    /// The first share of a front end that may be paid for itself and is not settled; nothing if none is ever.
    #[must_use]
    pub fn unsettled_from(&self, front_end: FrontEndId) -> Option<ShareSequence> {
        self.per_share.settled.get(&front_end).copied()
    }

    /// What the reserve must hold for a ruin of so much; nothing if no amount is enough, or the pool has made no template since it offers
    /// such schemes.
    #[must_use]
    pub fn reserve_needed(&self, ruin: RuinBound) -> Option<Amount> {
        let subsidy = Some(self.per_share.subsidy).filter(|subsidy| *subsidy > Amount::ZERO)?;
        let maturing = self.blocks.values().filter(|block| block.state == BlockState::Immature).count();
        self.offer().reserve_needed(ruin, subsidy, u32::try_from(maturing).unwrap_or(u32::MAX))
    }

    /// What the reserve holds.
    #[must_use]
    pub fn pps_reserve(&self) -> Amount {
        // A balance of atoms there are is an amount.
        Amount::from_atoms(self.books.balance(LedgerAccount::PpsReserve)).unwrap_or(Amount::MAX)
    }

    /// Whether what 8.9.11 says has come to hold: the event to be told.
    pub(crate) fn per_share_turn(&self) -> Option<Event> {
        let (holds, is_open) = (self.pps_reserve(), self.per_share.is_open);
        let is_offered = self.offer().pays_per_share();
        let has = |ruin| is_offered && self.reserve_needed(ruin).is_some_and(|needed| holds >= needed);
        let event = match is_open {
            false if has(RuinBound::OneInThousand) => PerShareEvent::Begun,
            true if !has(RuinBound::OneInHundred) => PerShareEvent::Ended,
            _ => return None,
        };
        Some(Event::PerShare(event))
    }
}
