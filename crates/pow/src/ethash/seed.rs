use super::keccak::keccak256;

/// The last epoch whose seed miners search for; blocks of later epochs cannot exist (SPEC 5.4).
pub const ETHASH_EPOCH_MAX: u32 = 32_639;

/// The seed that names `epoch` to miners: zeroes for epoch 0, each further one the Keccak-256 of the last.
#[must_use]
pub fn ethash_seed(epoch: u32) -> [u8; 32] {
    (0..epoch).fold([0; 32], |seed, _| keccak256(&seed))
}

/// The epoch that `seed` names, if it is the seed of one. Up to 32,640 hashes: some 15 ms for a seed that is none.
#[must_use]
pub fn ethash_epoch_of_seed(seed: &[u8; 32]) -> Option<u32> {
    let mut candidate = [0; 32];
    for epoch in 0..=ETHASH_EPOCH_MAX {
        if candidate == *seed {
            return Some(epoch);
        }
        candidate = keccak256(&candidate);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_the_vectors() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../../vectors/ethash.json")).unwrap();
        let cases = vectors["epoch_seeds"].as_array().unwrap();
        assert_eq!(cases.len(), 8);
        for case in cases {
            let epoch = u32::try_from(case["epoch"].as_u64().unwrap()).unwrap();
            let seed = ethash_seed(epoch);
            assert_eq!(hex::encode(seed), case["seed"].as_str().unwrap());
            if epoch <= ETHASH_EPOCH_MAX {
                assert_eq!(ethash_epoch_of_seed(&seed), Some(epoch));
            }
        }
        assert_eq!(ethash_epoch_of_seed(&[1; 32]), None);
    }
}
