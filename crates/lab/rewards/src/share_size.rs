use bq_ledger::{Head, ShareWeight, WindowFold, WindowUnits};
use bq_primitives::AccountId;

/// How the share of a block counts in its own window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadRule {
    /// As any other.
    Whole,
    /// Half (SPEC 8.2).
    Half,
    /// Not at all (SPEC 8.8).
    Excluded,
}

/// What shares of two sizes earn more than the pool's mean per weight, as a part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizeBias {
    /// The large ones, one share in fifty.
    pub large: f64,
    /// The small ones.
    pub small: f64,
}

const UNITS: WindowUnits = WindowUnits::DEFAULT;
/// One share in so many is large.
const LARGE_ONE_IN: u32 = 50;
const EARNER: AccountId = AccountId(0);
const OTHERS: AccountId = AccountId(1);

/// Expected earnings, exact but for the floats that sum them: shares of 1 and of `times` parts of a block of `parts`, in random order. Which
/// part of a window a share has comes from the ledger; how likely is each amount of work after it follows from the two sizes.
#[must_use]
pub fn share_size_bias(rule: HeadRule, parts: u32, times: u32) -> SizeBias {
    let large = 1.0 / f64::from(LARGE_ONE_IN);
    let sizes = [(1, 1.0 - large), (times, large)];
    let reached = reached(parts, times, large);
    let earned: Vec<f64> = sizes.iter().map(|(size, _)| earned(rule, parts, *size, &sizes, &reached)).collect();
    let work: f64 = sizes.iter().map(|(size, chance)| f64::from(*size) * chance).sum();
    let all: f64 = sizes.iter().zip(&earned).map(|((_, chance), earned)| chance * earned).sum();
    let bias = |index: usize| earned[index] / f64::from(sizes[index].0) / (all / work) - 1.0;
    SizeBias { large: bias(1), small: bias(0) }
}

/// How often the work after a share is exactly so many parts, up to the length of a window.
fn reached(parts: u32, times: u32, large: f64) -> Vec<f64> {
    let count = usize::from(UNITS.units()) * parts as usize + 1;
    let mut reached = vec![0.0; count];
    for done in 0..count {
        let before = |size: u32| done.checked_sub(size as usize).map_or(0.0, |then| reached[then]);
        reached[done] = f64::from(u8::from(done == 0)) + (1.0 - large) * before(1) + large * before(times);
    }
    reached
}

/// Of a share of some size, in windows.
fn earned(rule: HeadRule, parts: u32, size: u32, sizes: &[(u32, f64); 2], reached: &[f64]) -> f64 {
    // It may be the block itself.
    let own = f64::from(size) / f64::from(parts) * part(rule, parts, None, 0, size);
    let later = (0_u32..).zip(reached).map(|(between, often)| {
        let block = sizes.iter().map(|(head, chance)| {
            let is_block = f64::from(*head) / f64::from(parts);
            chance * is_block * part(rule, parts, Some(*head), between, size)
        });
        often * block.sum::<f64>()
    });
    own + later.sum::<f64>()
}

/// The part of a window that a share has: of its own block, or of that of a share of `head` parts with so much work between them.
fn part(rule: HeadRule, parts: u32, head: Option<u32>, between: u32, size: u32) -> f64 {
    let weight = |count: u32| {
        let whole = u128::from(count) * u128::from(ShareWeight::ONE.parts());
        let part = u64::try_from(whole / u128::from(parts)).unwrap_or(u64::MAX);
        ShareWeight::from_parts(part).unwrap_or(ShareWeight::ONE)
    };
    let mut fold = WindowFold::new(UNITS, if rule == HeadRule::Half { Head::Half } else { Head::Whole });
    // What is added beyond a full window counts nothing.
    let mut add = |account, count: u32| {
        let _ = fold.add(account, weight(count));
    };
    match (head, rule) {
        // What is left out of its own window earns nothing there.
        (None, HeadRule::Excluded) => return 0.0,
        (Some(head), HeadRule::Half | HeadRule::Whole) => add(OTHERS, head),
        (None, _) | (Some(_), HeadRule::Excluded) => {}
    }
    let mut left = between;
    while left > 0 {
        let piece = left.min(parts);
        add(OTHERS, piece);
        left -= piece;
    }
    add(EARNER, size);
    let window = fold.finish();
    let earner = window.weights().find(|(account, _)| *account == EARNER).map_or(0, |(_, weight)| weight);
    earner as f64 / window.whole() as f64
}
