use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bq_mining_message::MiningMode;
use bq_pow::PowVerifier;
use bq_primitives::{Algorithm, PowKey, PowValue};
use bq_stratum_client::{ClientSettings, Outbox};
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{Notify, broadcast, watch};

use crate::{
    BlockSource, MinerConfig, MinerEvent, NextBlock,
    affinity::Affinity,
    client::tables::Builds,
    dataset::{DatasetKeeper, VerifierBuild},
    job::{Found, Job},
    stats::{LaneStats, WorkerStats},
    tls::Tls,
};

/// Events waiting for whoever shows them; one that is too slow misses the oldest.
const EVENTS_WAITING_MAX: usize = 256;
/// How long to wait for new work after a block was found: everything older is worthless once the block is accepted, and
/// if it is not, the old work goes on.
const AFTER_BLOCK: Duration = Duration::from_millis(500);

/// What may change while the miner runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) enabled: bool,
    /// Connections stay, nothing is hashed.
    pub(crate) paused: bool,
    pub(crate) threads: usize,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) mode: MiningMode,
    /// What `auto` chose; nothing before it did, or where nothing may be mined.
    pub(crate) choice: Option<Algorithm>,
    /// GPUs that hash beside the threads.
    pub(crate) gpus_working: usize,
    /// Final: everything ends.
    pub(crate) stopped: bool,
}

impl Settings {
    /// Connections of `algorithm` have a purpose.
    pub(crate) fn wants(&self, algorithm: Algorithm) -> bool {
        self.enabled && !self.stopped && self.hashers() > 0 && self.algorithms.contains(&algorithm)
    }

    const fn hashers(&self) -> usize {
        self.threads.saturating_add(self.gpus_working)
    }

    /// Threads may hash.
    pub(crate) const fn hashes(&self) -> bool {
        self.enabled && !self.paused && !self.stopped
    }

    /// Threads may hash, and this.
    pub(crate) fn mines_now(&self, algorithm: Algorithm) -> bool {
        self.hashes() && self.mines(algorithm)
    }

    /// `algorithm` may have a turn.
    fn mines(&self, algorithm: Algorithm) -> bool {
        let is_chosen = match self.mode {
            MiningMode::Turns => true,
            MiningMode::Auto => self.choice == Some(algorithm),
        };
        is_chosen && self.algorithms.contains(&algorithm)
    }
}

/// What worker threads, connections and the handle share.
pub(crate) struct Shared {
    pub(crate) pow: Arc<PowVerifier>,
    pub(crate) settings: watch::Sender<Settings>,
    /// One per algorithm that has an endpoint, in increasing id.
    pub(crate) lanes: Vec<Lane>,
    /// By index of the thread, those that ended included.
    pub(crate) workers: RwLock<Vec<Arc<WorkerStats>>>,
    /// What became of the GPUs, by number, in words; the reason if there are none.
    pub(crate) gpus: RwLock<Vec<String>>,
    pub(crate) events: broadcast::Sender<MinerEvent>,
    /// What is put up with from pools.
    pub(crate) client: ClientSettings,
    pub(crate) tls: Tls,
    pub(crate) rotate: Duration,
    pub(crate) priority: Option<u8>,
    pub(crate) affinity: Affinity,
    /// Builds full Ethash datasets, if they are to be mined from.
    pub(crate) ethash_datasets: Option<Arc<DatasetKeeper<VerifierBuild>>>,
    blocks: Option<BlockSource>,
    started: Instant,
    /// Threads that hash, or are about to look whether they should.
    hashing: AtomicUsize,
    /// Lanes whose client has not ended.
    open: Arc<AtomicUsize>,
    /// Guards nothing: threads that have nothing to do sleep on it.
    idle: Mutex<()>,
    news: Condvar,
}

/// One algorithm's work and shares: what its lane (SPEC 8) is to a miner.
pub(crate) struct Lane {
    pub(crate) algorithm: Algorithm,
    pub(crate) stats: LaneStats,
    job: RwLock<Option<Arc<Job>>>,
    /// Of the newest job. A share of an older generation means nothing to the pool: it was told to forget that job, or
    /// never gave it out on this connection.
    generation: AtomicU64,
    /// Do not hash the present job before then: a block was found on it.
    rests_until: Mutex<Option<Instant>>,
    tables: RwLock<Tables>,
    pub(crate) builds: Mutex<Builds>,
    /// Shares of the present connection.
    pub(crate) outbox: Mutex<Outbox<FoundShare>>,
    /// Tells the connection that there is something new in it, or that a search ended.
    pub(crate) to_send: Notify,
    /// Nothing more is to be found for the present connection, which ends.
    is_closed: AtomicBool,
    /// Steps of a search that are under way.
    searches: AtomicUsize,
}

/// A step of a search: its shares are in the outbox when it ends.
pub(crate) struct Search<'a>(&'a Lane);

impl Drop for Search<'_> {
    fn drop(&mut self) {
        self.0.searches.fetch_sub(1, Ordering::SeqCst);
        if self.0.is_closed.load(Ordering::SeqCst) {
            self.0.to_send.notify_one();
        }
    }
}

/// A lane's client that has not ended.
pub(crate) struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The tables that are built for a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tables {
    None,
    /// Enough to hash under this key.
    Usable(PowKey),
    /// And none that would make it faster is still being built.
    Complete(PowKey),
}

/// A thread that hashes: see [`Shared::hashing`].
pub(crate) struct Hashing<'a>(&'a AtomicUsize);

impl Drop for Hashing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
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
    /// One lane for each algorithm of the configured endpoints.
    pub(crate) fn new(config: &MinerConfig, lanes: &[Algorithm], pow: Arc<PowVerifier>, tls: Tls) -> Self {
        let lanes = lanes.iter().map(|algorithm| Lane::new(*algorithm, config.client.clone())).collect();
        let settings = Settings {
            enabled: config.enabled,
            paused: false,
            threads: config.threads,
            algorithms: config.algorithms.clone(),
            mode: config.mode,
            choice: None,
            gpus_working: 0,
            stopped: false,
        };
        let ethash_datasets = config.ethash_dataset.then(|| {
            let (directory, low_priority) = (config.ethash_dataset_dir.clone(), config.cpu_priority == Some(0));
            let build = VerifierBuild { pow: Arc::clone(&pow), directory, low_priority };
            Arc::new(DatasetKeeper::new(build, config.ethash_dataset_ahead))
        });
        Self {
            pow,
            settings: watch::Sender::new(settings),
            lanes,
            workers: RwLock::new(Vec::new()),
            gpus: RwLock::new(Vec::new()),
            events: broadcast::Sender::new(EVENTS_WAITING_MAX),
            client: config.client.clone(),
            tls,
            rotate: config.rotate,
            priority: config.cpu_priority,
            affinity: config.affinity.clone(),
            ethash_datasets,
            blocks: config.blocks.clone(),
            started: Instant::now(),
            hashing: AtomicUsize::new(0),
            open: Arc::default(),
            idle: Mutex::new(()),
            news: Condvar::new(),
        }
    }

    /// The moment that [`Shared::now`] calls `time`, to wait for; one too far away is a day away.
    pub(crate) fn instant(&self, time: Duration) -> tokio::time::Instant {
        const FAR: Duration = Duration::from_secs(86_400);
        let in_time = time.saturating_sub(self.now()).min(FAR);
        tokio::time::Instant::now() + in_time
    }

    /// Counts a client as open until the guard is dropped.
    pub(crate) fn open(&self) -> Open {
        self.open.fetch_add(1, Ordering::SeqCst);
        Open(Arc::clone(&self.open))
    }

    /// Clients that are counted so.
    pub(crate) fn clients_open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Time since the start: what meters count by.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// What a thread counts under. Threads that end leave theirs to the next of their index.
    pub(crate) fn worker_stats(&self, index: usize) -> Arc<WorkerStats> {
        let mut workers = self.workers.write();
        if workers.len() <= index {
            workers.resize_with(index + 1, Arc::default);
        }
        workers.get(index).cloned().unwrap_or_default()
    }

    /// The lane whose turn it is for worker `index`, and its job. Workers are spread over the lanes that have work, and all
    /// move on by one after each `rotate`.
    pub(crate) fn turn(&self, index: usize, settings: &Settings) -> Option<(&Lane, Arc<Job>)> {
        self.turn_among(index, |algorithm| settings.mines(algorithm))
    }

    /// As [`Shared::turn`], among the algorithms that the caller mines.
    pub(crate) fn turn_among(&self, index: usize, mines: impl Fn(Algorithm) -> bool) -> Option<(&Lane, Arc<Job>)> {
        let ready: Vec<_> = self
            .lanes
            .iter()
            .filter(|lane| mines(lane.algorithm) && self.is_active(lane.algorithm))
            .filter_map(|lane| Some((lane, lane.workable_job()?)))
            .collect();
        let slices = self.started.elapsed().as_nanos() / self.rotate.as_nanos().max(1);
        let turn = usize::try_from(slices % 0x1_0000).unwrap_or(0).wrapping_add(index);
        let count = ready.len();
        ready.into_iter().nth(turn.checked_rem(count)?)
    }

    /// There is a chain to ask for targets and rewards.
    pub(crate) const fn has_chain(&self) -> bool {
        self.blocks.is_some()
    }

    /// `algorithm` may seal the next block, as far as we know.
    pub(crate) fn is_active(&self, algorithm: Algorithm) -> bool {
        self.blocks.as_ref().is_none_or(|blocks| blocks(algorithm).is_some())
    }

    /// The next block of `algorithm`, if it may seal it and there is a chain to ask.
    pub(crate) fn next_block(&self, algorithm: Algorithm) -> Option<NextBlock> {
        self.blocks.as_ref().and_then(|blocks| blocks(algorithm))
    }

    /// Counts the calling thread as hashing until the guard is dropped. Taken before the settings are looked at: once nobody
    /// is counted after a pause, nobody hashes until it ends.
    pub(crate) fn hashing(&self) -> Hashing<'_> {
        self.hashing.fetch_add(1, Ordering::SeqCst);
        Hashing(&self.hashing)
    }

    /// How many threads are counted so.
    pub(crate) fn threads_hashing(&self) -> usize {
        self.hashing.load(Ordering::SeqCst)
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
    pub(crate) fn set_job(&self, lane: &Lane, job: Option<Job>) {
        lane.stats.connected(job.is_some());
        lane.set_job(job);
        self.announce_news();
    }

    /// Hands the shares of one step to the lane's connection, a block last: once that is accepted the others are stale.
    pub(crate) fn submit(&self, lane: &Lane, job: &Arc<Job>, found: Vec<Found>) {
        if found.is_empty() {
            return;
        }
        let target = self.next_block(lane.algorithm).map(|block| block.target);
        let is_block =
            |found: &Found| target.is_some_and(|target| PowValue::of(lane.algorithm, &found.value).meets(&target));
        let (blocks, shares): (Vec<Found>, Vec<Found>) = found.into_iter().partition(is_block);
        let has_block = !blocks.is_empty();
        let shares = shares.into_iter().map(|found| (found, false));
        let mut outbox = lane.outbox.lock();
        for (found, is_block) in shares.chain(blocks.into_iter().map(|found| (found, true))) {
            if lane.is_current(job) {
                outbox.push(FoundShare { job: Arc::clone(job), found, is_block }, is_block);
            } else {
                lane.stats.stale();
            }
        }
        drop(outbox);
        lane.to_send.notify_one();
        if has_block {
            self.lanes.iter().for_each(Lane::rest);
        }
    }

    /// Tells whoever listens; nobody need.
    pub(crate) fn tell(&self, event: MinerEvent) {
        let _nobody_listens = self.events.send(event);
    }
}

impl Lane {
    fn new(algorithm: Algorithm, settings: ClientSettings) -> Self {
        Self {
            algorithm,
            stats: LaneStats::new(algorithm),
            job: RwLock::new(None),
            generation: AtomicU64::new(0),
            rests_until: Mutex::new(None),
            tables: RwLock::new(Tables::None),
            builds: Mutex::default(),
            outbox: Mutex::new(Outbox::new(settings)),
            to_send: Notify::new(),
            is_closed: AtomicBool::new(false),
            searches: AtomicUsize::new(0),
        }
    }

    /// A connection begins.
    pub(crate) fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
    }

    /// The connection is about to end: no more searches begin.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Begins a step of a search, unless the connection is about to end.
    pub(crate) fn search(&self) -> Option<Search<'_>> {
        self.searches.fetch_add(1, Ordering::SeqCst);
        let search = Search(self);
        // Looked at after counting: whoever closes and then finds nobody counted has all shares.
        (!self.is_closed.load(Ordering::SeqCst)).then_some(search)
    }

    /// Nothing is searched, and every share that was found is answered.
    pub(crate) fn is_settled(&self) -> bool {
        self.searches.load(Ordering::SeqCst) == 0 && self.outbox.lock().is_settled()
    }

    pub(crate) fn job(&self) -> Option<Arc<Job>> {
        self.job.read().clone()
    }

    /// The pool may still take a share of `job`.
    pub(crate) fn is_current(&self, job: &Job) -> bool {
        job.generation == self.generation.load(Ordering::Acquire)
    }

    /// Hashing the present job is as fast as it will be.
    pub(crate) fn is_ready(&self) -> bool {
        self.job().is_some_and(|job| *self.tables.read() == Tables::Complete(job.work.key()))
    }

    /// The tables of `key` can be used, and are complete or not yet. Ignored for a key that is not needed any more.
    pub(crate) fn set_tables(&self, key: PowKey, is_complete: bool) {
        let job = self.job.read();
        if job.as_ref().is_some_and(|job| job.work.key() == key) {
            *self.tables.write() = if is_complete { Tables::Complete(key) } else { Tables::Usable(key) };
        }
    }

    /// The present job, if a thread may hash it now: not while its tables are being built, which would hold the thread up,
    /// not while the lane rests, and not while more shares wait than the pool takes. Those that no pool would hear of in time
    /// are not worth finding.
    fn workable_job(&self) -> Option<Arc<Job>> {
        let is_open = !self.is_closed.load(Ordering::SeqCst) && !self.outbox.lock().is_full();
        let job = self.job().filter(|_| is_open && !self.rests())?;
        let key = job.work.key();
        let tables = *self.tables.read();
        (tables == Tables::Usable(key) || tables == Tables::Complete(key)).then_some(job)
    }

    fn set_job(&self, job: Option<Job>) {
        let mut place = self.job.write();
        if job.as_ref().is_none_or(|job| job.is_clean) {
            self.generation.fetch_add(1, Ordering::AcqRel);
            *self.rests_until.lock() = None;
        }
        let generation = self.generation.load(Ordering::Acquire);
        *place = job.map(|job| Arc::new(Job { generation, ..job }));
    }

    fn rest(&self) {
        *self.rests_until.lock() = Instant::now().checked_add(AFTER_BLOCK);
    }

    fn rests(&self) -> bool {
        self.rests_until.lock().is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Proof, Work};
    use bq_primitives::{BlockId, PowHash, Target};

    fn shared(blocks: Option<BlockSource>) -> Shared {
        let endpoint = "127.0.0.1:1".parse().unwrap();
        let config = MinerConfig { blocks, ..MinerConfig::new(vec![(Algorithm::RandomX, endpoint)], String::new()) };
        let tls = Tls::new(crate::TlsTrust::Public).unwrap();
        Shared::new(&config, &[Algorithm::RandomX], Arc::new(PowVerifier::default()), tls)
    }

    /// The next share to send.
    fn next(lane: &Lane) -> Option<(String, bool)> {
        lane.outbox.lock().send(Duration::ZERO).map(|(_, share)| (share.job.id.clone(), share.is_block))
    }

    fn job(id: &str, is_clean: bool) -> Job {
        let work = Work::RandomX { blob: vec![0; 76], key: BlockId([1; 32]), is_top_byte_fixed: false };
        Job { is_clean, ..Job::new(id.to_owned(), Target::MAX, work) }
    }

    /// Gives the lane a job whose tables are built.
    fn give(shared: &Shared, job: Job) {
        let key = job.work.key();
        shared.set_job(&shared.lanes[0], Some(job));
        shared.lanes[0].set_tables(key, true);
    }

    fn found(value: u8) -> Found {
        Found { proof: Proof::RandomX { nonce: u32::from(value) }, value: PowHash([value; 32]) }
    }

    #[test]
    fn a_share_of_a_job_that_was_cleaned_away_is_stale_and_stays_here() {
        let shared = shared(None);
        let lane = &shared.lanes[0];
        give(&shared, job("1", true));
        let first = lane.job().unwrap();
        give(&shared, job("2", false));
        shared.submit(lane, &first, vec![found(1)]);
        assert_eq!(next(lane).unwrap().0, "1", "only the difficulty changed");
        give(&shared, job("3", true));
        shared.submit(lane, &first, vec![found(2)]);
        assert_eq!(next(lane), None);
        shared.set_job(lane, None);
        shared.submit(lane, &first, vec![found(2), found(3)]);
        assert_eq!(next(lane), None);
        assert_eq!(lane.stats.snapshot(Duration::ZERO).stale, 3);
    }

    #[test]
    fn a_block_goes_last_and_ends_work_on_its_job() {
        let block = NextBlock { target: Target(bq_primitives::U256::MAX >> 4_usize), reward_atoms: 1 };
        let shared = shared(Some(Arc::new(move |_| Some(block))));
        let (lane, settings) = (&shared.lanes[0], shared.settings.borrow().clone());
        give(&shared, job("1", true));
        let first = lane.job().unwrap();
        assert!(shared.turn(0, &settings).is_some());
        shared.submit(lane, &first, vec![found(0x01), found(0xff)]);
        let order: Vec<bool> = std::iter::from_fn(|| next(lane)).map(|(_, is_block)| is_block).collect();
        assert_eq!(order, [false, true]);
        assert!(shared.turn(0, &settings).is_none());
        give(&shared, job("2", false));
        assert!(shared.turn(0, &settings).is_none(), "still the old parent");
        give(&shared, job("3", true));
        assert_eq!(shared.turn(0, &settings).unwrap().1.id, "3");
    }

    #[test]
    fn a_job_waits_for_its_tables() {
        let shared = shared(None);
        let (lane, settings) = (&shared.lanes[0], shared.settings.borrow().clone());
        let key = job("1", true).work.key();
        shared.set_job(lane, Some(job("1", true)));
        assert!(shared.turn(0, &settings).is_none());
        lane.set_tables(PowKey::RandomX(BlockId([2; 32])), true);
        assert!(shared.turn(0, &settings).is_none(), "those of another key");
        lane.set_tables(key, false);
        assert!(shared.turn(0, &settings).is_some() && !lane.is_ready());
        lane.set_tables(key, true);
        assert!(shared.turn(0, &settings).is_some() && lane.is_ready());
    }

    #[test]
    fn an_algorithm_that_may_not_seal_the_next_block_rests() {
        let shared = shared(Some(Arc::new(|_| None)));
        give(&shared, job("1", true));
        assert!(shared.turn(0, &shared.settings.borrow().clone()).is_none());
    }

    #[test]
    fn no_more_shares_are_found_than_wait() {
        let shared = shared(None);
        let (lane, settings) = (&shared.lanes[0], shared.settings.borrow().clone());
        give(&shared, job("1", true));
        let first = lane.job().unwrap();
        let mut pushed = 0;
        while shared.turn(0, &settings).is_some() {
            shared.submit(lane, &first, vec![found(1), found(2)]);
            pushed += 2;
        }
        assert_eq!(pushed, shared.client.waiting_max);
        next(lane).unwrap();
        assert!(shared.turn(0, &settings).is_some(), "room again");
        assert_eq!(lane.stats.snapshot(Duration::ZERO).lost, 0);
    }

    #[test]
    fn a_closing_connection_waits_for_the_searches_that_began_before() {
        let shared = shared(None);
        let (lane, settings) = (&shared.lanes[0], shared.settings.borrow().clone());
        give(&shared, job("1", true));
        let first = lane.job().unwrap();
        let search = lane.search().unwrap();
        lane.close();
        assert!(lane.search().is_none() && shared.turn(0, &settings).is_none());
        assert!(!lane.is_settled());
        shared.submit(lane, &first, vec![found(1)]);
        drop(search);
        assert!(!lane.is_settled(), "found and not answered");
        let id = lane.outbox.lock().send(Duration::ZERO).unwrap().0;
        assert!(lane.outbox.lock().accepted(id).is_some());
        assert!(lane.is_settled());
        lane.open();
        assert!(shared.turn(0, &settings).is_some());
    }
}
