use std::{
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bq_pow::{EthashWorkHash, PowConfig, PowError, PowVerifier, RandomXMode};
use bq_primitives::{Algorithm, BlockId, Target, U256};

use crate::{
    backend::Backend,
    job::{Job, Sha256dTemplate, Work},
    search::Searcher,
};

/// Why a measurement failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BenchError {
    /// A table could not be built.
    #[error(transparent)]
    Pow(#[from] PowError),
    /// A measuring thread died.
    #[error("a measuring thread panicked")]
    Panicked,
}

/// Hashing and nothing else, with the code that mines. It lies beside that code, not with the benchmarks, because the search loop
/// and its jobs would otherwise have to be public.
pub struct Bench {
    pow: PowVerifier,
    job: Arc<Job>,
    prepared_in: Duration,
}

impl Bench {
    /// Builds the tables of `algorithm`, for at most `threads_max` hashing threads: up to a second; in fast mode up to a minute,
    /// because RandomX and Ethash then use their full datasets, of 2,080 and 1,024 MiB. Blocks, on all cores.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn prepare(algorithm: Algorithm, mode: RandomXMode, threads_max: NonZeroUsize) -> Result<Self, BenchError> {
        let build_threads = thread::available_parallelism().unwrap_or(threads_max);
        let pow = PowVerifier::new(PowConfig { randomx_mode: mode, build_threads, idle_vms_max: threads_max.get() });
        // No hash meets a target of zero.
        let job = Arc::new(Job::new("bench".to_owned(), Target(U256::ZERO), sample(algorithm)));
        let start = Instant::now();
        pow.prepare_fast(&job.work.key())?;
        if let (Work::Ethash { epoch, .. }, RandomXMode::Fast) = (&job.work, mode) {
            pow.prepare_ethash_dataset(*epoch)?;
        }
        Ok(Self { pow, job, prepared_in: start.elapsed() })
    }

    /// How long building the tables took.
    #[must_use]
    pub const fn prepared_in(&self) -> Duration {
        self.prepared_in
    }

    /// Hashes per second of `threads` threads that do nothing else for `time`. Blocks.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn hashrate(&self, threads: NonZeroUsize, time: Duration) -> Result<f64, BenchError> {
        let rates = thread::scope(|scope| {
            let measuring: Vec<_> =
                (0..threads.get()).map(|_| scope.spawn(|| measure(&self.pow, &self.job, time))).collect();
            measuring
                .into_iter()
                .map(|thread| thread.join().map_err(|_| BenchError::Panicked)?.map_err(BenchError::from))
                .collect::<Result<Vec<f64>, BenchError>>()
        })?;
        Ok(rates.iter().sum())
    }
}

/// One thread's hashes per second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn measure(pow: &PowVerifier, job: &Arc<Job>, time: Duration) -> Result<f64, PowError> {
    let mut searcher = Searcher::default();
    // The first step sets up and is not counted.
    searcher.step(job, pow)?;
    let start = Instant::now();
    let mut hashes = 0;
    while start.elapsed() < time {
        hashes += searcher.step(job, pow)?.hashes;
    }
    Ok(hashes as f64 / start.elapsed().as_secs_f64())
}

fn sample(algorithm: Algorithm) -> Work {
    match algorithm {
        Algorithm::Sha256d => Work::Sha256d(Sha256dTemplate {
            version: 0x2000_0000,
            prev_hash: [1; 32],
            coinbase_head: vec![2; 55],
            extranonce2_bytes: 8,
            coinbase_tail: vec![3; 52],
            branches: Vec::new(),
            ntime: 4,
            bits: 5,
        }),
        Algorithm::RandomX => Work::RandomX { blob: vec![6; 76], key: BlockId([7; 32]), is_top_byte_fixed: false },
        Algorithm::Ethash => {
            Work::Ethash { work_hash: EthashWorkHash([8; 32]), epoch: 0, first_nonce: 0, nonce_bits: 64 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_can_be_measured() {
        for algorithm in Algorithm::ALL {
            let bench = Bench::prepare(algorithm, RandomXMode::Light, NonZeroUsize::MIN).unwrap();
            let rate = bench.hashrate(NonZeroUsize::MIN, Duration::from_millis(100)).unwrap();
            assert!(rate > 0.0, "{algorithm}: {rate}");
        }
    }
}
