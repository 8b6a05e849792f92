use std::sync::Arc;

use bq_primitives::{Algorithm, PowValue, Target};

use super::{EthashCache, EthashDataset, EthashProof, EthashTask, full};
use crate::EthashWorkHash;

/// Evaluates many proofs of one epoch, from the full dataset if it is in memory, else from the light cache. Keep it for a
/// slice of work only, since its table stays in memory as long.
#[derive(Clone)]
pub struct EthashHasher(Table);

#[derive(Clone)]
enum Table {
    Light(Arc<EthashCache>),
    Full(Arc<EthashDataset>),
}

impl EthashHasher {
    pub(crate) const fn light(cache: Arc<EthashCache>) -> Self {
        Self(Table::Light(cache))
    }

    pub(crate) const fn full(dataset: Arc<EthashDataset>) -> Self {
        Self(Table::Full(dataset))
    }

    /// The epoch whose values this gives.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        match &self.0 {
            Table::Light(cache) => cache.epoch(),
            Table::Full(dataset) => dataset.epoch(),
        }
    }

    /// Reads the full dataset.
    #[must_use]
    pub const fn is_fast(&self) -> bool {
        matches!(self.0, Table::Full(_))
    }

    /// Evaluates `tasks`; results in their order. Best in groups of thirty-two from the cache (some 4 ms each), of many from the
    /// dataset (some 0.5 us a task).
    #[must_use]
    pub fn hash_batch(&self, tasks: &[EthashTask]) -> Vec<EthashProof> {
        match &self.0 {
            Table::Light(cache) => cache.hash_batch(tasks),
            Table::Full(dataset) => {
                let mut proofs = Vec::with_capacity(tasks.len());
                full::evaluate(dataset, tasks.len(), |index| tasks[index], |_, proof| proofs.push(proof));
                proofs
            }
        }
    }

    /// The nonces among the `count` from `first` on, wrapping around at the last, whose value meets `target`, with their proofs.
    #[must_use]
    pub fn search(
        &self,
        work_hash: &EthashWorkHash,
        first: u64,
        count: u32,
        target: &Target,
    ) -> Vec<(u64, EthashProof)> {
        let mut found = Vec::new();
        let mut take = |task: EthashTask, proof: EthashProof| {
            if PowValue::of(Algorithm::Ethash, &proof.value).meets(target) {
                found.push((task.nonce, proof));
            }
        };
        let task = |index: usize| EthashTask { work_hash: *work_hash, nonce: first.wrapping_add(index as u64) };
        match &self.0 {
            Table::Light(cache) => {
                let tasks: Vec<EthashTask> = (0..count as usize).map(task).collect();
                tasks.iter().zip(cache.hash_batch(&tasks)).for_each(|(found, proof)| take(*found, proof));
            }
            Table::Full(dataset) => full::evaluate(dataset, count as usize, task, take),
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ethash::{EthashBuild, NoChunkStore};
    use bq_primitives::U256;
    use std::{num::NonZeroUsize, sync::atomic::AtomicBool};

    #[test]
    fn searches_find_what_the_model_finds() {
        let cache = Arc::new(EthashCache::with_sizes(3, &[9; 32], 1021, 4099).unwrap());
        let stop = AtomicBool::new(false);
        let (threads, store) = (NonZeroUsize::MIN, &NoChunkStore);
        let build = EthashBuild { threads, low_priority: false, beside: false, store, stop: &stop };
        let dataset = EthashDataset::build(&cache, None, &build, 1 << 20).unwrap().0.unwrap();
        let (work_hash, first, target) = (EthashWorkHash([7; 32]), u64::MAX - 50, Target(U256::MAX >> 2));
        let expected: Vec<_> = (0..150)
            .map(|offset| EthashTask { work_hash, nonce: first.wrapping_add(offset) })
            .map(|task| (task.nonce, cache.model_hash(&task)))
            .filter(|(_, proof)| PowValue::of(Algorithm::Ethash, &proof.value).meets(&target))
            .collect();
        assert!((10..70).contains(&expected.len()));
        for hasher in [EthashHasher::light(cache), EthashHasher::full(Arc::new(dataset))] {
            assert_eq!(hasher.search(&work_hash, first, 150, &target), expected);
            assert_eq!(hasher.search(&work_hash, first, 0, &target), []);
        }
    }
}
