use bq_primitives::{Amount, U256};

use crate::{
    FeeBasisPoints,
    exponential::{LN_10, ONE, ceiling, exp_of_minus},
};

/// 100 % in hundredths of a percent.
const WHOLE: u16 = 10_000;

/// An atom in what products of two rates count.
const PARTS: u128 = 100_000_000;

/// A part of the pool's blocks that brings nothing, in hundredths of a percent, 0 to 10,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct LossRate(u16);

/// More blocks lost than found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a loss of {0} basis points is above 10000 (100 %)")]
pub struct LossRateError(pub u16);

impl TryFrom<u16> for LossRate {
    type Error = LossRateError;

    fn try_from(basis_points: u16) -> Result<Self, LossRateError> {
        Self::new(basis_points)
    }
}

impl From<LossRate> for u16 {
    fn from(rate: LossRate) -> Self {
        rate.0
    }
}

impl LossRate {
    /// Every block brings its reward.
    pub const NONE: Self = Self(0);

    /// Checks the range.
    ///
    /// # Errors
    /// [`LossRateError`] above 10,000.
    pub const fn new(basis_points: u16) -> Result<Self, LossRateError> {
        if basis_points > WHOLE { Err(LossRateError(basis_points)) } else { Ok(Self(basis_points)) }
    }
}

/// How likely a reserve may be to run out, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuinBound {
    /// 10^-2.
    OneInHundred,
    /// 10^-3.
    OneInThousand,
    /// 10^-6.
    OneInMillion,
}

impl RuinBound {
    /// ln(1 / ruin), never below it.
    fn logarithm(self) -> Option<U256> {
        let zeros = match self {
            Self::OneInHundred => 2,
            Self::OneInThousand => 3,
            Self::OneInMillion => 6,
        };
        LN_10.checked_mul(U256::from(zeros))
    }
}

/// What is left of the fee once lost blocks are paid for, in parts per million, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectiveFee(pub u32);

/// What decides how large the reserve of a scheme that pays per share must be (SPEC 8.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReserveNeed {
    /// The most that one block brings to the reserve, [`crate::PerShare::reserve_income_max`].
    pub block_reward: Amount,
    /// The fee that shares are paid less.
    pub fee: FeeBasisPoints,
    /// Blocks that leave the best chain.
    pub orphan: LossRate,
    /// Blocks that miners withhold.
    pub withheld: LossRate,
    /// How many blocks the pool is expected to find while a reward matures; 0 if shares are credited only after as long.
    pub maturing_blocks: u32,
}

impl ReserveNeed {
    /// The reserve with which the pool is ruined with no more than this probability: never less, and while at least 10^-8 of
    /// a reward is left of the fee at most one part in 2^30 and two atoms more. Nothing when no amount is enough: lost blocks
    /// eat up the fee and ruin is certain, or the need is above every amount.
    ///
    /// Takes some 60 exponentials: to be computed when the terms change, not for each share.
    #[must_use]
    pub fn needed(&self, ruin: RuinBound) -> Option<Amount> {
        if self.is_nothing_paid() {
            return Some(Amount::ZERO);
        }
        let (paid, received) = (self.paid()?, self.received()?);
        if paid >= received {
            return None;
        }
        let exponent = exponent_below(U256::from(paid), U256::from(received))?;
        let product = ruin.logarithm()?.checked_mul(U256::from(self.block_reward.atoms()))?;
        let against_luck = u64::try_from(ceiling(product, exponent)?).ok()?;
        let while_maturing = paid.checked_mul(u128::from(self.maturing_blocks))?.div_ceil(PARTS);
        Amount::from_atoms(against_luck.checked_add(u64::try_from(while_maturing).ok()?)?).ok()
    }

    /// `f_eff`: nothing when lost blocks eat up the fee.
    #[must_use]
    pub fn effective_fee(&self) -> Option<EffectiveFee> {
        let received = self.received()?;
        let left = received.checked_sub(self.paid()?).filter(|left| *left > 0)?;
        let millionths = left.checked_mul(1_000_000)?.checked_div(received)?;
        u32::try_from(millionths).ok().map(EffectiveFee)
    }

    /// Shares are worth nothing, so nothing can run out.
    const fn is_nothing_paid(&self) -> bool {
        self.fee.get() == WHOLE || self.block_reward.atoms() == 0
    }

    /// `(1 - f) * J` in 10^-8 atoms, below 2^81: the most that is paid per block of work. Two atoms stand for the rounding of
    /// the fee.
    fn paid(&self) -> Option<u128> {
        let rest = u128::from(WHOLE.checked_sub(self.fee.get())?).checked_mul(u128::from(WHOLE))?;
        rest.checked_mul(u128::from(self.block_reward.atoms()))?.checked_add(PARTS.checked_mul(2)?)
    }

    /// `(1 - h) * (1 - o) * J` in 10^-8 atoms, below 2^80: what comes in per block of work.
    fn received(&self) -> Option<u128> {
        let found = u128::from(WHOLE.checked_sub(self.withheld.0)?);
        let stay = u128::from(WHOLE.checked_sub(self.orphan.0)?);
        found.checked_mul(stay)?.checked_mul(u128::from(self.block_reward.atoms()))
    }
}

/// The x > 0 with `paid / received * x = 1 - e^-x`, in units of 2^-96, never above it; `0 < paid < received < 2^80`.
///
/// `1 - e^-x - c * x` is positive below that x and negative above, so a number at which it is not negative, however much is
/// rounded against it, is not above. Bisection finds the largest such up to one part in 2^40.
fn exponent_below(paid: U256, received: U256) -> Option<U256> {
    // c is at least 10^-4, for the fee is below 100 %, and c * x below 1.
    let mut low = U256::ZERO;
    let mut high = ONE.checked_mul(U256::from(10_000))?;
    loop {
        let gap = high.checked_sub(low)?;
        if gap <= low.wrapping_shr(40).max(U256::ONE) {
            return Some(low);
        }
        let middle = low.checked_add(gap.wrapping_shr(1))?;
        let paid_then = ceiling(paid.checked_mul(middle)?, received)?;
        if exp_of_minus(middle)?.checked_add(paid_then)? <= ONE {
            low = middle;
        } else {
            high = middle;
        }
    }
}
