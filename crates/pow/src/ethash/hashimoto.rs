use bq_primitives::PowHash;

use super::{
    cache::Node,
    keccak::{keccak256_final, keccak512_seed},
};
use crate::EthashWorkHash;

/// Cache nodes that one dataset node is made of.
pub(super) const DATASET_PARENTS: u32 = 256;
/// Dataset pages that one proof reads.
pub(super) const ACCESSES: u32 = 64;

/// What Ethash gives for a work hash and a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthashProof {
    /// The digest of the pages that were read; part of the seal.
    pub mix: [u8; 32],
    /// The proof-of-work value, big-endian.
    pub value: PowHash,
}

/// The proof-of-work value (big-endian) that a claimed mix gives. Two Keccaks: a junk share is refused thousands of times
/// cheaper than by evaluating it. Says nothing about whether the mix is right.
#[must_use]
pub fn ethash_final(work_hash: &EthashWorkHash, nonce: u64, mix: &[u8; 32]) -> PowHash {
    PowHash(keccak256_final(&keccak512_seed(&work_hash.0, nonce), mix))
}

/// Evaluates a proof from the cache alone, step by step as published: the model for the code that does several at once.
#[cfg(test)]
pub(super) fn hashimoto(cache: &[Node], pages: u32, work_hash: &EthashWorkHash, nonce: u64) -> EthashProof {
    let seed = keccak512_seed(&work_hash.0, nonce);
    let mut mix = [seed, seed];
    for access in 0..ACCESSES {
        let word = access as usize % 32;
        let page = fnv(access ^ seed.0[0], mix[word / 16].0[word % 16]) % pages;
        for (half, offset) in mix.iter_mut().zip([0, 1]) {
            fnv_node(half, &dataset_node(cache, 2 * page + offset));
        }
    }
    let mix = compress(&mix);
    EthashProof { mix, value: PowHash(keccak256_final(&seed, &mix)) }
}

/// The digest of a mix.
#[inline(always)]
pub(super) fn compress(mix: &[Node; 2]) -> [u8; 32] {
    let mut compressed = [0; 32];
    let quads = mix.iter().flat_map(|half| half.0.as_chunks::<4>().0);
    for (bytes, quad) in compressed.as_chunks_mut().0.iter_mut().zip(quads) {
        *bytes = fnv(fnv(fnv(quad[0], quad[1]), quad[2]), quad[3]).to_le_bytes();
    }
    compressed
}

/// Half a page of the dataset.
pub(super) fn dataset_node(cache: &[Node], index: u32) -> Node {
    let count = u32::try_from(cache.len()).unwrap_or(u32::MAX);
    let mut node = cache[(index % count) as usize];
    node.0[0] ^= index;
    super::keccak::keccak512_node(&mut node);
    for parent in 0..DATASET_PARENTS {
        let from = fnv(index ^ parent, node.0[parent as usize % 16]) % count;
        fnv_node(&mut node, &cache[from as usize]);
    }
    super::keccak::keccak512_node(&mut node);
    node
}

#[inline(always)]
pub(super) const fn fnv(a: u32, b: u32) -> u32 {
    a.wrapping_mul(0x0100_0193) ^ b
}

#[inline(always)]
pub(super) fn fnv_node(node: &mut Node, other: &Node) {
    for (word, other) in node.0.iter_mut().zip(other.0) {
        *word = fnv(*word, other);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{cache::EthashCache, lockstep::EthashTask};
    use super::*;
    use bq_primitives::{Algorithm, PowValue, Target, U256};

    fn array<const N: usize>(text: &serde_json::Value) -> [u8; N] {
        hex::decode(text.as_str().unwrap()).unwrap().try_into().unwrap()
    }

    /// All published proofs whose caches are small enough for a quick test; the rest by their final value.
    #[test]
    fn proofs_of_the_vectors() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../../vectors/ethash.json")).unwrap();
        let cases: Vec<_> =
            ["hashimoto", "poc9_testnet_blocks"].iter().flat_map(|name| vectors[name].as_array().unwrap()).collect();
        assert_eq!(cases.len(), 10);
        let mut by_epoch = std::collections::BTreeMap::<u32, Vec<(EthashTask, EthashProof)>>::new();
        for case in cases {
            let epoch = u32::try_from(case["block_number"].as_u64().unwrap() / 30_000).unwrap();
            let task = EthashTask {
                work_hash: EthashWorkHash(array(&case["header_hash"])),
                nonce: u64::from_be_bytes(array(&case["nonce"])),
            };
            let proof = EthashProof { mix: array(&case["mix_hash"]), value: PowHash(array(&case["final_hash"])) };
            assert_eq!(ethash_final(&task.work_hash, task.nonce, &proof.mix), proof.value);
            by_epoch.entry(epoch).or_default().push((task, proof));
        }
        std::thread::scope(|scope| {
            for (epoch, proofs) in by_epoch {
                scope.spawn(move || {
                    let cache = EthashCache::build(epoch).unwrap();
                    for (task, proof) in proofs {
                        assert_eq!(cache.model_hash(&task), proof, "epoch {epoch}");
                        assert_eq!(cache.hash_batch(&[task]), [proof], "epoch {epoch}");
                    }
                });
            }
        });
    }

    #[test]
    fn boundaries_of_the_vectors() {
        // A boundary is floor(2^256 / d); difficulties 0 and 1 are the easiest there is.
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../../vectors/ethash.json")).unwrap();
        let cases = vectors["difficulty_to_boundary"].as_array().unwrap();
        assert_eq!(cases.len(), 31);
        for case in cases {
            let boundary = array(&case["boundary"]);
            let target = Target(U256::from_be_bytes(boundary));
            let meets = |hash| PowValue::of(Algorithm::Ethash, &PowHash(hash)).meets(&target);
            assert!(meets(boundary));
            if target != Target::MAX {
                assert!(!meets((target.0 + U256::from(1)).to_be_bytes()));
            }
        }
    }
}
