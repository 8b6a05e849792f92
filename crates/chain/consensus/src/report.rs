use std::fmt;

use bq_primitives::{Algorithm, Target};
use ruint::aliases::U512;

use crate::{
    BURST_WINDOW_BLOCKS, Branch, DifficultyState, Hashrate, Params, RequiredBits, difficulty_states, hashrates,
};

const HOUR_SECS: u64 = 3_600;
const DAY_SECS: u64 = 86_400;

/// One algorithm's difficulty, explained. For people: rules use [`crate::required_bits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DifficultyReport {
    /// What the rule starts from.
    pub state: DifficultyState,
    /// What the next block needs.
    pub required: RequiredBits,
    /// What the burst guard does.
    pub guard: Guard,
    /// Hash rate over the last hour of chain time.
    pub hour: Hashrate,
    /// Hash rate over the last day of chain time.
    pub day: Hashrate,
}

/// What the burst guard (SPEC 3.4, SPEC 3.5) does to an algorithm's next block. Percentages say how much of the expected time
/// its last eleven blocks took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The network does not retarget.
    Fixed,
    /// The era has too few blocks of the algorithm to tell a burst.
    Unarmed,
    /// Nothing.
    Open {
        /// Part of the expected time.
        percent: u64,
    },
    /// It holds the target below the base.
    Capped {
        /// Part of the expected time.
        percent: u64,
    },
    /// The burst is over; the target returns to the base step by step.
    Releasing {
        /// Part of the expected time.
        percent: u64,
    },
}

/// The difficulty of every algorithm that may seal the block after the branch's tip.
#[must_use]
pub fn difficulty_reports(params: &Params, branch: &dyn Branch) -> Vec<DifficultyReport> {
    let [hours, days] = [HOUR_SECS, DAY_SECS].map(|window_secs| hashrates(branch, window_secs));
    let required = crate::required_bits(params, branch);
    let states = difficulty_states(params, branch);
    let report = |(state, required): (DifficultyState, RequiredBits)| {
        let index = state.algorithm.index();
        let (hour, day) = (*hours.get(index)?, *days.get(index)?);
        Some(DifficultyReport { state, required, guard: guard(params, &state, &required), hour, day })
    };
    states.into_iter().zip(required).filter_map(report).collect()
}

impl DifficultyReport {
    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.required.algorithm
    }

    /// Seconds of chain time by which the algorithm is behind its schedule since its last block; negative when ahead.
    #[must_use]
    pub const fn lag_secs(&self) -> i64 {
        self.state.clock_since_secs.saturating_sub(self.state.spacing_secs)
    }

    /// How much easier the next block is than the algorithm's last one, in thousandths; negative when harder.
    #[must_use]
    pub fn easing_per_mille(&self) -> i64 {
        let (next, last) = (self.required.target, self.state.previous);
        if next >= last { per_mille(next, last) } else { per_mille(last, next).saturating_neg() }
    }
}

/// By how many thousandths of `small` `large` exceeds it.
fn per_mille(large: Target, small: Target) -> i64 {
    let excess = U512::from(large.0.saturating_sub(small.0)).saturating_mul(U512::from(1_000));
    let parts = excess.checked_div(U512::from(small.0)).unwrap_or(U512::ZERO);
    i64::try_from(parts).unwrap_or(i64::MAX)
}

fn guard(params: &Params, state: &DifficultyState, required: &RequiredBits) -> Guard {
    if !params.retarget {
        return Guard::Fixed;
    }
    let Some(window) = state.burst else { return Guard::Unarmed };
    let blocks = u64::try_from(BURST_WINDOW_BLOCKS).unwrap_or(u64::MAX);
    let expected_secs = state.spacing_secs.unsigned_abs().saturating_mul(blocks).max(1);
    let percent = window.secs.saturating_mul(100).checked_div(expected_secs).unwrap_or(0);
    if required.bits == required.base_bits {
        return Guard::Open { percent };
    }
    let uncapped = DifficultyState { burst: None, ..*state }.required();
    // Without the cap, only the release bound is left to hold the target down.
    if uncapped.bits == required.bits { Guard::Releasing { percent } } else { Guard::Capped { percent } }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BLOCKS: usize = BURST_WINDOW_BLOCKS;
        match self {
            Self::Fixed => write!(f, "this network does not retarget"),
            Self::Unarmed => write!(f, "burst cap not armed: fewer than {BLOCKS} blocks in this era"),
            Self::Open { percent } => write!(f, "burst cap open: {BLOCKS} blocks in {percent} % of the expected time"),
            Self::Capped { percent } => {
                write!(f, "burst cap active: {BLOCKS} blocks in {percent} % of the expected time")
            }
            Self::Releasing { percent } => {
                write!(f, "released step by step after a burst: {BLOCKS} blocks in {percent} % of the expected time")
            }
        }
    }
}

/// The whole state in words.
impl fmt::Display for DifficultyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lag_secs() {
            0 => write!(f, "on schedule")?,
            lag @ 1.. => write!(f, "{lag} s behind schedule")?,
            lag => write!(f, "{} s ahead of schedule", lag.unsigned_abs())?,
        }
        let easing = self.easing_per_mille();
        let (whole, tenth) = (easing.unsigned_abs() / 10, easing.unsigned_abs() % 10);
        match easing {
            0 => write!(f, ", as hard as the last block")?,
            1.. => write!(f, ", {whole}.{tenth} % easier than the last block")?,
            _ => write!(f, ", {whole}.{tenth} % harder than the last block")?,
        }
        write!(f, "; {}", self.guard)
    }
}
