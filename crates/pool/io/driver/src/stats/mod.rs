use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bq_ledger::ShareWeight;
use bq_mining_message::{Share, ShareReject};
use bq_pool_machine::BlockState;
use bq_primitives::{Algorithm, KeyHash, WorkerName};
use bq_views::ShareCountsView;

/// The window of every hashrate, in seconds. Part of the API: a rate means nothing without its window.
const WINDOW_SECS: u64 = 600;
/// The window of what a worker does just now; part of the API too.
const MINUTE_SECS: u64 = 60;
/// Shares in the window at most, 24 MiB; with more the oldest leave early and rates read low: 1,600 a second for the whole window, which
/// vardiff keeps any pool away from.
const RECENT_MAX: usize = 1_000_000;
/// A miner is active for this long after a share. Longer than the window, so an idle worker has no share in it;
/// part of the API too.
const ACTIVE_SECS: u64 = 3600;
/// Workers that are looked at for a newcomer's sake when there is no room: more than one, so that those who went idle are found, and not all, for
/// then each share of a stranger would cost a walk over a hundred thousand.
const LOOKS_PER_SHARE: usize = 4;
/// How many workers are counted one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerLimits {
    /// Of one account, all lanes together; shares of further ones are counted under one name.
    pub(crate) per_account_max: usize,
    /// Of all accounts; beyond it idle ones are forgotten, and newcomers are counted under their account's one name. So many accounts may have
    /// that name on top: what an account did shows however many names others have thought of.
    pub(crate) all_max: usize,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self { per_account_max: 1000, all_max: 100_000 }
    }
}

/// The name that further workers are counted under.
const OTHERS: &str = "others";

/// Who sent how much lately, and share counts since start. Every map and queue is bounded by the limits and constants above.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    limits: WorkerLimits,
    recent: VecDeque<Recent>,
    /// How many of those, from the front, are older than a minute.
    older: usize,
    workers: Vec<Worker>,
    free: Vec<usize>,
    /// Everybody who is kept, once: who comes first is looked at next.
    looks: VecDeque<usize>,
    by_key: HashMap<WorkerKey, usize>,
    accounts: HashMap<KeyHash, Account>,
    lanes: [Tally; Algorithm::COUNT],
    /// Work since the lane's last block, that block's own share not counted, in 2^-60 of a block.
    rounds: [u128; Algorithm::COUNT],
    /// Blocks that the state has forgotten.
    settled: BTreeMap<(Algorithm, BlockState), u64>,
}

type WorkerKey = (KeyHash, Algorithm, WorkerName);

/// A share in the window.
#[derive(Clone, Copy, Debug)]
struct Recent {
    at_secs: u64,
    difficulty: u64,
    lane: Algorithm,
    /// Position in `workers`; nothing for a share that counts for its lane only.
    worker: Option<u32>,
}

#[derive(Debug, Default)]
struct Account {
    workers: BTreeSet<usize>,
    /// The last of them that was looked at for a newcomer's sake.
    looked: usize,
    last_share_secs: u64,
}

#[derive(Debug)]
struct Worker {
    key: WorkerKey,
    tally: Tally,
    /// Work in the last minute.
    minute: u128,
    run: Run,
    last_share_secs: u64,
    last_share_unix: u64,
}

/// A worker's shares without a window's length between them: its rate is over the time since the first.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    since_secs: u64,
    /// Of the share that it began with: what it took to find that one lies before.
    first: u64,
}

/// Work in the window, and shares since start by result.
#[derive(Clone, Debug, Default)]
struct Tally {
    work: u128,
    accepted: u64,
    rejected: BTreeMap<ShareReject, u64>,
}

/// One worker on one lane, for views.
#[derive(Clone, Debug)]
pub(crate) struct WorkerStats {
    pub(crate) name: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) hashrate: f64,
    /// Of the last minute.
    pub(crate) hashrate_minute: f64,
    pub(crate) shares: ShareCountsView,
    pub(crate) last_share_unix: u64,
}

impl Stats {
    pub(crate) fn new(limits: WorkerLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// An accepted share, `now` seconds after the pool's start.
    pub(crate) fn accept(&mut self, now: u64, share: &Share) {
        self.expire(now);
        let Share { algorithm: lane, payee, difficulty, network_difficulty, time_ms, .. } = *share;
        let (account, worker) = (payee, share.worker.clone());
        let round = &mut self.rounds[lane.index()];
        let weight = ShareWeight::of(difficulty, network_difficulty);
        *round = if share.block_id.is_some() { 0 } else { round.saturating_add(weight.parts().into()) };
        let difficulty = difficulty.hashes();
        self.lanes[lane.index()].accept(difficulty);
        let index = self.worker_index(now, account, lane, worker);
        if let Some(worker) = index.and_then(|index| self.workers.get_mut(index)) {
            if worker.tally.work == 0 {
                worker.run = Run { since_secs: now, first: difficulty };
            }
            worker.tally.accept(difficulty);
            worker.minute += u128::from(difficulty);
            worker.last_share_secs = now;
            worker.last_share_unix = time_ms / 1000;
        }
        if let Some(account) = self.accounts.get_mut(&account) {
            account.last_share_secs = now;
        }
        let worker = index.and_then(|index| u32::try_from(index).ok());
        self.recent.push_back(Recent { at_secs: now, difficulty, lane, worker });
    }

    /// A refused share. Only workers with an accepted share are counted one by one: a name costs work.
    pub(crate) fn reject(&mut self, payee: KeyHash, worker: &WorkerName, lane: Algorithm, reason: ShareReject) {
        *self.lanes[lane.index()].rejected.entry(reason).or_default() += 1;
        let index = self.by_key.get(&(payee, lane, worker.clone()));
        if let Some(worker) = index.and_then(|index| self.workers.get_mut(*index)) {
            *worker.tally.rejected.entry(reason).or_default() += 1;
        }
    }

    /// Hashes per second of a lane.
    pub(crate) fn lane_hashrate(&mut self, now: u64, lane: Algorithm) -> f64 {
        self.expire(now);
        self.lanes[lane.index()].rate(now)
    }

    /// Shares of a lane.
    pub(crate) fn lane_counts(&self, lane: Algorithm) -> ShareCountsView {
        self.lanes[lane.index()].view()
    }

    /// Work since the lane's last block, in 2^-60 of the expected work for one.
    pub(crate) const fn round(&self, lane: Algorithm) -> u128 {
        self.rounds[lane.index()]
    }

    /// A share from before this start that belongs to the lane's present round.
    pub(crate) fn add_to_round(&mut self, lane: Algorithm, weight: ShareWeight) {
        let round = &mut self.rounds[lane.index()];
        *round = round.saturating_add(weight.parts().into());
    }

    /// Shares read back for the rounds at start, at most.
    pub(crate) const fn rounds_read_max(&self) -> usize {
        RECENT_MAX
    }

    /// Blocks that the state has forgotten.
    pub(crate) const fn settled_blocks(&self) -> &BTreeMap<(Algorithm, BlockState), u64> {
        &self.settled
    }

    /// A block from before this start that the state has forgotten.
    pub(crate) fn note_settled_block(&mut self, algorithm: Algorithm, state: BlockState) {
        *self.settled.entry((algorithm, state)).or_default() += 1;
    }

    /// Accounts with a share in the last hour, and workers.
    pub(crate) fn miners(&self, now: u64) -> (u64, u64) {
        let active = self.accounts.values().filter(|account| !is_idle(account.last_share_secs, now)).count();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        (count(active), count(self.by_key.len()))
    }

    /// Every worker of an account, in order of name and lane.
    pub(crate) fn workers_of(&mut self, now: u64, account: KeyHash) -> Vec<WorkerStats> {
        self.expire(now);
        let indexes = self.accounts.get(&account).map(|account| &account.workers);
        let mut workers: Vec<_> = indexes
            .into_iter()
            .flatten()
            .filter_map(|index| self.workers.get(*index))
            .map(|worker| WorkerStats {
                name: worker.key.2.to_string(),
                algorithm: worker.key.1,
                hashrate: worker.rate(now, worker.tally.work, WINDOW_SECS),
                hashrate_minute: worker.rate(now, worker.minute, MINUTE_SECS),
                shares: worker.tally.view(),
                last_share_unix: worker.last_share_unix,
            })
            .collect();
        workers.sort_by(|a, b| (&a.name, a.algorithm).cmp(&(&b.name, b.algorithm)));
        workers
    }

    /// Where a worker is kept; nothing when there is no room.
    fn worker_index(&mut self, now: u64, account: KeyHash, lane: Algorithm, name: WorkerName) -> Option<usize> {
        let mut key = (account, lane, name);
        if let Some(index) = self.by_key.get(&key) {
            return Some(*index);
        }
        if self.by_key.len() >= self.limits.all_max {
            self.look_for_idle(now);
        }
        if self.is_account_full(account) {
            self.look_for_idle_of(now, account);
        }
        if self.is_account_full(account) || self.by_key.len() >= self.limits.all_max {
            key.2 = WorkerName::new(OTHERS).unwrap_or_default();
            if let Some(index) = self.by_key.get(&key) {
                return Some(*index);
            }
        }
        if self.by_key.len() >= self.limits.all_max.saturating_mul(2) {
            return None;
        }
        let worker = Worker {
            key: key.clone(),
            tally: Tally::default(),
            minute: 0,
            run: Run::default(),
            last_share_secs: now,
            last_share_unix: 0,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.workers[index] = worker;
                index
            }
            None => {
                self.workers.push(worker);
                self.workers.len() - 1
            }
        };
        self.accounts.entry(account).or_default().workers.insert(index);
        self.by_key.insert(key, index);
        self.looks.push_back(index);
        Some(index)
    }

    /// Looks at the next few workers, and forgets those without a share in the last hour; none of them has a share in the window.
    fn look_for_idle(&mut self, now: u64) {
        for _ in 0..LOOKS_PER_SHARE.min(self.looks.len()) {
            let Some(index) = self.looks.pop_front() else { return };
            if is_idle(self.workers[index].last_share_secs, now) {
                self.forget(index);
            } else {
                self.looks.push_back(index);
            }
        }
    }

    fn is_account_full(&self, account: KeyHash) -> bool {
        self.accounts.get(&account).is_some_and(|account| account.workers.len() >= self.limits.per_account_max)
    }

    /// The same among the workers of one account.
    fn look_for_idle_of(&mut self, now: u64, account: KeyHash) {
        for _ in 0..LOOKS_PER_SHARE {
            let Some(account) = self.accounts.get_mut(&account) else { return };
            let next = account.workers.range(account.looked.saturating_add(1)..).next();
            let Some(index) = next.or_else(|| account.workers.first()).copied() else { return };
            account.looked = index;
            if is_idle(self.workers[index].last_share_secs, now) {
                self.looks.retain(|look| *look != index);
                self.forget(index);
            }
        }
    }

    fn forget(&mut self, index: usize) {
        let key = &self.workers[index].key;
        self.by_key.remove(key);
        if let Some(account) = self.accounts.get_mut(&key.0) {
            account.workers.remove(&index);
            if account.workers.is_empty() {
                self.accounts.remove(&key.0);
            }
        }
        self.free.push(index);
    }

    /// Takes out of the sums what left a window.
    fn expire(&mut self, now: u64) {
        self.expire_minute(now);
        while let Some(oldest) = self.recent.front().copied() {
            if oldest.at_secs + WINDOW_SECS >= now && self.recent.len() < RECENT_MAX {
                return;
            }
            if self.older == 0 {
                self.leave_minute(oldest);
            }
            self.recent.pop_front();
            self.older = self.older.saturating_sub(1);
            self.lanes[oldest.lane.index()].leave(oldest.difficulty);
            if let Some(worker) = self.worker_of(oldest) {
                worker.tally.leave(oldest.difficulty);
            }
        }
    }

    fn expire_minute(&mut self, now: u64) {
        while let Some(next) = self.recent.get(self.older).copied().filter(|next| next.at_secs + MINUTE_SECS < now) {
            self.leave_minute(next);
        }
    }

    fn leave_minute(&mut self, recent: Recent) {
        self.older += 1;
        if let Some(worker) = self.worker_of(recent) {
            worker.minute = worker.minute.saturating_sub(recent.difficulty.into());
        }
    }

    fn worker_of(&mut self, recent: Recent) -> Option<&mut Worker> {
        let index = recent.worker.and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.workers.get_mut(index))
    }
}

impl Worker {
    /// Work over the window, or over the time since the first share while that is shorter; at least 10 s, so that two shares in a row
    /// do not read as a giant. What was done for the first share was done before it.
    #[expect(clippy::cast_precision_loss, reason = "a displayed estimate")]
    fn rate(&self, now: u64, work: u128, window_secs: u64) -> f64 {
        let since = now.saturating_sub(self.run.since_secs);
        if since > window_secs {
            return work as f64 / window_secs as f64;
        }
        work.saturating_sub(self.run.first.into()) as f64 / since.max(10) as f64
    }
}

impl Tally {
    fn accept(&mut self, difficulty: u64) {
        self.work += u128::from(difficulty);
        self.accepted += 1;
    }

    fn leave(&mut self, difficulty: u64) {
        self.work = self.work.saturating_sub(difficulty.into());
    }

    /// Work over the window, or over the time since the start while that is shorter; at least 10 s, so that the first
    /// share does not read as a giant.
    #[expect(clippy::cast_precision_loss, reason = "a displayed estimate")]
    fn rate(&self, now: u64) -> f64 {
        self.work as f64 / now.clamp(10, WINDOW_SECS) as f64
    }

    fn view(&self) -> ShareCountsView {
        let rejected = self.rejected.iter().map(|(reason, count)| (reason.name().to_owned(), *count)).collect();
        ShareCountsView { accepted: self.accepted, rejected }
    }
}

const fn is_idle(last_share_secs: u64, now: u64) -> bool {
    last_share_secs + ACTIVE_SECS < now
}

/// Adds the counts of one worker to those of its account.
pub(crate) fn add_counts(sum: &mut ShareCountsView, more: &ShareCountsView) {
    sum.accepted += more.accepted;
    for (reason, count) in &more.rejected {
        *sum.rejected.entry(reason.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use bq_primitives::{Height, NetworkDifficulty, ShareDifficulty};

    use super::*;

    fn share(account: u8, worker: &str, difficulty: u64) -> Share {
        Share {
            algorithm: Algorithm::Ethash,
            payee: KeyHash([account; 32]),
            worker: WorkerName::new(worker).expect("plain"),
            difficulty: ShareDifficulty::from_hashes(difficulty),
            network_difficulty: NetworkDifficulty::MAX,
            height: Height(1),
            time_ms: 5000,
            block_id: None,
        }
    }

    #[test]
    fn a_rate_is_the_work_of_the_window_over_its_length() {
        let mut stats = Stats::default();
        for second in 1..=1200 {
            stats.accept(second, &share(1, "a", 500));
            stats.accept(second, &share(1, "b", 1500));
        }
        let lane = stats.lane_hashrate(1200, Algorithm::Ethash);
        assert!((lane - 2000.0).abs() < 10.0, "{lane}");
        let workers = stats.workers_of(1200, KeyHash([1; 32]));
        assert_eq!(workers.iter().map(|worker| worker.shares.accepted).collect::<Vec<_>>(), [1200, 1200]);
        assert!((workers[1].hashrate - 1500.0).abs() < 10.0);
        assert!(stats.lane_hashrate(1801, Algorithm::Ethash) < 1.0, "all shares left the window");
        assert!(stats.lane_hashrate(1801, Algorithm::Sha256d) < 1.0);
    }

    /// A minute after its start a worker shows what it does, however long the pool has run.
    #[test]
    fn a_workers_rate_is_over_its_own_time() {
        let mut stats = Stats::default();
        let rates = |stats: &mut Stats, now| {
            let worker = stats.workers_of(now, KeyHash([1; 32])).pop().expect("one worker");
            (worker.hashrate.round(), worker.hashrate_minute.round())
        };
        for second in (50_000..=50_300).step_by(5) {
            stats.accept(second, &share(1, "a", 1_000));
        }
        assert_eq!(rates(&mut stats, 50_300), (200.0, 217.0));
        let mut young = Stats::default();
        young.accept(50_000, &share(1, "a", 1_000));
        assert_eq!(rates(&mut young, 50_001), (0.0, 0.0), "one share says nothing");
        for second in (50_005..=50_060).step_by(5) {
            young.accept(second, &share(1, "a", 1_000));
        }
        assert_eq!(rates(&mut young, 50_060), (200.0, 200.0));
        assert_eq!(rates(&mut young, 50_125), (96.0, 0.0), "it stopped: the minute says so at once");
        young.accept(51_000, &share(1, "a", 1_000));
        young.accept(51_010, &share(1, "a", 1_000));
        assert_eq!(rates(&mut young, 51_010), (100.0, 100.0), "after a pause it begins anew");
    }

    #[test]
    fn rejects_are_counted_by_reason_for_known_workers_only() {
        let mut stats = Stats::default();
        stats.accept(1, &share(1, "a", 1));
        let (known, unknown) = (WorkerName::new("a").expect("plain"), WorkerName::new("b").expect("plain"));
        stats.reject(KeyHash([1; 32]), &known, Algorithm::Ethash, ShareReject::Stale);
        stats.reject(KeyHash([1; 32]), &unknown, Algorithm::Ethash, ShareReject::Stale);
        assert_eq!(stats.lane_counts(Algorithm::Ethash).rejected.get("stale"), Some(&2));
        let workers = stats.workers_of(1, KeyHash([1; 32]));
        assert_eq!(workers.len(), 1);
        assert_eq!(workers[0].shares.rejected.get("stale"), Some(&1));
    }

    #[test]
    fn names_of_one_account_are_bounded() {
        let mut stats = Stats::default();
        for number in 0..3000 {
            stats.accept(1, &share(1, &format!("rig{number}"), 1));
        }
        stats.accept(1, &share(2, "rig", 1));
        let workers = stats.workers_of(1, KeyHash([1; 32]));
        assert_eq!(workers.len(), WorkerLimits::default().per_account_max + 1);
        let accepted: u64 = workers.iter().map(|worker| worker.shares.accepted).sum();
        assert_eq!(accepted, 3000);
        assert_eq!(stats.miners(1), (2, 1002));
        assert_eq!(stats.miners(5000), (0, 1002));
    }

    #[test]
    fn names_that_went_idle_make_room_in_their_own_account() {
        let mut stats = Stats::new(WorkerLimits { per_account_max: 16, all_max: 1_000 });
        for number in 0..16 {
            stats.accept(1, &share(1, &format!("forged{number}"), 1));
        }
        stats.accept(100, &share(1, "rig", 1));
        assert!(stats.workers_of(100, KeyHash([1; 32])).iter().any(|worker| worker.name == "others"));
        for _ in 0..8 {
            stats.accept(4_000, &share(1, "rig", 1));
        }
        let rig = stats.workers_of(4_000, KeyHash([1; 32])).into_iter().find(|worker| worker.name == "rig");
        assert_eq!(rig.map(|rig| rig.shares.accepted), Some(8), "a stranger's names do not stay before its own");
        assert_eq!(stats.looks.len(), stats.by_key.len());
    }

    #[test]
    fn a_stranger_takes_the_place_of_who_is_idle_and_of_nobody_else() {
        let mut stats = Stats::new(WorkerLimits { per_account_max: 2_000, all_max: 1_000 });
        for number in 0..1_000 {
            stats.accept(1, &share(1, &format!("rig{number}"), 1));
        }
        stats.accept(3_000, &share(1, "rig7", 1));
        for number in 0..50_000 {
            stats.accept(3_600, &share(2, &format!("stranger{number}"), 1));
        }
        assert_eq!(stats.miners(3_600), (2, 1_001), "nobody was idle: all strangers are one");
        let strangers = stats.workers_of(3_600, KeyHash([2; 32]));
        let told: Vec<_> = strangers.iter().map(|worker| (worker.name.as_str(), worker.shares.accepted)).collect();
        assert_eq!(told, [("others", 50_000)], "what an account did shows whatever names others took");
        for number in 0..1_500 {
            stats.accept(4_000, &share(3, &format!("new{number}"), 1));
        }
        assert_eq!(stats.miners(4_000), (3, 1_001));
        let names = |account| stats.accounts.get(&KeyHash([account; 32])).map_or(0, |account| account.workers.len());
        assert_eq!((names(1), names(3)), (1, 999), "rig7 was not idle");
        assert_eq!((stats.workers.len(), stats.looks.len()), (1_001, 1_001), "places are used again");
        assert_eq!(stats.lane_counts(Algorithm::Ethash).accepted, 52_501, "who has no place counts for the lane");
    }
}
