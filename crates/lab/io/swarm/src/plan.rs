use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use bq_primitives::Algorithm;

/// One run. An act that is not asked for leaves no figures.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose miners these are.
    pub server: ServerPlan,
    /// Who comes.
    pub crowd: CrowdPlan,
    /// How long the crowd says nothing before memory is read.
    pub rest: Duration,
    /// New tips whose way to every miner is timed.
    pub tips: u32,
    /// Shares of each algorithm, by [`Algorithm::index`].
    pub shares: [Option<SharePlan>; Algorithm::COUNT],
    /// Who disturbs.
    pub floods: Vec<FloodPlan>,
    /// How long they do.
    pub flood: Duration,
    /// How often all leave and come back at once.
    pub storms: u32,
    /// How often another process takes over from the server, while miners send shares and newcomers come. Only of a server that was started for
    /// the run.
    pub takeovers: u32,
    /// Algorithms whose key or epoch changes while miners mine. Only of a server that was started for the run.
    pub key_changes: Vec<Algorithm>,
    /// How often the server is killed while shares flow, and started again. Only of a server that was started for the run.
    pub kills: u32,
    /// How long miners come, each with a name and an address of its own, and leave.
    pub soak: Duration,
}

/// The server under test.
#[derive(Clone, Debug)]
pub enum ServerPlan {
    /// Started for the run from this program, on a regtest network of its own, and ended after it.
    Own(PathBuf),
    /// One that runs.
    Given(GivenServer),
}

/// A server that runs already.
#[derive(Clone, Debug)]
pub struct GivenServer {
    /// Its ports, by [`Algorithm::index`].
    pub ports: [Option<SocketAddr>; Algorithm::COUNT],
    /// Whom shares are for.
    pub user: String,
    /// Its process, for memory and processor time; nothing: these are not told.
    pub pid: Option<u32>,
    /// It may be elsewhere than on this machine.
    pub is_remote_allowed: bool,
}

/// The miners that stay.
#[derive(Clone, Debug)]
pub struct CrowdPlan {
    /// How many, by [`Algorithm::index`]. Ethash miners take three of the four dialects in turn.
    pub miners: [usize; Algorithm::COUNT],
    /// SHA-256d miners, the last of them, that have a share accepted before anything else happens. Any hash must be one.
    pub proven: usize,
    /// They speak TLS.
    pub tls: bool,
    /// Addresses of 127.0.0.0/8 that they come from in turn; one more than 127.0.0.1 gives each its own ports.
    pub sources: NonZeroUsize,
    /// Each connection begins with a PROXY header that names an address of its own (10.0.0.0/8).
    pub proxy_headers: bool,
    /// Connections on their way at a time while the crowd comes.
    pub opening_max: NonZeroUsize,
}

/// Shares sent as fast as they are answered.
#[derive(Clone, Copy, Debug)]
pub struct SharePlan {
    /// In all.
    pub count: usize,
    /// From so many connections.
    pub connections: NonZeroUsize,
    /// Without an answer at a time, of each connection.
    pub window: NonZeroUsize,
}

/// Connections of one kind that disturb.
#[derive(Clone, Copy, Debug)]
pub struct FloodPlan {
    /// What they do.
    pub kind: FloodKind,
    /// How many.
    pub connections: usize,
}

/// How a connection disturbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloodKind {
    /// Empty lines as fast as they are taken.
    Newlines,
    /// Lines that make no sense, as fast as they are taken, from a new connection when one is closed.
    Garbage,
    /// The beginning of a line, and then nothing.
    Halves,
    /// Logs in, asks and asks, and never reads.
    Deaf,
    /// Submits that are refused unhashed: of jobs that never were.
    Foreign,
    /// RandomX results that no hash comes to, five a second; each sender comes from an address of its own.
    ForgedRandomX,
    /// The same of Ethash, without a mix: the server finds out only by computing it.
    ForgedEthash,
}

/// A plan that is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// A load is for the machine that one owns.
    NotLoopback(SocketAddr),
    /// More connections than any machine has ports for.
    TooMany(usize),
    /// Forged shares, where they show nothing.
    Forged(&'static str),
    /// SHA-256d has no key that could change.
    NoKey,
}

/// Most miners of a run: 16 source addresses have so many ports.
const MINERS_MAX: usize = 400_000;

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotLoopback(address) => {
                write!(f, "{address} is not this machine: a load is for servers of one's own (--allow-remote)")
            }
            Self::Forged(reason) => write!(f, "forged shares {reason}"),
            Self::NoKey => write!(f, "sha256d has no key that could change"),
            Self::TooMany(count) => write!(f, "{count} connections are more than {MINERS_MAX}"),
        }
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    /// Refuses what would be an attack on somebody else, or cannot be.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn check(&self) -> Result<(), PlanError> {
        if let ServerPlan::Given(given) = &self.server
            && !given.is_remote_allowed
            && let Some(address) =
                given.ports.iter().flatten().find(|address| !address.ip().to_canonical().is_loopback())
        {
            return Err(PlanError::NotLoopback(*address));
        }
        if !self.forged().is_empty() {
            if !self.crowd.proxy_headers {
                return Err(PlanError::Forged(
                    "need addresses of their own (--proxy-headers): this machine's are trusted",
                ));
            }
            if self.tips > 0 || self.shares.iter().any(Option::is_some) {
                return Err(PlanError::Forged(
                    "make blocks and shares hard to find: without tips (--tips 0) and --shares",
                ));
            }
        }
        if self.key_changes.contains(&Algorithm::Sha256d) {
            return Err(PlanError::NoKey);
        }
        let count = self.connections();
        if count > MINERS_MAX { Err(PlanError::TooMany(count)) } else { Ok(()) }
    }

    /// The algorithms whose work is forged: then honest miners of each are timed.
    pub(crate) fn forged(&self) -> Vec<Algorithm> {
        let is_forged = |algorithm: &Algorithm| self.floods.iter().any(|flood| flood.kind.forges() == Some(*algorithm));
        Algorithm::ALL.into_iter().filter(is_forged).collect()
    }

    /// Connections that are open at the same time, at most.
    pub(crate) fn connections(&self) -> usize {
        let crowd: usize = self.crowd.miners.iter().sum();
        let shares: usize = self.shares.iter().flatten().map(|shares| shares.connections.get()).sum();
        let floods: usize = self.floods.iter().map(|flood| flood.connections).sum();
        crowd.saturating_add(shares).saturating_add(floods).saturating_add(self.forged().len().max(1) * HONEST + 1)
    }
}

/// Miners whose answers are timed while others flood, of each algorithm.
pub(crate) const HONEST: usize = 20;

impl FloodKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Newlines,
        Self::Garbage,
        Self::Halves,
        Self::Deaf,
        Self::Foreign,
        Self::ForgedRandomX,
        Self::ForgedEthash,
    ];

    /// What the command line calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Newlines => "newlines",
            Self::Garbage => "garbage",
            Self::Halves => "halves",
            Self::Deaf => "deaf",
            Self::Foreign => "foreign",
            Self::ForgedRandomX => "forged-randomx",
            Self::ForgedEthash => "forged-ethash",
        }
    }

    /// Whose work is forged.
    pub(crate) const fn forges(self) -> Option<Algorithm> {
        match self {
            Self::ForgedRandomX => Some(Algorithm::RandomX),
            Self::ForgedEthash => Some(Algorithm::Ethash),
            Self::Newlines | Self::Garbage | Self::Halves | Self::Deaf | Self::Foreign => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(address: &str, miners: usize, is_remote_allowed: bool) -> Plan {
        let ports = [Some(address.parse().unwrap()), None, None];
        let one = NonZeroUsize::MIN;
        Plan {
            server: ServerPlan::Given(GivenServer { ports, user: String::new(), pid: None, is_remote_allowed }),
            crowd: CrowdPlan {
                miners: [miners, 0, 0],
                proven: 0,
                tls: false,
                sources: one,
                proxy_headers: false,
                opening_max: one,
            },
            rest: Duration::ZERO,
            tips: 0,
            shares: [None; Algorithm::COUNT],
            floods: Vec::new(),
            flood: Duration::ZERO,
            storms: 0,
            takeovers: 0,
            key_changes: Vec::new(),
            kills: 0,
            soak: Duration::ZERO,
        }
    }

    #[test]
    fn a_load_stays_on_this_machine_unless_told() {
        assert_eq!(plan("127.9.0.1:3333", 1, false).check(), Ok(()));
        assert_eq!(plan("[::ffff:127.0.0.1]:3333", 1, false).check(), Ok(()));
        let elsewhere = "192.0.2.1:3333".parse().unwrap();
        assert_eq!(plan("192.0.2.1:3333", 1, false).check(), Err(PlanError::NotLoopback(elsewhere)));
        assert_eq!(plan("192.0.2.1:3333", 1, true).check(), Ok(()));
        let keyless = Plan { key_changes: vec![Algorithm::Sha256d], ..plan("127.0.0.1:3333", 1, false) };
        assert_eq!(keyless.check(), Err(PlanError::NoKey));
        assert!(matches!(plan("127.0.0.1:3333", 1_000_000, false).check(), Err(PlanError::TooMany(_))));
    }

    #[test]
    fn forgers_need_addresses_and_hard_shares() {
        let mut forged = plan("127.0.0.1:3333", 1, false);
        forged.floods.push(FloodPlan { kind: FloodKind::ForgedEthash, connections: 1 });
        assert!(matches!(forged.check(), Err(PlanError::Forged(_))));
        forged.crowd.proxy_headers = true;
        assert_eq!(forged.check(), Ok(()));
        assert_eq!(forged.forged(), [Algorithm::Ethash]);
        forged.tips = 1;
        assert!(matches!(forged.check(), Err(PlanError::Forged(_))));
    }
}
