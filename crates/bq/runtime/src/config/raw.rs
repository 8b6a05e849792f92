use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One layer as it was given: every field optional and unchecked. A file is read into it, and flags fill one in.
/// [`crate::FIELDS`] says what each field means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field once, for the file, the flags and this struct")]
pub struct RawConfig {
    pub network: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub stratum_sha256d: Option<String>,
    pub stratum_randomx: Option<String>,
    pub stratum_ethash: Option<String>,
    pub stratum_v2: Option<String>,
    pub http: Option<String>,
    pub rpc: Option<String>,
    pub rpc_auth: Option<String>,
    pub rpc_login_file: Option<PathBuf>,
    pub rpc_connections_max: Option<i64>,
    pub rpc_long_polls_percent: Option<i64>,
    pub rpc_long_polls_per_address_max: Option<i64>,
    pub rpc_head_secs: Option<i64>,
    pub rpc_body_secs: Option<i64>,
    pub http_connections_max: Option<i64>,
    pub http_events_max: Option<i64>,
    pub http_page_max: Option<i64>,
    pub http_probes_max: Option<i64>,
    pub http_proofs_max: Option<i64>,
    pub http_share_proofs_max: Option<i64>,
    pub http_lists_max: Option<i64>,
    pub http_waiting_max: Option<i64>,
    pub http_waiting_secs: Option<i64>,
    pub http_proxies: Option<Vec<String>>,
    pub p2p: Option<String>,
    pub connect: Option<Vec<String>>,
    pub ready_file: Option<PathBuf>,
    pub chain: RawChain,
    pub pool: RawPool,
    pub stratum: RawStratum,
    pub auth: RawAuth,
    pub miner: RawMiner,
    pub randomx: RawRandomX,
    pub signer: RawSigner,
    pub log: RawLog,
    pub regtest: RawRegtest,
}

/// `[chain]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawChain {
    pub check_blocks: Option<i64>,
    pub kept_blocks_max: Option<i64>,
    pub kept_mib_max: Option<i64>,
    pub retry_secs_max: Option<i64>,
}

/// `[pool]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawPool {
    pub fee_bp: Option<i64>,
    pub scheme: Option<String>,
    pub schemes: Option<Vec<String>>,
    pub pps_fee_bp: Option<i64>,
    pub fpps_fee_bp: Option<i64>,
    pub solo_fee_bp: Option<i64>,
    pub tides_fee_bp: Option<i64>,
    pub tides_window_units: Option<i64>,
    pub reserve_orphan_bp: Option<i64>,
    pub reserve_withheld_bp: Option<i64>,
    pub payout_mode: Option<String>,
    pub direct_min: Option<i64>,
    pub direct_payees_max: Option<i64>,
    pub payout_min: Option<i64>,
    pub payout_final_depth: Option<i64>,
    pub payout_interval_secs: Option<i64>,
    pub payout_round_max: Option<i64>,
    pub payout_inputs_max: Option<i64>,
    pub payout_payees_max: Option<i64>,
    pub payout_fee_rate: Option<i64>,
    pub gift_min: Option<i64>,
    pub payout_coins_max: Option<i64>,
    pub payout_replace_blocks: Option<i64>,
    pub payout_fees_max: Option<i64>,
    pub cold_address: Option<String>,
    pub float_intervals: Option<i64>,
    pub frame_interval_ms: Option<i64>,
    pub share_sync_ms: Option<i64>,
    pub block_wait_ms: Option<i64>,
    pub template_interval_secs: Option<i64>,
    pub workers_per_account_max: Option<i64>,
    pub workers_max: Option<i64>,
    pub refused_workers_per_account_max: Option<i64>,
    pub refused_workers_max: Option<i64>,
    pub withholding_alarm_ppm: Option<i64>,
    pub statistics_interval_secs: Option<i64>,
    pub compare_interval_secs: Option<i64>,
    pub checkpoint_events: Option<i64>,
    pub checkpoint_secs: Option<i64>,
    pub statement_interval_secs: Option<i64>,
    pub statements_kept: Option<i64>,
    pub credits_kept: Option<i64>,
    pub proof_events_max: Option<i64>,
    pub proof_shares_max: Option<i64>,
    pub verify_shares: Option<i64>,
    pub keep_days: Option<i64>,
    pub segment_shares: Option<i64>,
    pub out_of_step_secs: Option<i64>,
    pub settings: Option<bool>,
    pub settings_minimum_max: Option<i64>,
    pub settings_delay_secs: Option<i64>,
    pub settings_interval_secs: Option<i64>,
    pub settings_hour_max: Option<i64>,
    pub settings_window_secs: Option<i64>,
    pub notices: Option<bool>,
    pub notices_private: Option<bool>,
    pub notice_timeout_secs: Option<i64>,
    pub notice_tries_max: Option<i64>,
    pub notice_retry_secs: Option<i64>,
    pub notices_at_once_max: Option<i64>,
    pub notices_queue_max: Option<i64>,
    pub notices_per_hour_max: Option<i64>,
    pub new_key: Option<bool>,
    pub pplns_window_units: Option<i64>,
    pub share_interval_secs: Option<i64>,
    pub share_difficulty_cap_divisor: Option<i64>,
    pub key_file: Option<PathBuf>,
    pub password_file: Option<PathBuf>,
    pub signer_socket: Option<PathBuf>,
    pub signer_patience_ms: Option<i64>,
    pub signer_follow_secs: Option<i64>,
    pub sha256d: RawLane,
    pub randomx: RawLane,
    pub ethash: RawLane,
}

/// `[pool.sha256d]`, `[pool.randomx]`, `[pool.ethash]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawLane {
    pub share_difficulty_floor: Option<i64>,
    pub share_difficulty_start: Option<i64>,
}

/// `[stratum]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawStratum {
    pub connections_max: Option<i64>,
    pub connections_per_peer_max: Option<i64>,
    pub connections_per_subnet_max: Option<i64>,
    pub proof_lapses_secs: Option<i64>,
    pub files_reserved: Option<i64>,
    pub accepts_per_second: Option<i64>,
    pub accepts_per_subnet_second: Option<i64>,
    pub trust_loopback: Option<bool>,
    pub proxy_networks: Option<Vec<String>>,
    pub agent_floors: Option<Vec<String>>,
    pub scheme_ports: Option<Vec<String>>,
    pub deny_networks: Option<Vec<String>>,
    pub allow_networks: Option<Vec<String>>,
    pub proxy_header_secs: Option<i64>,
    pub tls: Option<bool>,
    pub plaintext: Option<bool>,
    pub tls_certificate_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
    pub tls_warning_days: Option<i64>,
    pub tls_handshake_secs: Option<i64>,
    pub tls_handshakes_max: Option<i64>,
    pub v2_enabled: Option<bool>,
    pub v2_authority_key_file: Option<PathBuf>,
    pub v2_certificate_secs: Option<i64>,
    pub v2_handshake_secs: Option<i64>,
    pub v2_handshakes_max: Option<i64>,
    pub v2_channels_max: Option<i64>,
    pub send_buffer_kib: Option<i64>,
    pub receive_buffer_kib: Option<i64>,
    pub backlog: Option<i64>,
    pub logins_per_connection_max: Option<i64>,
    pub first_line_secs: Option<i64>,
    pub login_secs: Option<i64>,
    pub first_share_secs: Option<i64>,
    pub idle_secs: Option<i64>,
    pub shareless_secs: Option<i64>,
    pub job_refresh_secs: Option<i64>,
    pub lines_per_second: Option<i64>,
    pub line_burst: Option<i64>,
    pub outbox_kib_max: Option<i64>,
    pub write_stall_secs: Option<i64>,
    pub getwork_poll_secs: Option<i64>,
    pub getwork_answer_secs: Option<i64>,
    pub getwork_head_kib_max: Option<i64>,
    pub getwork_body_kib_max: Option<i64>,
    pub turned_away_polls_max: Option<i64>,
    pub jobs_kept: Option<i64>,
    pub jobs_remembered: Option<i64>,
    pub shares_per_job_max: Option<i64>,
    pub block_claims_max: Option<i64>,
    pub forged_shares_max: Option<i64>,
    pub shares_per_pardon: Option<i64>,
    pub trusted_after: Option<i64>,
    pub ntime_ahead_secs_max: Option<i64>,
    pub ban_points: Option<i64>,
    pub ban_secs: Option<i64>,
    pub ban_secs_max: Option<i64>,
    pub ban_peers_max: Option<i64>,
    pub ban_shares_per_pardon: Option<i64>,
    pub ban_exempt_ratio: Option<i64>,
    pub stranger_cpu_ms: Option<i64>,
    pub stranger_cpu_ms_per_second: Option<i64>,
    pub workers_remembered_max: Option<i64>,
    pub session_ticket_secs: Option<i64>,
    pub session_tickets_max: Option<i64>,
    pub workers_saved_secs: Option<i64>,
    pub panic_shown_secs: Option<i64>,
    pub handover_ms: Option<i64>,
    pub takeover_secs: Option<i64>,
    pub server_full_shown_secs: Option<i64>,
    pub randomx_queue_ms: Option<i64>,
    pub ethash_queue_ms: Option<i64>,
    pub strangers_percent: Option<i64>,
    pub trusted_present_secs: Option<i64>,
    pub drain_secs: Option<i64>,
    pub sha256d: RawVerify,
    pub randomx: RawVerify,
    pub ethash: RawVerify,
}

/// `[auth]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawAuth {
    pub mode: Option<String>,
    pub signed_requests: Option<bool>,
    pub request_window_secs: Option<i64>,
    pub requests_per_second: Option<i64>,
    pub tokens_max: Option<i64>,
    pub tokens_per_address_max: Option<i64>,
    pub refusals_secs: Option<i64>,
    pub refusals_max: Option<i64>,
    pub refusals_told_max: Option<i64>,
    pub refusal_addresses_max: Option<i64>,
    pub refusal_addresses_per_peer_max: Option<i64>,
}

/// `[stratum.sha256d]`, `[stratum.randomx]`, `[stratum.ethash]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawVerify {
    pub verify_threads: Option<i64>,
    pub queue_max: Option<i64>,
    pub shares_in_flight_max: Option<i64>,
    pub unproven_in_flight_max: Option<i64>,
}

/// `[miner]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawMiner {
    pub enabled: Option<bool>,
    pub threads: Option<i64>,
    pub algorithms: Option<Vec<String>>,
    pub mode: Option<String>,
    pub gpu: Option<bool>,
    pub address: Option<String>,
    pub connect_secs: Option<i64>,
    pub login_secs: Option<i64>,
    pub job_secs: Option<i64>,
    pub silence_secs: Option<i64>,
    pub verdict_secs: Option<i64>,
    pub share_secs: Option<i64>,
    pub refusals_max: Option<i64>,
    pub nonsense_max: Option<i64>,
    pub keys_max: Option<i64>,
    pub line_kib_max: Option<i64>,
    pub attempts_max: Option<i64>,
    pub backoff_ms: Option<i64>,
    pub backoff_secs_max: Option<i64>,
    pub probe_secs: Option<i64>,
    pub reconnect_wait_secs_max: Option<i64>,
    pub in_flight_max: Option<i64>,
    pub waiting_max: Option<i64>,
    pub busy_ms: Option<i64>,
    pub drain_secs: Option<i64>,
    pub keepalive_secs: Option<i64>,
}

/// `[randomx]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawRandomX {
    pub mode: Option<String>,
    pub memory_budget_mib: Option<i64>,
}

/// `[signer]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawSigner {
    pub socket: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub password_file: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub payout_max: Option<i64>,
    pub day_max: Option<i64>,
    pub statements_per_hour_max: Option<i64>,
    pub patience_ms: Option<i64>,
    pub peer_uid: Option<i64>,
    pub connections_max: Option<i64>,
}

/// `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawLog {
    pub format: Option<String>,
    pub level: Option<String>,
}

/// `[regtest]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "FIELDS documents every field")]
pub struct RawRegtest {
    pub coinbase_maturity: Option<i64>,
    pub eras: Option<Vec<RawEra>>,
}

/// `[[regtest.eras]]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEra {
    /// First height of the era.
    pub start: i64,
    /// Names of its algorithms.
    pub algorithms: Vec<String>,
    /// Compact bits by algorithm name, eight hex digits; missing ones get the easiest, 207fffff.
    #[serde(default)]
    pub bits: std::collections::BTreeMap<String, String>,
}
