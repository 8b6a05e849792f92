use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use bq_primitives::{Algorithm, Target};

/// More threads than this are a typing error.
pub const THREADS_MAX: usize = 1024;

/// Tells the next block's target of an algorithm, where the caller has a chain to ask; used to count blocks, for people.
pub type TargetSource = Arc<dyn Fn(Algorithm) -> Option<Target> + Send + Sync>;

/// Everything a miner needs to know.
#[derive(Clone)]
pub struct MinerConfig {
    /// Where to mine each algorithm; an algorithm without an endpoint is not mined.
    pub endpoints: Vec<(Algorithm, Endpoint)>,
    /// Login, usually `ADDRESS.worker`.
    pub user: String,
    /// Password or options; `x` where none is needed.
    pub password: String,
    /// Switched on.
    pub enabled: bool,
    /// Worker threads in all, at most [`THREADS_MAX`].
    pub threads: usize,
    /// What to mine; each needs an endpoint.
    pub algorithms: Vec<Algorithm>,
    /// How long a thread stays with an algorithm before it goes on to the next; more than zero.
    pub rotate: Duration,
    /// Let every other thread of the machine go first.
    pub low_priority: bool,
    /// Mine Ethash from its full dataset (1 GiB and more) once that is built: some 200 times as fast as from its cache.
    pub ethash_dataset: bool,
    /// Tells block targets, if the caller knows them.
    pub block_targets: Option<TargetSource>,
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
            enabled: true,
            threads: 1,
            rotate: Duration::from_secs(3),
            low_priority: true,
            ethash_dataset: false,
            block_targets: None,
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
            Self::ZeroRotation => "rotate",
        }
    }
}

pub(crate) const fn check_threads(got: usize) -> Result<(), MinerConfigError> {
    if got > THREADS_MAX { Err(MinerConfigError::TooManyThreads { got, max: THREADS_MAX }) } else { Ok(()) }
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

/// A Stratum server: host name or address, and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// A text that is not `[stratum+tcp://]HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not stratum+tcp://HOST:PORT")]
pub struct EndpointError(pub String);

impl Endpoint {
    /// What the resolver is asked for; an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl From<std::net::SocketAddr> for Endpoint {
    fn from(address: std::net::SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError(text.to_owned());
        let rest = match text.split_once("://") {
            Some(("stratum+tcp", rest)) => rest,
            Some(_) => return Err(error()),
            None => text,
        };
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(error)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(error)?,
            None if host.contains(':') => return Err(error()),
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(error)?;
        if host.is_empty() || host.contains(['/', '@']) {
            return Err(error());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_parse_and_print() {
        for (text, printed) in [
            ("stratum+tcp://pool.example:3333", "pool.example:3333"),
            ("127.0.0.1:3333", "127.0.0.1:3333"),
            ("stratum+tcp://[::1]:3335/", "[::1]:3335"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), printed);
        }
        assert_eq!(Endpoint::from(std::net::SocketAddr::from(([127, 0, 0, 1], 80))).to_string(), "127.0.0.1:80");
        for text in ["", "pool", "pool:", ":1", "pool:0", "pool:65536", "http://pool:1", "::1:5", "[::1:5", "u@pool:1"]
        {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError(text.to_owned())));
        }
    }

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
    }
}
