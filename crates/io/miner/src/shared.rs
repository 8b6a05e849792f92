use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bq_pow::PowVerifier;
use bq_primitives::Algorithm;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{mpsc, watch};

use crate::{
    MinerConfig, TargetSource,
    job::{Found, Job, is_met},
    stats::LaneStats,
};

/// Shares waiting for their connection; a full queue means that the pool is gone or the share target is far too easy, and
/// further shares are lost and counted.
const SHARES_WAITING_MAX: usize = 256;

/// What may change while the miner runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) enabled: bool,
    pub(crate) threads: usize,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Final: everything ends.
    pub(crate) stopped: bool,
}

impl Settings {
    /// Connections of `algorithm` have a purpose.
    pub(crate) fn wants(&self, algorithm: Algorithm) -> bool {
        self.enabled && !self.stopped && self.threads > 0 && self.algorithms.contains(&algorithm)
    }
}

/// What worker threads, connections and the handle share.
pub(crate) struct Shared {
    pub(crate) pow: Arc<PowVerifier>,
    pub(crate) settings: watch::Sender<Settings>,
    /// One per endpoint, in increasing algorithm id.
    pub(crate) lanes: Vec<Lane>,
    pub(crate) rotate: Duration,
    pub(crate) low_priority: bool,
    pub(crate) ethash_dataset: bool,
    pub(crate) block_targets: Option<TargetSource>,
    started: Instant,
    /// Guards nothing: threads that have nothing to do sleep on it.
    idle: Mutex<()>,
    news: Condvar,
}

/// One algorithm's work and shares.
pub(crate) struct Lane {
    pub(crate) algorithm: Algorithm,
    pub(crate) stats: LaneStats,
    job: RwLock<Option<Arc<Job>>>,
    shares: mpsc::Sender<FoundShare>,
}

/// A share on its way to the pool.
#[derive(Debug)]
pub(crate) struct FoundShare {
    pub(crate) job: Arc<Job>,
    pub(crate) found: Found,
    /// Also meets the block target, as far as we know.
    pub(crate) is_block: bool,
}

impl Shared {
    /// Lanes in the order of the configured endpoints, and for each the other end of its queue of shares.
    pub(crate) fn new(config: &MinerConfig, pow: Arc<PowVerifier>) -> (Self, Vec<mpsc::Receiver<FoundShare>>) {
        let started = Instant::now();
        let (lanes, receivers) = config
            .endpoints
            .iter()
            .map(|(algorithm, _)| {
                let (shares, receiver) = mpsc::channel(SHARES_WAITING_MAX);
                let stats = LaneStats::new(*algorithm, started);
                (Lane { algorithm: *algorithm, stats, job: RwLock::new(None), shares }, receiver)
            })
            .unzip();
        let settings = Settings {
            enabled: config.enabled,
            threads: config.threads,
            algorithms: config.algorithms.clone(),
            stopped: false,
        };
        let shared = Self {
            pow,
            settings: watch::Sender::new(settings),
            lanes,
            rotate: config.rotate,
            low_priority: config.low_priority,
            ethash_dataset: config.ethash_dataset,
            block_targets: config.block_targets.clone(),
            started,
            idle: Mutex::new(()),
            news: Condvar::new(),
        };
        (shared, receivers)
    }

    /// The lane whose turn it is for worker `index`, and its job. Workers are spread over the lanes that have work, and all
    /// move on by one after each `rotate`.
    pub(crate) fn turn(&self, index: usize, settings: &Settings) -> Option<(&Lane, Arc<Job>)> {
        let ready: Vec<_> = self
            .lanes
            .iter()
            .filter(|lane| settings.algorithms.contains(&lane.algorithm))
            .filter_map(|lane| Some((lane, lane.job()?)))
            .collect();
        let slices = self.started.elapsed().as_nanos() / self.rotate.as_nanos().max(1);
        let turn = usize::try_from(slices % 0x1_0000).unwrap_or(0).wrapping_add(index);
        let count = ready.len();
        ready.into_iter().nth(turn.checked_rem(count)?)
    }

    /// Sleeps until something may have changed, at most `longest`.
    pub(crate) fn wait_for_news(&self, longest: Duration) {
        self.news.wait_for(&mut self.idle.lock(), longest);
    }

    /// Wakes threads that have nothing to do.
    pub(crate) fn announce_news(&self) {
        drop(self.idle.lock());
        self.news.notify_all();
    }

    /// Replaces the work of a lane, or takes it away.
    pub(crate) fn set_job(&self, lane: &Lane, job: Option<Arc<Job>>) {
        lane.stats.connected(job.is_some());
        *lane.job.write() = job;
        self.announce_news();
    }

    /// Hands a share to the lane's connection.
    pub(crate) fn submit(&self, lane: &Lane, job: &Arc<Job>, found: Found) {
        let target = self.block_targets.as_ref().and_then(|targets| targets(lane.algorithm));
        let is_block = target.is_some_and(|target| is_met(lane.algorithm, &target, &found.value));
        if lane.shares.try_send(FoundShare { job: Arc::clone(job), found, is_block }).is_err() {
            lane.stats.lost();
        }
    }
}

impl Lane {
    pub(crate) fn job(&self) -> Option<Arc<Job>> {
        self.job.read().clone()
    }
}
