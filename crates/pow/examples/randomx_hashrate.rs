//! Prints what a RandomX hash from the dataset costs by the reference library and by our own code, one at a time and two at a
//! time, alternated: `cargo run --release -p bq-pow --example randomx_hashrate -- [THREADS]`. Needs 2.4 GiB.
//!
//! Rates are per second of the threads' CPU time, because other programs take their share of the clock's.
#![expect(clippy::disallowed_methods, reason = "the example is no part of the crate, and hashes on several threads")]

use std::{num::NonZeroUsize, sync::Barrier, thread};

use bq_pow::{PowError, RANDOMX_INTERLEAVED, RandomXDatasetOfKey, RandomXEngine};

/// Of each way in each round, per thread. Even.
const HASHES: u32 = 60;
const ROUNDS: u32 = 15;
const WAYS: [(&str, RandomXEngine, usize); 3] = [
    ("library", RandomXEngine::Library, 1),
    ("ours, one at a time", RandomXEngine::Own, 1),
    ("ours, two at a time", RandomXEngine::Own, RANDOMX_INTERLEAVED),
];

#[expect(clippy::print_stdout, reason = "its output is its purpose")]
#[expect(clippy::unwrap_used, reason = "nothing to do without memory or threads")]
fn main() {
    let threads = std::env::args().nth(1).map_or(1, |text| text.parse::<u32>().unwrap());
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let dataset = RandomXDatasetOfKey::new(b"randomx_hashrate", cores).unwrap();
    let barrier = Barrier::new(usize::try_from(threads).unwrap());
    let costs: Vec<[Vec<f64>; 3]> = thread::scope(|scope| {
        let (dataset, barrier) = (&dataset, &barrier);
        let measure = |number| scope.spawn(move || measure(dataset, barrier, number).unwrap());
        let threads: Vec<_> = (0..threads).map(measure).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let rates: [Vec<f64>; 3] = std::array::from_fn(|way| {
        (0..ROUNDS as usize).map(|round| costs.iter().map(|costs| 1.0 / costs[way][round]).sum()).collect()
    });
    for ((name, ..), rate) in WAYS.iter().zip(&rates) {
        let ratios = rate.iter().zip(&rates[0]).map(|(rate, library)| rate / library).collect();
        println!("{name:20} {:7.1} H/s, {:5.3} of the library", median(rate.clone()), median(ratios));
    }
}

/// CPU seconds a hash, of each way in each round. All threads go the same way at a time.
fn measure(dataset: &RandomXDatasetOfKey, barrier: &Barrier, thread: u32) -> Result<[Vec<f64>; 3], PowError> {
    let mut costs = WAYS.map(|_| Vec::new());
    let mut hashers = Vec::new();
    for (_, engine, at_once) in WAYS {
        let mut hasher = dataset.hasher(engine)?;
        hasher.feed(&[b"first".as_slice()].repeat(at_once));
        hashers.push(hasher);
    }
    let mut nonces = (thread..).step_by(1 << 16).map(u32::to_le_bytes);
    for _ in 0..ROUNDS {
        for ((costs, hasher), (.., at_once)) in costs.iter_mut().zip(&mut hashers).zip(WAYS) {
            barrier.wait();
            let start = thread_seconds();
            for _ in (0..HASHES).step_by(at_once) {
                let inputs: Vec<_> = nonces.by_ref().take(at_once).collect();
                hasher.feed(&inputs.iter().map(<[u8; 4]>::as_slice).collect::<Vec<_>>());
            }
            costs.push((thread_seconds() - start) / f64::from(HASHES));
        }
    }
    Ok(costs)
}

fn thread_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
