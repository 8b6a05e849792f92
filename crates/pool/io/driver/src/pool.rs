use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bq_chain_api::{BoxStream, NodeApi, Template};
use bq_condition::Condition;
use bq_mining_message::{
    AccessError, AccountScheme, AuthorizeError, PoolApi, PoolTemplate, RecordShareError, SettingsTaken, Share,
    ShareReject, SignedRequest,
};
use bq_pool_history::Subject;
use bq_pool_machine::{AccountSettings, Decision, DecisionError, PoolOperator, PoolStatus, Reason};
use bq_primitives::{Algorithm, Block, KeyHash, Network, NetworkDifficulty, WorkerName};
use bq_views::{
    BlockCursor, BlocksView, CoinbasePaymentsView, CoinbaseView, EarningsView, Event, EvidenceWanted, HistoryView,
    LiabilitiesView, MinerView, Page, PayoutsView, PoolView, PoolViews, SettingsView, ViewError, WorkerCursor,
    WorkersView,
};
use parking_lot::Mutex;
use tokio::{
    sync::{broadcast, watch},
    time::{sleep, timeout},
};
use tokio_stream::{StreamExt as _, wrappers::WatchStream};

use crate::{
    BackupError, PayoutSigner, PoolConfig, PoolError,
    backup::{Owner, check_free, make},
    keeper::Keeper,
    operator::refused,
    rounds::{BOOKS_RETRY, Rounds},
    stopped::backed_up,
    trouble::Trouble,
};

/// How soon a template is asked for again after the node had none: miners stand still meanwhile, so it is short for everybody.
const TEMPLATE_RETRY: Duration = Duration::from_secs(1);

/// A running pool.
pub struct Pool {
    keeper: Arc<Keeper>,
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    connections: AtomicU64,
}

impl Pool {
    /// Opens the books in the data directory, finishes what a crash left half-done, and starts the pool's threads. Blocks
    /// on disk: never call it on an async worker thread.
    ///
    /// # Errors
    /// See [`PoolError`]: the pool must not start. A damaged or foreign file is named.
    pub fn open(
        config: PoolConfig,
        node: Arc<dyn NodeApi>,
        signer: Arc<dyn PayoutSigner>,
    ) -> Result<Arc<Self>, PoolError> {
        let keeper = Arc::new(Keeper::open(config, node, signer)?);
        keeper.trouble(Trouble::Template, Some("the pool has no block template yet".to_owned()));
        let (stop, stopped) = watch::channel(false);
        let pool = Arc::new(Self { keeper, stop, threads: Mutex::default(), connections: AtomicU64::new(0) });
        pool.start("pool-template", stopped.clone(), keep_template_fresh)?;
        pool.start("pool-books", stopped.clone(), keep_books)?;
        if pool.keeper.signer.is_remote() {
            pool.start("pool-signer", stopped.clone(), keep_signed)?;
        }
        pool.start("pool-statistics", stopped, keep_statistics)?;
        Ok(pool)
    }

    /// Where the live feed comes from; subscribe to it.
    #[must_use]
    pub fn events(&self) -> broadcast::Sender<Event> {
        self.keeper.live.clone()
    }

    /// Coinbases pay its miners, by the terms in force.
    #[must_use]
    pub fn pays_directly(&self) -> bool {
        self.keeper.state.read().terms().is_some_and(bq_pool_machine::Terms::is_direct)
    }

    /// Tells how many Stratum connections are open, which only the server knows.
    pub fn set_connections(&self, connections: u64) {
        self.connections.store(connections, Ordering::Relaxed);
    }

    /// What a person should know of the pool now; empty when all is well. May try the disk: not for an async worker thread.
    #[must_use]
    pub fn conditions(&self) -> Vec<Condition> {
        self.keeper.conditions()
    }

    /// Stops the threads, takes no more shares, and writes everything. Blocks until all is done; a second call does nothing.
    pub fn shutdown(&self) {
        self.stop.send_replace(true);
        let threads: Vec<_> = self.threads.lock().drain(..).collect();
        if threads.is_empty() {
            return;
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a pool thread panicked");
            }
        }
        self.keeper.submitter.stop();
        let close = || -> Result<(), PoolError> {
            self.keeper.tell_frames()?;
            self.keeper.checkpoint(true)
        };
        self.keeper.write_history();
        if let Err(error) = close() {
            tracing::error!(%error, "the books are not closed cleanly; they are caught up at the next start");
        }
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    fn start<F>(
        &self,
        name: &str,
        stopped: watch::Receiver<bool>,
        work: fn(Arc<Keeper>, watch::Receiver<bool>) -> F,
    ) -> Result<(), PoolError>
    where
        F: Future<Output = ()> + 'static,
    {
        // The work blocks on disk and node, so it has a thread of its own; the runtime in it only waits.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let keeper = Arc::clone(&self.keeper);
        let run = move || {
            while !*stopped.borrow() {
                let (of_work, stopped) = (Arc::clone(&keeper), stopped.clone());
                let work = std::panic::AssertUnwindSafe(|| runtime.block_on(work(of_work, stopped)));
                if std::panic::catch_unwind(work).is_ok() {
                    return;
                }
                tracing::error!("a thread of the pool panicked and is started again");
                keeper.thread_panicked();
                std::thread::sleep(BOOKS_RETRY);
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        self.threads.lock().push(thread);
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shutdown();
    }
}

async fn keep_template_fresh(keeper: Arc<Keeper>, mut stopped: watch::Receiver<bool>) {
    let mut tips = keeper.node.tip_changes();
    let mut made: Option<Instant> = None;
    while !*stopped.borrow_and_update() {
        let pause = match keeper.refresh_template() {
            Ok(()) => {
                made = Some(Instant::now());
                keeper.config.template_interval
            }
            Err(error) => {
                tracing::warn!(%error, "no new template");
                keeper.metrics.template_failed();
                keeper.trouble(Trouble::Template, Some(error.to_string()));
                TEMPLATE_RETRY
            }
        };
        let wait = async {
            loop {
                keeper.metrics.template_age(made.map_or(0.0, |made| made.elapsed().as_secs_f64()));
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = async { drop(timeout(pause, wait).await) } => {}
            changed = tips.next() => if changed.is_none() { return },
            () = keeper.template_now.notified() => {}
            _ = stopped.changed() => {}
        }
    }
}

async fn keep_books(keeper: Arc<Keeper>, mut stopped: watch::Receiver<bool>) {
    let mut tips = keeper.node.tip_changes();
    let mut rounds = Rounds::default();
    while !*stopped.borrow_and_update() {
        let pause = rounds.round(&keeper);
        tokio::select! {
            () = sleep(pause) => {}
            () = keeper.look_now.notified() => {
                // Shares that come together are told together.
                sleep(keeper.config.frame_interval).await;
            }
            changed = tips.next() => if changed.is_none() { return },
            _ = stopped.changed() => {}
        }
    }
}

/// Apart from the books, so that a signer that is away or slow keeps nobody waiting.
async fn keep_signed(keeper: Arc<Keeper>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow_and_update() {
        keeper.sign_wanted();
        tokio::select! {
            () = sleep(keeper.config.signer_follow_interval) => {}
            () = keeper.signing.now.notified() => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Apart from the books, so that a slow disk keeps neither from the other's work.
async fn keep_statistics(keeper: Arc<Keeper>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow_and_update() {
        tokio::select! {
            () = sleep(keeper.config.statistics_interval) => keeper.write_history(),
            _ = stopped.changed() => {}
        }
    }
}

impl PoolApi for Pool {
    fn authorize(&self, address: &str) -> Result<KeyHash, AuthorizeError> {
        self.keeper.authorize(address)
    }

    fn template(&self) -> Option<Arc<Template>> {
        self.keeper.template.borrow().as_ref().map(|template| Arc::clone(&template.shared))
    }

    fn scheme_of(&self, payee: KeyHash) -> AccountScheme {
        self.keeper.state.read().scheme_of(&payee)
    }

    fn schemes_version(&self) -> u64 {
        self.keeper.schemes_version.load(Ordering::Acquire)
    }

    fn templates(&self) -> BoxStream<'static, Arc<PoolTemplate>> {
        Box::pin(WatchStream::new(self.keeper.template.subscribe()).filter_map(|template| template))
    }

    fn record_share(&self, share: Share, block: Option<Block>) -> Result<(), RecordShareError> {
        if self.is_stopped() {
            if let Some(block) = block {
                let submission = self.keeper.submitter.submit(block);
                self.keeper.submitter.wait(&submission, self.keeper.config.block_wait);
            }
            return Err(RecordShareError::Closed);
        }
        self.keeper.record(&share, block)
    }

    fn record_shares(&self, shares: Vec<Share>) -> Vec<Result<(), RecordShareError>> {
        if self.is_stopped() {
            return shares.iter().map(|_| Err(RecordShareError::Closed)).collect();
        }
        self.keeper.record_all(&shares)
    }

    fn note_achieved(&self, payee: KeyHash, worker: &WorkerName, algorithm: Algorithm, achieved: NetworkDifficulty) {
        self.keeper.stats.lock().note_best(self.keeper.moment(), payee, worker, algorithm, achieved);
    }

    fn is_locked(&self, payee: KeyHash) -> bool {
        self.keeper.is_locked(&payee)
    }

    fn change_settings(
        &self,
        request: &SignedRequest,
        may_verify: &dyn Fn(KeyHash) -> bool,
    ) -> Option<Result<SettingsTaken, AccessError>> {
        self.keeper.change_settings(request, may_verify)
    }

    fn has_account(&self, payee: KeyHash) -> bool {
        self.keeper.state.read().accounts().find(&payee).is_some()
    }

    fn note_rejected(&self, payee: KeyHash, worker: &WorkerName, algorithm: Algorithm, reason: ShareReject) {
        self.keeper.stats.lock().reject(self.keeper.moment(), payee, worker, algorithm, reason);
    }
}

impl PoolViews for Pool {
    fn pool(&self) -> Result<PoolView, ViewError> {
        Ok(self.keeper.pool_view(self.connections.load(Ordering::Relaxed))?)
    }

    fn blocks(&self, page: &Page<BlockCursor>) -> Result<BlocksView, ViewError> {
        Ok(self.keeper.blocks_view(page)?)
    }

    fn history(&self, step: &str) -> Result<Option<HistoryView>, ViewError> {
        Ok(self.keeper.history_view(&Subject::Pool, step))
    }

    fn miner(&self, address: &str) -> Result<Option<MinerView>, ViewError> {
        Ok(self.keeper.miner_view(address)?)
    }

    fn coinbase(&self) -> Result<Option<CoinbaseView>, ViewError> {
        Ok(self.keeper.coinbase_view())
    }

    fn coinbases(&self, address: &str, page: &Page<BlockCursor>) -> Result<Option<CoinbasePaymentsView>, ViewError> {
        let miner = self.keeper.find_miner(address);
        Ok(miner.map(|miner| self.keeper.coinbase_payments_view(miner, page)).transpose()?)
    }

    fn workers(&self, address: &str, page: &Page<WorkerCursor>) -> Result<Option<WorkersView>, ViewError> {
        Ok(self.keeper.find_miner(address).map(|miner| self.keeper.workers_view(miner, page)))
    }

    fn payouts(&self, address: &str, page: &Page<u64>) -> Result<Option<PayoutsView>, ViewError> {
        let miner = self.keeper.find_miner(address);
        Ok(miner.map(|miner| self.keeper.payouts_view(miner, page)).transpose()?)
    }

    fn earnings(&self, address: &str, page: &Page<u32>) -> Result<Option<EarningsView>, ViewError> {
        Ok(self.keeper.find_miner(address).map(|miner| self.keeper.earnings_view(miner, page)))
    }

    fn miner_history(
        &self,
        address: &str,
        worker: Option<&WorkerName>,
        step: &str,
    ) -> Result<Option<HistoryView>, ViewError> {
        let Some(miner) = self.keeper.find_miner(address) else { return Ok(None) };
        let subject = match worker {
            Some(worker) => Subject::Worker(miner.key, worker.clone()),
            None => Subject::Account(miner.key),
        };
        Ok(self.keeper.history_view(&subject, step))
    }

    fn settings(&self, address: &str) -> Result<Option<SettingsView>, ViewError> {
        Ok(self.keeper.find_miner(address).map(|miner| self.keeper.settings_view(miner)))
    }

    fn evidence(&self, address: &str, wanted: &EvidenceWanted) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.keeper.evidence_view(address, wanted)?)
    }

    fn liabilities(&self) -> Result<LiabilitiesView, ViewError> {
        Ok(self.keeper.liabilities_view()?)
    }

    fn ledger_imbalance_atoms(&self) -> Result<i128, ViewError> {
        Ok(self.keeper.state.read().books().imbalance())
    }
}

impl PoolOperator for Pool {
    fn network(&self) -> Network {
        self.keeper.config.network
    }

    fn account_settings(&self, key: &KeyHash) -> Option<AccountSettings> {
        let state = self.keeper.state.read();
        state.settings_of(state.accounts().find(key)?).cloned()
    }

    fn pool_status(&self) -> PoolStatus {
        PoolStatus::of(&self.keeper.state.read())
    }

    fn decide(&self, decision: &Decision, reason: &Reason, dry_run: bool) -> Result<String, DecisionError> {
        self.keeper.decide(decision, reason, dry_run).map_err(|refusal| refused(decision, refusal))
    }

    fn back_up(&self, folder: &Path, dry_run: bool) -> Result<String, DecisionError> {
        let failed = |error: BackupError| match error.is_input() {
            true => DecisionError::Value { field: "folder", reason: error.to_string() },
            false => DecisionError::Failed(error.to_string()),
        };
        let config = &self.keeper.config;
        check_free(folder, &config.data_dir).map_err(failed)?;
        if dry_run {
            return Ok(format!("Would do: books and shares are copied to {}", folder.display()));
        }
        let _shares_stay = self.keeper.backing_up.lock();
        let owner = Owner { network: config.network, genesis: self.keeper.node.genesis_id() };
        let head = make(self.keeper.store.as_ref(), &config.data_dir, owner, folder).map_err(failed)?;
        Ok(backed_up(folder, head.number))
    }
}
