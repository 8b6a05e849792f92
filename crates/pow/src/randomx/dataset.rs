use std::{ffi::c_ulong, num::NonZeroUsize, ptr::NonNull, slice, thread};

use super::{
    cache::Cache,
    ffi::{self, RawDataset},
    items::Line,
};
use crate::{PowError, memory::advise_huge_pages};

/// Bytes of a RandomX dataset.
pub const RANDOMX_DATASET_BYTES: u64 = (2 << 30) + 33_554_368;
const ITEM_BYTES: usize = 64;

/// The 2,080 MiB derived from one cache; read-only once built.
pub(crate) struct Dataset {
    raw: NonNull<RawDataset>,
}

// SAFETY: the library ties a dataset to no thread.
unsafe impl Send for Dataset {}
// SAFETY: after `build` it is only read.
unsafe impl Sync for Dataset {}

impl Dataset {
    /// Builds the dataset of `cache` with `threads` threads, some 5 seconds of CPU time (50 without AVX-512), in the memory of `recycled` if
    /// there is one.
    #[expect(
        clippy::disallowed_methods,
        reason = "two gigabytes of table on one thread take minutes: hashing is the IO of this crate"
    )]
    pub(crate) fn build(cache: &Cache, threads: NonZeroUsize, recycled: Option<Self>) -> Result<Self, PowError> {
        let mut dataset = match recycled {
            Some(dataset) => dataset,
            None => Self::allocate()?,
        };
        thread::scope(|scope| match cache.lockstep() {
            Some(lockstep) => {
                let mut rest = dataset.items_mut();
                for (first, count) in parts(item_count(), threads) {
                    let part = rest.split_off_mut(..usize::try_from(count).unwrap_or(usize::MAX)).unwrap_or_default();
                    scope.spawn(move || lockstep.fill(cache.lines(), first, part));
                }
            }
            None => {
                for (first, count) in parts(item_count(), threads) {
                    let dataset = &dataset;
                    scope.spawn(move || dataset.fill_by_library(cache, first, count));
                }
            }
        });
        Ok(dataset)
    }

    pub(super) fn allocate() -> Result<Self, PowError> {
        // SAFETY: no flags are needed: huge pages are asked for below, without the privilege that the flag takes.
        let raw = NonNull::new(unsafe { ffi::randomx_alloc_dataset(0) })
            .ok_or(PowError::Memory { what: "RandomX dataset", bytes: RANDOMX_DATASET_BYTES })?;
        let dataset = Self { raw };
        let bytes = usize::try_from(item_count()).unwrap_or(0).saturating_mul(ITEM_BYTES);
        // SAFETY: the library documents that this many bytes lie there; none are in use yet.
        unsafe { advise_huge_pages(ffi::randomx_get_dataset_memory(raw.as_ptr()).cast(), bytes) };
        Ok(dataset)
    }

    /// All items, in order.
    pub(super) fn items_mut(&mut self) -> &mut [Line] {
        let count = usize::try_from(item_count()).unwrap_or(0);
        // SAFETY: the library documents that so many items lie there, and aligns them to lines of the processor's cache.
        // The memory came from the system, which fills it with zeroes. `&mut self` is handed on.
        unsafe { slice::from_raw_parts_mut(ffi::randomx_get_dataset_memory(self.raw.as_ptr()).cast(), count) }
    }

    /// Fills a range of items by the library. Those who call it from several threads must give them ranges that do not
    /// overlap.
    pub(super) fn fill_by_library(&self, cache: &Cache, first: c_ulong, count: c_ulong) {
        // SAFETY: the range lies within the dataset; ranges of other threads are disjoint, as the library demands; the
        // cache is only read.
        unsafe { ffi::randomx_init_dataset(self.raw.as_ptr(), cache.as_ptr(), first, count) };
    }

    /// [`RANDOMX_DATASET_BYTES`] bytes.
    pub(super) fn memory(&self) -> *const u8 {
        // SAFETY: the dataset is live.
        unsafe { ffi::randomx_get_dataset_memory(self.raw.as_ptr()).cast_const().cast() }
    }

    pub(super) const fn as_ptr(&self) -> *mut RawDataset {
        self.raw.as_ptr()
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        // SAFETY: allocated by `allocate`, released only here; VMs that use it hold it alive by reference.
        unsafe { ffi::randomx_release_dataset(self.raw.as_ptr()) };
    }
}

fn item_count() -> c_ulong {
    // SAFETY: takes nothing and returns a constant.
    unsafe { ffi::randomx_dataset_item_count() }
}

/// Cuts `items` into at most `threads` non-empty ranges `(first, count)` that follow one another and leave nothing over.
fn parts(items: c_ulong, threads: NonZeroUsize) -> Vec<(c_ulong, c_ulong)> {
    let threads = c_ulong::try_from(threads.get()).unwrap_or(c_ulong::MAX);
    let size = items.div_ceil(threads).max(1);
    let mut parts = Vec::new();
    let mut first = 0_u64;
    while first < items {
        let count = size.min(items.saturating_sub(first));
        parts.push((first, count));
        first = first.saturating_add(count);
    }
    parts
}

#[cfg(test)]
impl Dataset {
    /// Memory for a dataset with nothing in it, to build single items in.
    pub(super) fn unbuilt() -> Self {
        Self::allocate().unwrap()
    }

    /// Builds one item, by the library.
    pub(super) fn item(&mut self, cache: &Cache, item: u64) -> Line {
        self.fill_by_library(cache, item, 1);
        self.items_mut()[usize::try_from(item).unwrap()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_item_once() {
        for threads in 1..=40 {
            for items in [1, 2, 39, 40, 41, 34_078_719] {
                let parts = parts(items, NonZeroUsize::new(threads).unwrap());
                assert!(parts.len() <= threads);
                let mut next = 0;
                for (first, count) in parts {
                    assert_eq!(first, next);
                    assert!(count > 0);
                    next += count;
                }
                assert_eq!(next, items);
            }
        }
    }

    #[test]
    fn the_dataset_has_the_published_size() {
        assert_eq!(item_count() * 64, RANDOMX_DATASET_BYTES);
    }

    #[test]
    fn items_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../../vectors/randomx.json")).unwrap();
        let cases = &vectors["dataset_item_word0"];
        let cache = Cache::build(cases["key_ascii"].as_str().unwrap().as_bytes(), None).unwrap();
        // Only the wanted items are built: the whole dataset takes too long for a test.
        let mut dataset = Dataset::unbuilt();
        let items = cases["items"].as_array().unwrap();
        assert_eq!(items.len(), 4);
        for case in items {
            let item = case["item"].as_u64().unwrap();
            let [word, ..] = dataset.item(&cache, item);
            assert_eq!(format!("{word:#018x}"), case["word0"].as_str().unwrap(), "item {item}");
        }
    }
}
