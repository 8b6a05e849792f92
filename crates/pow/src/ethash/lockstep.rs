//! Several proofs at once. Evaluating one from the light cache is 32,768 reads of which each waits for the last; doing
//! many chains side by side, with each next read announced to the memory system ahead, hides that wait.

use bq_primitives::PowHash;

use super::{
    cache::{EthashCache, Node},
    hashimoto::{ACCESSES, DATASET_PARENTS, EthashProof, compress, fnv, fnv_node},
    keccak::{keccak256_finals, keccak512_nodes, keccak512_seeds},
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

/// Most proofs in lock step. Thirty-two take little longer than eight, since all that changes is how many reads are under way;
/// processors keep some fifty in flight.
const LANES_MAX: usize = 32;
/// Pages of the full dataset that are made in lock step, where no one waits for the first: beyond this nothing is gained.
const PAGES: usize = 48;

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

    pub(super) const fn divisor(self) -> u32 {
        self.divisor
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

/// Evaluates one proof: its two halves of a page side by side.
pub(super) fn hash(cache: &EthashCache, task: EthashTask) -> EthashProof {
    let [proof] = hash_lanes(cache, &[task]);
    proof
}

/// Evaluates `tasks` in groups of thirty-two; a smaller last group in as few lanes as hold it.
pub(super) fn hash_batch(cache: &EthashCache, tasks: &[EthashTask]) -> Vec<EthashProof> {
    let mut proofs = Vec::with_capacity(tasks.len());
    for group in tasks.chunks(LANES_MAX) {
        match group.len() {
            1 => hash_group::<1>(cache, group, &mut proofs),
            2 => hash_group::<2>(cache, group, &mut proofs),
            3 | 4 => hash_group::<4>(cache, group, &mut proofs),
            5..=8 => hash_group::<8>(cache, group, &mut proofs),
            9..=16 => hash_group::<16>(cache, group, &mut proofs),
            _ => hash_group::<LANES_MAX>(cache, group, &mut proofs),
        }
    }
    proofs
}

/// Fills spare lanes with copies of the first task: they cost next to nothing, since lanes wait for memory side by side.
fn hash_group<const LANES: usize>(cache: &EthashCache, group: &[EthashTask], proofs: &mut Vec<EthashProof>) {
    let lanes: [_; LANES] = std::array::from_fn(|lane| group.get(lane).copied().unwrap_or(group[0]));
    proofs.extend(hash_lanes(cache, &lanes).into_iter().take(group.len()));
}

fn hash_lanes<const LANES: usize>(cache: &EthashCache, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
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
fn hash_lanes_avx2<const LANES: usize>(cache: &EthashCache, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
    hash_lanes_with(cache, tasks)
}

#[inline(always)]
fn hash_lanes_with<const LANES: usize>(cache: &EthashCache, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
    let mut seeds = [Node([0; 16]); LANES];
    keccak512_seeds(tasks, &mut seeds);
    let mut mixes: [[Node; 2]; LANES] = std::array::from_fn(|lane| [seeds[lane]; 2]);
    for access in 0..ACCESSES {
        let word = access as usize % 32;
        let pages: [u32; LANES] = std::array::from_fn(|lane| {
            cache.page_remainder().of(fnv(access ^ seeds[lane].0[0], mixes[lane][word / 16].0[word % 16]))
        });
        let nodes = dataset_pages(cache, &pages);
        for lane in 0..LANES {
            fnv_node(&mut mixes[lane][0], &nodes[lane][0]);
            fnv_node(&mut mixes[lane][1], &nodes[lane][1]);
        }
    }
    finish(&seeds, &mixes)
}

/// Whether some pages of a run, the first of which is page `first`, are what the cache gives: eight of them, evenly spread.
pub(super) fn spot_check(cache: &EthashCache, first: u32, pages: &[[Node; 2]]) -> bool {
    let mut made = [[Node([0; 16]); 2]];
    (0..8).map(|eighth| pages.len() * eighth / 8).all(|index| {
        let Some((page, number)) = pages.get(index).zip(u32::try_from(index).ok()) else { return true };
        fill_pages(cache, first.wrapping_add(number), &mut made);
        made[0] == *page
    })
}

/// Fills a run of dataset pages, the first of which is page `first`.
pub(super) fn fill_pages(cache: &EthashCache, first: u32, pages: &mut [[Node; 2]]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: this CPU has AVX2.
        return unsafe { fill_pages_avx2(cache, first, pages) };
    }
    fill_pages_with(cache, first, pages);
}

/// The same code, compiled for eight words at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fill_pages_avx2(cache: &EthashCache, first: u32, pages: &mut [[Node; 2]]) {
    fill_pages_with(cache, first, pages);
}

#[inline(always)]
pub(super) fn fill_pages_with(cache: &EthashCache, first: u32, pages: &mut [[Node; 2]]) {
    let mut number = first;
    for group in pages.chunks_mut(PAGES) {
        // The last group may run past the end: pages that are computed there are not kept.
        let mut numbers = [number; PAGES];
        for lane in &mut numbers {
            *lane = number;
            number = number.wrapping_add(1);
        }
        let made = dataset_pages(cache, &numbers);
        group.copy_from_slice(&made[..group.len()]);
    }
}

/// Dataset pages side by side, two chains each.
#[inline(always)]
fn dataset_pages<const LANES: usize>(cache: &EthashCache, pages: &[u32; LANES]) -> [[Node; 2]; LANES] {
    let (table, remainder) = (cache.nodes(), cache.node_remainder());
    let indices = pages.map(|page| [page.wrapping_mul(2), page.wrapping_mul(2) | 1]);
    let mut from = indices.map(|halves| halves.map(|index| remainder.of(index)));
    from.as_flattened().iter().for_each(|node| prefetch(&table[*node as usize]));
    let mut nodes = [[Node([0; 16]); 2]; LANES];
    for (lane, half) in chains::<LANES>() {
        let node = &mut nodes[lane][half];
        *node = table[from[lane][half] as usize];
        node.0[0] ^= indices[lane][half];
    }
    keccak512_nodes(nodes.as_flattened_mut());
    for (lane, half) in chains::<LANES>() {
        let node = &nodes[lane][half];
        from[lane][half] = remainder.of(fnv(indices[lane][half], node.0[0]));
        prefetch(&table[from[lane][half] as usize]);
    }
    for parent in 0..DATASET_PARENTS {
        let next = parent + 1;
        for (lane, half) in chains::<LANES>() {
            let node = &mut nodes[lane][half];
            fnv_node(node, &table[from[lane][half] as usize]);
            // One read past the last parent is announced and never made: cheaper than a branch here.
            from[lane][half] = remainder.of(fnv(indices[lane][half] ^ next, node.0[next as usize % 16]));
            prefetch(&table[from[lane][half] as usize]);
        }
    }
    keccak512_nodes(nodes.as_flattened_mut());
    nodes
}

/// The proofs that seeds and mixes come to.
#[inline(always)]
pub(super) fn finish<const LANES: usize>(seeds: &[Node; LANES], mixes: &[[Node; 2]; LANES]) -> [EthashProof; LANES] {
    let mixes = mixes.each_ref().map(compress);
    let mut values = [[0; 32]; LANES];
    keccak256_finals(seeds, &mixes, &mut values);
    std::array::from_fn(|lane| EthashProof { mix: mixes[lane], value: PowHash(values[lane]) })
}

#[inline(always)]
fn chains<const LANES: usize>() -> impl Iterator<Item = (usize, usize)> {
    (0..2 * LANES).map(|chain| (chain / 2, chain % 2))
}

/// Announces a read of a node that is likely to be read again soon.
#[inline(always)]
pub(super) fn prefetch(node: &Node) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect on the program's state, and the address is that of a live node.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(node).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = node;
}

/// Announces a read of a node that is not: it should not push others out of the caches.
#[inline(always)]
pub(super) fn prefetch_once(node: &Node) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as `prefetch`.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_NTA, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_NTA>(std::ptr::from_ref(node).cast());
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
        let tasks: Vec<_> = (0..70_u8)
            .map(|i| EthashTask { work_hash: EthashWorkHash([i; 32]), nonce: u64::from(i) << 50 | 0x1234 })
            .collect();
        let model: Vec<_> = tasks.iter().map(|task| cache.model_hash(task)).collect();
        for len in (0..=34).chain([63, 64, 65, 70]) {
            assert_eq!(cache.hash_batch(&tasks[..len]), model[..len]);
        }
        for (task, proof) in tasks.iter().zip(model) {
            assert_eq!(cache.hash(&task.work_hash, task.nonce), proof);
        }
    }

    #[test]
    fn the_portable_lanes_equal_the_model() {
        let cache = small_cache();
        let tasks: [_; 3] =
            std::array::from_fn(|i| EthashTask { work_hash: EthashWorkHash([0xee; 32]), nonce: i as u64 });
        let proofs = hash_lanes_with(&cache, &tasks);
        for (task, proof) in tasks.iter().zip(proofs) {
            assert_eq!(cache.model_hash(task), proof);
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
