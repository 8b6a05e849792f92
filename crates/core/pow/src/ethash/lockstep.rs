//! Several proofs at once. Evaluating one from the light cache is 32,768 reads of which each waits for the last; doing
//! sixteen chains side by side, with each next read announced to the memory system ahead, hides most of that wait.

use super::{
    cache::{EthashCache, Node},
    hashimoto::{ACCESSES, DATASET_PARENTS, EthashProof, finish, fnv, fnv_node},
    keccak::{keccak512_node, keccak512_seed},
};
use crate::EthashWorkHash;

/// One proof to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthashTask {
    /// What the miner works on.
    pub work_hash: EthashWorkHash,
    /// The nonce.
    pub nonce: u64,
}

/// Proofs in lock step: sixteen chains of dataset nodes, beyond which nothing is gained.
const LANES: usize = 8;
const CHAINS: usize = 2 * LANES;

/// `x % divisor` by two multiplications, for a divisor used millions of times.
#[derive(Clone, Copy)]
pub(super) struct Remainder {
    divisor: u32,
    /// `ceil(2^64 / divisor)`.
    inverse: u64,
}

impl Remainder {
    /// `divisor` must not be zero.
    pub(super) const fn new(divisor: u32) -> Self {
        Self { divisor, inverse: (u64::MAX / divisor as u64).wrapping_add(1) }
    }

    /// `x % divisor`. Exact for all 32-bit operands: `inverse * x mod 2^64` is the fraction `x / divisor` to 64 bits, and
    /// an error below `x / 2^64` cannot reach the next multiple of `1 / divisor`.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the product's high word is below the divisor")]
    pub(super) const fn of(self, x: u32) -> u32 {
        let fraction = self.inverse.wrapping_mul(x as u64);
        ((fraction as u128 * self.divisor as u128) >> 64) as u32
    }
}

/// Evaluates `tasks` in groups of eight. A last, smaller group is filled up with copies of its first task: the spare lanes
/// cost next to nothing, since lanes wait for memory side by side.
pub(super) fn hash_batch(cache: &EthashCache, tasks: &[EthashTask]) -> Vec<EthashProof> {
    let mut proofs = Vec::with_capacity(tasks.len());
    for group in tasks.chunks(LANES) {
        if let [task] = group {
            proofs.push(cache.hash(&task.work_hash, task.nonce));
            continue;
        }
        let lanes = std::array::from_fn(|lane| group.get(lane).copied().unwrap_or(group[0]));
        proofs.extend(hash_lanes(cache, &lanes).into_iter().take(group.len()));
    }
    proofs
}

fn hash_lanes(cache: &EthashCache, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: this CPU has AVX2.
        return unsafe { hash_lanes_avx2(cache, tasks) };
    }
    hash_lanes_with(cache, tasks)
}

/// The same code, compiled for eight words at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn hash_lanes_avx2(cache: &EthashCache, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
    hash_lanes_with(cache, tasks)
}

#[inline(always)]
fn hash_lanes_with(cache: &EthashCache, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
    let seeds: [Node; LANES] = std::array::from_fn(|lane| keccak512_seed(&tasks[lane].work_hash.0, tasks[lane].nonce));
    let mut mixes: [[Node; 2]; LANES] = std::array::from_fn(|lane| [seeds[lane]; 2]);
    for access in 0..ACCESSES {
        let word = access as usize % 32;
        let indices: [u32; CHAINS] = std::array::from_fn(|chain| {
            let (lane, half) = (chain / 2, chain % 2);
            let page = cache.page_remainder().of(fnv(access ^ seeds[lane].0[0], mixes[lane][word / 16].0[word % 16]));
            2 * page + u32::from(half == 1)
        });
        let nodes = dataset_nodes(cache, &indices);
        for (chain, node) in nodes.iter().enumerate() {
            fnv_node(&mut mixes[chain / 2][chain % 2], node);
        }
    }
    std::array::from_fn(|lane| finish(&seeds[lane], &mixes[lane]))
}

/// Sixteen dataset nodes side by side.
#[inline(always)]
fn dataset_nodes(cache: &EthashCache, indices: &[u32; CHAINS]) -> [Node; CHAINS] {
    let (table, remainder) = (cache.nodes(), cache.node_remainder());
    let mut from: [u32; CHAINS] = std::array::from_fn(|chain| remainder.of(indices[chain]));
    from.iter().for_each(|index| prefetch(&table[*index as usize]));
    let mut nodes: [Node; CHAINS] = std::array::from_fn(|chain| {
        let mut node = table[from[chain] as usize];
        node.0[0] ^= indices[chain];
        keccak512_node(&mut node);
        node
    });
    for chain in 0..CHAINS {
        from[chain] = remainder.of(fnv(indices[chain], nodes[chain].0[0]));
        prefetch(&table[from[chain] as usize]);
    }
    for parent in 0..DATASET_PARENTS {
        let next = parent + 1;
        for chain in 0..CHAINS {
            fnv_node(&mut nodes[chain], &table[from[chain] as usize]);
            // One read past the last parent is announced and never made: cheaper than a branch here.
            from[chain] = remainder.of(fnv(indices[chain] ^ next, nodes[chain].0[next as usize % 16]));
            prefetch(&table[from[chain] as usize]);
        }
    }
    nodes.iter_mut().for_each(keccak512_node);
    nodes
}

/// Announces a read.
#[inline(always)]
fn prefetch(node: &Node) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect on the program's state, and the address is that of a live node.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(node).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = node;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A cache of awkward (small and odd) sizes: the code under test does not know the difference.
    fn small_cache() -> EthashCache {
        EthashCache::with_sizes(0, &[7; 32], 1021, 65_537).unwrap()
    }

    #[test]
    fn batches_of_any_length_equal_the_model() {
        let cache = small_cache();
        let tasks: Vec<_> = (0..19_u8)
            .map(|i| EthashTask { work_hash: EthashWorkHash([i; 32]), nonce: u64::from(i) << 50 | 0x1234 })
            .collect();
        let model: Vec<_> = tasks.iter().map(|task| cache.hash(&task.work_hash, task.nonce)).collect();
        for len in 0..=tasks.len() {
            assert_eq!(cache.hash_batch(&tasks[..len]), model[..len]);
        }
    }

    #[test]
    fn the_portable_lanes_equal_the_model() {
        let cache = small_cache();
        let tasks: [_; LANES] =
            std::array::from_fn(|i| EthashTask { work_hash: EthashWorkHash([0xee; 32]), nonce: i as u64 });
        let proofs = hash_lanes_with(&cache, &tasks);
        for (task, proof) in tasks.iter().zip(proofs) {
            assert_eq!(cache.hash(&task.work_hash, task.nonce), proof);
        }
    }

    proptest! {
        #[test]
        fn remainders_are_exact(x in any::<u32>(), divisor in 1..=u32::MAX) {
            prop_assert_eq!(Remainder::new(divisor).of(x), x % divisor);
            prop_assert_eq!(Remainder::new(divisor).of(divisor - 1), divisor - 1);
            prop_assert_eq!(Remainder::new(divisor).of(u32::MAX - u32::MAX % divisor), 0);
        }
    }
}
