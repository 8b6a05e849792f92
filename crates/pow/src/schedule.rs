use bq_primitives::Height;

use crate::ETHASH_EPOCH_MAX;

/// Blocks per RandomX key, a power of two (SPEC 5.4).
const RANDOMX_KEY_BLOCKS: u32 = 2048;
/// Blocks between a key block and the first block that uses it, so that everyone can build tables ahead (SPEC 5.4).
const RANDOMX_KEY_LAG: u32 = 64;

/// Blocks per Ethash epoch: 28 days at 600 seconds (SPEC 5.4).
pub const ETHASH_EPOCH_BLOCKS: u32 = 4032;

/// The height whose block id is the RandomX key of `height`: always below it, except at genesis (SPEC 5.4).
#[must_use]
pub const fn randomx_key_height(height: Height) -> Height {
    if height.0 <= RANDOMX_KEY_BLOCKS + RANDOMX_KEY_LAG {
        return Height::GENESIS;
    }
    Height(height.0.saturating_sub(RANDOMX_KEY_LAG + 1) & !(RANDOMX_KEY_BLOCKS - 1))
}

/// The Ethash epoch of `height` on a chain that first allowed Ethash at `activation`. Nothing below `activation`, and
/// nothing above the last epoch that miners know (SPEC 5.4).
#[must_use]
pub const fn ethash_epoch(height: Height, activation: Height) -> Option<u32> {
    match height.above(activation) {
        Some(blocks) if blocks / ETHASH_EPOCH_BLOCKS <= ETHASH_EPOCH_MAX => Some(blocks / ETHASH_EPOCH_BLOCKS),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn randomx_key_heights_of_the_vectors() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../vectors/randomx.json")).unwrap();
        let cases = vectors["seed_height"]["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 18);
        for case in cases {
            let [height, key] = [0, 1].map(|i| u32::try_from(case[i].as_u64().unwrap()).unwrap());
            assert_eq!(randomx_key_height(Height(height)), Height(key), "height {height}");
        }
    }

    #[test]
    fn epochs_change_every_4032_blocks_and_end() {
        let activation = Height(10_000);
        assert_eq!(ethash_epoch(Height(9_999), activation), None);
        assert_eq!(ethash_epoch(Height(10_000), activation), Some(0));
        assert_eq!(ethash_epoch(Height(14_031), activation), Some(0));
        assert_eq!(ethash_epoch(Height(14_032), activation), Some(1));
        let last = 10_000 + 4032 * 32_639;
        assert_eq!(ethash_epoch(Height(last + 4031), activation), Some(32_639));
        assert_eq!(ethash_epoch(Height(last + 4032), activation), None);
    }
}
