use std::collections::{BTreeMap, HashMap, VecDeque};

use bq_api_types::{AcceptedShare, ShareCountsView, ShareReject};
use bq_primitives::{AccountId, Algorithm, WorkerName};

/// The window of every hashrate, in seconds.
pub(crate) const WINDOW_SECS: u64 = 600;
/// Workers of one account and lane at most; shares of further ones are counted under one name.
const WORKERS_PER_ACCOUNT_MAX: usize = 1000;
/// Workers of all accounts at most; beyond it idle ones are forgotten, and newcomers wait.
const WORKERS_MAX: usize = 100_000;
/// Shares in the window at most; with more the oldest leave early and the rate reads low.
const RING_MAX: usize = 2_000_000;
/// A miner is active for this long after a share.
const ACTIVE_SECS: u64 = 3600;
/// The name that further workers are counted under.
const OTHERS: &str = "others";

/// Who sent how much lately, and share counts since start. Every map and queue is bounded by the constants above.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    ring: VecDeque<Recent>,
    workers: HashMap<(AccountId, Algorithm, WorkerName), Worker>,
    accounts: HashMap<AccountId, Account>,
    lanes: [LaneStats; Algorithm::COUNT],
}

#[derive(Debug)]
struct Recent {
    at_secs: u64,
    account: AccountId,
    algorithm: Algorithm,
    difficulty: u64,
    worker: WorkerName,
}

#[derive(Debug, Default)]
struct Account {
    workers: usize,
    last_share_secs: u64,
}

#[derive(Clone, Debug, Default)]
struct LaneStats {
    work: u128,
    counts: Counts,
}

#[derive(Clone, Debug, Default)]
struct Worker {
    work: u128,
    counts: Counts,
    last_share_secs: u64,
    last_share_unix: u64,
}

/// Shares by result.
#[derive(Clone, Debug, Default)]
struct Counts {
    accepted: u64,
    rejected: BTreeMap<ShareReject, u64>,
}

/// One worker on one lane, for views.
#[derive(Clone, Debug)]
pub(crate) struct WorkerStats {
    pub(crate) name: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) hashrate: f64,
    pub(crate) shares: ShareCountsView,
    pub(crate) last_share_unix: u64,
}

impl Stats {
    /// An accepted share, `now` seconds after the pool's start.
    pub(crate) fn accept(&mut self, now: u64, share: AcceptedShare) {
        self.expire(now);
        let AcceptedShare { algorithm, account, worker, difficulty, time_ms, .. } = share;
        let work = u128::from(difficulty.hashes());
        let lane = &mut self.lanes[algorithm.index()];
        lane.work += work;
        lane.counts.accepted += 1;
        let worker = self.worker_for(now, account, algorithm, worker);
        if let Some((key, stats)) = worker {
            stats.work += work;
            stats.counts.accepted += 1;
            stats.last_share_secs = now;
            stats.last_share_unix = time_ms / 1000;
            let (account, algorithm, worker) = key;
            self.accounts.entry(account).or_default().last_share_secs = now;
            let difficulty = difficulty.hashes();
            self.ring.push_back(Recent { at_secs: now, account, algorithm, difficulty, worker });
        } else {
            // Nothing to subtract it from later.
            self.lanes[algorithm.index()].work -= work;
        }
    }

    /// A refused share. Only workers with an accepted share are counted one by one: names cost work.
    pub(crate) fn reject(
        &mut self,
        account: AccountId,
        worker: &WorkerName,
        algorithm: Algorithm,
        reason: ShareReject,
    ) {
        *self.lanes[algorithm.index()].counts.rejected.entry(reason).or_default() += 1;
        if let Some(worker) = self.workers.get_mut(&(account, algorithm, worker.clone())) {
            *worker.counts.rejected.entry(reason).or_default() += 1;
        }
    }

    fn worker_for(
        &mut self,
        now: u64,
        account: AccountId,
        algorithm: Algorithm,
        worker: WorkerName,
    ) -> Option<((AccountId, Algorithm, WorkerName), &mut Worker)> {
        let mut key = (account, algorithm, worker);
        if !self.workers.contains_key(&key) {
            if self.workers.len() >= WORKERS_MAX {
                self.forget_idle(now);
            }
            let known = self.accounts.get(&account).map_or(0, |account| account.workers);
            if known >= WORKERS_PER_ACCOUNT_MAX {
                key.2 = WorkerName::new(OTHERS).unwrap_or_default();
            }
        }
        if !self.workers.contains_key(&key) {
            if self.workers.len() >= WORKERS_MAX {
                return None;
            }
            self.accounts.entry(account).or_default().workers += 1;
        }
        let worker = self.workers.entry(key.clone()).or_default();
        Some((key, worker))
    }

    fn forget_idle(&mut self, now: u64) {
        let is_idle = |last: u64| last + ACTIVE_SECS < now;
        let accounts = &mut self.accounts;
        self.workers.retain(|(account, _, _), worker| {
            let keep = !is_idle(worker.last_share_secs);
            if !keep && let Some(account) = accounts.get_mut(account) {
                account.workers = account.workers.saturating_sub(1);
            }
            keep
        });
        accounts.retain(|_, account| account.workers > 0);
    }

    /// Drops what left the window.
    fn expire(&mut self, now: u64) {
        while let Some(oldest) = self.ring.front() {
            if oldest.at_secs + WINDOW_SECS >= now && self.ring.len() < RING_MAX {
                return;
            }
            let Some(Recent { account, algorithm, difficulty, worker, .. }) = self.ring.pop_front() else { return };
            let work = u128::from(difficulty);
            self.lanes[algorithm.index()].work -= work;
            if let Some(worker) = self.workers.get_mut(&(account, algorithm, worker)) {
                worker.work = worker.work.saturating_sub(work);
            }
        }
    }

    /// Hashes per second of a lane.
    pub(crate) fn lane_hashrate(&mut self, now: u64, algorithm: Algorithm) -> f64 {
        self.expire(now);
        rate(self.lanes[algorithm.index()].work, now)
    }

    /// Shares of a lane.
    pub(crate) fn lane_counts(&self, algorithm: Algorithm) -> ShareCountsView {
        self.lanes[algorithm.index()].counts.view()
    }

    /// Accounts with a share in the last hour, and workers.
    pub(crate) fn miners(&self, now: u64) -> (u64, u64) {
        let active = self.accounts.values().filter(|account| account.last_share_secs + ACTIVE_SECS >= now).count();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        (count(active), count(self.workers.len()))
    }

    /// Every worker of an account, in order of name and lane.
    pub(crate) fn workers_of(&mut self, now: u64, account: AccountId) -> Vec<WorkerStats> {
        self.expire(now);
        if !self.accounts.contains_key(&account) {
            return Vec::new();
        }
        let mut workers: Vec<_> = self
            .workers
            .iter()
            .filter(|((owner, _, _), _)| *owner == account)
            .map(|((_, algorithm, name), worker)| WorkerStats {
                name: name.to_string(),
                algorithm: *algorithm,
                hashrate: rate(worker.work, now),
                shares: worker.counts.view(),
                last_share_unix: worker.last_share_unix,
            })
            .collect();
        workers.sort_by(|a, b| (&a.name, a.algorithm).cmp(&(&b.name, b.algorithm)));
        workers
    }
}

impl Counts {
    fn view(&self) -> ShareCountsView {
        let rejected = self.rejected.iter().map(|(reason, count)| (reason.name().to_owned(), *count)).collect();
        ShareCountsView { accepted: self.accepted, rejected }
    }
}

/// Adds the counts of one worker to those of its account.
pub(crate) fn add_counts(sum: &mut ShareCountsView, more: &ShareCountsView) {
    sum.accepted += more.accepted;
    for (reason, count) in &more.rejected {
        *sum.rejected.entry(reason.clone()).or_default() += count;
    }
}

/// Work over the window, or over the time since the start while that is shorter; at least 10 s, so that the first share
/// does not read as a giant.
#[expect(clippy::cast_precision_loss, reason = "a displayed estimate")]
fn rate(work: u128, now: u64) -> f64 {
    work as f64 / now.clamp(10, WINDOW_SECS) as f64
}
