//! Who sent how much: the last ten minutes share by share, and what a start carries on from the last one.

mod account;
mod changes;
mod links;
mod recent;
mod room;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};

use bq_history::{BlockChange, BlockNote};
use bq_ledger::ShareWeight;
use bq_mining_message::{Share, ShareReject, ShareSequence};
use bq_pool_history::{LuckHistory, Round, Series, Slot, Subject};
use bq_pool_machine::BlockState;
use bq_primitives::{Algorithm, KeyHash, NetworkDifficulty, Timestamp, WorkerName};
use bq_views::ShareCountsView;

use account::Account;
use changes::Changes;
use links::{Links, List};
use recent::{Recent, Run};

/// The window of every hashrate, in seconds. Part of the API: a rate means nothing without its window.
const WINDOW_SECS: u64 = 600;
/// The window of what a worker does just now; part of the API too.
const MINUTE_SECS: u64 = 60;
/// Shares in the window at most, 24 MiB; with more the oldest leave early and rates read low: 1,600 a second for the whole window, which
/// vardiff keeps any pool away from. So many shares are read back, too, by a start that finds no statistics.
pub(crate) const RECENT_MAX: usize = 1_000_000;
/// A miner is active for this long after a share. Longer than the window, so an idle worker has no share in it;
/// part of the API too.
const ACTIVE_SECS: u64 = 3600;

/// How many workers are counted one by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerLimits {
    /// Of one account, all lanes together; shares of further ones are counted under one name.
    pub(crate) per_account_max: usize,
    /// Of all accounts; beyond it idle ones are forgotten, and newcomers are counted under their account's one name. So many accounts may have
    /// that name on top: what an account did shows however many names others have thought of.
    pub(crate) all_max: usize,
    /// Of one account, those of whom every share was refused; refused shares of further ones count for the account.
    pub(crate) refused_per_account_max: usize,
    /// The same of all accounts.
    pub(crate) refused_max: usize,
}

impl WorkerLimits {
    /// Of one account, and of all.
    const fn of(&self, class: Class) -> (usize, usize) {
        match class {
            Class::Proven => (self.per_account_max, self.all_max),
            Class::Refused => (self.refused_per_account_max, self.refused_max),
        }
    }
}

/// The name that further workers are counted under.
const OTHERS: &str = "others";

/// The two readings of the clock that a share is counted by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Seconds since the pool's start: only moves forward, for the last ten minutes.
    pub(crate) running_secs: u64,
    /// For everything that outlives the process.
    pub(crate) unix: Timestamp,
}

/// Who sent how much lately and ever. Every map and queue is bounded by the limits and constants above.
#[derive(Debug)]
pub(crate) struct Stats {
    limits: WorkerLimits,
    recent: VecDeque<Recent>,
    /// How many of those, from the front, are older than a minute.
    older: usize,
    workers: Vec<Worker>,
    free: Vec<usize>,
    by_key: HashMap<WorkerKey, usize>,
    accounts: HashMap<KeyHash, Account>,
    lanes: [Lane; Algorithm::COUNT],
    /// By class, those who were seen last at the end.
    lists: [List; 2],
    in_all: Links,
    in_account: Links,
    changes: Changes,
    /// Blocks that the state has forgotten.
    settled: BTreeMap<(Algorithm, BlockState), u64>,
}

type WorkerKey = (KeyHash, Algorithm, WorkerName);

/// What a worker has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// A share of it was accepted: its name has cost work.
    Proven,
    /// All were refused.
    Refused,
}

impl Class {
    const fn index(self) -> usize {
        match self {
            Self::Proven => 0,
            Self::Refused => 1,
        }
    }
}

#[derive(Debug)]
struct Worker {
    key: WorkerKey,
    class: Class,
    series: Series,
    /// Work in the window.
    work: u128,
    /// Work in the last minute.
    minute: u128,
    run: Run,
    is_changed: bool,
}

impl Worker {
    /// When it did last what its class goes by.
    fn seen(&self) -> Timestamp {
        self.series.last_share().unwrap_or_else(|| self.series.newest())
    }
}

#[derive(Debug, Default)]
struct Lane {
    /// Work in the window.
    work: u128,
    /// Work in the last minute.
    minute: u128,
    series: Series,
    luck: LuckHistory,
    round: Round,
    is_changed: bool,
}

/// One worker on one lane, for views.
#[derive(Clone, Debug)]
pub(crate) struct WorkerStats {
    pub(crate) name: WorkerName,
    pub(crate) algorithm: Algorithm,
    /// Of the last ten minutes.
    pub(crate) hashrate: f64,
    /// Of the last minute.
    pub(crate) hashrate_minute: f64,
    /// Everything else.
    pub(crate) series: Series,
}

impl Stats {
    pub(crate) fn new(limits: WorkerLimits) -> Self {
        Self {
            limits,
            recent: VecDeque::new(),
            older: 0,
            workers: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            accounts: HashMap::new(),
            lanes: Default::default(),
            lists: [List::default(); 2],
            in_all: Links::default(),
            in_account: Links::default(),
            changes: Changes::default(),
            settled: BTreeMap::new(),
        }
    }

    /// An accepted share, and its place in the share log: shares come in the order of the log.
    pub(crate) fn accept(&mut self, now: Moment, sequence: ShareSequence, share: &Share) {
        self.expire(now.running_secs);
        let (is_new, index) = self.count(now.unix, sequence, share);
        if !is_new {
            return;
        }
        let (lane, difficulty) = (share.algorithm, share.difficulty.hashes());
        self.lanes[lane.index()].work += u128::from(difficulty);
        self.lanes[lane.index()].minute += u128::from(difficulty);
        if let Some(worker) = index.and_then(|index| self.workers.get_mut(index)) {
            if worker.work == 0 {
                worker.run = Run { since_secs: now.running_secs, first: difficulty };
            }
            worker.work += u128::from(difficulty);
            worker.minute += u128::from(difficulty);
        }
        let worker = index.and_then(|index| u32::try_from(index).ok());
        self.recent.push_back(Recent { at_secs: now.running_secs, difficulty, lane, worker });
    }

    /// Counts a share for its lane, account and worker, wherever it is not counted yet. Returns whether it was new to its lane, and where its
    /// worker is kept.
    fn count(&mut self, at: Timestamp, sequence: ShareSequence, share: &Share) -> (bool, Option<usize>) {
        let Share { algorithm: lane, payee, difficulty, network_difficulty, block_id, .. } = *share;
        let of_lane = &mut self.lanes[lane.index()];
        of_lane.is_changed = true;
        let weight = ShareWeight::of(difficulty, network_difficulty);
        if let Some((id, round)) = of_lane.round.add(at, sequence, weight, block_id) {
            self.changes.note_block(BlockNote { id, change: BlockChange::Round(round) });
        }
        let is_new = of_lane.series.accept(at, sequence, difficulty);
        if is_new {
            of_lane.luck.add(at, weight, block_id.is_some());
        }
        let index = self.worker_index(at, (payee, lane, share.worker.clone()), Class::Proven);
        if let Some(index) = index
            && self.workers[index].series.accept(at, sequence, difficulty)
        {
            self.touch(index);
            self.mark_worker(index);
        }
        if let Some(account) = self.accounts.get_mut(&payee)
            && account.lane(lane).accept(at, sequence, difficulty)
        {
            account.luck_mut(lane).add(at, weight, block_id.is_some());
            if account.mark(lane) {
                self.changes.accounts.push((payee, lane));
            }
        }
        (is_new, index)
    }

    /// What the hash of an accepted share came to.
    pub(crate) fn note_best(
        &mut self,
        now: Moment,
        payee: KeyHash,
        worker: &WorkerName,
        lane: Algorithm,
        best: NetworkDifficulty,
    ) {
        let is_better = |series: &Series| series.best().is_none_or(|known| known.difficulty < best);
        let of_lane = &mut self.lanes[lane.index()];
        if is_better(&of_lane.series) {
            of_lane.series.note_best(now.unix, best);
            of_lane.is_changed = true;
        }
        if let Some(account) = self.accounts.get_mut(&payee)
            && let Some(series) = account.known_lane(lane)
            && is_better(series)
        {
            series.note_best(now.unix, best);
            if account.mark(lane) {
                self.changes.accounts.push((payee, lane));
            }
        }
        // Of those who share one name the name has the best, and their account.
        let others = || Some((payee, lane, WorkerName::new(OTHERS).ok()?));
        let index = self.by_key.get(&(payee, lane, worker.clone())).copied();
        let index = index.or_else(|| self.by_key.get(&others()?).copied());
        if let Some(index) = index
            && is_better(&self.workers[index].series)
        {
            self.workers[index].series.note_best(now.unix, best);
            self.mark_worker(index);
        }
    }

    /// A refused share.
    pub(crate) fn reject(
        &mut self,
        now: Moment,
        payee: KeyHash,
        worker: &WorkerName,
        lane: Algorithm,
        reason: ShareReject,
    ) {
        let of_lane = &mut self.lanes[lane.index()];
        of_lane.series.refuse(now.unix, reason);
        of_lane.is_changed = true;
        if let Some(index) = self.worker_index(now.unix, (payee, lane, worker.clone()), Class::Refused) {
            self.workers[index].series.refuse(now.unix, reason);
            self.mark_worker(index);
            if self.workers[index].class == Class::Refused {
                self.touch(index);
            }
        }
        if let Some(account) = self.accounts.get_mut(&payee) {
            account.lane(lane).refuse(now.unix, reason);
            if account.mark(lane) {
                self.changes.accounts.push((payee, lane));
            }
        }
    }

    /// Hashes per second of a lane over the last ten minutes and over the last one, or over the time since the start while that is shorter;
    /// at least 10 s, so that the first share does not read as a giant.
    #[expect(clippy::cast_precision_loss, reason = "a displayed estimate")]
    pub(crate) fn lane_hashrates(&mut self, now: u64, lane: Algorithm) -> (f64, f64) {
        self.expire(now);
        let Lane { work, minute, .. } = &self.lanes[lane.index()];
        (*work as f64 / now.clamp(10, WINDOW_SECS) as f64, *minute as f64 / now.clamp(10, MINUTE_SECS) as f64)
    }

    /// What is remembered of a lane, an account's lane or a worker.
    pub(crate) fn series(&self, subject: &Subject, lane: Algorithm) -> Option<&Series> {
        match subject {
            Subject::Pool => Some(&self.lanes[lane.index()].series),
            Subject::Account(account) => {
                let mut lanes = self.accounts.get(account)?.lanes();
                lanes.find(|(known, _)| *known == lane).map(|(_, series)| series)
            }
            Subject::Worker(account, name) => {
                let index = self.by_key.get(&(*account, lane, name.clone()))?;
                self.workers.get(*index).map(|worker| &worker.series)
            }
        }
    }

    /// What an account's lane, or a lane, was expected to find and did.
    pub(crate) fn luck(&self, subject: &Subject, lane: Algorithm) -> Option<LuckHistory> {
        match subject {
            Subject::Pool => Some(self.lanes[lane.index()].luck),
            Subject::Account(account) => {
                self.accounts.get(account)?.luck().find(|(known, _)| *known == lane).map(|(_, luck)| *luck)
            }
            Subject::Worker(..) => None,
        }
    }

    /// Whoever found fewer blocks than expected, and the pool as a whole if it did.
    pub(crate) fn unlucky(&self) -> Vec<(Subject, Algorithm, LuckHistory)> {
        let lanes = Algorithm::ALL.into_iter().zip(&self.lanes).map(|(lane, kept)| (Subject::Pool, lane, &kept.luck));
        let accounts = self
            .accounts
            .iter()
            .flat_map(|(key, account)| account.luck().map(|(lane, luck)| (Subject::Account(*key), lane, luck)));
        let is_unlucky = |luck: &LuckHistory| luck.periods().any(|(_, luck)| luck.is_unlucky());
        let unlucky = lanes.chain(accounts).filter(|(_, _, luck)| is_unlucky(luck));
        unlucky.map(|(subject, lane, luck)| (subject, lane, *luck)).collect()
    }

    /// The present round of a lane.
    pub(crate) const fn round(&self, lane: Algorithm) -> Round {
        self.lanes[lane.index()].round
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
    pub(crate) fn miners(&self, now: Timestamp) -> (u64, u64) {
        let is_active = |at: Timestamp| at.0.saturating_add(ACTIVE_SECS) >= now.0;
        let last = |account: &Account| account.lanes().filter_map(|(_, series)| series.last_share()).max();
        let active = self.accounts.values().filter_map(last).filter(|at| is_active(*at)).count();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        (count(active), count(self.by_key.len()))
    }

    /// Whether anything is remembered of an account.
    pub(crate) fn knows(&self, account: KeyHash) -> bool {
        self.accounts.contains_key(&account)
    }

    /// Up to `max` workers of an account after one, in order of name and lane.
    pub(crate) fn workers_of(
        &mut self,
        now: u64,
        account: KeyHash,
        after: Option<&(WorkerName, Algorithm)>,
        max: usize,
    ) -> Vec<WorkerStats> {
        self.expire(now);
        let Some(account) = self.accounts.get(&account) else { return Vec::new() };
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let indexes = account.names.range::<(WorkerName, Algorithm), _>((from, std::ops::Bound::Unbounded));
        indexes
            .take(max)
            .filter_map(|(_, index)| self.workers.get(*index))
            .map(|worker| WorkerStats {
                name: worker.key.2.clone(),
                algorithm: worker.key.1,
                hashrate: worker.run.rate(now, worker.work, WINDOW_SECS),
                hashrate_minute: worker.run.rate(now, worker.minute, MINUTE_SECS),
                series: worker.series.clone(),
            })
            .collect()
    }

    /// Hashes per second of an account on each lane that it was seen on, over ten minutes and over one.
    pub(crate) fn account_hashrates(&mut self, now: u64, account: KeyHash) -> BTreeMap<Algorithm, (f64, f64)> {
        self.expire(now);
        let mut rates = BTreeMap::<Algorithm, (f64, f64)>::new();
        let Some(account) = self.accounts.get(&account) else { return rates };
        rates.extend(account.lanes().map(|(lane, _)| (lane, (0.0, 0.0))));
        for ((_, lane), index) in &account.names {
            let worker = &self.workers[*index];
            let sum = rates.entry(*lane).or_default();
            sum.0 += worker.run.rate(now, worker.work, WINDOW_SECS);
            sum.1 += worker.run.rate(now, worker.minute, MINUTE_SECS);
        }
        rates
    }
}

/// Shares by result, for views.
pub(crate) fn counts_view(slot: &Slot) -> ShareCountsView {
    let rejected = slot.refused.iter().map(|(reason, count)| (reason.name().to_owned(), count)).collect();
    ShareCountsView { accepted: slot.accepted, rejected }
}
