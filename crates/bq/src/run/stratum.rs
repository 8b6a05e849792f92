//! From settings to the policies of the Stratum ports.

use std::num::NonZeroUsize;

use bq_front::{
    AccessConfig, AgentFloor, AllowancePolicy, BanPolicy, CpuTime, GetworkConfig, JudgePolicy, KeptFiles, PlaceLimits,
    SchemePort, SessionPolicy, SocketBuffers, StratumConfig, TicketConfig, TlsConfig, V2Config, VardiffPolicy,
    VerifyConfig,
};
use bq_primitives::{Algorithm, Network};
use bq_runtime::{Config, OpenFiles, StratumLimits, open_files_max};

pub(super) fn stratum_config(
    (config, pays_directly): (&Config, bool),
    files: &OpenFiles,
    tls: Option<TlsConfig>,
    (access, tickets): (AccessConfig, TicketConfig),
    v2: Option<V2Config>,
) -> anyhow::Result<StratumConfig> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no system randomness: {error}"))?;
    let defaults = StratumConfig::default();
    let limits = &config.stratum_limits;
    let interval_ms = u64::from(config.pool.share_interval_secs).saturating_mul(1_000);
    // Where blocks come in seconds, a thousand shares for each would be all that a server of RandomX does.
    let fine_divisors = match config.network {
        Network::Mainnet | Network::Testnet if pays_directly => VardiffPolicy::DIRECT_DIVISORS,
        Network::Devnet if pays_directly => [0, 100],
        _ => [0, 0],
    };
    let sessions = Algorithm::ALL.map(|algorithm| {
        let difficulty = config.pool.share_difficulty[algorithm.index()];
        let policy = &defaults.sessions[algorithm.index()];
        let vardiff = VardiffPolicy {
            start: difficulty.start,
            floor: difficulty.floor,
            cap_divisor: u64::from(config.pool.share_difficulty_cap_divisor),
            fine_divisors,
            share_interval_ms: interval_ms,
            first_share_ms: match algorithm {
                Algorithm::Sha256d => 0,
                Algorithm::RandomX | Algorithm::Ethash => limits.first_share_secs.saturating_mul(1_000),
            },
            ..policy.vardiff
        };
        session_policy(limits, algorithm, vardiff, policy)
    });
    Ok(StratumConfig {
        listen: Algorithm::ALL.map(|algorithm| Some(config.stratum(algorithm))),
        scheme_ports: limits.scheme_ports.iter().map(scheme_port).collect(),
        sessions,
        seed,
        places: PlaceLimits {
            total: files.stratum,
            per_peer: limits.connections_per_peer_max,
            per_subnet: limits.connections_per_subnet_max,
            proof_lapses_ms: limits.proof_lapses_secs.saturating_mul(1000),
        },
        accepts_per_second: limits.accepts_per_second,
        accepts_per_subnet_second: limits.accepts_per_subnet_second,
        trust_loopback: limits.trust_loopback,
        proxies: limits.proxy_networks.clone(),
        proxy_header_ms: limits.proxy_header_secs.saturating_mul(1000),
        tls,
        v2,
        plaintext: limits.plaintext,
        buffers: SocketBuffers {
            send_bytes: buffer_bytes(limits.send_buffer_kib),
            receive_bytes: buffer_bytes(limits.receive_buffer_kib),
        },
        backlog: limits.backlog,
        bans: ban_policy(limits),
        allowance: allowance_policy(limits),
        outbox_bytes_max: limits.outbox_kib_max.saturating_mul(1024),
        write_stall_ms: limits.write_stall_secs.saturating_mul(1000),
        workers_remembered_max: limits.workers_remembered_max,
        access,
        tickets,
        kept: Some(KeptFiles {
            workers: config.data_dir.join("workers"),
            bans: config.data_dir.join("bans"),
            tickets: config.data_dir.join("tickets"),
            period_ms: limits.workers_saved_secs.saturating_mul(1_000),
        }),
        getwork: GetworkConfig {
            poll_ms: limits.getwork_poll_secs.saturating_mul(1000),
            answer_ms: limits.getwork_answer_secs.saturating_mul(1000),
            head_bytes_max: limits.getwork_head_kib_max.saturating_mul(1024),
            body_bytes_max: limits.getwork_body_kib_max.saturating_mul(1024),
            turned_away_max: limits.turned_away_polls_max,
        },
        few_files: few_files(limits.connections_max, files),
        handover_ms: limits.handover_ms,
        panic_shown_ms: limits.panic_shown_secs.saturating_mul(1000),
        server_full_shown_ms: limits.server_full_shown_secs.saturating_mul(1000),
        verify: verify_config(limits, defaults.verify),
        ..defaults
    })
}

const fn scheme_port(port: &bq_runtime::SchemePort) -> SchemePort {
    let bq_runtime::SchemePort { scheme, algorithm, address } = *port;
    SchemePort { scheme, algorithm, address }
}

/// Nothing leaves a buffer to the system.
fn buffer_bytes(kib: u32) -> Option<u32> {
    (kib > 0).then(|| kib.saturating_mul(1024))
}

/// Why fewer miners fit than the settings say, if that is so.
fn few_files(wanted: usize, files: &OpenFiles) -> Option<String> {
    let OpenFiles { stratum, http, rpc } = files;
    (*stratum < wanted).then(|| {
        format!(
            "the system allows this process {} open files: {stratum} of {wanted} miners fit, {http} of pages and {rpc} of JSON-RPC; \
             raise the hard limit (ulimit -Hn, LimitNOFILE=)",
            open_files_max()
        )
    })
}

fn session_policy(
    limits: &StratumLimits,
    algorithm: Algorithm,
    vardiff: VardiffPolicy,
    policy: &SessionPolicy,
) -> SessionPolicy {
    let of_lane = limits.verify[algorithm.index()];
    let floors = limits.agent_floors.iter().filter(|floor| floor.algorithm == algorithm);
    SessionPolicy {
        vardiff,
        agent_floors: floors.map(|floor| AgentFloor { name: floor.name.clone(), least: floor.least }).collect(),
        job_refresh_ms: limits.job_refresh_secs.saturating_mul(1000),
        first_line_ms: limits.first_line_secs.saturating_mul(1000),
        authorize_ms: limits.login_secs.saturating_mul(1000),
        idle_ms: limits.idle_secs.saturating_mul(1000),
        shareless_ms: limits.shareless_secs.saturating_mul(1000),
        lines_per_second: limits.lines_per_second,
        line_burst: limits.line_burst,
        logins_per_connection_max: limits.logins_per_connection_max,
        judge: JudgePolicy {
            jobs_kept: limits.jobs_kept,
            jobs_remembered: limits.jobs_remembered,
            shares_per_job_max: limits.shares_per_job_max,
            shares_in_flight_max: of_lane.shares_in_flight_max,
            unproven_in_flight_max: of_lane.unproven_in_flight_max,
            block_claims_in_flight_max: limits.block_claims_max,
            forged_shares_max: limits.forged_shares_max,
            shares_per_pardon: limits.shares_per_pardon,
            trusted_after: limits.trusted_after,
            ntime_ahead_secs_max: limits.ntime_ahead_secs_max,
        },
        ..policy.clone()
    }
}

const fn ban_policy(limits: &StratumLimits) -> BanPolicy {
    BanPolicy {
        peers_max: limits.ban_peers_max,
        points: limits.ban_points,
        shares_per_pardon: limits.ban_shares_per_pardon,
        exempt_ratio: limits.ban_exempt_ratio,
        span_ms: limits.ban_secs.saturating_mul(1000),
        span_ms_max: limits.ban_secs_max.saturating_mul(1000),
    }
}

const fn allowance_policy(limits: &StratumLimits) -> AllowancePolicy {
    AllowancePolicy {
        burst: CpuTime(limits.stranger_cpu_ms.saturating_mul(1000)),
        per_second: CpuTime(limits.stranger_cpu_ms_per_second.saturating_mul(1000)),
        peers_max: limits.ban_peers_max,
    }
}

/// A RandomX share costs tens of milliseconds, so all cores may be busy with them; one thread suits the others.
fn verify_config(limits: &StratumLimits, defaults: VerifyConfig) -> VerifyConfig {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = Algorithm::ALL.map(|algorithm| {
        let usual = if algorithm == Algorithm::RandomX { cores } else { NonZeroUsize::MIN };
        NonZeroUsize::new(limits.verify[algorithm.index()].verify_threads).unwrap_or(usual)
    });
    let queue_max = limits.verify.map(|lane| lane.queue_max);
    VerifyConfig {
        threads,
        queue_max,
        queue_ms: [0, limits.randomx_queue_ms, limits.ethash_queue_ms],
        strangers_percent: limits.strangers_percent,
        trusted_present_ms: limits.trusted_present_secs.saturating_mul(1000),
        drain_ms: limits.drain_secs.saturating_mul(1000),
        ..defaults
    }
}
