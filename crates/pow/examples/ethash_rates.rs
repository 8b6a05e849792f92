//! What this machine reaches with Ethash: `cargo run --release -p bq-pow --example ethash_rates -- [EPOCH...]`.
//!
//! For each epoch (0 and 400 unless given): building the cache, light proofs one at a time and in lock step, dataset pages and
//! what a whole dataset would take. Then the dataset of epoch 0, and searching it on pages of 2 MiB and 4 KiB, on one thread and
//! two. Times are of the threads' own processor time, so that a busy machine counts as little as it can. Takes half a minute
//! and 2 GiB of memory.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "its output is its purpose, and nobody depends on it")]
#![expect(clippy::cast_precision_loss, reason = "rates for people")]
#![expect(clippy::disallowed_methods, reason = "the example is no part of the crate, and has to read clocks")]

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use bq_pow::{
    ETHASH_CHUNK_BYTES, EthashBuild, EthashCache, EthashChunkStore, EthashHasher, EthashTask, EthashWorkHash,
    PowVerifier, ethash_dataset_bytes,
};
use bq_primitives::{Target, U256};

const WORK_HASH: EthashWorkHash = EthashWorkHash([3; 32]);
/// Each figure is the median of this many.
const TURNS: usize = 5;

fn main() {
    let epochs: Vec<u32> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    for epoch in if epochs.is_empty() { vec![0, 400] } else { epochs } {
        light(epoch);
    }
    let chunks = Chunks::default();
    for (name, huge) in [("2 MiB", true), ("4 KiB", false)] {
        set_huge_pages(huge);
        let pow = PowVerifier::default();
        build(&pow, &chunks);
        let hasher = pow.ethash_hasher(0).unwrap();
        for threads in [1, 2] {
            println!("search, {name} pages, {threads} thread(s): {:8.0} kH/s each", search(&hasher, threads) / 1e3);
        }
    }
}

fn light(epoch: u32) {
    let mut cache = None;
    let built = median(|| seconds(|| cache = Some(EthashCache::build(epoch).unwrap())));
    println!("epoch {epoch}: cache in {:.0} ms", built * 1e3);
    let cache = cache.unwrap();
    let mut nonce = 0;
    for lanes in [1_u64, 8, 16, 32] {
        let batches = 192 / lanes;
        let each = median(|| {
            seconds(|| {
                for _ in 0..batches {
                    let tasks: Vec<_> =
                        (nonce..nonce + lanes).map(|nonce| EthashTask { work_hash: WORK_HASH, nonce }).collect();
                    nonce += lanes;
                    std::hint::black_box(cache.hash_batch(&tasks));
                }
            }) / (batches * lanes) as f64
        });
        let batch = each * lanes as f64 * 1e3;
        println!("epoch {epoch}: light, {lanes:2} in lock step: {:.3} ms each, {batch:.2} ms together", each * 1e3);
    }
    let page = median(|| page_seconds(&cache));
    let dataset = page * (ethash_dataset_bytes(epoch) / 128) as f64;
    println!("epoch {epoch}: dataset page: {:.2} us, so {dataset:.1} cpu-s for all", page * 1e6);
}

/// Of one page, by the first chunk.
fn page_seconds(cache: &EthashCache) -> f64 {
    /// Lacks every chunk, and has enough after one.
    #[derive(Default)]
    struct OneChunk {
        seconds: Mutex<f64>,
        stop: AtomicBool,
    }
    impl EthashChunkStore for OneChunk {
        fn load(&self, _: usize, _: &mut [u8]) -> bool {
            *self.seconds.lock().unwrap() = cpu_seconds();
            false
        }

        fn save(&self, _: usize, _: &[u8]) {
            let mut seconds = self.seconds.lock().unwrap();
            *seconds = cpu_seconds() - *seconds;
            self.stop.store(true, Ordering::Relaxed);
        }
    }
    let store = OneChunk::default();
    let threads = NonZeroUsize::MIN;
    let build = EthashBuild { threads, low_priority: false, beside: false, store: &store, stop: &store.stop };
    cache.store_dataset(ETHASH_CHUNK_BYTES, &build);
    store.seconds.into_inner().unwrap() / (ETHASH_CHUNK_BYTES / 128) as f64
}

/// Keeps chunks in memory, so that a dataset has to be computed once only.
#[derive(Default)]
struct Chunks(Mutex<BTreeMap<usize, Vec<u8>>>);

impl EthashChunkStore for Chunks {
    fn load(&self, index: usize, bytes: &mut [u8]) -> bool {
        let chunk = self.0.lock().unwrap().remove(&index);
        chunk.is_some_and(|chunk| {
            bytes.copy_from_slice(&chunk);
            true
        })
    }

    fn save(&self, index: usize, bytes: &[u8]) {
        self.0.lock().unwrap().insert(index, bytes.to_vec());
    }
}

/// The dataset of epoch 0, with all processors.
fn build(pow: &PowVerifier, chunks: &Chunks) {
    let (threads, stop) = (thread::available_parallelism().unwrap(), AtomicBool::new(false));
    pow.prepare(&bq_primitives::PowKey::Ethash(0)).unwrap();
    let (wall, before) = (Instant::now(), process_seconds());
    let build = EthashBuild { threads, low_priority: false, beside: false, store: chunks, stop: &stop };
    let built = pow.build_ethash_dataset(0, &build).unwrap();
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), process_seconds() - before);
    let (loaded, computed) = (built.loaded, built.computed);
    println!("epoch 0: {computed} chunks computed, {loaded} copied, {threads} thread(s): {wall:.1} s, {cpu:.1} cpu-s");
}

/// Hashes per second of one of `threads` threads.
fn search(hasher: &EthashHasher, threads: u64) -> f64 {
    let count = 1 << 18;
    let turn = || {
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn(move || {
                        seconds(|| drop(hasher.search(&WORK_HASH, thread << 40, count, &Target(U256::ZERO))))
                    })
                })
                .collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum::<f64>() / threads as f64
        })
    };
    f64::from(count) / median(turn)
}

fn median(mut turn: impl FnMut() -> f64) -> f64 {
    let mut turns: Vec<f64> = (0..TURNS).map(|_| turn()).collect();
    turns.sort_by(f64::total_cmp);
    turns[TURNS / 2]
}

/// Processor time that `work` takes on this thread.
fn seconds(work: impl FnOnce()) -> f64 {
    let before = cpu_seconds();
    work();
    cpu_seconds() - before
}

fn cpu_seconds() -> f64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn process_seconds() -> f64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the structure it is given.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Whether this process gets huge pages when it asks for them.
fn set_huge_pages(allowed: bool) {
    // SAFETY: changes how memory that is mapped from now on is backed, and nothing else.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, libc::c_ulong::from(!allowed), 0, 0, 0) };
}
