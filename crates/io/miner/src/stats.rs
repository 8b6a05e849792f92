use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Instant,
};

use bq_primitives::Algorithm;
use parking_lot::Mutex;

use crate::metrics::MinerMetrics;

/// Seconds of history kept; the longest window.
const HISTORY_SECS: u64 = 60;

/// What the miner did and does.
#[derive(Clone, Debug, PartialEq)]
pub struct MinerStats {
    /// Worker threads that may run.
    pub threads: usize,
    /// Per algorithm that has an endpoint, in increasing id.
    pub algorithms: Vec<AlgorithmStats>,
}

/// What the miner did and does for one algorithm.
#[derive(Clone, Debug, PartialEq)]
pub struct AlgorithmStats {
    /// Which one.
    pub algorithm: Algorithm,
    /// Has a connection that gave it work.
    pub connected: bool,
    /// Hashes since start.
    pub hashes: u64,
    /// Hashes per second over the last 10 seconds, turns of other algorithms included.
    pub hashrate_10s: f64,
    /// Hashes per second over the last minute, turns of other algorithms included.
    pub hashrate_60s: f64,
    /// Shares that the pool credited.
    pub accepted: u64,
    /// Shares that the pool refused.
    pub rejected: u64,
    /// Shares that no pool heard of: found for a connection that was lost, or faster than it could be told.
    pub lost: u64,
    /// Accepted shares that met the block target; zero where no block target is known.
    pub blocks_found: u64,
    /// What went wrong last: a refused share, a lost connection, a table that could not be built.
    pub last_error: Option<String>,
}

/// Counters of one algorithm.
pub(crate) struct LaneStats {
    algorithm: Algorithm,
    metrics: MinerMetrics,
    started: Instant,
    connected: AtomicBool,
    hashes: AtomicU64,
    accepted: AtomicU64,
    rejected: AtomicU64,
    lost: AtomicU64,
    blocks: AtomicU64,
    /// Hashes by second since the start, newest last.
    history: Mutex<VecDeque<(u64, u64)>>,
    last_error: Mutex<Option<String>>,
}

impl LaneStats {
    pub(crate) fn new(algorithm: Algorithm, started: Instant) -> Self {
        Self {
            algorithm,
            metrics: MinerMetrics::register(algorithm),
            started,
            connected: AtomicBool::new(false),
            hashes: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            blocks: AtomicU64::new(0),
            history: Mutex::new(VecDeque::new()),
            last_error: Mutex::new(None),
        }
    }

    pub(crate) fn hashed(&self, count: u64) {
        self.hashes.fetch_add(count, Ordering::Relaxed);
        self.metrics.hashed(count);
        let second = self.started.elapsed().as_secs();
        let mut history = self.history.lock();
        match history.back_mut() {
            Some((last, hashes)) if *last == second => *hashes += count,
            _ => history.push_back((second, count)),
        }
        while history.front().is_some_and(|(first, _)| *first + HISTORY_SECS < second) {
            history.pop_front();
        }
    }

    pub(crate) fn accepted(&self, is_block: bool) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.blocks.fetch_add(u64::from(is_block), Ordering::Relaxed);
        self.metrics.share("accepted");
    }

    pub(crate) fn rejected(&self, reason: String) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        self.metrics.share("rejected");
        self.failed(reason);
    }

    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.metrics.share("lost");
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
        self.metrics.connected(connected);
    }

    pub(crate) fn failed(&self, error: String) {
        *self.last_error.lock() = Some(error);
    }

    pub(crate) fn snapshot(&self) -> AlgorithmStats {
        let rates = {
            let elapsed = self.started.elapsed();
            let history = self.history.lock();
            [10, HISTORY_SECS].map(|window| rate(&history, elapsed.as_secs_f64(), window))
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AlgorithmStats {
            algorithm: self.algorithm,
            connected: self.connected.load(Ordering::Relaxed),
            hashes: count(&self.hashes),
            hashrate_10s: rates[0],
            hashrate_60s: rates[1],
            accepted: count(&self.accepted),
            rejected: count(&self.rejected),
            lost: count(&self.lost),
            blocks_found: count(&self.blocks),
            last_error: self.last_error.lock().clone(),
        }
    }
}

/// Hashes per second over the last `window` seconds, or since the start if that is less. The oldest second counts in full,
/// so the window is up to a second longer than its name; it ends now.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(history: &VecDeque<(u64, u64)>, elapsed: f64, window: u64) -> f64 {
    let start = (elapsed.floor() - window as f64).max(0.0);
    let hashes: u64 = history.iter().filter(|(second, _)| *second as f64 >= start).map(|(_, hashes)| hashes).sum();
    hashes as f64 / (elapsed - start).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_over_their_window_and_end_now() {
        let steady: VecDeque<_> = (0..100).map(|second| (second, 500)).collect();
        assert!((rate(&steady, 100.0, 10) - 500.0).abs() < 1e-9);
        assert!((rate(&steady, 100.0, 60) - 500.0).abs() < 1e-9);
        assert!((rate(&steady, 130.0, 10)).abs() < 1e-9, "nothing lately");
        assert!((rate(&steady, 130.0, 60) - 250.0).abs() < 1e-9, "half of the last minute");
        let young: VecDeque<_> = [(0, 300), (1, 300)].into();
        assert!((rate(&young, 2.0, 60) - 300.0).abs() < 1e-9, "since the start");
        assert!(rate(&VecDeque::new(), 0.0, 10).abs() < 1e-9);
    }

    #[test]
    fn history_is_bounded() {
        let stats = LaneStats::new(Algorithm::Ethash, Instant::now());
        for _ in 0..1000 {
            stats.hashed(8);
        }
        assert!(stats.history.lock().len() <= 2);
        assert_eq!(stats.snapshot().hashes, 8000);
    }
}
