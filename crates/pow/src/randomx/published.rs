use std::{num::NonZeroUsize, ops::Range, sync::Arc};

use bq_primitives::PowHash;

use super::{
    cache::Cache,
    dataset::Dataset,
    vm::{RandomXEngine, Table, Vm},
};
use crate::PowError;

/// RandomX v1 under a key of any length, as published vectors have them. The chain's own keys are block ids, and their
/// tables belong to [`crate::PowVerifier`].
pub struct RandomXOfKey {
    vm: Vm,
}

impl RandomXOfKey {
    /// Builds a cache of its own for `key`: half a second and 256 MiB.
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn new(key: &[u8]) -> Result<Self, PowError> {
        Ok(Self { vm: Vm::new(Table::Light(Arc::new(Cache::build(key, None)?)))? })
    }

    /// The value (little-endian) of any input.
    pub fn hash(&mut self, input: &[u8]) -> PowHash {
        self.vm.hash(input)
    }

    /// As [`crate::RandomXHasher::feed`].
    pub fn feed(&mut self, inputs: &[&[u8]]) -> Vec<PowHash> {
        self.vm.feed(inputs)
    }

    /// Who computes.
    #[must_use]
    pub const fn engine(&self) -> RandomXEngine {
        self.vm.engine()
    }
}

/// The dataset of a key of any length, for comparing those who can compute with it.
pub struct RandomXDatasetOfKey {
    dataset: Arc<Dataset>,
}

impl RandomXDatasetOfKey {
    /// Builds cache and dataset for `key`, 2,336 MiB, with `threads` threads.
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn new(key: &[u8], threads: NonZeroUsize) -> Result<Self, PowError> {
        let dataset = Dataset::build(&Cache::build(key, None)?, threads, None)?;
        Ok(Self { dataset: Arc::new(dataset) })
    }

    /// What hashes by `engine`, or by the library where that cannot run.
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn hasher(&self, engine: RandomXEngine) -> Result<RandomXOfKey, PowError> {
        Ok(RandomXOfKey { vm: Vm::of(engine, Table::Fast(Arc::clone(&self.dataset)))? })
    }
}

/// Dataset items under a key of any length, by each of the ways this crate has to compute them, for comparing the two.
pub struct RandomXItemsOfKey {
    cache: Cache,
    /// Filled in no more than what was asked for.
    dataset: Dataset,
}

impl RandomXItemsOfKey {
    /// Builds a cache of its own for `key`, and reserves a dataset's memory.
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn new(key: &[u8]) -> Result<Self, PowError> {
        Ok(Self { cache: Cache::build(key, None)?, dataset: Dataset::allocate()? })
    }

    /// Computes `count` items from number `first` on by the reference library. Nothing if there are not so many.
    pub fn by_library(&mut self, first: u32, count: u32) -> Option<&[[u64; 8]]> {
        let range = range(first, count);
        self.dataset.items_mut().get(range.clone())?;
        self.dataset.fill_by_library(&self.cache, first.into(), count.into());
        self.dataset.items_mut().get(range)
    }

    /// As [`RandomXItemsOfKey::by_library`], by our own code, many side by side. Nothing where this machine cannot.
    pub fn in_lock_step(&mut self, first: u32, count: u32) -> Option<&[[u64; 8]]> {
        let items = self.dataset.items_mut().get_mut(range(first, count))?;
        self.cache.lockstep()?.fill(self.cache.lines(), first.into(), items);
        Some(items)
    }
}

const fn range(first: u32, count: u32) -> Range<usize> {
    first as usize..(first as usize).saturating_add(count as usize)
}
