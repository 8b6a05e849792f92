use std::{num::NonZeroUsize, thread};

use super::{
    cache::{EthashCache, Node},
    hashimoto::{ACCESSES, EthashProof, fnv, fnv_node},
    keccak::keccak512_seeds,
    lockstep::{EthashTask, Remainder, fill_pages, finish_all, prefetch_once},
};
use crate::{PowError, memory::HugeTable};

/// Proofs side by side: as many as it takes to keep the memory system busy, few enough for the first-level cache (12 KiB).
const LANES: usize = 64;

/// The full dataset (DAG) of one epoch: 1 GiB and growing. A proof reads 64 of its pages instead of computing them.
pub(crate) struct EthashDataset {
    epoch: u32,
    pages: HugeTable<[Node; 2]>,
    page_remainder: Remainder,
}

impl EthashDataset {
    /// Builds the dataset of `cache` with `threads` threads: some 60 seconds of CPU time at epoch 0.
    pub(crate) fn build(cache: &EthashCache, threads: NonZeroUsize) -> Result<Self, PowError> {
        let page_remainder = cache.page_remainder();
        let count = page_remainder.divisor() as usize;
        let mut pages: HugeTable<[Node; 2]> = HugeTable::zeroed(count, "Ethash dataset")?;
        let part = count.div_ceil(threads.get());
        thread::scope(|scope| {
            let mut first: u32 = 0;
            for part in pages.chunks_mut(part) {
                let start = first;
                first = first.wrapping_add(u32::try_from(part.len()).unwrap_or(u32::MAX));
                scope.spawn(move || fill_pages(cache, start, part));
            }
        });
        Ok(Self { epoch: cache.epoch(), pages, page_remainder })
    }

    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Evaluates `tasks`, many side by side; results in their order.
    pub(super) fn hash_batch(&self, tasks: &[EthashTask]) -> Vec<EthashProof> {
        let mut proofs = Vec::with_capacity(tasks.len());
        for group in tasks.chunks(LANES) {
            // Spare lanes repeat the first task.
            let lanes = std::array::from_fn(|lane| group.get(lane).copied().unwrap_or(group[0]));
            proofs.extend(self.hash_lanes(&lanes).into_iter().take(group.len()));
        }
        proofs
    }

    fn hash_lanes(&self, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: this CPU has AVX2.
            return unsafe { self.hash_lanes_avx2(tasks) };
        }
        self.hash_lanes_with(tasks)
    }

    /// The same code, compiled for eight words at a time.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn hash_lanes_avx2(&self, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
        self.hash_lanes_with(tasks)
    }

    #[inline(always)]
    fn hash_lanes_with(&self, tasks: &[EthashTask; LANES]) -> [EthashProof; LANES] {
        let seeds = keccak512_seeds(tasks);
        let mut mixes: [[Node; 2]; LANES] = std::array::from_fn(|lane| [seeds[lane]; 2]);
        let mut pages = [0; LANES];
        for lane in 0..LANES {
            pages[lane] = self.announce(&seeds[lane], &mixes[lane], 0);
        }
        for access in 0..ACCESSES {
            for lane in 0..LANES {
                let page = &self.pages[pages[lane]];
                fnv_node(&mut mixes[lane][0], &page[0]);
                fnv_node(&mut mixes[lane][1], &page[1]);
                // One page past the last is announced and never read: cheaper than a branch here.
                pages[lane] = self.announce(&seeds[lane], &mixes[lane], access + 1);
            }
        }
        finish_all(&seeds, &mixes)
    }

    /// The page of an access, which memory may begin to fetch.
    #[inline(always)]
    fn announce(&self, seed: &Node, mix: &[Node; 2], access: u32) -> usize {
        let word = access as usize % 32;
        let page = self.page_remainder.of(fnv(access ^ seed.0[0], mix[word / 16].0[word % 16])) as usize;
        let [low, high] = &self.pages[page];
        prefetch_once(low);
        prefetch_once(high);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EthashWorkHash;

    /// Small and odd sizes: parts and groups that do not come out even.
    fn small_cache() -> EthashCache {
        EthashCache::with_sizes(3, &[9; 32], 1021, 4099).unwrap()
    }

    #[test]
    fn any_number_of_threads_builds_the_same_pages() {
        let cache = small_cache();
        let model: Vec<[Node; 2]> = (0..4099)
            .map(|page| [0, 1].map(|half| super::super::hashimoto::dataset_node(cache.nodes(), 2 * page + half)))
            .collect();
        for threads in [1, 2, 3, 7, 5000] {
            let dataset = EthashDataset::build(&cache, NonZeroUsize::new(threads).unwrap()).unwrap();
            assert!(*dataset.pages == *model, "{threads} threads");
            assert_eq!(dataset.epoch(), 3);
        }
        let mut portable = vec![[Node([0; 16]); 2]; 13];
        super::super::lockstep::fill_pages_with(&cache, 5, &mut portable);
        assert!(portable[..] == model[5..18]);
    }

    #[test]
    fn batches_of_any_length_equal_the_model() {
        let cache = small_cache();
        let dataset = EthashDataset::build(&cache, NonZeroUsize::MIN).unwrap();
        let tasks: Vec<_> = (0..135_u8)
            .map(|i| EthashTask { work_hash: EthashWorkHash([i; 32]), nonce: u64::from(i) << 40 | 7 })
            .collect();
        let model: Vec<_> = tasks.iter().map(|task| cache.model_hash(task)).collect();
        for len in [0, 1, 63, 64, 65, 135] {
            assert_eq!(dataset.hash_batch(&tasks[..len]), model[..len]);
        }
        let lanes = std::array::from_fn(|lane| tasks[lane]);
        assert_eq!(dataset.hash_lanes_with(&lanes), model[..LANES]);
    }
}
