use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use parking_lot::Mutex;

use super::{
    cache::{EthashCache, Node},
    lockstep::{Remainder, fill_pages, spot_check},
};
use crate::{PowError, lower_thread_priority, memory::HugeTable};

/// Bytes of a chunk of a full dataset, all but the last: what is made, checked and kept at a time, in some 50 milliseconds.
pub const ETHASH_CHUNK_BYTES: usize = 4 << 20;

const PAGE_BYTES: usize = 128;
/// Address space beyond a dataset, so that those of the next eight epochs fit into its memory. Never touched, it costs nothing.
const ROOM_PAGES: usize = (64 << 20) / PAGE_BYTES;

/// Keeps the chunks of one epoch's dataset between runs. The shell implements it; this crate touches no file.
///
/// Bytes are in the order of this machine. Called by several threads, for a different chunk each.
pub trait EthashChunkStore: Sync {
    /// Reads a chunk into `bytes`, which has its length. False if there is none that is whole and undamaged; `bytes` may hold
    /// anything then.
    fn load(&self, index: usize, bytes: &mut [u8]) -> bool;

    /// Offers a chunk that was just computed. A store that cannot keep it tells its owner; the build goes on without.
    fn save(&self, index: usize, bytes: &[u8]);
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoChunkStore;

impl EthashChunkStore for NoChunkStore {
    fn load(&self, _: usize, _: &mut [u8]) -> bool {
        false
    }

    fn save(&self, _: usize, _: &[u8]) {}
}

/// How to build a full dataset.
#[derive(Clone, Copy)]
pub struct EthashBuild<'a> {
    /// Threads that compute.
    pub threads: NonZeroUsize,
    /// Let every other thread of the machine go first.
    pub low_priority: bool,
    /// Keep datasets of other epochs in memory: for the epoch after the one that is mined, where there is room for both.
    pub beside: bool,
    /// Where chunks come from, and go to.
    pub store: &'a dyn EthashChunkStore,
    /// Set by anyone to give up: it takes effect after the chunks that are being made.
    pub stop: &'a AtomicBool,
}

/// What a build did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EthashBuilt {
    /// Chunks that the store had.
    pub loaded: usize,
    /// Chunks that had to be computed.
    pub computed: usize,
    /// It was told to stop, and is not complete.
    pub stopped: bool,
}

/// The full dataset (DAG) of one epoch: 1 GiB and growing. A proof reads 64 of its pages instead of computing them.
pub(crate) struct EthashDataset {
    epoch: u32,
    pages: HugeTable<[Node; 2]>,
    page_remainder: Remainder,
}

impl EthashDataset {
    /// Builds the dataset of `cache`, some 15 seconds of CPU time at epoch 0, in the memory of `recycled` if that is large
    /// enough; else that is freed first. Nothing if it was stopped.
    pub(crate) fn build(
        cache: &EthashCache,
        recycled: Option<Self>,
        build: &EthashBuild<'_>,
        chunk_bytes: usize,
    ) -> Result<(Option<Self>, EthashBuilt), PowError> {
        let page_remainder = cache.page_remainder();
        let count = page_remainder.divisor() as usize;
        let mut pages = match recycled.and_then(|dataset| dataset.pages.resized(count)) {
            Some(pages) => pages,
            None => HugeTable::with_room(count, ROOM_PAGES, "Ethash dataset")?,
        };
        let chunks = pages.chunks_mut(chunk_pages(chunk_bytes));
        let built = each_chunk(build, chunks, |index, pages| make(cache, index, chunk_bytes, pages, build.store));
        let dataset = Self { epoch: cache.epoch(), pages, page_remainder };
        Ok(((!built.stopped).then_some(dataset), built))
    }

    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn pages(&self) -> &[[Node; 2]] {
        &self.pages
    }

    pub(super) const fn page_remainder(&self) -> Remainder {
        self.page_remainder
    }
}

impl EthashCache {
    /// Makes all chunks of the full dataset that `build.store` lacks, without keeping any in memory beyond one per thread:
    /// for an epoch that is not mined yet. Chunks have `chunk_bytes`, a multiple of 128; the chain's are
    /// [`ETHASH_CHUNK_BYTES`].
    pub fn store_dataset(&self, chunk_bytes: usize, build: &EthashBuild<'_>) -> EthashBuilt {
        let pages = self.page_remainder().divisor() as usize;
        let chunk_pages = chunk_pages(chunk_bytes);
        let chunks = (0..pages).step_by(chunk_pages).map(|first| chunk_pages.min(pages - first));
        each_chunk(build, chunks, |index, pages| {
            let mut pages = vec![[Node([0; 16]); 2]; pages];
            make(self, index, chunk_bytes, &mut pages, build.store)
        })
    }
}

fn chunk_pages(chunk_bytes: usize) -> usize {
    (chunk_bytes / PAGE_BYTES).max(1)
}

/// Where a chunk came from.
enum Source {
    Store,
    Computed,
}

/// Lets threads take one chunk after another, with its index, until there are no more.
#[expect(
    clippy::disallowed_methods,
    reason = "a gigabyte of table on one thread takes minutes: hashing is the IO of this crate"
)]
fn each_chunk<C: Send>(
    build: &EthashBuild<'_>,
    chunks: impl Iterator<Item = C> + Send,
    make: impl Fn(usize, C) -> Source + Sync,
) -> EthashBuilt {
    let chunks = Mutex::new(chunks.enumerate());
    let (loaded, computed, stopped) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..build.threads.get() {
            scope.spawn(|| {
                if build.low_priority {
                    lower_thread_priority();
                }
                loop {
                    let Some((index, chunk)) = chunks.lock().next() else { return };
                    if build.stop.load(Ordering::Relaxed) {
                        stopped.store(true, Ordering::Relaxed);
                        return;
                    }
                    match make(index, chunk) {
                        Source::Store => &loaded,
                        Source::Computed => &computed,
                    }
                    .fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    EthashBuilt { loaded: loaded.into_inner(), computed: computed.into_inner(), stopped: stopped.into_inner() }
}

/// Fills a chunk from the store, or computes and stores it. A chunk whose checksum holds may still be wrong, if a faulty
/// machine wrote it: so some of its pages are computed again.
fn make(
    cache: &EthashCache,
    index: usize,
    chunk_bytes: usize,
    pages: &mut [[Node; 2]],
    store: &dyn EthashChunkStore,
) -> Source {
    let first = u32::try_from(index * chunk_pages(chunk_bytes)).unwrap_or(u32::MAX);
    if store.load(index, bytes_mut(pages)) && spot_check(cache, first, pages) {
        return Source::Store;
    }
    fill_pages(cache, first, pages);
    store.save(index, bytes_mut(pages));
    Source::Computed
}

fn bytes_mut(pages: &mut [[Node; 2]]) -> &mut [u8] {
    let bytes = size_of_val(pages);
    // SAFETY: the pages are plain words without padding, valid for any bytes, and borrowed as long as the result.
    unsafe { std::slice::from_raw_parts_mut(pages.as_mut_ptr().cast(), bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        EthashTask, EthashWorkHash,
        ethash::{EthashProof, full, hashimoto::dataset_node, lockstep},
    };

    const PAGES: u32 = 4099;
    /// Eighteen chunks, of which the last is short.
    const CHUNK: usize = 229 * PAGE_BYTES;
    static GO: AtomicBool = AtomicBool::new(false);

    /// Small and odd sizes: parts and groups that do not come out even.
    fn small_cache() -> EthashCache {
        EthashCache::with_sizes(3, &[9; 32], 1021, PAGES).unwrap()
    }

    fn model(cache: &EthashCache) -> Vec<[Node; 2]> {
        (0..PAGES).map(|page| [0, 1].map(|half| dataset_node(cache.nodes(), 2 * page + half))).collect()
    }

    fn build(threads: usize, store: &dyn EthashChunkStore) -> EthashBuild<'_> {
        let threads = NonZeroUsize::new(threads).unwrap();
        EthashBuild { threads, low_priority: false, beside: false, store, stop: &GO }
    }

    /// A store in memory.
    #[derive(Default)]
    struct Kept(Mutex<std::collections::BTreeMap<usize, Vec<u8>>>);

    impl EthashChunkStore for Kept {
        fn load(&self, index: usize, bytes: &mut [u8]) -> bool {
            let kept = self.0.lock();
            let Some(chunk) = kept.get(&index) else { return false };
            bytes.copy_from_slice(chunk);
            true
        }

        fn save(&self, index: usize, bytes: &[u8]) {
            self.0.lock().insert(index, bytes.to_vec());
        }
    }

    #[test]
    fn any_number_of_threads_builds_the_same_pages() {
        let cache = small_cache();
        let model = model(&cache);
        for (threads, chunk) in [(1, CHUNK), (2, CHUNK), (3, PAGE_BYTES), (40, CHUNK), (2, ETHASH_CHUNK_BYTES)] {
            let (dataset, built) = EthashDataset::build(&cache, None, &build(threads, &NoChunkStore), chunk).unwrap();
            let dataset = dataset.unwrap();
            assert!(*dataset.pages == *model, "{threads} threads");
            assert_eq!(dataset.epoch(), 3);
            assert_eq!(built.computed, (PAGES as usize * PAGE_BYTES).div_ceil(chunk));
        }
        let mut portable = vec![[Node([0; 16]); 2]; 13];
        lockstep::fill_pages_with(&cache, 5, &mut portable);
        assert!(portable[..] == model[5..18]);
    }

    #[test]
    fn a_build_goes_on_from_the_chunks_that_were_kept() {
        let cache = small_cache();
        let kept = Kept::default();
        let built = cache.store_dataset(CHUNK, &build(2, &kept));
        assert_eq!(built, EthashBuilt { loaded: 0, computed: 18, stopped: false });
        // Two are lost, and one is wrong from its first page to its last though its store does not know it.
        kept.0.lock().retain(|index, _| ![0, 17].contains(index));
        kept.0.lock().insert(4, vec![7; CHUNK]);
        let (dataset, built) = EthashDataset::build(&cache, None, &build(2, &kept), CHUNK).unwrap();
        assert_eq!(built, EthashBuilt { loaded: 15, computed: 3, stopped: false });
        assert!(*dataset.unwrap().pages == *model(&cache));
        assert_eq!(cache.store_dataset(CHUNK, &build(3, &kept)).loaded, 18);
    }

    #[test]
    fn a_build_that_is_told_to_stop_stops_and_leaves_what_it_made() {
        struct StopAfter(Kept, usize, AtomicBool);
        impl EthashChunkStore for StopAfter {
            fn load(&self, index: usize, bytes: &mut [u8]) -> bool {
                self.0.load(index, bytes)
            }

            fn save(&self, index: usize, bytes: &[u8]) {
                self.0.save(index, bytes);
                self.2.store(index >= self.1, Ordering::Relaxed);
            }
        }
        let cache = small_cache();
        let store = StopAfter(Kept::default(), 6, AtomicBool::new(false));
        let stoppable = EthashBuild { stop: &store.2, ..build(1, &store) };
        let (dataset, built) = EthashDataset::build(&cache, None, &stoppable, CHUNK).unwrap();
        assert!(dataset.is_none());
        assert_eq!(built, EthashBuilt { loaded: 0, computed: 7, stopped: true });
        let built = cache.store_dataset(CHUNK, &build(1, &store.0));
        assert_eq!(built, EthashBuilt { loaded: 7, computed: 11, stopped: false });
    }

    #[test]
    fn the_next_epoch_takes_over_the_memory() {
        let dataset = |pages, recycled| {
            let cache = EthashCache::with_sizes(3, &[9; 32], 1021, pages).unwrap();
            EthashDataset::build(&cache, recycled, &build(1, &NoChunkStore), CHUNK).unwrap().0.unwrap()
        };
        let first = dataset(PAGES, None);
        let address = first.pages.as_ptr();
        let second = dataset(PAGES + 500, Some(first));
        assert_eq!(second.pages.as_ptr(), address);
        assert!(*second.pages == *dataset(PAGES + 500, None).pages);
        let third = dataset(PAGES - 500, Some(second));
        assert_eq!((third.pages.as_ptr(), third.pages.len()), (address, PAGES as usize - 500));
    }

    #[test]
    fn batches_of_any_length_equal_the_model() {
        let cache = small_cache();
        let (dataset, _) = EthashDataset::build(&cache, None, &build(1, &NoChunkStore), CHUNK).unwrap();
        let dataset = dataset.unwrap();
        let task = |i: usize| EthashTask { work_hash: EthashWorkHash([0x5a; 32]), nonce: (i as u64) << 40 | 7 };
        let model: Vec<_> = (0..200).map(|i| (task(i), cache.model_hash(&task(i)))).collect();
        for len in [0, 1, 63, 64, 65, 128, 200] {
            let mut got: Vec<(EthashTask, EthashProof)> = Vec::new();
            full::evaluate(&dataset, len, task, |task, proof| got.push((task, proof)));
            assert_eq!(got, model[..len]);
            got.clear();
            full::evaluate_with(&dataset, len, task, |task, proof| got.push((task, proof)));
            assert_eq!(got, model[..len]);
        }
    }
}
