//! Each dialect's own way to write a share difficulty.
//!
//! Inside, a difficulty is an integer number of hashes. What is accepted is never harder than what the miner was told.

use bq_primitives::{ShareDifficulty, U256};

/// Hashes of difficulty 1 in Bitcoin's unit, without the factor 65536/65535 on which miners disagree: the easier reading.
const HASHES_PER_UNIT: f64 = 4_294_967_296.0;

/// ethminer's bounds in EthereumStratum/1.0.0: below 0.0001 it works on 0.0001, above 10000 it keeps the old value.
pub const NICEHASH_HASHES_MIN: u64 = 429_497;
/// See [`NICEHASH_HASHES_MIN`].
pub const NICEHASH_HASHES_MAX: u64 = 10_000 << 32;

/// The 64-bit bound of RandomX miners is so coarse above this that they would hash more than they are credited.
pub const RANDOMX_HASHES_MAX: u64 = 1 << 48;

/// The difficulty in units of 2^32 hashes, in plain decimal notation: some parsers do not know exponents.
#[expect(clippy::cast_precision_loss, reason = "difficulties that are sent have at most 24 significant bits")]
pub fn units_of(difficulty: ShareDifficulty) -> String {
    (difficulty.hashes() as f64 / HASHES_PER_UNIT).to_string()
}

/// Reads a difficulty in units of 2^32 hashes; nothing unless it is a positive number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to integer casts saturate, and the range was checked"
)]
pub fn from_units(units: f64) -> Option<ShareDifficulty> {
    let hashes = units * HASHES_PER_UNIT;
    (hashes.is_finite() && hashes > 0.0).then(|| ShareDifficulty::from_hashes(hashes as u64))
}

/// Reads a difficulty in units of 2^32 hashes from text.
pub fn parse_units(text: &str) -> Option<ShareDifficulty> {
    from_units(text.parse().ok()?)
}

/// Reads a difficulty in hashes from text: a whole number, or one that is written with a point or an exponent.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to integer casts saturate, and the range was checked"
)]
pub fn parse_hashes(text: &str) -> Option<ShareDifficulty> {
    let whole = text.parse::<u64>().ok().filter(|hashes| *hashes > 0);
    let other =
        || text.parse::<f64>().ok().filter(|hashes| hashes.is_finite() && *hashes >= 1.0).map(|value| value as u64);
    whole.or_else(other).map(ShareDifficulty::from_hashes)
}

/// The difficulty of a target that a miner asked for.
pub fn of_target(target: U256) -> ShareDifficulty {
    let hashes = U256::MAX.checked_div(target.saturating_add(U256::ONE)).unwrap_or(U256::MAX);
    ShareDifficulty::from_hashes(u64::try_from(hashes).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_units(hashes: u64, text: &str) {
        let difficulty = ShareDifficulty::from_hashes(hashes);
        assert_eq!(units_of(difficulty), text);
        assert_eq!(parse_units(text), Some(difficulty));
    }

    #[test]
    fn bitcoin_units_are_plain_decimals_and_exact() {
        check_units(1 << 32, "1");
        check_units(512 << 32, "512");
        check_units(1 << 31, "0.5");
        check_units(1, "0.00000000023283064365386963"); // the least that pooler's miner computes with
        check_units(1_000_000 << 32, "1000000");
        check_units(NICEHASH_HASHES_MAX, "10000");
        for text in ["0", "-1", "inf", "NaN", "", "1e999", "abc"] {
            assert_eq!(parse_units(text), None, "{text}");
        }
        assert_eq!(parse_units("1e-3"), Some(ShareDifficulty::from_hashes(4_294_967)));
    }

    #[test]
    fn hashes_are_read_however_they_are_written() {
        let read = |text| parse_hashes(text).map(ShareDifficulty::hashes);
        assert_eq!(["20", "20.0", "2e1"].map(read), [Some(20); 3]);
        assert_eq!(read("18446744073709551615"), Some(u64::MAX));
        for text in ["0", "-1", "0.5", "inf", "NaN", "", "abc"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_nicehash_floor_is_what_ethminer_clamps_to() {
        assert!(units_of(ShareDifficulty::from_hashes(NICEHASH_HASHES_MIN)).parse::<f64>().unwrap() >= 0.0001);
        assert!(units_of(ShareDifficulty::from_hashes(NICEHASH_HASHES_MIN - 1)).parse::<f64>().unwrap() < 0.0001);
    }

    #[test]
    fn sha256d_accepts_up_to_the_easier_of_the_two_conventions() {
        // d = 1: 2^224, where pooler's miner would already refuse everything above 0xffff * 2^208.
        let target = ShareDifficulty::from_hashes(1 << 32).target();
        assert_eq!(target.0, U256::ONE.wrapping_shl(224));
        // floor(2^224 / d)
        assert_eq!(ShareDifficulty::from_hashes(512 << 32).target().0, U256::ONE.wrapping_shl(215));
    }

    #[test]
    fn every_ethash_boundary_has_top_bits_that_gpus_compare() {
        for hashes in [1, 2, 1 << 40, u64::MAX] {
            let target = ShareDifficulty::from_hashes(hashes).target();
            assert!(target.0.wrapping_shr(192) > U256::ZERO);
        }
        // 1.0.0 computes 0xffff * 2^208 / diff: always inside floor(2^256 / hashes).
        let hashes = 3_000_000_000_u64;
        let told = (U256::from(0xffff_u32).wrapping_shl(208) / U256::from(hashes)).wrapping_shl(32);
        assert!(told <= ShareDifficulty::from_hashes(hashes).target().0);
    }

    #[test]
    fn a_suggested_target_becomes_its_difficulty() {
        assert_eq!(of_target(U256::MAX), ShareDifficulty::MIN);
        assert_eq!(of_target(U256::ZERO), ShareDifficulty::from_hashes(u64::MAX));
        let difficulty = ShareDifficulty::from_hashes(1 << 40);
        assert!(of_target(difficulty.target().0).hashes().abs_diff(1 << 40) <= 1);
    }
}
