use bq_primitives::{Algorithm, ShareDifficulty, Target, U256};

/// The largest value of `algorithm` that is a share at `difficulty` (SPEC 11.3): at most `2^256 / d` values are, so a hash
/// earns no more than 1 in expectation. Miners are told one value more, which none of them will ever find.
#[must_use]
pub fn share_target(algorithm: Algorithm, difficulty: ShareDifficulty) -> Target {
    let told = match algorithm {
        Algorithm::Sha256d | Algorithm::Ethash if difficulty == ShareDifficulty::MIN => return Target::MAX,
        Algorithm::Sha256d | Algorithm::Ethash => difficulty.target().0,
        Algorithm::RandomX => U256::from(randomx_bound(difficulty)).wrapping_shl(192),
    };
    Target(told.saturating_sub(U256::ONE))
}

/// The 64-bit bound that RandomX miners are given: they want the top 8 bytes of the hash strictly below.
#[must_use]
pub fn randomx_bound(difficulty: ShareDifficulty) -> u64 {
    u64::MAX.checked_div(difficulty.hashes()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruint::Uint;

    use super::*;

    fn check(algorithm: Algorithm, hashes: u64) {
        type Wide = Uint<384, 6>;
        let target = share_target(algorithm, ShareDifficulty::from_hashes(hashes));
        let values = Wide::from(target.0) + Wide::from(1);
        let whole = Wide::from(1) << 256;
        assert!(values * Wide::from(hashes) <= whole, "{algorithm} {hashes}: more than 1 per hash");
        if algorithm != Algorithm::RandomX {
            assert!((values + Wide::from(1)) * Wide::from(hashes) > whole, "{algorithm} {hashes}: a value is missing");
        }
    }

    proptest! {
        #[test]
        fn probability_times_difficulty_is_at_most_one(shift in 0_u32..64, hashes in any::<u64>()) {
            for algorithm in Algorithm::ALL {
                check(algorithm, (hashes >> shift).max(1));
                check(algorithm, 1 << shift);
            }
        }
    }

    #[test]
    fn randomx_is_judged_by_the_miners_own_bound() {
        assert_eq!(randomx_bound(ShareDifficulty::from_hashes(1)), u64::MAX);
        assert_eq!(randomx_bound(ShareDifficulty::from_hashes(10_000)), 1_844_674_407_370_955);
        assert_eq!(randomx_bound(ShareDifficulty::from_hashes(u64::MAX)), 1, "never zero: xmrig divides by it");
        let target = share_target(Algorithm::RandomX, ShareDifficulty::from_hashes(10_000));
        let bound = U256::from(1_844_674_407_370_955_u64);
        assert_eq!(target.0, bound.wrapping_shl(192) - U256::ONE);
        assert!(target <= ShareDifficulty::from_hashes(10_000).target());
    }
}
