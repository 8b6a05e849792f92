use std::{
    hint::black_box,
    sync::OnceLock,
    time::{Duration, Instant},
};

use bq_pow::{Sha256dKernel, Sha256dKernelError, Sha256dWork};
use bq_primitives::{Target, U256};
use tracing::{info, warn};

use crate::metrics;

/// Nonces of one timed run: one to two milliseconds of the slowest kernel.
const NONCES: u32 = 1 << 14;
/// Timed runs of each kernel, in turns, so that whatever else the machine does hits all of them. The best run counts.
const ROUNDS: u32 = 5;

/// What a test on this machine says of one SHA-256d kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sha256dKernelReport {
    /// Which one.
    pub kernel: Sha256dKernel,
    /// Hashes per second of one thread, or why it must not be used.
    pub hashrate: Result<f64, Sha256dKernelError>,
}

/// Tests every SHA-256d kernel against the plain hash, and times those that pass. Blocks, for some 20 milliseconds.
#[must_use]
pub fn sha256d_kernels() -> Vec<Sha256dKernelReport> {
    let verdicts = Sha256dKernel::ALL.map(|kernel| (kernel, kernel.self_test()));
    let mut best = verdicts.map(|_| Duration::MAX);
    for _ in 0..ROUNDS {
        for ((kernel, _), best) in verdicts.iter().zip(&mut best).filter(|((_, verdict), _)| verdict.is_ok()) {
            *best = timed(*kernel).min(*best);
        }
    }
    verdicts
        .into_iter()
        .zip(best)
        .map(|((kernel, verdict), time)| Sha256dKernelReport {
            kernel,
            hashrate: verdict.map(|()| f64::from(NONCES) / time.as_secs_f64().max(f64::MIN_POSITIVE)),
        })
        .collect()
}

/// Measured once in a process.
static FASTEST: OnceLock<Sha256dKernel> = OnceLock::new();

/// The kernel that SHA-256d is mined with; nothing before it was first mined.
#[must_use]
pub fn sha256d_kernel() -> Option<Sha256dKernel> {
    FASTEST.get().copied()
}

/// The kernel to mine with on this machine: measured when first asked for, and kept. A kernel that computes wrongly is logged.
#[must_use]
pub fn fastest_sha256d_kernel() -> Sha256dKernel {
    *FASTEST.get_or_init(|| {
        let reports = sha256d_kernels();
        for error in reports.iter().filter_map(|report| report.hashrate.err()) {
            if !matches!(error, Sha256dKernelError::Unsupported(_)) {
                warn!(%error, "a SHA-256d kernel fails its self-test and is not used");
            }
        }
        let kernel = choose(&reports);
        info!(kernel = kernel.name(), "chose the SHA-256d kernel");
        metrics::kernel(kernel);
        kernel
    })
}

/// The fastest of those that may be used. If none may, the portable one is left: whatever a search finds is hashed once more.
fn choose(reports: &[Sha256dKernelReport]) -> Sha256dKernel {
    reports
        .iter()
        .filter_map(|report| Some((report.kernel, report.hashrate.ok()?)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map_or(Sha256dKernel::Portable, |(kernel, _)| kernel)
}

fn timed(kernel: Sha256dKernel) -> Duration {
    // No hash meets a target of zero.
    let work = Sha256dWork::with_kernel(&[0x5a; 80], Target(U256::ZERO), kernel);
    let start = Instant::now();
    black_box(work.search(black_box(0), NONCES));
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_run_is_right_and_measured_and_what_is_chosen_can_run() {
        let reports = sha256d_kernels();
        assert_eq!(reports.len(), Sha256dKernel::ALL.len());
        for Sha256dKernelReport { kernel, hashrate } in reports {
            match hashrate {
                Ok(hashrate) => assert!(kernel.is_supported() && hashrate > 0.0, "{kernel:?}: {hashrate}"),
                Err(error) => assert_eq!(error, Sha256dKernelError::Unsupported(kernel)),
            }
        }
        assert!(fastest_sha256d_kernel().is_supported());
        assert_eq!(Some(fastest_sha256d_kernel()), sha256d_kernel());
    }

    #[test]
    fn the_fastest_that_computes_rightly_is_chosen() {
        let report = |kernel, hashrate| Sha256dKernelReport { kernel, hashrate };
        let wrong = |kernel| Err(Sha256dKernelError::Wrong { kernel, got: None, expected: Some(1) });
        let [portable, avx2, sha_ni, avx512] = Sha256dKernel::ALL;
        let all = [
            report(portable, Ok(10.0)),
            report(avx2, Ok(15.0)),
            report(sha_ni, Ok(30.0)),
            report(avx512, Err(Sha256dKernelError::Unsupported(avx512))),
        ];
        assert_eq!(choose(&all), sha_ni);
        let [mut faulty, mut hopeless] = [all, all];
        faulty[2].hashrate = wrong(sha_ni);
        assert_eq!(choose(&faulty), avx2);
        for report in &mut hopeless {
            report.hashrate = wrong(report.kernel);
        }
        assert_eq!(choose(&hopeless), portable);
        assert_eq!(choose(&[]), portable);
    }
}
