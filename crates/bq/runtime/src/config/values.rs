use std::{net::SocketAddr, path::PathBuf};

use bq_consensus::Params;
use bq_mining_message::AccountScheme;
use bq_primitives::{Address, Algorithm, Amount, CompactTarget, Height, KeyHash, Network, ShareDifficulty};
use ipnet::IpNet;

use super::{AgentFloor, SchemePort};

/// Everything the process needs to know, checked. [`crate::FIELDS`] documents defaults, ranges and risks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which chain.
    pub network: Network,
    /// Where chain, shares, ledger and keys live.
    pub data_dir: PathBuf,
    /// Stratum listeners, by [`Algorithm::index`]; port 0 picks a free one, here and below.
    pub stratum: [SocketAddr; Algorithm::COUNT],
    /// Where Stratum V2 is spoken, if it is.
    pub stratum_v2: SocketAddr,
    /// Dashboard, API, metrics, health.
    pub http: SocketAddr,
    /// JSON-RPC.
    pub rpc: SocketAddr,
    /// Its methods that change something need a login.
    pub rpc_needs_login: bool,
    /// File whose first line is a login beside the cookie's.
    pub rpc_login_file: Option<PathBuf>,
    /// Most open connections of it.
    pub rpc_connections_max: u32,
    /// How many of them may wait in long polls, in percent.
    pub rpc_long_polls_percent: u32,
    /// How many of one address may.
    pub rpc_long_polls_per_address_max: usize,
    /// How long the head of a JSON-RPC request is waited for.
    pub rpc_head_secs: u64,
    /// How long its body is.
    pub rpc_body_secs: u64,
    /// Most open connections of the HTTP server.
    pub http_connections_max: usize,
    /// Most clients of its live feed.
    pub http_events_max: usize,
    /// Most rows of one page of a list.
    pub http_page_max: usize,
    /// Connections beyond those, for health and metrics.
    pub http_probes_max: usize,
    /// Proofs that are put together at a time.
    pub http_proofs_max: usize,
    /// Of those that look through shares.
    pub http_share_proofs_max: usize,
    /// Long lists at a time.
    pub http_lists_max: usize,
    /// Requests that wait for one of these, of each kind.
    pub http_waiting_max: usize,
    /// For how long.
    pub http_waiting_secs: u64,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub http_proxies: Vec<IpNet>,
    /// Peers.
    pub p2p: SocketAddr,
    /// Peers to connect to, `HOST:PORT`.
    pub connect: Vec<String>,
    /// Written once everything is ready.
    pub ready_file: Option<PathBuf>,
    /// The chain store.
    pub chain: ChainConfig,
    /// The pool.
    pub pool: PoolConfig,
    /// The signer of its payouts, as a process of its own.
    pub signer: SignerConfig,
    /// Limits of the Stratum ports.
    pub stratum_limits: StratumLimits,
    /// Who may mine.
    pub auth: AuthConfig,
    /// The built-in miner.
    pub miner: MinerConfig,
    /// RandomX tables.
    pub randomx: RandomXConfig,
    /// Logging.
    pub log: LogConfig,
    /// Deviations of a regtest chain; nothing on other networks.
    pub regtest: RegtestConfig,
    /// The rules of the chain: those of the network, with the deviations.
    pub params: Params,
}

/// `[auth]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct AuthConfig {
    /// Only who has a token may mine.
    pub needs_token: bool,
    pub signed_requests: bool,
    pub request_window_secs: u64,
    pub requests_per_second: u32,
    pub tokens_max: usize,
    pub tokens_per_address_max: usize,
    pub refusals_secs: u64,
    pub refusals_max: usize,
    pub refusals_told_max: usize,
    pub refusal_addresses_max: usize,
    pub refusal_addresses_per_peer_max: usize,
}

/// `[chain]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainConfig {
    /// Newest blocks that are examined at start.
    pub check_blocks: u32,
    /// Most blocks that wait in memory while the disk takes none.
    pub kept_blocks_max: usize,
    /// Most MiB of them.
    pub kept_mib_max: usize,
    /// Longest pause between attempts to open a stopped store.
    pub retry_secs_max: u64,
}

/// Who pays miners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayoutMode {
    /// The coinbase of each block.
    Direct,
    /// Payouts.
    Ledger,
}

/// What accounts may set for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountSettingsConfig {
    /// They may set anything.
    pub are_taken: bool,
    /// The highest minimum.
    pub minimum_max: Amount,
    /// Seconds for which what lowers protection waits.
    pub delay_secs: u64,
    /// Seconds between two settings of an account.
    pub interval_secs: u64,
    /// Settings of all accounts in an hour.
    pub hour_max: u32,
    /// Seconds from now within which a setting must have been signed.
    pub window_secs: u64,
}

/// What telling webhooks may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticesConfig {
    /// Anything is told.
    pub are_on: bool,
    /// Private addresses may be called.
    pub may_call_private: bool,
    /// Seconds for one try.
    pub timeout_secs: u64,
    /// Most tries for a notice.
    pub tries_max: u32,
    /// Seconds until the second try.
    pub retry_secs: u64,
    /// Most notices that are sent at a time.
    pub at_once_max: usize,
    /// Most notices that wait or are sent.
    pub queue_max: usize,
    /// Most notices of an account in an hour.
    pub per_hour_max: u32,
}

/// `[pool]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Fee in hundredths of a percent.
    pub fee_bp: u16,
    /// How accounts are paid that chose nothing.
    pub scheme: AccountScheme,
    /// What an account may choose.
    pub schemes: Vec<AccountScheme>,
    /// Fee of PPS in hundredths of a percent.
    pub pps_fee_bp: u16,
    /// Fee of FPPS.
    pub fpps_fee_bp: u16,
    /// Fee of SOLO.
    pub solo_fee_bp: u16,
    /// Fee of TIDES.
    pub tides_fee_bp: u16,
    /// Length of the TIDES window.
    pub tides_window_units: u32,
    /// The part of blocks that leaves the best chain, in hundredths of a percent.
    pub reserve_orphan_bp: u16,
    /// The part of blocks that miners withhold.
    pub reserve_withheld_bp: u16,
    /// Who pays miners; nothing: as the books are.
    pub payout_mode: Option<PayoutMode>,
    /// The least that a coinbase pays a miner.
    pub direct_min: Amount,
    /// Most miners that one coinbase pays.
    pub direct_payees_max: u32,
    /// Smallest payout.
    pub payout_min: Amount,
    /// Confirmations after which a payout is final.
    pub payout_final_depth: u32,
    /// Seconds between two payout rounds.
    pub payout_interval_secs: u64,
    /// Most transactions of one payout round.
    pub payout_round_max: u32,
    /// Most coins that one payout spends.
    pub payout_inputs_max: u32,
    /// Most miners that one payout pays.
    pub payout_payees_max: u32,
    /// Network fee of payouts in atoms per 1,000 weight units.
    pub payout_fee_rate: u64,
    /// Smallest coin from a stranger that is booked.
    pub gift_min: Amount,
    /// Free coins above which small ones are joined.
    pub payout_coins_max: u32,
    /// Blocks after which a payout is replaced; 0 for never.
    pub payout_replace_blocks: u32,
    /// The most that it pays then, in fees.
    pub payout_fees_max: u32,
    /// Whom coinbases pay the pool's part; nothing: the pool's own key.
    pub cold_key: Option<KeyHash>,
    /// Payout intervals for which the float holds enough; 0 for no bound.
    pub float_intervals: u32,
    /// Longest time in milliseconds until accepted shares are told to the books.
    pub frame_interval_ms: u64,
    /// Longest time in milliseconds until an acknowledged share is on stable storage.
    pub share_sync_ms: u64,
    /// Longest time in milliseconds that the answer to a block's share waits for the node.
    pub block_wait_ms: u64,
    /// Seconds until a template is made anew without a new tip.
    pub template_interval_secs: u64,
    /// Most workers of one account that are shown one by one.
    pub workers_per_account_max: usize,
    /// Most workers of all accounts that are.
    pub workers_max: usize,
    /// Most workers of one account that are although every share of theirs was refused.
    pub refused_workers_per_account_max: usize,
    /// The same of all accounts.
    pub refused_workers_max: usize,
    /// Chance below which missing blocks are told, in millionths; 0 is never.
    pub withholding_alarm_ppm: u32,
    /// Seconds between two writes of the statistics.
    pub statistics_interval_secs: u64,
    /// Seconds between two comparisons of the books' coins with the node's.
    pub compare_interval_secs: u64,
    /// Events between two written states.
    pub checkpoint_events: u64,
    /// Seconds at least between two states that are written because a block was credited.
    pub checkpoint_secs: u64,
    /// Seconds between two statements of what is owed; 0: none.
    pub statement_interval_secs: u64,
    /// Newest statements of which parts can be shown.
    pub statements_kept: u32,
    /// Newest blocks of whose credits parts can be shown.
    pub credits_kept: u32,
    /// Most events of one proof that is asked for over HTTP.
    pub proof_events_max: u32,
    /// Most shares that are looked through for it.
    pub proof_shares_max: u32,
    /// Newest shares that are checked against the books at start.
    pub verify_shares: u64,
    /// Days for which shares are kept beyond those that a window may still want; 0 keeps all.
    pub keep_days: u32,
    /// Most shares in one file of the share log.
    pub segment_shares: u32,
    /// Seconds that the books may be behind the node before the pool says so.
    pub out_of_step_secs: u64,
    /// Accounts' own settings.
    pub settings: AccountSettingsConfig,
    /// Notices to accounts' webhooks.
    pub notices: NoticesConfig,
    /// Goes on with another key than the log names.
    pub new_key: bool,
    /// Length of the PPLNS window in expected blocks.
    pub pplns_window_units: u32,
    /// What vardiff aims at, per connection.
    pub share_interval_secs: u32,
    /// A share is never harder than the network's difficulty over this.
    pub share_difficulty_cap_divisor: u32,
    /// Key that receives rewards and signs payouts; nothing = one that the binary makes in the data directory.
    pub key_file: Option<PathBuf>,
    /// File whose first line is that key's password.
    pub password_file: Option<PathBuf>,
    /// The signer that holds the key; nothing: this process does.
    pub signer_socket: Option<PathBuf>,
    /// Milliseconds within which it must answer.
    pub signer_patience_ms: u64,
    /// Seconds in which it is told nothing of the log, at most.
    pub signer_follow_secs: u64,
    /// By [`Algorithm::index`].
    pub share_difficulty: [ShareDifficultyConfig; Algorithm::COUNT],
}

/// Bounds of vardiff for one algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareDifficultyConfig {
    /// The easiest share.
    pub floor: ShareDifficulty,
    /// What an unknown worker begins with.
    pub start: ShareDifficulty,
}

/// `[stratum]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct StratumLimits {
    pub connections_max: usize,
    pub connections_per_peer_max: usize,
    pub connections_per_subnet_max: usize,
    pub proof_lapses_secs: u64,
    pub files_reserved: usize,
    pub accepts_per_second: u32,
    pub accepts_per_subnet_second: u32,
    pub trust_loopback: bool,
    pub proxy_networks: Vec<IpNet>,
    pub deny_networks: Vec<IpNet>,
    pub allow_networks: Vec<IpNet>,
    pub proxy_header_secs: u64,
    pub agent_floors: Vec<AgentFloor>,
    /// Ports that say how everybody there is paid.
    pub scheme_ports: Vec<SchemePort>,
    pub tls: bool,
    pub plaintext: bool,
    /// The certificate and its key; nothing lets bq sign one itself.
    pub tls_files: Option<[PathBuf; 2]>,
    pub tls_warning_days: u32,
    pub tls_handshake_secs: u64,
    pub tls_handshakes_max: usize,
    pub v2_enabled: bool,
    /// Where miners' key of the pool is kept; nothing: in the data directory.
    pub v2_authority_key_file: Option<PathBuf>,
    pub v2_certificate_secs: u64,
    pub v2_handshake_secs: u64,
    pub v2_handshakes_max: usize,
    pub v2_channels_max: usize,
    pub send_buffer_kib: u32,
    pub receive_buffer_kib: u32,
    pub backlog: u32,
    pub logins_per_connection_max: usize,
    pub first_line_secs: u64,
    pub login_secs: u64,
    /// Seconds for which a RandomX or Ethash miner may build its dataset before silence lowers its difficulty.
    pub first_share_secs: u64,
    pub idle_secs: u64,
    pub shareless_secs: u64,
    pub job_refresh_secs: u64,
    pub lines_per_second: u64,
    pub line_burst: u64,
    pub outbox_kib_max: usize,
    pub write_stall_secs: u64,
    pub getwork_poll_secs: u64,
    pub getwork_answer_secs: u64,
    pub getwork_head_kib_max: usize,
    pub getwork_body_kib_max: usize,
    pub turned_away_polls_max: usize,
    pub jobs_kept: usize,
    /// Older jobs that a block may still come for.
    pub jobs_remembered: usize,
    pub shares_per_job_max: usize,
    pub block_claims_max: usize,
    pub forged_shares_max: u32,
    pub shares_per_pardon: u32,
    pub trusted_after: u32,
    pub ntime_ahead_secs_max: u32,
    pub ban_points: u32,
    pub ban_secs: u64,
    pub ban_secs_max: u64,
    pub ban_peers_max: usize,
    pub ban_shares_per_pardon: u32,
    pub ban_exempt_ratio: u32,
    pub stranger_cpu_ms: u64,
    pub stranger_cpu_ms_per_second: u64,
    pub workers_remembered_max: usize,
    pub session_ticket_secs: u64,
    pub session_tickets_max: usize,
    /// Seconds between two writes of the file `workers`.
    pub workers_saved_secs: u64,
    pub panic_shown_secs: u64,
    /// How long a process that is replaced waits for what is under way.
    pub handover_ms: u64,
    pub takeover_secs: u64,
    pub server_full_shown_secs: u64,
    pub randomx_queue_ms: u64,
    pub ethash_queue_ms: u64,
    pub strangers_percent: u32,
    pub trusted_present_secs: u64,
    pub drain_secs: u64,
    /// By [`Algorithm::index`].
    pub verify: [VerifyLimits; Algorithm::COUNT],
}

/// `[stratum.sha256d]`, `[stratum.randomx]`, `[stratum.ethash]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct VerifyLimits {
    pub verify_threads: usize,
    pub queue_max: usize,
    pub shares_in_flight_max: usize,
    pub unproven_in_flight_max: usize,
}

/// `[miner]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinerConfig {
    /// Threads; 0 = the miner is off.
    pub threads: usize,
    /// What it mines, in increasing id, at least one.
    pub algorithms: Vec<Algorithm>,
    /// Threads mine what promises the highest reward per second, instead of taking turns.
    pub is_auto: bool,
    /// It also mines on CUDA GPUs.
    pub gpu: bool,
    /// Whom its shares pay; nothing = a key of its own in the data directory.
    pub address: Option<Address>,
    /// What it puts up with from pools.
    pub patience: MinerPatience,
}

/// What a miner puts up with from pools: the rest of `[miner]`, and flags of `bq miner`. [`crate::FIELDS`] says what each does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct MinerPatience {
    pub connect_secs: u64,
    pub login_secs: u64,
    pub job_secs: u64,
    pub silence_secs: u64,
    pub verdict_secs: u64,
    pub share_secs: u64,
    pub refusals_max: u32,
    pub nonsense_max: u32,
    pub keys_max: u32,
    pub line_kib_max: usize,
    pub attempts_max: u32,
    pub backoff_ms: u64,
    pub backoff_secs_max: u64,
    pub probe_secs: u64,
    pub reconnect_wait_secs_max: u64,
    pub in_flight_max: usize,
    pub waiting_max: usize,
    pub busy_ms: u64,
    pub drain_secs: u64,
    pub keepalive_secs: u64,
}

/// `[randomx]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomXConfig {
    /// How shares and blocks are verified.
    pub mode: RandomXMode,
    /// Memory the whole process should stay within.
    pub memory_budget_mib: u32,
}

/// How RandomX hashes are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RandomXMode {
    /// 256 MiB per key, some 30 ms per hash.
    Light,
    /// 2,080 MiB more, some 1 ms per hash.
    Fast,
}

/// `[signer]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct SignerConfig {
    pub socket: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub password_file: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub payout_max: Amount,
    pub day_max: Amount,
    pub statements_per_hour_max: u32,
    pub patience_ms: u64,
    pub peer_uid: Option<u32>,
    pub connections_max: usize,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Shape of a line.
    pub format: LogFormat,
    /// A level or a filter.
    pub level: String,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[regtest]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegtestConfig {
    /// Confirmations before a coinbase output may be spent; nothing = the network's own.
    pub coinbase_maturity: Option<u32>,
    /// Era table by increasing start; empty = the network's own.
    pub eras: Vec<RegtestEra>,
}

/// One era of a custom table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegtestEra {
    /// First height.
    pub start: Height,
    /// Its algorithms in increasing id, each with the bits of every block.
    pub algorithms: Vec<(Algorithm, CompactTarget)>,
}

impl Config {
    /// The Stratum listener of an algorithm.
    #[must_use]
    pub fn stratum(&self, algorithm: Algorithm) -> SocketAddr {
        self.stratum[algorithm.index()]
    }
}
