//! From settings to the policies of the Stratum ports.

use std::num::NonZeroUsize;

use bq_front::{SessionPolicy, StratumConfig, VardiffPolicy, VerifyConfig};
use bq_primitives::Algorithm;
use bq_runtime::Config;

pub(super) fn stratum_config(config: &Config) -> anyhow::Result<StratumConfig> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no system randomness: {error}"))?;
    let defaults = StratumConfig::default();
    let interval_ms = u64::from(config.pool.share_interval_secs).saturating_mul(1_000);
    let sessions = Algorithm::ALL.map(|algorithm| {
        let limits = config.pool.share_difficulty[algorithm.index()];
        let policy = &defaults.sessions[algorithm.index()];
        let vardiff = VardiffPolicy {
            start: limits.start,
            floor: limits.floor,
            cap_divisor: u64::from(config.pool.share_difficulty_cap_divisor),
            share_interval_ms: interval_ms,
            ..policy.vardiff
        };
        SessionPolicy { vardiff, ..policy.clone() }
    });
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let verify = VerifyConfig { threads: [NonZeroUsize::MIN, cores, NonZeroUsize::MIN], ..defaults.verify };
    let listen = Algorithm::ALL.map(|algorithm| Some(config.stratum(algorithm)));
    Ok(StratumConfig { listen, sessions, seed, verify, ..defaults })
}
