use bq_ledger::{Accrual, FeeBasisPoints, LedgerError, ShareValue, ShareWeight};
use bq_primitives::{Amount, NetworkDifficulty, ShareDifficulty};
use bq_random::Rng;

use crate::Estimate;

/// A pool that pays each share for itself, out of a reserve.
#[derive(Clone, Copy, Debug)]
pub struct RuinCase {
    /// Its fee.
    pub fee: FeeBasisPoints,
    /// What it begins with, in atoms.
    pub reserve: u64,
    /// Of a block.
    pub reward: Amount,
}

/// How often such pools were ruined, and how often they are by formula.
#[derive(Clone, Copy, Debug)]
pub struct Ruin {
    /// Of the runs.
    pub measured: Estimate,
    /// `exp(-x R / B)` with `(1 - f) x = 1 - exp(-x)`.
    pub formula: f64,
}

/// Hashes of a block, and of a share, ten thousand of which are one.
const BLOCK: u128 = 1_000_000;
const SHARE: u64 = 100;

/// Runs pools until each is ruined or has so much that fewer than one in 10^6 still would be.
///
/// # Errors
/// As the ledger.
pub fn ruin(case: RuinCase, runs: u32, seed: u64, stream: u64) -> Result<Ruin, LedgerError> {
    let fee = f64::from(case.fee.get()) / 10_000.0;
    let exponent = exponent(fee);
    let blocks = case.reserve as f64 / case.reward.atoms() as f64;
    let safe = case.reserve as f64 + 14.0 / exponent * case.reward.atoms() as f64;
    let mut ruined = 0;
    for run in 0..runs {
        let mut rng = Rng::seeded(seed, stream << 32 | u64::from(run));
        ruined += u32::from(is_ruined(case, safe as u64, &mut rng)?);
    }
    Ok(Ruin { measured: Estimate::of_share(ruined, runs), formula: (-exponent * blocks).exp() })
}

/// Shares are paid until a block comes, which is when the reserve is least. That many shares are one sum: what is credited does not
/// depend on when (`proofs/lemmas/shares.py`).
fn is_ruined(case: RuinCase, safe: u64, rng: &mut Rng) -> Result<bool, LedgerError> {
    let weight = ShareWeight::of(ShareDifficulty::from_hashes(SHARE), NetworkDifficulty::from_hashes(BLOCK));
    let value = ShareValue::of(weight, case.reward, case.fee)?;
    let mut reserve = Amount::from_atoms(case.reserve)?;
    let mut accrual = Accrual::ZERO;
    while reserve.atoms() < safe {
        let earned = value.parts().checked_mul(shares_until_block(rng).into()).ok_or(LedgerError::Overflow)?;
        accrual = Accrual::from_parts(accrual.parts().checked_add(earned).ok_or(LedgerError::Overflow)?)?;
        let (credit, rest) = accrual.flush_up_to(reserve);
        reserve = reserve.checked_sub(credit)?;
        accrual = rest;
        // A whole atom is owed that is not there.
        if accrual.flush().0 > Amount::ZERO {
            return Ok(true);
        }
        reserve = reserve.checked_add(case.reward)?;
    }
    Ok(false)
}

/// Each is a block with one chance in ten thousand.
fn shares_until_block(rng: &mut Rng) -> u64 {
    let chance = SHARE as f64 / BLOCK as f64;
    (rng.unit().ln() / (-chance).ln_1p()) as u64 + 1
}

/// The x > 0 with `(1 - f) x = 1 - exp(-x)`, for a fee above nothing.
fn exponent(fee: f64) -> f64 {
    let (mut low, mut high) = (1e-9, 100.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if (1.0 - fee) * middle < 1.0 - (-middle).exp() {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
