//! Proofs from the full dataset, sixty-four side by side.

use super::{
    cache::Node,
    dataset::EthashDataset,
    hashimoto::{ACCESSES, EthashProof, fnv, fnv_node},
    keccak::keccak512_seeds,
    lockstep::{EthashTask, finish, prefetch_once},
};

/// Proofs side by side: as many as it takes to keep the memory system busy, few enough for the first-level cache.
const LANES: usize = 64;
/// Evaluates `count` tasks, given by their number, and hands over each with its proof, in order.
pub(super) fn evaluate(
    dataset: &EthashDataset,
    count: usize,
    task: impl Fn(usize) -> EthashTask,
    take: impl FnMut(EthashTask, EthashProof),
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: this CPU has AVX2.
        return unsafe { evaluate_avx2(dataset, count, task, take) };
    }
    evaluate_with(dataset, count, task, take);
}

/// The same code, compiled for eight words at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn evaluate_avx2(
    dataset: &EthashDataset,
    count: usize,
    task: impl Fn(usize) -> EthashTask,
    take: impl FnMut(EthashTask, EthashProof),
) {
    evaluate_with(dataset, count, task, take);
}

#[inline(always)]
pub(super) fn evaluate_with(
    dataset: &EthashDataset,
    count: usize,
    task: impl Fn(usize) -> EthashTask,
    mut take: impl FnMut(EthashTask, EthashProof),
) {
    for first in (0..count).step_by(LANES) {
        // Spare lanes of the last group repeat its last task.
        let tasks: [EthashTask; LANES] = std::array::from_fn(|lane| task((first + lane).min(count - 1)));
        let proofs = hash_lanes(dataset, &tasks);
        tasks.into_iter().zip(proofs).take(count - first).for_each(|(task, proof)| take(task, proof));
    }
}

#[inline(always)]
fn hash_lanes(dataset: &EthashDataset, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
    let mut seeds = [Node([0; 16]); LANES];
    keccak512_seeds(tasks, &mut seeds);
    let mut mixes: [[Node; 2]; LANES] = std::array::from_fn(|lane| [seeds[lane]; 2]);
    let mut pages = [0; LANES];
    for lane in 0..LANES {
        pages[lane] = announce(dataset, &seeds[lane], &mixes[lane], 0);
    }
    for access in 0..ACCESSES {
        for lane in 0..LANES {
            let page = &dataset.pages()[pages[lane]];
            fnv_node(&mut mixes[lane][0], &page[0]);
            fnv_node(&mut mixes[lane][1], &page[1]);
            // One page past the last is announced and never read: cheaper than a branch here.
            pages[lane] = announce(dataset, &seeds[lane], &mixes[lane], access + 1);
        }
    }
    finish(&seeds, &mixes)
}

/// The page of an access, which memory may begin to fetch.
#[inline(always)]
fn announce(dataset: &EthashDataset, seed: &Node, mix: &[Node; 2], access: u32) -> usize {
    let word = access as usize % 32;
    let page = dataset.page_remainder().of(fnv(access ^ seed.0[0], mix[word / 16].0[word % 16])) as usize;
    let [low, high] = &dataset.pages()[page];
    prefetch_once(low);
    prefetch_once(high);
    page
}
