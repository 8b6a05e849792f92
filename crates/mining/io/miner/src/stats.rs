use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use bq_primitives::Algorithm;
use parking_lot::Mutex;

use crate::{
    meter::{HashMeter, WINDOWS},
    metrics::MinerMetrics,
    speed::Speed,
};

/// What the miner did and does.
#[derive(Clone, Debug, PartialEq)]
pub struct MinerStats {
    /// Worker threads that may run.
    pub threads: usize,
    /// Threads that hash just now. Zero after a pause or a stop means that not one hash more is computed.
    pub threads_hashing: usize,
    /// Nothing is hashed until it is resumed.
    pub paused: bool,
    /// Per algorithm that has an endpoint, in increasing id.
    pub algorithms: Vec<AlgorithmStats>,
    /// Per worker thread, what it hashes.
    pub workers: Vec<Vec<(Algorithm, Hashrates)>>,
    /// Per GPU, what it is and what became of it, in words; or one line on why there is none. Empty if none was asked for,
    /// or the search for them is not over.
    pub gpus: Vec<String>,
}

/// Hashes per second, turns of other algorithms and pauses included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hashrates {
    /// Over the last 10 seconds; nothing, here and below, until the miner hashed that long ago.
    pub secs_10: Option<f64>,
    /// Over the last 60 seconds.
    pub secs_60: Option<f64>,
    /// Over the last 15 minutes.
    pub mins_15: Option<f64>,
    /// The highest over any 10 seconds.
    pub max: Option<f64>,
    /// Over the last minute, or since the first hash if that is less.
    pub recent: f64,
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
    /// Of all threads together.
    pub hashrate: Hashrates,
    /// Shares that the pool credited.
    pub accepted: u64,
    /// Shares that the pool refused for another reason than being late.
    pub rejected: u64,
    /// Shares that came too late: the pool said so, or new work had come before they could be sent.
    pub stale: u64,
    /// Shares whose fate nobody knows: they had no answer when their connection ended. None is lost for want of speed.
    pub lost: u64,
    /// Shares that were sent again because the pool was busy.
    pub resent: u64,
    /// Lines of pools that were passed over: not JSON, jobs of wrong lengths, difficulties that nobody can meet.
    pub nonsense: u64,
    /// Accepted shares that met the block target; zero where no block target is known.
    pub blocks_found: u64,
    /// What went wrong last: a refused share, a lost connection, a table that could not be built.
    pub last_error: Option<String>,
}

/// Counters of one algorithm.
pub(crate) struct LaneStats {
    algorithm: Algorithm,
    metrics: MinerMetrics,
    connected: AtomicBool,
    hashes: AtomicU64,
    /// Those of them that worker threads made, not GPUs.
    thread_hashes: AtomicU64,
    /// Time that worker threads spent on these, in nanoseconds.
    busy_ns: AtomicU64,
    accepted: AtomicU64,
    rejected: AtomicU64,
    stale: AtomicU64,
    lost: AtomicU64,
    resent: AtomicU64,
    nonsense: AtomicU64,
    blocks: AtomicU64,
    meter: Mutex<HashMeter>,
    last_error: Mutex<Option<String>>,
    /// Kept by the controller.
    speed: Mutex<Speed>,
}

/// What one thread hashes, by [`Algorithm::index`].
#[derive(Debug, Default)]
pub(crate) struct WorkerStats {
    meters: [Mutex<HashMeter>; Algorithm::COUNT],
}

impl WorkerStats {
    pub(crate) fn hashed(&self, algorithm: Algorithm, began: Duration, ended: Duration, count: u64) {
        if let Some(meter) = self.meters.get(algorithm.index()) {
            meter.lock().record(began, ended, count);
        }
    }

    /// Of the algorithms that it hashed.
    pub(crate) fn snapshot(&self, now: Duration) -> Vec<(Algorithm, Hashrates)> {
        let rates = Algorithm::ALL.into_iter().zip(&self.meters);
        rates
            .map(|(algorithm, meter)| (algorithm, hashrates(&meter.lock(), now)))
            .filter(|(_, rates)| *rates != Hashrates::default())
            .collect()
    }
}

impl LaneStats {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            metrics: MinerMetrics::register(algorithm),
            connected: AtomicBool::new(false),
            hashes: AtomicU64::new(0),
            thread_hashes: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            nonsense: AtomicU64::new(0),
            blocks: AtomicU64::new(0),
            meter: Mutex::default(),
            last_error: Mutex::new(None),
            speed: Mutex::default(),
        }
    }

    /// A thread hashed from `began` to `ended`.
    pub(crate) fn hashed(&self, began: Duration, ended: Duration, count: u64) {
        let busy = ended.saturating_sub(began);
        self.thread_hashes.fetch_add(count, Ordering::Relaxed);
        self.busy_ns.fetch_add(u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.hashed_by_gpu(began, ended, count);
    }

    /// A GPU did, which says nothing about the speed of threads.
    pub(crate) fn hashed_by_gpu(&self, began: Duration, ended: Duration, count: u64) {
        self.hashes.fetch_add(count, Ordering::Relaxed);
        self.metrics.hashed(count);
        self.meter.lock().record(began, ended, count);
    }

    pub(crate) fn accepted(&self, is_block: bool) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.blocks.fetch_add(u64::from(is_block), Ordering::Relaxed);
        self.metrics.share("accepted");
    }

    /// The pool refused a share; being late is told from its words, as no dialect has a field for it.
    pub(crate) fn refused(&self, reason: String) {
        let is_late = is_late(&reason);
        // First: whoever sees it counted finds the reason.
        self.failed(reason);
        if is_late {
            self.stale();
        } else {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            self.metrics.share("rejected");
        }
    }

    pub(crate) fn stale(&self) {
        self.stale.fetch_add(1, Ordering::Relaxed);
        self.metrics.share("stale");
    }

    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.metrics.share("lost");
    }

    /// The pool was busy, and gets the share once more.
    pub(crate) fn resent(&self) {
        self.resent.fetch_add(1, Ordering::Relaxed);
        self.metrics.resent();
    }

    /// A line of the pool was passed over.
    pub(crate) fn nonsense(&self, what: &str) {
        self.failed(what.to_owned());
        self.nonsense.fetch_add(1, Ordering::Relaxed);
        self.metrics.nonsense();
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
        self.metrics.connected(connected);
    }

    pub(crate) fn failed(&self, error: String) {
        *self.last_error.lock() = Some(error);
    }

    /// Hashes of threads since start, and the time that they spent on them.
    pub(crate) fn work(&self) -> (u64, Duration) {
        (self.thread_hashes.load(Ordering::Relaxed), Duration::from_nanos(self.busy_ns.load(Ordering::Relaxed)))
    }

    /// Changes what is known of the speed of one thread.
    pub(crate) fn with_speed<T>(&self, change: impl FnOnce(&mut Speed) -> T) -> T {
        change(&mut self.speed.lock())
    }

    pub(crate) const fn metrics(&self) -> &MinerMetrics {
        &self.metrics
    }

    pub(crate) fn snapshot(&self, now: Duration) -> AlgorithmStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AlgorithmStats {
            algorithm: self.algorithm,
            connected: self.connected.load(Ordering::Relaxed),
            hashes: count(&self.hashes),
            hashrate: hashrates(&self.meter.lock(), now),
            accepted: count(&self.accepted),
            rejected: count(&self.rejected),
            stale: count(&self.stale),
            lost: count(&self.lost),
            resent: count(&self.resent),
            nonsense: count(&self.nonsense),
            blocks_found: count(&self.blocks),
            last_error: self.last_error.lock().clone(),
        }
    }
}

fn hashrates(meter: &HashMeter, now: Duration) -> Hashrates {
    let [secs_10, secs_60, mins_15] = WINDOWS.map(|window| meter.rate(now, window));
    let max = meter.max().into_iter().chain(secs_10).reduce(f64::max);
    Hashrates { secs_10, secs_60, mins_15, max, recent: meter.rate_so_far(now, WINDOWS[1]) }
}

/// The words that pools have for a share that came too late.
fn is_late(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    ["stale", "job not found", "expired", "unknown job", "invalid job"].iter().any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_shares_are_told_from_bad_ones() {
        let stats = LaneStats::new(Algorithm::Ethash);
        for reason in ["Stale share", "Job not found", "Block expired", "low difficulty share", "Duplicate share"] {
            stats.refused(reason.to_owned());
        }
        let now = stats.snapshot(Duration::ZERO);
        assert_eq!((now.stale, now.rejected), (3, 2));
        assert_eq!(now.last_error.as_deref(), Some("Duplicate share"));
    }

    #[test]
    fn threads_are_counted_apart_and_together() {
        let (lane, workers) = (LaneStats::new(Algorithm::Ethash), [WorkerStats::default(), WorkerStats::default()]);
        let secs = Duration::from_secs;
        for (turn, worker) in (0..8).zip(workers.iter().cycle()) {
            let (began, ended) = (secs(turn * 5), secs(turn * 5 + 5));
            lane.hashed(began, ended, 500);
            worker.hashed(Algorithm::Ethash, began, ended, 500);
        }
        lane.hashed_by_gpu(secs(39), secs(40), 0);
        assert_eq!(lane.work(), (4000, secs(40)));
        assert_eq!(lane.snapshot(secs(40)).hashrate.secs_10, Some(100.0));
        for worker in workers {
            let rates = worker.snapshot(secs(40));
            assert_eq!(rates.len(), 1);
            assert_eq!((rates[0].0, rates[0].1.secs_10), (Algorithm::Ethash, Some(50.0)));
        }
    }
}
