use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::{
    EthashBuild, EthashBuilt, EthashCache, EthashDataset, EthashHasher, EthashTask, dataset::ETHASH_CHUNK_BYTES,
};
use crate::{EthashWorkHash, PowError};

/// How often a thread that wants the memory of a dataset lets others run before it gives up on it: far longer than the few
/// milliseconds for which a searching thread keeps one.
const HANDOVER_YIELDS: usize = 200_000;

/// The full datasets in memory: that of the epoch that is mined and, where there is room, the next one's.
pub(crate) struct EthashDatasets {
    ready: RwLock<Vec<Arc<EthashDataset>>>,
    /// Held while one is built, so that only one is.
    building: Mutex<()>,
    chunk_bytes: usize,
}

impl Default for EthashDatasets {
    fn default() -> Self {
        Self { ready: RwLock::default(), building: Mutex::new(()), chunk_bytes: ETHASH_CHUNK_BYTES }
    }
}

impl EthashDatasets {
    /// The dataset of `epoch`, if it is in memory.
    pub(crate) fn get(&self, epoch: u32) -> Option<Arc<EthashDataset>> {
        self.ready.read().iter().find(|dataset| dataset.epoch() == epoch).cloned()
    }

    /// Builds the dataset of `cache`, if it is missing, in place of all others but the next epoch's; with `build.beside` in
    /// place of none. Others that call meanwhile wait; hashing does not.
    pub(crate) fn build(&self, cache: &EthashCache, build: &EthashBuild<'_>) -> Result<EthashBuilt, PowError> {
        let _only_one = self.building.lock();
        let epoch = cache.epoch();
        let recycled = if build.beside { None } else { self.evict(epoch) };
        if self.get(epoch).is_some() {
            return Ok(EthashBuilt::default());
        }
        let (dataset, built) = EthashDataset::build(cache, recycled, build, self.chunk_bytes)?;
        let Some(dataset) = dataset.map(Arc::new) else { return Ok(built) };
        // A few proofs: a wrong dataset would make every proof of this machine worthless.
        let tasks = [1, 2, 3, 4].map(|nonce| EthashTask { work_hash: EthashWorkHash([0; 32]), nonce });
        if EthashHasher::full(Arc::clone(&dataset)).hash_batch(&tasks) != cache.hash_batch(&tasks) {
            return Err(PowError::WrongDataset);
        }
        self.ready.write().push(dataset);
        Ok(built)
    }

    /// Removes the datasets that are neither of `epoch` nor of the next one, and gives back the memory of one of them.
    /// Freed before another is built, because there may not be room for both.
    fn evict(&self, epoch: u32) -> Option<EthashDataset> {
        let next = epoch.saturating_add(1);
        let mut ready = self.ready.write();
        let (kept, evicted) =
            std::mem::take(&mut *ready).into_iter().partition(|dataset| [epoch, next].contains(&dataset.epoch()));
        *ready = kept;
        drop(ready);
        let evicted: Vec<Arc<EthashDataset>> = evicted;
        evicted.into_iter().filter_map(take_over).last()
    }
}

/// The dataset itself, once the searches that still read it have gone on to something else.
fn take_over(mut shared: Arc<EthashDataset>) -> Option<EthashDataset> {
    for _ in 0..HANDOVER_YIELDS {
        match Arc::try_unwrap(shared) {
            Ok(dataset) => return Some(dataset),
            Err(still_shared) => shared = still_shared,
        }
        std::thread::yield_now();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ethash::NoChunkStore;
    use std::{num::NonZeroUsize, sync::atomic::AtomicBool};

    static GO: AtomicBool = AtomicBool::new(false);

    fn datasets() -> EthashDatasets {
        EthashDatasets { chunk_bytes: 64 * 128, ..EthashDatasets::default() }
    }

    fn cache(epoch: u32) -> EthashCache {
        EthashCache::with_sizes(epoch, &epoch.to_le_bytes(), 1021, 4099).unwrap()
    }

    fn build(beside: bool) -> EthashBuild<'static> {
        EthashBuild { threads: NonZeroUsize::MIN, low_priority: false, beside, store: &NoChunkStore, stop: &GO }
    }

    fn epochs(datasets: &EthashDatasets) -> Vec<u32> {
        (0..20).filter(|epoch| datasets.get(*epoch).is_some()).collect()
    }

    #[test]
    fn one_dataset_at_a_time_and_the_next_beside_it() {
        let datasets = datasets();
        assert_eq!(datasets.build(&cache(5), &build(false)).unwrap().computed, 65);
        assert_eq!(datasets.build(&cache(5), &build(false)).unwrap(), EthashBuilt::default());
        datasets.build(&cache(6), &build(true)).unwrap();
        assert_eq!(epochs(&datasets), [5, 6]);
        // The old epoch is asked for once more, then the new one for good.
        assert_eq!(datasets.build(&cache(5), &build(false)).unwrap(), EthashBuilt::default());
        assert_eq!(epochs(&datasets), [5, 6]);
        assert_eq!(datasets.build(&cache(6), &build(false)).unwrap(), EthashBuilt::default());
        assert_eq!(epochs(&datasets), [6]);
        datasets.build(&cache(9), &build(false)).unwrap();
        assert_eq!(epochs(&datasets), [9]);
    }

    #[test]
    fn many_threads_build_once() {
        let datasets = datasets();
        let cache = cache(1);
        let computed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| datasets.build(&cache, &build(false)).unwrap().computed)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(computed, 65);
    }

    #[test]
    fn a_dataset_in_use_leaves_without_harm_and_an_idle_one_gives_its_memory() {
        let datasets = datasets();
        datasets.build(&cache(1), &build(false)).unwrap();
        let in_use = datasets.get(1).unwrap();
        let pages = in_use.pages().to_vec();
        std::thread::scope(|scope| {
            let building = scope.spawn(|| datasets.build(&cache(2), &build(false)).unwrap());
            while datasets.get(1).is_some() {
                std::thread::yield_now();
            }
            assert!(in_use.pages() == pages);
            drop(in_use);
            building.join().unwrap();
        });
        let before = datasets.get(2).unwrap().pages().as_ptr().addr();
        datasets.build(&cache(3), &build(false)).unwrap();
        assert_eq!(datasets.get(3).unwrap().pages().as_ptr().addr(), before);
    }
}
