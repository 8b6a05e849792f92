use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bq_chain_api::{NodeApi, Template};
use bq_mining_message::{AuthorizeError, PoolApi, RecordShareError, Share, ShareReject};
use bq_primitives::{Algorithm, Block, KeyHash, WorkerName};
use bq_views::{BlocksView, Event, MinerView, PoolView, PoolViews, ViewError};
use parking_lot::Mutex;
use tokio::{
    sync::{broadcast, watch},
    time::{sleep, timeout},
};

use crate::{PayoutSigner, PoolConfig, PoolError, core::Core, shares::AcceptedShare};

/// How soon a template is asked for again after the node had none.
const TEMPLATE_RETRY: Duration = Duration::from_secs(1);

/// A running pool.
pub struct Pool {
    core: Arc<Core>,
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
        let core = Arc::new(Core::open(config, node, signer)?);
        let (stop, stopped) = watch::channel(false);
        let pool = Arc::new(Self { core, stop, threads: Mutex::default(), connections: AtomicU64::new(0) });
        pool.start("pool-template", stopped.clone(), keep_template_fresh)?;
        pool.start("pool-settle", stopped, keep_settling)?;
        Ok(pool)
    }

    /// Where the live feed comes from; subscribe to it.
    #[must_use]
    pub fn events(&self) -> broadcast::Sender<Event> {
        self.core.events.clone()
    }

    /// Tells how many Stratum connections are open, which only the server knows.
    pub fn set_connections(&self, connections: u64) {
        self.connections.store(connections, Ordering::Relaxed);
    }

    /// Stops the threads, takes no more shares, and syncs the share log. Blocks until all is done; a second call does
    /// nothing.
    pub fn shutdown(&self) {
        self.stop.send_replace(true);
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a pool thread panicked");
            }
        }
        if let Err(error) = self.core.log.sync() {
            tracing::error!(%error, "the share log is not synced");
        }
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    fn start<F>(
        &self,
        name: &str,
        stopped: watch::Receiver<bool>,
        work: fn(Arc<Core>, watch::Receiver<bool>) -> F,
    ) -> Result<(), PoolError>
    where
        F: Future<Output = ()> + 'static,
    {
        // The work blocks on disk and node, so it has a thread of its own; the runtime in it only waits.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let core = Arc::clone(&self.core);
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(work(core, stopped)))?;
        self.threads.lock().push(thread);
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shutdown();
    }
}

async fn keep_template_fresh(core: Arc<Core>, mut stopped: watch::Receiver<bool>) {
    let mut tips = core.node.tip_changes();
    let mut made: Option<Instant> = None;
    while !*stopped.borrow_and_update() {
        tips.borrow_and_update();
        let pause = match core.refresh_template() {
            Ok(()) => {
                made = Some(Instant::now());
                core.config.template_interval
            }
            Err(error) => {
                tracing::warn!(%error, "no new template");
                core.metrics.template_failed();
                TEMPLATE_RETRY
            }
        };
        let wait = async {
            loop {
                core.metrics.template_age(made.map_or(0.0, |made| made.elapsed().as_secs_f64()));
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = async { drop(timeout(pause, wait).await) } => {}
            changed = tips.changed() => if changed.is_err() { return },
            _ = stopped.changed() => {}
        }
    }
}

async fn keep_settling(core: Arc<Core>, mut stopped: watch::Receiver<bool>) {
    let mut tips = core.node.tip_changes();
    while !*stopped.borrow_and_update() {
        tips.borrow_and_update();
        core.settle();
        tokio::select! {
            () = sleep(core.config.settle_interval) => {}
            () = core.look_now.notified() => {}
            changed = tips.changed() => if changed.is_err() { return },
            _ = stopped.changed() => {}
        }
    }
}

impl PoolApi for Pool {
    fn authorize(&self, address: &str) -> Result<KeyHash, AuthorizeError> {
        self.core.authorize(address)
    }

    fn templates(&self) -> watch::Receiver<Option<Arc<Template>>> {
        self.core.template.subscribe()
    }

    fn record_share(&self, share: Share, block: Option<Block>) -> Result<(), RecordShareError> {
        if self.is_stopped() {
            self.core.submit_unbooked(block);
            return Err(RecordShareError::Closed);
        }
        match self.core.account_of(share.payee) {
            Ok(account) => self.core.record(AcceptedShare::of(share, account), block),
            Err(error) => {
                self.core.submit_unbooked(block);
                Err(RecordShareError::Log(error.to_string()))
            }
        }
    }

    fn note_rejected(&self, payee: KeyHash, worker: &WorkerName, algorithm: Algorithm, reason: ShareReject) {
        let account = self.core.known_account(&payee);
        self.core.stats.lock().reject(account, worker, algorithm, reason);
    }
}

impl PoolViews for Pool {
    fn pool(&self) -> Result<PoolView, ViewError> {
        Ok(self.core.pool_view(self.connections.load(Ordering::Relaxed))?)
    }

    fn blocks(&self, limit: usize) -> Result<BlocksView, ViewError> {
        Ok(self.core.blocks_view(limit)?)
    }

    fn miner(&self, address: &str) -> Result<Option<MinerView>, ViewError> {
        Ok(self.core.miner_view(address)?)
    }

    fn ledger_imbalance_atoms(&self) -> Result<i128, ViewError> {
        self.core.store.imbalance().map_err(|error| ViewError(error.to_string()))
    }

    fn share_log_failure(&self) -> Option<String> {
        self.core.share_log_failure()
    }
}
