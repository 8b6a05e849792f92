use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use bq_mining_message::{AlgorithmMining, MiningChange, MiningControl, MiningControlError, MiningStatus};
use bq_pow::PowVerifier;
use bq_primitives::Algorithm;
use bq_stratum_client::Endpoint;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::broadcast};

use crate::{
    MinerConfig, MinerConfigError, MinerEvent, MinerStats, client,
    config::{check_algorithms, check_mode, check_threads},
    controller, gpu, metrics,
    search::Searcher,
    sha256d_kernel,
    shared::{Lane, Shared},
    tls::Tls,
    worker,
};

/// How often a stop looks whether the connections have ended, and how long after their own patience it gives up.
const CLIENTS_END: Duration = Duration::from_millis(5);
const AFTER_DRAIN: Duration = Duration::from_millis(500);

/// A running miner. Dropping it stops it without waiting.
pub struct Miner {
    shared: Arc<Shared>,
    /// Worker threads, some of which may have ended.
    workers: Mutex<Vec<JoinHandle<()>>>,
    /// The thread that looks for GPUs and waits for those that feed them, if they are asked for.
    gpus: Mutex<Option<JoinHandle<()>>>,
}

impl Miner {
    /// Starts the connections on `runtime` and the worker threads on threads of their own.
    ///
    /// # Errors
    /// The setting that cannot work.
    pub fn start(mut config: MinerConfig, pow: Arc<PowVerifier>, runtime: &Handle) -> Result<Self, MinerConfigError> {
        config.check()?;
        config.algorithms = sorted(config.algorithms);
        let lanes = sorted(config.endpoints.iter().map(|(algorithm, _)| *algorithm).collect());
        let tls = Tls::new(config.tls.clone()).map_err(|error| MinerConfigError::Tls(error.to_string()))?;
        let shared = Arc::new(Shared::new(&config, &lanes, pow, tls));
        for (lane, algorithm) in lanes.into_iter().enumerate() {
            let login = bq_stratum_client::Login {
                user: config.user.clone(),
                password: config.password.clone(),
                first_nonce: 0,
            };
            let pools: Vec<Endpoint> =
                config.endpoints.iter().filter(|(of, _)| *of == algorithm).map(|(_, pool)| pool.clone()).collect();
            runtime.spawn(client::run(Arc::clone(&shared), lane, pools, login, shared.open()));
        }
        runtime.spawn(controller::run(Arc::clone(&shared)));
        let gpus = config.gpu.then(|| gpu::start(Arc::clone(&shared))).flatten();
        let miner = Self { shared, workers: Mutex::new(Vec::new()), gpus: Mutex::new(gpus) };
        miner.match_threads();
        Ok(miner)
    }

    /// What the miner did and does. Cheap.
    #[must_use]
    pub fn stats(&self) -> MinerStats {
        let (now, settings) = (self.shared.now(), self.shared.settings.borrow().clone());
        let workers = self.shared.workers.read();
        MinerStats {
            threads: settings.threads,
            threads_hashing: self.shared.threads_hashing(),
            paused: settings.paused,
            algorithms: self.shared.lanes.iter().map(|lane| lane.stats.snapshot(now)).collect(),
            gpus: self.shared.gpus.read().clone(),
            workers: workers.iter().take(settings.threads).map(|worker| worker.snapshot(now)).collect(),
        }
    }

    /// What happens from now on. A receiver that is too slow misses the oldest events.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<MinerEvent> {
        self.shared.events.subscribe()
    }

    /// Stops mining and waits until no thread hashes any more, at most some tens of milliseconds unless a table is being
    /// built, and then, at most [`ClientSettings::drain`](crate::ClientSettings), until pools have answered every share.
    /// Blocks: not for an async worker thread.
    pub fn stop(&self) {
        self.end();
        let gpus = self.gpus.lock().take();
        for worker in std::mem::take(&mut *self.workers.lock()).into_iter().chain(gpus) {
            // A worker that panicked has ended too.
            drop(worker.join());
        }
        let until = self.shared.now().saturating_add(self.shared.client.drain).saturating_add(AFTER_DRAIN);
        // On a runtime that is gone already its clients are too.
        while self.shared.clients_open() > 0 && self.shared.now() < until {
            self.shared.wait_for_news(CLIENTS_END);
        }
    }

    fn end(&self) {
        self.shared.settings.send_modify(|settings| settings.stopped = true);
        if let Some(datasets) = &self.shared.ethash_datasets {
            datasets.end();
        }
        self.shared.announce_news();
    }

    fn detail(&self, lane: &Lane, threads: usize) -> AlgorithmMining {
        let now = self.shared.now();
        let (stats, outlook) = (lane.stats.snapshot(now), controller::outlook(&self.shared, lane, threads, now));
        AlgorithmMining {
            algorithm: lane.algorithm,
            is_active: outlook.is_active,
            hashrates: [stats.hashrate.secs_10, stats.hashrate.secs_60, stats.hashrate.mins_15],
            measured_hashrate: outlook.hashrate,
            expected_reward: outlook.expected_reward(),
            accepted: stats.accepted,
            rejected: stats.rejected,
            stale: stats.stale,
            lost: stats.lost,
        }
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
            let worker = thread::Builder::new()
                .name(format!("miner-{index}"))
                .spawn(move || worker::run(&shared, index, Searcher::default()));
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
        let (now, settings) = (self.shared.now(), self.shared.settings.borrow().clone());
        let lanes: Vec<_> = self.shared.lanes.iter().map(|lane| lane.stats.snapshot(now)).collect();
        let hashrate = lanes
            .iter()
            .filter(|lane| settings.wants(lane.algorithm))
            .map(|lane| (lane.algorithm, lane.hashrate.recent))
            .collect();
        MiningStatus {
            enabled: settings.enabled,
            paused: settings.paused,
            threads: settings.threads,
            mode: settings.mode,
            choice: settings.choice,
            hashrate,
            blocks_found: lanes.iter().map(|lane| lane.blocks_found).sum(),
            details: self.shared.lanes.iter().map(|lane| self.detail(lane, settings.threads)).collect(),
            gpus: self.shared.gpus.read().clone(),
            sha256d_kernel: sha256d_kernel().map(bq_pow::Sha256dKernel::name),
            algorithms: settings.algorithms,
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
        if let Some(mode) = change.mode {
            check_mode(mode, self.shared.has_chain()).map_err(refused)?;
        }
        self.shared.settings.send_modify(|settings| {
            settings.enabled = change.enabled.unwrap_or(settings.enabled);
            settings.paused = change.paused.unwrap_or(settings.paused);
            settings.mode = change.mode.unwrap_or(settings.mode);
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
