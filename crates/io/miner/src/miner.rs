use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use bq_api_types::{MiningChange, MiningControl, MiningControlError, MiningStatus};
use bq_pow::PowVerifier;
use bq_primitives::Algorithm;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::{
    MinerConfig, MinerConfigError, MinerStats, client,
    config::{check_algorithms, check_threads},
    metrics,
    shared::Shared,
    worker,
};

/// A running miner. Dropping it stops it without waiting.
pub struct Miner {
    shared: Arc<Shared>,
    /// Worker threads, some of which may have ended.
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Miner {
    /// Starts the connections on `runtime` and the worker threads on threads of their own.
    ///
    /// # Errors
    /// The setting that cannot work.
    pub fn start(mut config: MinerConfig, pow: Arc<PowVerifier>, runtime: &Handle) -> Result<Self, MinerConfigError> {
        config.check()?;
        config.endpoints.sort_by_key(|(algorithm, _)| *algorithm);
        config.endpoints.dedup_by_key(|(algorithm, _)| *algorithm);
        config.algorithms = sorted(config.algorithms);
        let (shared, receivers) = Shared::new(&config, pow);
        let shared = Arc::new(shared);
        for (lane, ((_, endpoint), shares)) in config.endpoints.into_iter().zip(receivers).enumerate() {
            let login = client::Login { user: config.user.clone(), password: config.password.clone() };
            runtime.spawn(client::run(Arc::clone(&shared), lane, endpoint, login, shares));
        }
        let miner = Self { shared, workers: Mutex::new(Vec::new()) };
        miner.match_threads();
        Ok(miner)
    }

    /// What the miner did and does. Cheap.
    #[must_use]
    pub fn stats(&self) -> MinerStats {
        let algorithms = self.shared.lanes.iter().map(|lane| lane.stats.snapshot()).collect();
        MinerStats { threads: self.shared.settings.borrow().threads, algorithms }
    }

    /// Stops mining and waits until no thread hashes any more, at most some tens of milliseconds unless a table is being
    /// built. Blocks: not for an async worker thread.
    pub fn stop(&self) {
        self.end();
        for worker in std::mem::take(&mut *self.workers.lock()) {
            // A worker that panicked has ended too.
            drop(worker.join());
        }
    }

    fn end(&self) {
        self.shared.settings.send_modify(|settings| settings.stopped = true);
        self.shared.announce_news();
    }

    /// Starts the workers that are missing; surplus ones end by themselves.
    fn match_threads(&self) {
        let mut workers = self.workers.lock();
        let wanted = self.shared.settings.borrow().threads;
        metrics::threads(wanted);
        self.shared.announce_news();
        // Surplus workers must be gone before their places are given to new ones.
        let kept = wanted.min(workers.len());
        for surplus in workers.drain(kept..) {
            drop(surplus.join());
        }
        for index in workers.len()..wanted {
            let shared = Arc::clone(&self.shared);
            let worker =
                thread::Builder::new().name(format!("miner-{index}")).spawn(move || worker::run(&shared, index));
            match worker {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    tracing::warn!(%error, started = index, wanted, "cannot start more miner threads");
                    break;
                }
            }
        }
    }
}

impl MiningControl for Miner {
    fn mining_status(&self) -> MiningStatus {
        let settings = self.shared.settings.borrow().clone();
        let lanes: Vec<_> = self.shared.lanes.iter().map(|lane| lane.stats.snapshot()).collect();
        let hashrate = lanes
            .iter()
            .filter(|lane| settings.wants(lane.algorithm))
            .map(|lane| (lane.algorithm, lane.hashrate_60s))
            .collect();
        MiningStatus {
            enabled: settings.enabled,
            threads: settings.threads,
            algorithms: settings.algorithms,
            hashrate,
            blocks_found: lanes.iter().map(|lane| lane.blocks_found).sum(),
        }
    }

    fn set_mining(&self, change: &MiningChange) -> Result<MiningStatus, MiningControlError> {
        let refused = |error: MinerConfigError| MiningControlError { field: error.field(), reason: error.to_string() };
        if let Some(threads) = change.threads {
            check_threads(threads).map_err(refused)?;
        }
        if let Some(algorithms) = &change.algorithms {
            let known: Vec<Algorithm> = self.shared.lanes.iter().map(|lane| lane.algorithm).collect();
            check_algorithms(algorithms, &known).map_err(refused)?;
        }
        self.shared.settings.send_modify(|settings| {
            settings.enabled = change.enabled.unwrap_or(settings.enabled);
            settings.threads = change.threads.unwrap_or(settings.threads);
            if let Some(algorithms) = &change.algorithms {
                settings.algorithms = sorted(algorithms.clone());
            }
        });
        self.match_threads();
        Ok(self.mining_status())
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.end();
    }
}

fn sorted(mut algorithms: Vec<Algorithm>) -> Vec<Algorithm> {
    algorithms.sort_unstable();
    algorithms.dedup();
    algorithms
}
