use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc};

use bq_access::{DepartedPolicy, TicketKey};
use bq_mining_message::AccountScheme;
use bq_primitives::{Algorithm, ShareDifficulty};
use bq_share::{AllowancePolicy, BanPolicy, JudgePolicy};
use bq_stratum_v1::{SessionPolicy, VardiffPolicy};
use ipnet::IpNet;

use crate::{AccessConfig, Authority, Certificates, KeptFiles, PlaceLimits};

/// What the operator decides about the Stratum server.
#[derive(Clone, Debug)]
pub struct StratumConfig {
    /// Where each algorithm listens, by [`Algorithm::index`]; none is not served. Port 0 picks a free one.
    pub listen: [Option<SocketAddr>; Algorithm::COUNT],
    /// Ports that say how everybody there is paid.
    pub scheme_ports: Vec<SchemePort>,
    /// Rules of every session, by [`Algorithm::index`].
    pub sessions: [SessionPolicy; Algorithm::COUNT],
    /// Which of several servers in front of one pool this is: part of every extranonce, so no two may share one.
    pub server_id: u16,
    /// Random bytes, new at every start: session ids, job ids and the first extranonce come from them.
    pub seed: [u8; 32],
    /// Open connections, all ports together.
    pub places: PlaceLimits,
    /// New connections per second from one peer, sustained; ten seconds' worth may come at once.
    pub accepts_per_second: u32,
    /// The same from one subnet.
    pub accepts_per_subnet_second: u32,
    /// This machine's own connections count neither against the limit per peer nor towards bans.
    pub trust_loopback: bool,
    /// Proxies that say whom they connect (PROXY protocol, versions 1 and 2): from there the header is mandatory, from everywhere else it is
    /// refused. What counts for limits and bans is the address that it names.
    pub proxies: Vec<IpNet>,
    /// A proxy's header must be there within this many milliseconds.
    pub proxy_header_ms: u64,
    /// TLS on the same ports, told apart by the first byte.
    pub tls: Option<TlsConfig>,
    /// Stratum V2 on a port of its own.
    pub v2: Option<V2Config>,
    /// Whether miners without TLS are served.
    pub plaintext: bool,
    /// What the kernel may hold for each connection.
    pub buffers: SocketBuffers,
    /// Connections that the kernel keeps until they are accepted.
    pub backlog: u32,
    /// When strikes become a ban.
    pub bans: BanPolicy,
    /// What strangers may cost.
    pub allowance: AllowancePolicy,
    /// Bytes that may wait for a miner that does not read; more ends the connection.
    pub outbox_bytes_max: usize,
    /// A miner that reads nothing for this many milliseconds while something waits is cut off.
    pub write_stall_ms: u64,
    /// Workers whose difficulty is remembered between visits.
    pub workers_remembered_max: usize,
    /// Who may come back to a connection that ended.
    pub tickets: TicketConfig,
    /// Where these and bans are kept over a restart; nothing: they are not.
    pub kept: Option<KeptFiles>,
    /// Who may mine.
    pub access: AccessConfig,
    /// Miners that poll over HTTP.
    pub getwork: GetworkConfig,
    /// Why fewer places are given than the operator asked for, if that is so; a condition as long as the server runs.
    pub few_files: Option<String>,
    /// A thread that panicked and was restarted is a condition for this many milliseconds.
    pub panic_shown_ms: u64,
    /// A server that is replaced waits so many milliseconds for what is under way on its connections.
    pub handover_ms: u64,
    /// That a connection found all places taken is a condition for this many milliseconds.
    pub server_full_shown_ms: u64,
    /// Verification threads and queues.
    pub verify: VerifyConfig,
}

/// A port for miners of one algorithm whose pay is not left to their accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemePort {
    /// How they are paid.
    pub scheme: AccountScheme,
    /// What they mine.
    pub algorithm: Algorithm,
    /// Where it listens; port 0 picks a free one.
    pub address: SocketAddr,
}

/// How miners come back to connections that ended (SPEC 11.14).
#[derive(Clone, Copy, Debug)]
pub struct TicketConfig {
    /// Makes their tickets. The same after a restart, or nobody comes back over it.
    pub key: TicketKey,
    /// For how long, and how many.
    pub departed: DepartedPolicy,
}

/// How miners are served that speak TLS.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// What they are shown.
    pub certificates: Arc<Certificates>,
    /// That they end is a condition this many days before. 0: once they have.
    pub warning_days: u32,
    /// A handshake must be done within this many milliseconds.
    pub handshake_ms: u64,
    /// Handshakes that are computed before everybody else gets a turn.
    pub handshakes_max: usize,
}

/// How miners are served that speak Stratum V2.
#[derive(Clone, Debug)]
pub struct V2Config {
    /// Where. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// What miners know the pool by.
    pub authority: Arc<Authority>,
    /// Seconds for which what a handshake shows is good: each shows it anew.
    pub certificate_secs: u64,
    /// A handshake must be done within this many milliseconds.
    pub handshake_ms: u64,
    /// Handshakes that are computed before everybody else gets a turn.
    pub handshakes_max: usize,
    /// Channels that may be open on one connection. Each but the first takes a place, as a connection does.
    pub channels_max: usize,
}

/// How miners are served that poll over HTTP (getwork).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetworkConfig {
    /// From its first byte to its answer a poll may take this many milliseconds.
    pub poll_ms: u64,
    /// The session behind it must answer within this many milliseconds.
    pub answer_ms: u64,
    /// Bytes of a poll's head, 8,192 at least.
    pub head_bytes_max: usize,
    /// Bytes of a poll's body.
    pub body_bytes_max: usize,
    /// Polls for which there is no place that may be told so at a time.
    pub turned_away_max: usize,
}

impl Default for GetworkConfig {
    /// Head and body of a poll are a few hundred bytes; it is there at once and answered at once, unless the verifier is busy.
    fn default() -> Self {
        Self { poll_ms: 15_000, answer_ms: 10_000, head_bytes_max: 8_192, body_bytes_max: 4_096, turned_away_max: 64 }
    }
}

/// Bytes that the kernel may hold for each connection; nothing leaves it to the system, which grows them to megabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketBuffers {
    /// On their way to the miner. The kernel doubles it for its own bookkeeping.
    pub send_bytes: Option<u32>,
    /// From the miner, not yet read.
    pub receive_bytes: Option<u32>,
}

/// How shares are verified.
#[derive(Clone, Copy, Debug)]
pub struct VerifyConfig {
    /// Threads per algorithm, by [`Algorithm::index`].
    pub threads: [NonZeroUsize; Algorithm::COUNT],
    /// Threads that book blocks and hand them to the node, so that hashing goes on meanwhile.
    pub block_threads: NonZeroUsize,
    /// Shares of trusted miners that may wait, by [`Algorithm::index`]; half as many of strangers and claimed blocks come on top.
    pub queue_max: [usize; Algorithm::COUNT],
    /// Shares wait at most about this many milliseconds, by [`Algorithm::index`]: the queue is shorter where hashing is slow. 0: that does
    /// not matter.
    pub queue_ms: [u64; Algorithm::COUNT],
    /// Percent of the time of RandomX's and Ethash's threads that strangers get while trusted miners are there.
    pub strangers_percent: u32,
    /// A trusted miner is there for so many milliseconds after each of his shares.
    pub trusted_present_ms: u64,
    /// When the server ends, strangers' shares that were taken are hashed for so many milliseconds still; others always are.
    pub drain_ms: u64,
}

impl Default for VerifyConfig {
    fn default() -> Self {
        let two = NonZeroUsize::MIN.saturating_add(1);
        Self {
            threads: [NonZeroUsize::MIN, two, NonZeroUsize::MIN],
            block_threads: two,
            queue_max: [4096, 1024, 512],
            queue_ms: [0, 1_000, 1_000],
            strangers_percent: 25,
            trusted_present_ms: 60_000,
            drain_ms: 10_000,
        }
    }
}

impl Default for StratumConfig {
    /// No listener, and a seed and a key of tickets of zeroes: set them all.
    fn default() -> Self {
        Self {
            listen: [None; Algorithm::COUNT],
            scheme_ports: Vec::new(),
            sessions: Algorithm::ALL.map(default_session),
            server_id: 1,
            seed: [0; 32],
            places: PlaceLimits { total: 12_000, per_peer: 2_500, per_subnet: 4_000, proof_lapses_ms: 1_800_000 },
            accepts_per_second: 250,
            accepts_per_subnet_second: 500,
            trust_loopback: true,
            proxies: Vec::new(),
            proxy_header_ms: 3_000,
            tls: None,
            v2: None,
            plaintext: true,
            buffers: SocketBuffers { send_bytes: Some(32 * 1024), receive_bytes: Some(16 * 1024) },
            backlog: 4_096,
            bans: BanPolicy::default(),
            allowance: AllowancePolicy::default(),
            outbox_bytes_max: 64 * 1024,
            write_stall_ms: 30_000,
            workers_remembered_max: 16_384,
            tickets: TicketConfig { key: TicketKey([0; 32]), departed: DepartedPolicy::default() },
            kept: None,
            access: AccessConfig::default(),
            getwork: GetworkConfig::default(),
            few_files: None,
            panic_shown_ms: 600_000,
            handover_ms: 1_000,
            server_full_shown_ms: 60_000,
            verify: VerifyConfig::default(),
        }
    }
}

/// A dataset of RandomX takes a minute on a small machine, one of Ethash several.
const FIRST_SHARE_MS: u64 = 300_000;

/// Starts that suit a small machine; vardiff finds the rest within a minute.
fn default_session(algorithm: Algorithm) -> SessionPolicy {
    let vardiff = match algorithm {
        Algorithm::Sha256d => VardiffPolicy {
            start: ShareDifficulty::from_hashes(1 << 24),
            floor: ShareDifficulty::from_hashes(1 << 16),
            ..VardiffPolicy::default()
        },
        // A verification costs up to 35 ms here, so a new miner is measured with fewer shares.
        Algorithm::RandomX => VardiffPolicy {
            start: ShareDifficulty::from_hashes(1_000),
            floor: ShareDifficulty::from_hashes(100),
            share_interval_ms: 20_000,
            seek_interval_ms: 700,
            first_share_ms: FIRST_SHARE_MS,
            ..VardiffPolicy::default()
        },
        Algorithm::Ethash => VardiffPolicy {
            start: ShareDifficulty::from_hashes(1 << 20),
            floor: ShareDifficulty::from_hashes(1_000),
            first_share_ms: FIRST_SHARE_MS,
            ..VardiffPolicy::default()
        },
    };
    // Forged RandomX results are found out only by hashing. A SHA-256d share costs a microsecond, and a fast miner on an
    // easy chain finds many in one scan: refusing them would cost it money and save nothing.
    let (unproven_in_flight_max, shares_in_flight_max) = match algorithm {
        Algorithm::Sha256d => (200, 200),
        Algorithm::RandomX => (4, 32),
        Algorithm::Ethash => (32, 32),
    };
    let judge = JudgePolicy { unproven_in_flight_max, shares_in_flight_max, ..JudgePolicy::default() };
    SessionPolicy { vardiff, judge, ..SessionPolicy::default() }
}
