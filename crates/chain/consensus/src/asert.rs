use std::num::NonZeroU32;

use bq_primitives::{Algorithm, CompactTarget, Target, U256};

use crate::{mul_exp2, schedule_exponent};

/// Constants of the difficulty rule (SPEC 1.1, SPEC 3). Times in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsertParams {
    /// Mean spacing of the chain's blocks, all algorithms together.
    pub target_block_time: u32,
    /// Lag behind schedule that doubles a target.
    pub half_life: u32,
    /// The most a target may move in one step, as a part of itself.
    pub max_drift: UnitFraction,
    /// Blocks whose median time a new block must be later than.
    pub mtp_window: u32,
    /// The easiest limit that any era may give an algorithm, by [`Algorithm::index`].
    pub min_difficulty: [CompactTarget; Algorithm::COUNT],
    /// The hardest limit that any era may give an algorithm, by [`Algorithm::index`].
    pub max_difficulty: [CompactTarget; Algorithm::COUNT],
}

impl AsertParams {
    /// Mean spacing of one algorithm's blocks when `active` algorithms share the chain equally, in seconds (SPEC 1.1).
    #[must_use]
    pub fn spacing_secs(&self, active: u32) -> i64 {
        i64::from(self.target_block_time).saturating_mul(i64::from(active))
    }
}

/// One part in `n`: a fraction made of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitFraction(NonZeroU32);

impl UnitFraction {
    /// A quarter.
    pub const QUARTER: Self = Self::one_over(NonZeroU32::MIN.saturating_add(3));

    /// `1 / n`.
    #[must_use]
    pub const fn one_over(n: NonZeroU32) -> Self {
        Self(n)
    }

    /// The denominator.
    #[must_use]
    pub const fn denominator(self) -> NonZeroU32 {
        self.0
    }

    /// `floor(value / n)`.
    #[must_use]
    pub fn of(self, value: U256) -> U256 {
        value.checked_div(U256::from(self.0.get())).unwrap_or(U256::ZERO)
    }
}

/// The targets an algorithm may have in an era: `hardest <= target <= limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetBounds {
    /// The smallest.
    pub hardest: Target,
    /// The largest.
    pub limit: Target,
}

impl TargetBounds {
    /// The nearest target inside.
    #[must_use]
    pub fn clamp(&self, target: Target) -> Target {
        target.min(self.limit).max(self.hardest)
    }

    /// Whether a target is inside.
    #[must_use]
    pub fn contains(&self, target: Target) -> bool {
        self.hardest <= target && target <= self.limit
    }
}

/// `target` eased by the drift bound once for each of `steps` blocks, never above `limit` (SPEC 3.6).
pub(crate) fn eased(target: Target, steps: u32, drift: UnitFraction, limit: Target) -> Target {
    let mut eased = target;
    for _ in 0..steps {
        let step = drift.of(eased.0);
        // Reaching the limit ends the growth; so does a target too small for the fraction to be a whole number.
        if eased >= limit || step == U256::ZERO {
            break;
        }
        eased = Target(eased.0.saturating_add(step));
    }
    eased.min(limit)
}

/// `target` hardened by the drift bound once (SPEC 3.6).
pub(crate) fn hardened(target: Target, drift: UnitFraction) -> Target {
    Target(target.0.saturating_sub(drift.of(target.0)))
}

/// The target that the schedule asks for (SPEC 3.3): `base`, moved by how far the chain clock has run ahead of, or fallen
/// behind, one spacing since the block that set it.
pub(crate) fn scheduled(base: Target, clock_since_secs: i64, spacing_secs: i64, half_life: u32) -> Target {
    let lag = clock_since_secs.saturating_sub(spacing_secs);
    Target(mul_exp2(base.0, schedule_exponent(lag, half_life)))
}
