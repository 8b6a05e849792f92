use std::{path::PathBuf, sync::Arc, time::Duration};

use bq_mining_message::MiningMode;
use bq_primitives::{Algorithm, Target};
use bq_stratum_client::{ClientSettings, Endpoint};

use crate::{Affinity, TlsTrust};

/// More threads than this are a typing error.
pub const THREADS_MAX: usize = 1024;
const CPU_PRIORITY_MAX: u8 = 5;

/// Tells what sealing the next block with an algorithm takes and brings, where the caller has a chain to ask; nothing while
/// the algorithm may not seal it. Cheap: it is asked before each step of a thread.
pub type BlockSource = Arc<dyn Fn(Algorithm) -> Option<NextBlock> + Send + Sync>;

/// The next block, as one algorithm would seal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextBlock {
    /// What its hash must meet.
    pub target: Target,
    /// Subsidy and fees, in atoms.
    pub reward_atoms: u64,
}

/// Everything a miner needs to know.
#[derive(Clone)]
pub struct MinerConfig {
    /// Where to mine each algorithm; an algorithm without an endpoint is not mined. Several of one algorithm are tried in
    /// their order, each after the one before it failed a few times, and the first is gone back to.
    pub endpoints: Vec<(Algorithm, Endpoint)>,
    /// Login, usually `ADDRESS.worker`.
    pub user: String,
    /// Password or options; `x` where none is needed.
    pub password: String,
    /// What is put up with from pools.
    pub client: ClientSettings,
    /// Whose certificates are taken, of pools with encrypted connections.
    pub tls: TlsTrust,
    /// Switched on.
    pub enabled: bool,
    /// Worker threads in all, at most [`THREADS_MAX`].
    pub threads: usize,
    /// What to mine; each needs an endpoint.
    pub algorithms: Vec<Algorithm>,
    /// How threads choose among these.
    pub mode: MiningMode,
    /// How long a thread stays with an algorithm before it goes on to the next, where they take turns; more than zero.
    pub rotate: Duration,
    /// Priority of the threads: 0 lets every other thread of the machine go first, 2 is normal, 5 the highest (from 3 on it
    /// takes a privilege). Nothing leaves it as it is.
    pub cpu_priority: Option<u8>,
    /// Which processors the threads are bound to.
    pub affinity: Affinity,
    /// Mine Ethash from its full dataset (1 GiB and more) once that is built: some 1,000 times as fast as proof by
    /// proof from its cache.
    pub ethash_dataset: bool,
    /// Where Ethash datasets are kept between runs, this epoch's and the next one's; nowhere unless given.
    pub ethash_dataset_dir: Option<PathBuf>,
    /// Prepare the next epoch's dataset in the background: in that directory, else in memory if there is room.
    pub ethash_dataset_ahead: bool,
    /// Mine SHA-256d and Ethash on every CUDA GPU too, beside the threads and whatever [`MiningMode`] they follow.
    pub gpu: bool,
    /// Tells of the next block, if the caller has a chain: to count blocks, to rest algorithms that may not seal one, and for
    /// [`MiningMode::Auto`], which cannot do without.
    pub blocks: Option<BlockSource>,
}

impl MinerConfig {
    /// One thread over all `endpoints`, three seconds each in turn, at low priority.
    #[must_use]
    pub fn new(endpoints: Vec<(Algorithm, Endpoint)>, user: String) -> Self {
        Self {
            algorithms: endpoints.iter().map(|(algorithm, _)| *algorithm).collect(),
            endpoints,
            user,
            password: "x".to_owned(),
            client: ClientSettings::default(),
            tls: TlsTrust::Public,
            enabled: true,
            threads: 1,
            mode: MiningMode::Turns,
            rotate: Duration::from_secs(3),
            cpu_priority: Some(0),
            affinity: Affinity::Free,
            ethash_dataset: false,
            ethash_dataset_dir: None,
            ethash_dataset_ahead: true,
            gpu: false,
            blocks: None,
        }
    }

    /// Finds what cannot work.
    ///
    /// # Errors
    /// The first field that cannot work, and why.
    pub fn check(&self) -> Result<(), MinerConfigError> {
        check_threads(self.threads)?;
        let known: Vec<Algorithm> = self.endpoints.iter().map(|(algorithm, _)| *algorithm).collect();
        check_algorithms(&self.algorithms, &known)?;
        check_mode(self.mode, self.blocks.is_some())?;
        if let Some(got) = self.cpu_priority.filter(|level| *level > CPU_PRIORITY_MAX) {
            return Err(MinerConfigError::NoPriority(got));
        }
        if self.rotate.is_zero() {
            return Err(MinerConfigError::ZeroRotation);
        }
        Ok(())
    }
}

/// Why a miner cannot run as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MinerConfigError {
    /// Too many.
    #[error("threads is {got}, at most {max} are allowed")]
    TooManyThreads {
        /// Asked for.
        got: usize,
        /// Allowed.
        max: usize,
    },
    /// Nothing to do.
    #[error("algorithms is empty; use enabled = false to stop mining")]
    NoAlgorithms,
    /// Nowhere to do it.
    #[error("no Stratum endpoint is known for {0}")]
    NoEndpoint(Algorithm),
    /// Nothing tells what a block takes and brings.
    #[error("auto needs a chain to ask for targets and rewards")]
    NoChain,
    /// There is no such priority.
    #[error("priority is {0}, 0 to 5 are allowed")]
    NoPriority(u8),
    /// Connections cannot be encrypted.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
    /// The turn of an algorithm takes no time.
    #[error("rotate must be longer than zero")]
    ZeroRotation,
}

impl MinerConfigError {
    /// The setting at fault.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::TooManyThreads { .. } => "threads",
            Self::NoAlgorithms | Self::NoEndpoint(_) => "algorithms",
            Self::NoChain => "mode",
            Self::NoPriority(_) => "cpu-priority",
            Self::Tls(_) => "tls-fingerprint",
            Self::ZeroRotation => "rotate",
        }
    }
}

pub(crate) const fn check_threads(got: usize) -> Result<(), MinerConfigError> {
    if got > THREADS_MAX { Err(MinerConfigError::TooManyThreads { got, max: THREADS_MAX }) } else { Ok(()) }
}

pub(crate) const fn check_mode(mode: MiningMode, has_chain: bool) -> Result<(), MinerConfigError> {
    match mode {
        MiningMode::Auto if !has_chain => Err(MinerConfigError::NoChain),
        MiningMode::Auto | MiningMode::Turns => Ok(()),
    }
}

pub(crate) fn check_algorithms(wanted: &[Algorithm], known: &[Algorithm]) -> Result<(), MinerConfigError> {
    if wanted.is_empty() {
        return Err(MinerConfigError::NoAlgorithms);
    }
    wanted
        .iter()
        .find(|algorithm| !known.contains(algorithm))
        .map_or(Ok(()), |missing| Err(MinerConfigError::NoEndpoint(*missing)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        let endpoint: Endpoint = "localhost:1".parse().unwrap();
        let config = MinerConfig::new(vec![(Algorithm::RandomX, endpoint)], "user".to_owned());
        assert_eq!(config.check(), Ok(()));
        let broken = |change: fn(&mut MinerConfig)| {
            let mut config = config.clone();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert_eq!(broken(|config| config.threads = 2000).field(), "threads");
        assert_eq!(broken(|config| config.algorithms.clear()), MinerConfigError::NoAlgorithms);
        assert_eq!(
            broken(|config| config.algorithms.push(Algorithm::Ethash)),
            MinerConfigError::NoEndpoint(Algorithm::Ethash)
        );
        assert_eq!(broken(|config| config.rotate = Duration::ZERO).field(), "rotate");
        assert_eq!(broken(|config| config.mode = MiningMode::Auto), MinerConfigError::NoChain);
        assert_eq!(broken(|config| config.cpu_priority = Some(6)).field(), "cpu-priority");
    }
}
