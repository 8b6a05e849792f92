//! From checked values to types. Each value was accepted by its field already; what remains are rules between fields.

use std::{net::SocketAddr, path::PathBuf};

use bq_consensus::{Era, EraAlgorithm, Params, StartBits};
use bq_mining_message::AccountScheme;
use bq_primitives::{Address, Algorithm, Amount, CompactTarget, Height, Network, ShareDifficulty};
use ipnet::IpNet;
use serde::de::DeserializeOwned;

use super::{
    AgentFloor, SchemePort,
    error::ConfigError,
    fields::{FIELDS, read_network},
    layers::{Source, Values},
    raw::RawEra,
    values::{
        AccountSettingsConfig, AuthConfig, ChainConfig, Config, LogConfig, LogFormat, MinerConfig, MinerPatience,
        NoticesConfig, PayoutMode, PoolConfig, RandomXConfig, RandomXMode, RegtestConfig, RegtestEra,
        ShareDifficultyConfig, SignerConfig, StratumLimits, VerifyLimits,
    },
};

/// Target 1, as everywhere.
const HARDEST_BITS: CompactTarget = CompactTarget(0x0101_0000);
const EASIEST_BITS: CompactTarget = CompactTarget(0x207f_ffff);
/// Cache and dataset of RandomX, and the rest of the process beside them.
const FAST_MODE_MIB: u32 = 256 + 2_080 + 256;

/// The typed configuration.
pub(super) fn build(values: &Values) -> Result<Config, ConfigError> {
    let reader = Reader { values };
    let network: Network = reader.parsed("network")?;
    let regtest = reader.regtest(network)?;
    let params = params(network, &regtest)?;
    let config = Config {
        network,
        data_dir: reader.path("data_dir")?.unwrap_or_default(),
        stratum: [
            reader.parsed("stratum_sha256d")?,
            reader.parsed("stratum_randomx")?,
            reader.parsed("stratum_ethash")?,
        ],
        stratum_v2: reader.parsed("stratum_v2")?,
        http: reader.parsed("http")?,
        http_connections_max: reader.number("http_connections_max")?,
        http_events_max: reader.number("http_events_max")?,
        http_page_max: reader.number("http_page_max")?,
        http_probes_max: reader.number("http_probes_max")?,
        http_proofs_max: reader.number("http_proofs_max")?,
        http_share_proofs_max: reader.number("http_share_proofs_max")?,
        http_lists_max: reader.number("http_lists_max")?,
        http_waiting_max: reader.number("http_waiting_max")?,
        http_waiting_secs: reader.number("http_waiting_secs")?,
        http_proxies: reader.networks("http_proxies")?,
        rpc: reader.parsed("rpc")?,
        rpc_needs_login: reader.required::<String>("rpc_auth")? != "none",
        rpc_login_file: reader.path("rpc_login_file")?,
        rpc_connections_max: reader.number("rpc_connections_max")?,
        rpc_long_polls_percent: reader.number("rpc_long_polls_percent")?,
        rpc_long_polls_per_address_max: reader.number("rpc_long_polls_per_address_max")?,
        rpc_head_secs: reader.number("rpc_head_secs")?,
        rpc_body_secs: reader.number("rpc_body_secs")?,
        p2p: reader.parsed("p2p")?,
        connect: reader.required("connect")?,
        ready_file: reader.path("ready_file")?,
        chain: reader.chain()?,
        pool: reader.pool(network)?,
        signer: reader.signer()?,
        stratum_limits: reader.stratum()?,
        auth: reader.auth()?,
        miner: reader.miner(network)?,
        randomx: reader.randomx()?,
        log: reader.log()?,
        regtest,
        params,
    };
    check_ports(&config)?;
    check_scheme_ports(&config)?;
    Ok(config)
}

/// No two listeners want the same port. Port 0 is a free one each time.
fn check_ports(config: &Config) -> Result<(), ConfigError> {
    let [sha256d, randomx, ethash] = config.stratum;
    let v2 = config.stratum_limits.v2_enabled.then_some(("stratum_v2", config.stratum_v2));
    let listeners = [
        ("stratum_sha256d", sha256d),
        ("stratum_randomx", randomx),
        ("stratum_ethash", ethash),
        ("http", config.http),
        ("rpc", config.rpc),
        ("p2p", config.p2p),
    ];
    let of_schemes = config.stratum_limits.scheme_ports.iter().map(|port| ("stratum.scheme_ports", port.address));
    let listeners: Vec<(&str, SocketAddr)> = listeners.into_iter().chain(v2).chain(of_schemes).collect();
    for (index, (field, address)) in listeners.iter().enumerate() {
        let overlaps = |other: &SocketAddr| {
            let same_host = other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified();
            address.port() != 0 && other.port() == address.port() && same_host
        };
        if let Some((other, taken)) = listeners.iter().take(index).find(|(_, taken)| overlaps(taken)) {
            let reason = format!("{address} is taken by {other}, which is {taken}");
            return Err(ConfigError::Conflict { field, reason });
        }
    }
    Ok(())
}

/// A port does not promise what the pool does not offer.
fn check_scheme_ports(config: &Config) -> Result<(), ConfigError> {
    let pool = &config.pool;
    let is_offered = |scheme: AccountScheme| {
        scheme == AccountScheme::default() || scheme == pool.scheme || pool.schemes.contains(&scheme)
    };
    match config.stratum_limits.scheme_ports.iter().find(|port| !is_offered(port.scheme)) {
        None => Ok(()),
        Some(port) => {
            let reason = format!("{} is neither pool.scheme nor in pool.schemes", port.scheme);
            Err(ConfigError::Conflict { field: "stratum.scheme_ports", reason })
        }
    }
}

/// The network's rules, with the deviations that a regtest chain asked for.
fn params(network: Network, regtest: &RegtestConfig) -> Result<Params, ConfigError> {
    let mut params = Params::of(network);
    if let Some(blocks) = regtest.coinbase_maturity {
        params.coinbase_maturity = blocks;
    }
    if !regtest.eras.is_empty() {
        params.eras.table = regtest.eras.iter().map(era_rule).collect();
    }
    // The built-in rules pass this too: it is the check at start-up that SPEC 1.1 asks for.
    params.check().map_err(|error| ConfigError::Conflict { field: "regtest.eras", reason: error.to_string() })?;
    Ok(params)
}

/// Without retargeting every block needs its era's limit, so the limit is the chosen bits; the unit of work stays the
/// easiest target.
fn era_rule(era: &RegtestEra) -> Era {
    let rule = |&(algorithm, bits): &(Algorithm, CompactTarget)| EraAlgorithm {
        algorithm,
        start_bits: StartBits::At(bits),
        limit_bits: bits,
        hardest_bits: HARDEST_BITS,
        ref_bits: EASIEST_BITS,
    };
    Era { start: era.start, algorithms: era.algorithms.iter().map(rule).collect() }
}

struct Reader<'a> {
    values: &'a Values,
}

impl Reader<'_> {
    fn chain(&self) -> Result<ChainConfig, ConfigError> {
        Ok(ChainConfig {
            check_blocks: self.number("chain.check_blocks")?,
            kept_blocks_max: self.number("chain.kept_blocks_max")?,
            kept_mib_max: self.number("chain.kept_mib_max")?,
            retry_secs_max: self.number("chain.retry_secs_max")?,
        })
    }

    fn pool(&self, network: Network) -> Result<PoolConfig, ConfigError> {
        let (key_file, password_file) = (self.path("pool.key_file")?, self.path("pool.password_file")?);
        if key_file.is_some() && password_file.is_none() {
            let reason = "a key file of your own needs the file with its password".to_owned();
            return Err(ConfigError::Conflict { field: "pool.password_file", reason });
        }
        let signer_socket = self.path("pool.signer_socket")?;
        if key_file.is_some() && signer_socket.is_some() {
            let reason = "the key lies with the signer: name its file as signer.key_file, there".to_owned();
            return Err(ConfigError::Conflict { field: "pool.key_file", reason });
        }
        Ok(PoolConfig {
            fee_bp: self.number("pool.fee_bp")?,
            scheme: self.required::<String>("pool.scheme")?.parse().unwrap_or_default(),
            schemes: self
                .required::<Vec<String>>("pool.schemes")?
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
            pps_fee_bp: self.number("pool.pps_fee_bp")?,
            fpps_fee_bp: self.number("pool.fpps_fee_bp")?,
            solo_fee_bp: self.number("pool.solo_fee_bp")?,
            tides_fee_bp: self.number("pool.tides_fee_bp")?,
            tides_window_units: self.number("pool.tides_window_units")?,
            reserve_orphan_bp: self.number("pool.reserve_orphan_bp")?,
            reserve_withheld_bp: self.number("pool.reserve_withheld_bp")?,
            payout_mode: match self.required::<String>("pool.payout_mode")?.as_str() {
                "direct" => Some(PayoutMode::Direct),
                "ledger" => Some(PayoutMode::Ledger),
                _ => None,
            },
            direct_min: self.amount("pool.direct_min")?,
            direct_payees_max: self.number("pool.direct_payees_max")?,
            payout_min: self.amount("pool.payout_min")?,
            payout_final_depth: self.number("pool.payout_final_depth")?,
            payout_interval_secs: self.number("pool.payout_interval_secs")?,
            payout_round_max: self.number("pool.payout_round_max")?,
            payout_inputs_max: self.number("pool.payout_inputs_max")?,
            payout_payees_max: self.number("pool.payout_payees_max")?,
            payout_fee_rate: self.number("pool.payout_fee_rate")?,
            gift_min: self.amount("pool.gift_min")?,
            payout_coins_max: self.number("pool.payout_coins_max")?,
            payout_replace_blocks: self.number("pool.payout_replace_blocks")?,
            payout_fees_max: self.number("pool.payout_fees_max")?,
            cold_key: self.address("pool.cold_address", network)?.map(|address| address.key_hash),
            float_intervals: self.number("pool.float_intervals")?,
            frame_interval_ms: self.number("pool.frame_interval_ms")?,
            share_sync_ms: self.number("pool.share_sync_ms")?,
            block_wait_ms: self.number("pool.block_wait_ms")?,
            template_interval_secs: self.number("pool.template_interval_secs")?,
            workers_per_account_max: self.number("pool.workers_per_account_max")?,
            workers_max: self.number("pool.workers_max")?,
            refused_workers_per_account_max: self.number("pool.refused_workers_per_account_max")?,
            refused_workers_max: self.number("pool.refused_workers_max")?,
            withholding_alarm_ppm: self.number("pool.withholding_alarm_ppm")?,
            statistics_interval_secs: self.number("pool.statistics_interval_secs")?,
            compare_interval_secs: self.number("pool.compare_interval_secs")?,
            checkpoint_events: self.number("pool.checkpoint_events")?,
            checkpoint_secs: self.number("pool.checkpoint_secs")?,
            statement_interval_secs: self.number("pool.statement_interval_secs")?,
            statements_kept: self.number("pool.statements_kept")?,
            credits_kept: self.number("pool.credits_kept")?,
            proof_events_max: self.number("pool.proof_events_max")?,
            proof_shares_max: self.number("pool.proof_shares_max")?,
            verify_shares: self.number("pool.verify_shares")?,
            keep_days: self.number("pool.keep_days")?,
            segment_shares: self.number("pool.segment_shares")?,
            out_of_step_secs: self.number("pool.out_of_step_secs")?,
            settings: self.account_settings()?,
            notices: self.notices()?,
            new_key: self.required("pool.new_key")?,
            pplns_window_units: self.number("pool.pplns_window_units")?,
            share_interval_secs: self.number("pool.share_interval_secs")?,
            share_difficulty_cap_divisor: self.number("pool.share_difficulty_cap_divisor")?,
            key_file,
            password_file,
            signer_socket,
            signer_patience_ms: self.number("pool.signer_patience_ms")?,
            signer_follow_secs: self.number("pool.signer_follow_secs")?,
            share_difficulty: [
                self.lane("pool.sha256d.share_difficulty_floor", "pool.sha256d.share_difficulty_start")?,
                self.lane("pool.randomx.share_difficulty_floor", "pool.randomx.share_difficulty_start")?,
                self.lane("pool.ethash.share_difficulty_floor", "pool.ethash.share_difficulty_start")?,
            ],
        })
    }

    fn account_settings(&self) -> Result<AccountSettingsConfig, ConfigError> {
        Ok(AccountSettingsConfig {
            are_taken: self.required("pool.settings")?,
            minimum_max: self.amount("pool.settings_minimum_max")?,
            delay_secs: self.number("pool.settings_delay_secs")?,
            interval_secs: self.number("pool.settings_interval_secs")?,
            hour_max: self.number("pool.settings_hour_max")?,
            window_secs: self.number("pool.settings_window_secs")?,
        })
    }

    fn notices(&self) -> Result<NoticesConfig, ConfigError> {
        Ok(NoticesConfig {
            are_on: self.required("pool.notices")?,
            may_call_private: self.required("pool.notices_private")?,
            timeout_secs: self.number("pool.notice_timeout_secs")?,
            tries_max: self.number("pool.notice_tries_max")?,
            retry_secs: self.number("pool.notice_retry_secs")?,
            at_once_max: self.number("pool.notices_at_once_max")?,
            queue_max: self.number("pool.notices_queue_max")?,
            per_hour_max: self.number("pool.notices_per_hour_max")?,
        })
    }

    fn signer(&self) -> Result<SignerConfig, ConfigError> {
        let (key_file, password_file) = (self.path("signer.key_file")?, self.path("signer.password_file")?);
        if key_file.is_some() && password_file.is_none() {
            let reason = "a key file of your own needs the file with its password".to_owned();
            return Err(ConfigError::Conflict { field: "signer.password_file", reason });
        }
        Ok(SignerConfig {
            socket: self.path("signer.socket")?,
            key_file,
            password_file,
            state: self.path("signer.state")?,
            payout_max: self.amount("signer.payout_max")?,
            day_max: self.amount("signer.day_max")?,
            statements_per_hour_max: self.number("signer.statements_per_hour_max")?,
            patience_ms: self.number("signer.patience_ms")?,
            connections_max: self.number("signer.connections_max")?,
            peer_uid: match self.values.contains_key("signer.peer_uid") {
                true => Some(self.number("signer.peer_uid")?),
                false => None,
            },
        })
    }

    fn lane(&self, floor: &'static str, start: &'static str) -> Result<ShareDifficultyConfig, ConfigError> {
        let hashes = |name| self.number(name).map(ShareDifficulty::from_hashes);
        let lane = ShareDifficultyConfig { floor: hashes(floor)?, start: hashes(start)? };
        if lane.start < lane.floor {
            let reason = format!("{} is below {floor}, which is {}", lane.start, lane.floor);
            return Err(ConfigError::Conflict { field: start, reason });
        }
        Ok(lane)
    }

    fn stratum(&self) -> Result<StratumLimits, ConfigError> {
        let limits = StratumLimits {
            connections_max: self.number("stratum.connections_max")?,
            connections_per_peer_max: self.number("stratum.connections_per_peer_max")?,
            connections_per_subnet_max: self.number("stratum.connections_per_subnet_max")?,
            proof_lapses_secs: self.number("stratum.proof_lapses_secs")?,
            files_reserved: self.number("stratum.files_reserved")?,
            accepts_per_subnet_second: self.number("stratum.accepts_per_subnet_second")?,
            accepts_per_second: self.number("stratum.accepts_per_second")?,
            trust_loopback: self.required("stratum.trust_loopback")?,
            proxy_networks: self.networks("stratum.proxy_networks")?,
            deny_networks: self.networks("stratum.deny_networks")?,
            allow_networks: self.networks("stratum.allow_networks")?,
            proxy_header_secs: self.number("stratum.proxy_header_secs")?,
            agent_floors: self.agent_floors()?,
            scheme_ports: self.scheme_ports()?,
            tls: self.required("stratum.tls")?,
            plaintext: self.required("stratum.plaintext")?,
            tls_files: self.tls_files()?,
            tls_warning_days: self.number("stratum.tls_warning_days")?,
            tls_handshake_secs: self.number("stratum.tls_handshake_secs")?,
            tls_handshakes_max: self.number("stratum.tls_handshakes_max")?,
            v2_enabled: self.required("stratum.v2_enabled")?,
            v2_authority_key_file: self.path("stratum.v2_authority_key_file")?,
            v2_certificate_secs: self.number("stratum.v2_certificate_secs")?,
            v2_handshake_secs: self.number("stratum.v2_handshake_secs")?,
            v2_handshakes_max: self.number("stratum.v2_handshakes_max")?,
            v2_channels_max: self.number("stratum.v2_channels_max")?,
            send_buffer_kib: self.number("stratum.send_buffer_kib")?,
            receive_buffer_kib: self.number("stratum.receive_buffer_kib")?,
            backlog: self.number("stratum.backlog")?,
            logins_per_connection_max: self.number("stratum.logins_per_connection_max")?,
            first_line_secs: self.number("stratum.first_line_secs")?,
            login_secs: self.number("stratum.login_secs")?,
            first_share_secs: self.number("stratum.first_share_secs")?,
            idle_secs: self.number("stratum.idle_secs")?,
            shareless_secs: self.number("stratum.shareless_secs")?,
            job_refresh_secs: self.number("stratum.job_refresh_secs")?,
            lines_per_second: self.number("stratum.lines_per_second")?,
            line_burst: self.number("stratum.line_burst")?,
            outbox_kib_max: self.number("stratum.outbox_kib_max")?,
            write_stall_secs: self.number("stratum.write_stall_secs")?,
            getwork_poll_secs: self.number("stratum.getwork_poll_secs")?,
            getwork_answer_secs: self.number("stratum.getwork_answer_secs")?,
            getwork_head_kib_max: self.number("stratum.getwork_head_kib_max")?,
            getwork_body_kib_max: self.number("stratum.getwork_body_kib_max")?,
            turned_away_polls_max: self.number("stratum.turned_away_polls_max")?,
            jobs_kept: self.number("stratum.jobs_kept")?,
            jobs_remembered: self.number("stratum.jobs_remembered")?,
            shares_per_job_max: self.number("stratum.shares_per_job_max")?,
            block_claims_max: self.number("stratum.block_claims_max")?,
            forged_shares_max: self.number("stratum.forged_shares_max")?,
            shares_per_pardon: self.number("stratum.shares_per_pardon")?,
            trusted_after: self.number("stratum.trusted_after")?,
            ntime_ahead_secs_max: self.number("stratum.ntime_ahead_secs_max")?,
            ban_points: self.number("stratum.ban_points")?,
            ban_secs: self.number("stratum.ban_secs")?,
            ban_secs_max: self.number("stratum.ban_secs_max")?,
            ban_peers_max: self.number("stratum.ban_peers_max")?,
            ban_shares_per_pardon: self.number("stratum.ban_shares_per_pardon")?,
            ban_exempt_ratio: self.number("stratum.ban_exempt_ratio")?,
            stranger_cpu_ms: self.number("stratum.stranger_cpu_ms")?,
            stranger_cpu_ms_per_second: self.number("stratum.stranger_cpu_ms_per_second")?,
            workers_remembered_max: self.number("stratum.workers_remembered_max")?,
            session_ticket_secs: self.number("stratum.session_ticket_secs")?,
            session_tickets_max: self.number("stratum.session_tickets_max")?,
            workers_saved_secs: self.number("stratum.workers_saved_secs")?,
            panic_shown_secs: self.number("stratum.panic_shown_secs")?,
            handover_ms: self.number("stratum.handover_ms")?,
            takeover_secs: self.number("stratum.takeover_secs")?,
            server_full_shown_secs: self.number("stratum.server_full_shown_secs")?,
            randomx_queue_ms: self.number("stratum.randomx_queue_ms")?,
            ethash_queue_ms: self.number("stratum.ethash_queue_ms")?,
            strangers_percent: self.number("stratum.strangers_percent")?,
            trusted_present_secs: self.number("stratum.trusted_present_secs")?,
            drain_secs: self.number("stratum.drain_secs")?,
            verify: [
                VerifyLimits {
                    verify_threads: self.number("stratum.sha256d.verify_threads")?,
                    queue_max: self.number("stratum.sha256d.queue_max")?,
                    shares_in_flight_max: self.number("stratum.sha256d.shares_in_flight_max")?,
                    unproven_in_flight_max: self.number("stratum.sha256d.unproven_in_flight_max")?,
                },
                VerifyLimits {
                    verify_threads: self.number("stratum.randomx.verify_threads")?,
                    queue_max: self.number("stratum.randomx.queue_max")?,
                    shares_in_flight_max: self.number("stratum.randomx.shares_in_flight_max")?,
                    unproven_in_flight_max: self.number("stratum.randomx.unproven_in_flight_max")?,
                },
                VerifyLimits {
                    verify_threads: self.number("stratum.ethash.verify_threads")?,
                    queue_max: self.number("stratum.ethash.queue_max")?,
                    shares_in_flight_max: self.number("stratum.ethash.shares_in_flight_max")?,
                    unproven_in_flight_max: self.number("stratum.ethash.unproven_in_flight_max")?,
                },
            ],
        };
        self.check_stratum(&limits)?;
        Ok(limits)
    }

    fn auth(&self) -> Result<AuthConfig, ConfigError> {
        Ok(AuthConfig {
            needs_token: self.required::<String>("auth.mode")? == "token",
            signed_requests: self.required("auth.signed_requests")?,
            request_window_secs: self.number("auth.request_window_secs")?,
            requests_per_second: self.number("auth.requests_per_second")?,
            tokens_max: self.number("auth.tokens_max")?,
            tokens_per_address_max: self.number("auth.tokens_per_address_max")?,
            refusals_secs: self.number("auth.refusals_secs")?,
            refusals_max: self.number("auth.refusals_max")?,
            refusals_told_max: self.number("auth.refusals_told_max")?,
            refusal_addresses_max: self.number("auth.refusal_addresses_max")?,
            refusal_addresses_per_peer_max: self.number("auth.refusal_addresses_per_peer_max")?,
        })
    }

    fn check_stratum(&self, limits: &StratumLimits) -> Result<(), ConfigError> {
        let conflict = |field, reason: String| Err(ConfigError::Conflict { field, reason });
        if !limits.plaintext && !limits.tls {
            return conflict("stratum.plaintext", "no miner is served with stratum.tls off as well".to_owned());
        }
        if !limits.plaintext && self.required("miner.enabled")? {
            let reason = "the built-in miner speaks no TLS: set miner.enabled to false as well".to_owned();
            return conflict("stratum.plaintext", reason);
        }
        if limits.ban_secs_max < limits.ban_secs {
            let reason = format!("{} is below stratum.ban_secs, which is {}", limits.ban_secs_max, limits.ban_secs);
            return conflict("stratum.ban_secs_max", reason);
        }
        // A default may be more than what was set beside it; two that were set mean what they say.
        for [narrow, wide] in [
            ["stratum.connections_per_peer_max", "stratum.connections_per_subnet_max"],
            ["stratum.connections_per_peer_max", "stratum.connections_max"],
            ["stratum.connections_per_subnet_max", "stratum.connections_max"],
        ] {
            let (of_narrow, of_wide) = (self.number::<i64>(narrow)?, self.number::<i64>(wide)?);
            if of_wide < of_narrow && self.is_set(narrow) && self.is_set(wide) {
                return conflict(wide, format!("{of_wide} is below {narrow}, which is {of_narrow}"));
            }
        }
        Ok(())
    }

    /// A certificate and its key come together.
    fn tls_files(&self) -> Result<Option<[PathBuf; 2]>, ConfigError> {
        let (certificate, key) = ("stratum.tls_certificate_file", "stratum.tls_key_file");
        match (self.path(certificate)?, self.path(key)?) {
            (Some(chain), Some(of_chain)) => Ok(Some([chain, of_chain])),
            (None, None) => Ok(None),
            (found, _) => {
                let (field, other) = if found.is_some() { (key, certificate) } else { (certificate, key) };
                Err(ConfigError::Conflict { field, reason: format!("{other} is of no use without it") })
            }
        }
    }

    fn networks(&self, name: &'static str) -> Result<Vec<IpNet>, ConfigError> {
        let texts: Vec<String> = self.required(name)?;
        texts.iter().map(|text| read_network(text).ok_or_else(|| self.refuse(name, text))).collect()
    }

    fn agent_floors(&self) -> Result<Vec<AgentFloor>, ConfigError> {
        let name = "stratum.agent_floors";
        let texts: Vec<String> = self.required(name)?;
        texts.iter().map(|text| AgentFloor::parse(text).ok_or_else(|| self.refuse(name, text))).collect()
    }

    fn scheme_ports(&self) -> Result<Vec<SchemePort>, ConfigError> {
        let name = "stratum.scheme_ports";
        let texts: Vec<String> = self.required(name)?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        SchemePort::parse_all(&texts).ok_or_else(|| self.refuse(name, &texts.join(", ")))
    }

    fn is_set(&self, name: &'static str) -> bool {
        self.values.get(name).is_some_and(|(_, from)| *from != Source::Default)
    }

    fn miner(&self, network: Network) -> Result<MinerConfig, ConfigError> {
        let enabled: bool = self.required("miner.enabled")?;
        let asked: usize = self.number("miner.threads")?;
        let names: Vec<String> = self.required("miner.algorithms")?;
        let mut algorithms: Vec<Algorithm> = names.iter().filter_map(|name| name.parse().ok()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let address = self.address("miner.address", network)?;
        let is_auto = self.required::<String>("miner.mode")? == "auto";
        Ok(MinerConfig {
            threads: if enabled { asked } else { 0 },
            algorithms,
            is_auto,
            gpu: self.required("miner.gpu")?,
            address,
            patience: self.patience()?,
        })
    }

    fn address(&self, name: &'static str, network: Network) -> Result<Option<Address>, ConfigError> {
        let Some(text) = self.optional::<String>(name)? else { return Ok(None) };
        let address = Address::parse(&text, network);
        address.map(Some).map_err(|error| self.refuse(name, &format!("{text} ({error})")))
    }

    fn patience(&self) -> Result<MinerPatience, ConfigError> {
        Ok(MinerPatience {
            connect_secs: self.number("miner.connect_secs")?,
            login_secs: self.number("miner.login_secs")?,
            job_secs: self.number("miner.job_secs")?,
            silence_secs: self.number("miner.silence_secs")?,
            verdict_secs: self.number("miner.verdict_secs")?,
            share_secs: self.number("miner.share_secs")?,
            refusals_max: self.number("miner.refusals_max")?,
            nonsense_max: self.number("miner.nonsense_max")?,
            keys_max: self.number("miner.keys_max")?,
            line_kib_max: self.number("miner.line_kib_max")?,
            attempts_max: self.number("miner.attempts_max")?,
            backoff_ms: self.number("miner.backoff_ms")?,
            backoff_secs_max: self.number("miner.backoff_secs_max")?,
            probe_secs: self.number("miner.probe_secs")?,
            reconnect_wait_secs_max: self.number("miner.reconnect_wait_secs_max")?,
            in_flight_max: self.number("miner.in_flight_max")?,
            waiting_max: self.number("miner.waiting_max")?,
            busy_ms: self.number("miner.busy_ms")?,
            drain_secs: self.number("miner.drain_secs")?,
            keepalive_secs: self.number("miner.keepalive_secs")?,
        })
    }

    fn randomx(&self) -> Result<RandomXConfig, ConfigError> {
        let memory_budget_mib = self.number("randomx.memory_budget_mib")?;
        let mode = match self.required::<String>("randomx.mode")?.as_str() {
            "fast" => RandomXMode::Fast,
            "auto" if memory_budget_mib >= FAST_MODE_MIB => RandomXMode::Fast,
            _ => RandomXMode::Light,
        };
        Ok(RandomXConfig { mode, memory_budget_mib })
    }

    fn log(&self) -> Result<LogConfig, ConfigError> {
        let json = self.required::<String>("log.format")? == "json";
        let format = if json { LogFormat::Json } else { LogFormat::Text };
        Ok(LogConfig { format, level: self.required("log.level")? })
    }

    fn regtest(&self, network: Network) -> Result<RegtestConfig, ConfigError> {
        for field in ["regtest.coinbase_maturity", "regtest.eras"] {
            if network != Network::Regtest && self.values.contains_key(field) {
                let reason = format!("the rules of {network} are fixed; only regtest takes this");
                return Err(ConfigError::Conflict { field, reason });
            }
        }
        let coinbase_maturity = match self.values.contains_key("regtest.coinbase_maturity") {
            true => Some(self.number("regtest.coinbase_maturity")?),
            false => None,
        };
        let raw: Vec<RawEra> = self.optional("regtest.eras")?.unwrap_or_default();
        let eras: Vec<RegtestEra> = raw.iter().map(|era| self.era(era)).collect::<Result<_, _>>()?;
        let starts_right = eras.first().is_none_or(|era| era.start == Height(1));
        let increases = eras.windows(2).all(|pair| pair[0].start < pair[1].start);
        if starts_right && increases {
            Ok(RegtestConfig { coinbase_maturity, eras })
        } else {
            let starts: Vec<String> = eras.iter().map(|era| era.start.to_string()).collect();
            Err(self.refuse("regtest.eras", &format!("starts {}", starts.join(", "))))
        }
    }

    fn era(&self, raw: &RawEra) -> Result<RegtestEra, ConfigError> {
        let refuse = |got: String| self.refuse("regtest.eras", &got);
        let start = u32::try_from(raw.start).map_err(|_| refuse(format!("start {}", raw.start)))?;
        let algorithm = |name: &String| name.parse::<Algorithm>().map_err(|error| refuse(error.to_string()));
        let mut ids: Vec<Algorithm> = raw.algorithms.iter().map(algorithm).collect::<Result<_, _>>()?;
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() || ids.len() != raw.algorithms.len() {
            return Err(refuse(format!("algorithms {:?}", raw.algorithms)));
        }
        if let Some(name) = raw.bits.keys().find(|name| !raw.algorithms.contains(name)) {
            return Err(refuse(format!("bits for {name}, which is not in the era")));
        }
        let with_bits = |id: Algorithm| match raw.bits.get(id.name()) {
            None => Ok((id, EASIEST_BITS)),
            Some(text) => parse_bits(text).map(|bits| (id, bits)).ok_or_else(|| refuse(format!("bits {text:?}"))),
        };
        let algorithms = ids.into_iter().map(with_bits).collect::<Result<_, _>>()?;
        Ok(RegtestEra { start: Height(start), algorithms })
    }

    fn amount(&self, name: &'static str) -> Result<Amount, ConfigError> {
        let atoms: u64 = self.number(name)?;
        Amount::from_atoms(atoms).map_err(|_| self.refuse(name, &atoms.to_string()))
    }

    fn number<T: TryFrom<i64>>(&self, name: &'static str) -> Result<T, ConfigError> {
        let number: i64 = self.required(name)?;
        T::try_from(number).map_err(|_| self.refuse(name, &number.to_string()))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, ConfigError> {
        let text: String = self.required(name)?;
        text.parse().map_err(|_| self.refuse(name, &text))
    }

    fn path(&self, name: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        self.optional(name)
    }

    fn required<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, ConfigError> {
        self.optional(name)?.ok_or_else(|| self.refuse(name, "nothing"))
    }

    fn optional<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, ConfigError> {
        let Some((value, _)) = self.values.get(name) else { return Ok(None) };
        match value.clone().try_into() {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let error: toml::de::Error = error;
                Err(self.refuse(name, &format!("{value} ({})", error.message())))
            }
        }
    }

    fn refuse(&self, name: &'static str, got: &str) -> ConfigError {
        let allowed = FIELDS.iter().find(|field| field.name == name).map(|field| field.allowed());
        let from = self.values.get(name).map_or(Source::Default, |(_, from)| from.clone());
        ConfigError::Value { field: name, got: got.to_owned(), allowed: allowed.unwrap_or_default(), from }
    }
}

fn parse_bits(text: &str) -> Option<CompactTarget> {
    let bits: CompactTarget = text.parse().ok()?;
    bits.decode().ok().map(|_| bits)
}
