//! Hashes per second, with the code that mines.

use std::{
    hint::black_box,
    num::NonZeroUsize,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use bq_miner::{Bench, fastest_sha256d_kernel};
use bq_pow::{RandomXMode, Sha256dKernel, Sha256dWork};
use bq_primitives::{Algorithm, Target, U256};

use super::{Datasets, machine::available_bytes, table::Table};

/// Without full datasets.
pub(super) fn light(time: Duration, table: &Table<'_>) -> anyhow::Result<()> {
    for algorithm in Algorithm::ALL {
        let mode = if algorithm == Algorithm::Sha256d { "" } else { ", light" };
        let bench = Bench::prepare(algorithm, RandomXMode::Light, all_threads())?;
        rates(&bench, &format!("{algorithm} mining{mode}"), time, table)?;
    }
    Ok(())
}

/// Memory for a dataset, the cache it is made from, and the rest of this process.
const RANDOMX_BYTES: u64 = 3 << 30;
const ETHASH_BYTES: u64 = 3 << 29;

/// From full datasets, whose building is a figure too.
pub(super) fn full_datasets(datasets: Datasets, time: Duration, table: &Table<'_>) -> anyhow::Result<()> {
    for (algorithm, bytes) in [(Algorithm::RandomX, RANDOMX_BYTES), (Algorithm::Ethash, ETHASH_BYTES)] {
        let what = format!("{algorithm} mining, full dataset");
        let enough = available_bytes().is_none_or(|available| available >= bytes);
        match datasets {
            Datasets::Never => table.left_out(&what, "not asked for"),
            Datasets::Auto if !enough => table.left_out(&what, &format!("needs {} MiB of free memory", bytes >> 20)),
            Datasets::Auto | Datasets::Always => {
                let bench = Bench::prepare(algorithm, RandomXMode::Fast, all_threads())?;
                let built = format!("{algorithm} cache and full dataset, {}", threads_text(all_threads()));
                table.rate(&built, bench.prepared_in().as_secs_f64(), "s");
                rates(&bench, &what, time, table)?;
            }
        }
    }
    Ok(())
}

/// One thread with each kernel that this processor can run.
pub(super) fn sha256d_kernels(time: Duration, table: &Table<'_>) {
    for kernel in Sha256dKernel::supported() {
        let chosen = if kernel == fastest_sha256d_kernel() { " (chosen)" } else { "" };
        let name = format!("sha256d kernel {}{chosen}, 1 thread", kernel.name());
        match kernel.self_test() {
            Ok(()) => table.rate(&name, kernel_rate(kernel, time), "H/s"),
            Err(error) => table.left_out(&name, &error.to_string()),
        }
    }
}

fn kernel_rate(kernel: Sha256dKernel, time: Duration) -> f64 {
    const NONCES: u32 = 1 << 18;
    // No hash meets a target of zero.
    let work = Sha256dWork::with_kernel(&[0x5a; 80], Target(U256::ZERO), kernel);
    let start = Instant::now();
    let mut hashes = 0.0;
    while start.elapsed() < time {
        black_box(work.search(black_box(0), NONCES));
        hashes += f64::from(NONCES);
    }
    hashes / start.elapsed().as_secs_f64()
}

/// A row for one thread, and one for all if there are more.
fn rates(bench: &Bench, what: &str, time: Duration, table: &Table<'_>) -> anyhow::Result<()> {
    let mut counts = vec![NonZeroUsize::MIN, all_threads()];
    counts.dedup();
    for threads in counts {
        table.rate(&format!("{what}, {}", threads_text(threads)), bench.hashrate(threads, time)?, "H/s");
    }
    Ok(())
}

fn all_threads() -> NonZeroUsize {
    available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn threads_text(threads: NonZeroUsize) -> String {
    if threads.get() == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}
