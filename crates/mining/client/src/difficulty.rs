use bq_primitives::{Target, U256};

/// A share that takes more hashes than `2^96` is no work (SPEC 11.9, 5): the whole Bitcoin network makes `2^70` a second.
const HARDEST_LOG2: usize = 96;

/// `target`, unless nobody could ever meet it.
pub(crate) fn workable(target: Target) -> Option<Target> {
    (target.0 >> (256 - HARDEST_LOG2) > U256::ZERO).then_some(target)
}

/// The target of a Stratum v1 difficulty: `0xFFFF * 2^208 / d`, the strictest of the readings in use, saturating at the
/// easiest target. Nothing if `d` is not a positive finite number, or too large to be met.
pub(crate) fn sha256d_target(difficulty: f64) -> Option<Target> {
    if !difficulty.is_finite() || difficulty <= 0.0 {
        return None;
    }
    // Exactly `mantissa * 2^exponent`.
    let bits = difficulty.to_bits();
    let field = i32::try_from(bits >> 52 & 0x7ff).ok()?;
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
    // All the bits there are above the quotient, so that dividing first loses nothing that matters.
    let quotient = (U256::from(0xffff_u64) << 240_usize).checked_div(U256::from(mantissa))?;
    let shift = exponent + 32;
    let distance = usize::try_from(shift.unsigned_abs()).ok()?;
    let target = if shift >= 0 {
        quotient >> distance
    } else if quotient.leading_zeros() >= distance {
        quotient << distance
    } else {
        U256::MAX
    };
    workable(Target(target))
}

/// The target of the RandomX dialect: the top 64 bits of a hash must lie strictly below `target64`. Nothing for zero.
pub(crate) fn randomx_target(target64: u64) -> Option<Target> {
    let bound = U256::from(target64) << 192_usize;
    bound.checked_sub(U256::from(1)).map(Target)
}

/// A target as the RandomX dialect writes it: 8 or 16 hex digits, little-endian.
pub(crate) fn randomx_target_of_text(text: &str) -> Option<Target> {
    let bytes = hex::decode(text).ok()?;
    if let Ok(short) = <[u8; 4]>::try_from(bytes.as_slice()) {
        let divisor = u64::from(u32::MAX.checked_div(u32::from_le_bytes(short))?);
        return randomx_target(u64::MAX.checked_div(divisor)?);
    }
    randomx_target(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff1() -> U256 {
        U256::from(0xffff_u64) << 208_usize
    }

    #[test]
    fn whole_and_binary_difficulties_are_exact() {
        for (difficulty, expected) in [
            (1.0, diff1()),
            (512.0, diff1() >> 9_usize),
            (65_536.0, diff1() >> 16_usize),
            (0.5, diff1() << 1_usize),
            (2.0_f64.powi(-32), diff1() << 32_usize),
            (2.0_f64.powi(-33), U256::MAX),
            (f64::MIN_POSITIVE / 4.0, U256::MAX),
            (2.0_f64.powi(63), diff1() >> 63_usize),
        ] {
            assert_eq!(sha256d_target(difficulty), Some(Target(expected)), "{difficulty}");
        }
    }

    #[test]
    fn other_difficulties_are_within_rounding() {
        for difficulty in [0.001, 0.3, 3.0, 1234.5, 1e9, 1.863e-4] {
            let target = sha256d_target(difficulty).unwrap().0;
            let ratio = f64::from(target) / f64::from(diff1()) * difficulty;
            assert!((ratio - 1.0).abs() < 1e-12, "{difficulty}: {ratio}");
        }
        for difficulty in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::MAX, 2.0_f64.powi(64)] {
            assert_eq!(sha256d_target(difficulty), None);
        }
    }

    #[test]
    fn randomx_targets() {
        // d = 20,000 in both forms: the miner's expansion of the short one.
        assert_eq!(randomx_target_of_text("b88d060000000000"), randomx_target(0x68db8));
        let short = randomx_target_of_text(&hex::encode((u32::MAX / 20_000).to_le_bytes())).unwrap();
        let t = u32::MAX / 20_000;
        assert_eq!(Some(short), randomx_target(u64::MAX / u64::from(u32::MAX / t)));
        for text in ["", "00000000", "0000000000000000", "zz", "000000"] {
            assert_eq!(randomx_target_of_text(text), None, "{text}");
        }
        let bound = randomx_target(5).unwrap();
        assert_eq!(bound.0 >> 192_usize, U256::from(4));
    }
}
