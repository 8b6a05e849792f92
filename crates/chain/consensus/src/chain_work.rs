use bq_primitives::{Algorithm, Target, U256, Work};
use ruint::aliases::U1024;

/// Blocks in a row that one algorithm may seal at full weight (SPEC 4.3).
pub const RUN_FREE_BLOCKS: u8 = 6;
/// The most often that a run halves a block's weight (SPEC 4.3).
pub const RUN_SHIFT_MAX: u8 = 6;

/// The weight of a block before the run discount (SPEC 4.2): the geometric mean, over all active algorithms, of the work
/// that each one's target asks for, measured in its reference work and scaled by 2^64. Pairs are (required target,
/// reference target); at most [`Algorithm::COUNT`] of them count.
#[must_use]
pub fn block_work(active: impl IntoIterator<Item = (Target, Target)>) -> Work {
    let mut degree = 0_u32;
    let (mut product, mut reference) = (U1024::ONE, U1024::ONE);
    // Three factors of 256 bits and three shifts of 64 fit 1024 bits.
    for (target, unit) in active.into_iter().take(Algorithm::COUNT) {
        product = product.saturating_mul(U1024::from(Work::of_target(target).0)).saturating_shl(64);
        reference = reference.saturating_mul(U1024::from(Work::of_target(unit).0));
        degree = degree.saturating_add(1);
    }
    let ratio = product.checked_div(reference).unwrap_or(U1024::ZERO);
    Work(U256::saturating_from(integer_root(ratio, degree)).max(U256::ONE))
}

/// What a block of work `work` adds to chain work when it is the `run`th in a row of its algorithm and `active` algorithms
/// share the chain (SPEC 4.3). Never nothing.
#[must_use]
pub fn discounted_work(work: Work, active: usize, run: u8) -> Work {
    let shift = if active <= 1 { 0 } else { run.saturating_sub(RUN_FREE_BLOCKS).min(RUN_SHIFT_MAX) };
    Work(work.0.wrapping_shr(usize::from(shift)).max(U256::ONE))
}

/// [`block_work`], then [`discounted_work`].
#[must_use]
pub fn weighted_work(active: &[(Target, Target)], run: u8) -> Work {
    discounted_work(block_work(active.iter().copied()), active.len(), run)
}

/// The largest r with `r^degree <= value`, for degrees 1 to 3; Newton's method from above, exact.
fn integer_root(value: U1024, degree: u32) -> U1024 {
    let Some(lower) = degree.checked_sub(1).filter(|lower| *lower > 0) else { return value };
    let (Some(bits), lower_factor) = (value.bit_len().checked_sub(1), U1024::from(lower)) else { return value };
    let degree_factor = U1024::from(degree);
    // A power of two above the root, less than twice it.
    let exponent = bits.checked_div(usize::try_from(degree).unwrap_or(1)).unwrap_or(0).saturating_add(1);
    let mut root = U1024::ONE.saturating_shl(exponent);
    loop {
        let power = (0..lower).fold(U1024::ONE, |power, _| power.saturating_mul(root));
        let quotient = value.checked_div(power).unwrap_or(U1024::ZERO);
        let sum = root.saturating_mul(lower_factor).saturating_add(quotient);
        let next = sum.checked_div(degree_factor).unwrap_or(U1024::ZERO);
        // From above, the iteration falls until it has reached the floor of the root, and no further.
        if next >= root {
            return root;
        }
        root = next;
    }
}
