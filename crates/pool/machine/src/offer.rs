use bq_ledger::{EffectiveFee, FeeBasisPoints, LossRate, PerShare, ReserveNeed, RuinBound, WindowUnits};
use bq_mining_message::{AccountScheme, FrontEndId, ShareSequence};
use bq_primitives::Amount;
use serde::{Deserialize, Serialize};

/// Which schemes accounts may choose beside those of the lanes, and on what terms (SPEC 8.9). A change holds for shares after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// How accounts are paid that chose nothing. Where it is not offered, as the lanes say.
    pub usual: AccountScheme,
    /// The fee of PPS; nothing where that is not offered.
    pub pps: Option<FeeBasisPoints>,
    /// The fee of FPPS.
    pub fpps: Option<FeeBasisPoints>,
    /// The fee of SOLO.
    pub solo: Option<FeeBasisPoints>,
    /// TIDES.
    pub tides: Option<TidesTerms>,
    /// Blocks that leave the best chain, as the reserve is reckoned.
    pub orphan: LossRate,
    /// Blocks that miners withhold, as the reserve is reckoned.
    pub withheld: LossRate,
}

/// What was offered from some place in the log on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfferFrom {
    /// The first share of each front end that it holds for; the first at all for one that is not named.
    pub(crate) shares: Vec<(FrontEndId, ShareSequence)>,
    pub(crate) offer: Offer,
}

/// Terms of TIDES.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TidesTerms {
    /// Length of the window.
    pub window: WindowUnits,
    /// What the pool keeps.
    pub fee: FeeBasisPoints,
}

impl Offer {
    /// Whether an account may be paid so.
    #[must_use]
    pub const fn has(&self, scheme: AccountScheme) -> bool {
        match scheme {
            AccountScheme::Pplns => true,
            AccountScheme::Pps => self.pps.is_some(),
            AccountScheme::Fpps => self.fpps.is_some(),
            AccountScheme::Solo => self.solo.is_some(),
            AccountScheme::Tides => self.tides.is_some(),
        }
    }

    /// Some scheme pays shares for themselves.
    #[must_use]
    pub const fn pays_per_share(&self) -> bool {
        self.pps.is_some() || self.fpps.is_some()
    }

    /// What the reserve must hold for a ruin of so much, while the subsidy is this and so many blocks of the pool have not matured: the
    /// most that a scheme which is offered needs. Nothing if no amount is enough.
    pub(crate) fn reserve_needed(&self, ruin: RuinBound, subsidy: Amount, maturing_blocks: u32) -> Option<Amount> {
        let of = |need: Option<ReserveNeed>| need.map_or(Some(Amount::ZERO), |need| need.needed(ruin));
        let [pps, fpps] = self.needs(subsidy, maturing_blocks);
        Some(of(pps)?.max(of(fpps)?))
    }

    /// What is left of the smallest fee once lost blocks are paid for; nothing when they eat it up, or nothing is paid per share.
    #[must_use]
    pub fn effective_fee(&self, subsidy: Amount) -> Option<EffectiveFee> {
        let needs = self.needs(subsidy, 0).into_iter().flatten();
        needs.map(|need| need.effective_fee()).min().flatten()
    }

    fn needs(&self, subsidy: Amount, maturing_blocks: u32) -> [Option<ReserveNeed>; 2] {
        let (orphan, withheld) = (self.orphan, self.withheld);
        let need = |kind: PerShare, fee: Option<FeeBasisPoints>| {
            let block_reward = kind.reserve_income_max(subsidy).unwrap_or(Amount::MAX);
            fee.map(|fee| ReserveNeed { block_reward, fee, orphan, withheld, maturing_blocks })
        };
        [need(PerShare::Pps, self.pps), need(PerShare::Fpps, self.fpps)]
    }
}
