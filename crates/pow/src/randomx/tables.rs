use std::{
    num::NonZeroUsize,
    ops::Range,
    sync::{Arc, Weak},
};

use bq_primitives::{BlockId, PowHash};
use parking_lot::Mutex;

use super::{
    LightHashers,
    cache::Cache,
    dataset::{Dataset, RANDOMX_DATASET_BYTES},
    vm::{RANDOMX_INTERLEAVED, RandomXEngine, Table, Vm},
};
use crate::PowError;

/// Hashes in lock step that are soonest done; twice as many save little more.
const BATCH: usize = 8;

/// Everything resident for one RandomX key: its cache, its dataset if it has the one there may be, and idle VMs.
pub(crate) struct KeyTables {
    key: BlockId,
    cache: Arc<Cache>,
    dataset: Mutex<Option<Arc<Dataset>>>,
    /// Never longer than `idle_max`.
    idle: Mutex<Vec<Vm>>,
    idle_max: usize,
}

impl KeyTables {
    /// Builds the cache of `key`, in the memory of `evicted` if nothing of it is in use.
    pub(crate) fn build(key: BlockId, evicted: Option<Self>, idle_max: usize) -> Result<Self, PowError> {
        let recycled = evicted.and_then(|tables| {
            // The VMs hold the cache.
            drop(tables.idle);
            Arc::into_inner(tables.cache)
        });
        let cache = Arc::new(Cache::build(key.as_bytes(), recycled)?);
        Ok(Self { key, cache, dataset: Mutex::new(None), idle: Mutex::new(Vec::new()), idle_max })
    }

    /// A VM of this key, in the fastest mode there is a table for.
    pub(crate) fn hasher(self: &Arc<Self>) -> Result<RandomXHasher, PowError> {
        let dataset = self.dataset.lock().clone();
        let idle = {
            let mut idle = self.idle.lock();
            idle.iter().position(|vm| vm.is_fast() == dataset.is_some()).map(|index| idle.swap_remove(index))
        };
        let vm = match (idle, dataset) {
            (Some(vm), _) => vm,
            (None, Some(dataset)) => Vm::new(Table::Fast(dataset))?,
            (None, None) => Vm::new(Table::Light(Arc::clone(&self.cache)))?,
        };
        Ok(RandomXHasher { vm: Some(vm), tables: Arc::clone(self) })
    }

    /// The value of each blob, in order. Two and more without a dataset are hashed in lock step where this machine can.
    pub(crate) fn hash_batch(
        self: &Arc<Self>,
        light: &LightHashers,
        blobs: &[&[u8]],
    ) -> Result<Vec<PowHash>, PowError> {
        // Alone, a hash is quicker by the library, which computes one item at a time.
        if blobs.len() > 1
            && !self.has_dataset()
            && let Some(lockstep) = self.cache.lockstep()
            && let Some(values) = light.hash(self.cache.lines(), lockstep, blobs)?
        {
            return Ok(values);
        }
        let mut hasher = self.hasher()?;
        let mut values: Vec<PowHash> = blobs.chunks(RANDOMX_INTERLEAVED).flat_map(|blobs| hasher.feed(blobs)).collect();
        values.extend(hasher.drain());
        Ok(values)
    }

    /// Where the dataset lies, if there is one.
    pub(crate) fn dataset_memory(&self) -> Option<Range<usize>> {
        let start = self.dataset.lock().as_ref()?.memory().addr();
        Some(start..start.saturating_add(usize::try_from(RANDOMX_DATASET_BYTES).unwrap_or(0)))
    }

    fn has_dataset(&self) -> bool {
        self.dataset.lock().is_some()
    }

    fn set_dataset(&self, dataset: Option<Arc<Dataset>>) -> Option<Arc<Dataset>> {
        let mut slot = self.dataset.lock();
        let fast = dataset.is_some();
        let previous = std::mem::replace(&mut *slot, dataset);
        self.idle.lock().retain(|vm| vm.is_fast() == fast);
        previous
    }

    fn give_back(&self, mut vm: Vm) {
        vm.abandon();
        // Holding this lock orders us against `set_dataset`: no VM of the other mode is kept.
        let dataset = self.dataset.lock();
        let mut idle = self.idle.lock();
        if idle.len() < self.idle_max && vm.is_fast() == dataset.is_some() {
            idle.push(vm);
        }
    }
}

/// The one dataset that may be in memory, and whose it is.
#[derive(Default)]
pub(crate) struct DatasetSlot {
    /// Weak, so that a key which leaves memory takes its dataset along.
    owner: Mutex<Weak<KeyTables>>,
}

impl DatasetSlot {
    /// Gives `tables` the dataset, taking it from the key that had it. Others that call meanwhile wait; hashing does not.
    /// False if it had it already.
    pub(crate) fn build_for(&self, tables: &Arc<KeyTables>, threads: NonZeroUsize) -> Result<bool, PowError> {
        let mut owner = self.owner.lock();
        if tables.has_dataset() {
            return Ok(false);
        }
        // Memory still in use by a running hash is freed by its last user instead.
        let recycled = owner.upgrade().and_then(|previous| previous.set_dataset(None)).and_then(Arc::into_inner);
        let dataset = Arc::new(Dataset::build(&tables.cache, threads, recycled)?);
        if !agree(&tables.cache, &dataset)? {
            return Err(PowError::WrongDataset);
        }
        tables.set_dataset(Some(dataset));
        *owner = Arc::downgrade(tables);
        Ok(true)
    }
}

/// A few hashes by cache and, interleaved, by dataset. Each reads 16,384 of the dataset's items; it takes a fifth of a second after a build of
/// many, and a wrong dataset would make every proof of this machine worthless.
fn agree(cache: &Arc<Cache>, dataset: &Arc<Dataset>) -> Result<bool, PowError> {
    let mut light = Vm::new(Table::Light(Arc::clone(cache)))?;
    let mut fast = Vm::new(Table::Fast(Arc::clone(dataset)))?;
    let mut values = fast.feed(&[&[0], &[1]]);
    values.extend(fast.feed(&[&[2], &[3]]));
    values.extend(fast.drain());
    Ok((0..4_u8).map(|input| light.hash(&[input])).eq(values))
}

/// A RandomX virtual machine on loan: goes back to its key's pool when dropped. Keep it for a slice of work only, since
/// its tables stay in memory as long.
pub struct RandomXHasher {
    /// Taken only by `drop`.
    vm: Option<Vm>,
    tables: Arc<KeyTables>,
}

impl RandomXHasher {
    /// The key whose values this gives.
    #[must_use]
    pub fn key(&self) -> BlockId {
        self.tables.key
    }

    /// Reads the dataset rather than the cache.
    #[must_use]
    pub fn is_fast(&self) -> bool {
        self.vm.as_ref().is_some_and(Vm::is_fast)
    }

    /// Who computes.
    #[must_use]
    pub fn engine(&self) -> RandomXEngine {
        self.vm.as_ref().map_or(RandomXEngine::Library, Vm::engine)
    }

    /// How many blobs to give [`PowVerifier::randomx_hash_batch`] at a time rather than feeding this hasher: several in light mode
    /// where this machine hashes in lock step, else one.
    ///
    /// [`PowVerifier::randomx_hash_batch`]: crate::PowVerifier::randomx_hash_batch
    #[must_use]
    pub fn batch(&self) -> usize {
        if self.is_fast() || self.tables.cache.lockstep().is_none() { 1 } else { BATCH }
    }

    /// A new hasher would be faster, because the dataset was built meanwhile, or must replace this one, because the dataset
    /// went to another key.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.is_fast() != self.tables.has_dataset()
    }

    /// The value (little-endian) of one blob. Abandons a pipeline that was begun.
    pub fn hash(&mut self, blob: &[u8]) -> PowHash {
        self.vm().hash(blob)
    }

    /// Feeds the pipeline up to [`RANDOMX_INTERLEAVED`] blobs, and no more: begins them and returns the values of those fed before, in
    /// order. In fast mode a thread computes one while the other waits for memory; a few percent are gained even by
    /// feeding one at a time.
    ///
    /// [`RANDOMX_INTERLEAVED`]: crate::RANDOMX_INTERLEAVED
    pub fn feed(&mut self, blobs: &[&[u8]]) -> Vec<PowHash> {
        self.vm().feed(blobs)
    }

    /// The values of the blobs fed last, in order; empties the pipeline.
    pub fn drain(&mut self) -> Vec<PowHash> {
        self.vm().drain()
    }

    #[expect(clippy::expect_used, reason = "the VM is taken out in `drop` only, after which there is no `self`")]
    const fn vm(&mut self) -> &mut Vm {
        self.vm.as_mut().expect("taken only by drop")
    }
}

impl Drop for RandomXHasher {
    fn drop(&mut self) {
        if let Some(vm) = self.vm.take() {
            self.tables.give_back(vm);
        }
    }
}

#[cfg(test)]
impl KeyTables {
    pub(super) fn idle_count(&self) -> usize {
        self.idle.lock().len()
    }

    pub(super) fn cache_address(&self) -> usize {
        self.cache.as_ptr().addr()
    }
}
