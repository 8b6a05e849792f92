//! Fixed point with 96 fraction bits, in 256 bits. Every function says to which side it rounds; none leaves its range for the
//! numbers that it says it takes, and says nothing if it is given others.

use bq_primitives::U256;

const FRACTION_BITS: usize = 96;

/// 1.
pub(crate) const ONE: U256 = U256::from_limbs([0, 1 << 32, 0, 0]);

/// ln 10, rounded up.
pub(crate) const LN_10: U256 = U256::from_limbs([0xaaa2_b05b_a95b_58af, 0x0002_4d76_3776, 0, 0]);

/// How often x is halved before the series, and the result squared after it.
const HALVINGS: usize = 6;

/// e^-x, never below and at most 2^-46 above it, for x up to 32 at most 2^-84; what it is at 32 stands for all beyond.
pub(crate) fn exp_of_minus(x: U256) -> Option<U256> {
    let most = ONE.checked_mul(U256::from(32))?;
    ceiling(ONE.checked_mul(ONE)?, exp_below(x.min(most))?)
}

/// The least whole number not below n / d.
pub(crate) fn ceiling(n: U256, d: U256) -> Option<U256> {
    if d.is_zero() { None } else { Some(n.div_ceil(d)) }
}

/// e^x for x up to 32, never above it: the series of e^(x/64), every term of which is positive, so that leaving out and cutting
/// off only lowers it, squared six times. e^32 is below 2^47, so what is squared last fits 239 bits.
fn exp_below(x: U256) -> Option<U256> {
    let small = x.wrapping_shr(HALVINGS);
    let (mut sum, mut term) = (ONE, ONE);
    // x/64 is at most 1/2: from the 24th on terms are below 2^-96.
    for n in 1_u64..=24 {
        term = mul_down(term, small)?.checked_div(U256::from(n))?;
        sum = sum.checked_add(term)?;
    }
    (0..HALVINGS).try_fold(sum, |power, _| mul_down(power, power))
}

/// a * b, never above it.
fn mul_down(a: U256, b: U256) -> Option<U256> {
    a.checked_mul(b).map(|product| product.wrapping_shr(FRACTION_BITS))
}
