//! What a miner puts up with from pools, from the configuration or from flags.

use std::time::Duration;

use bq_miner::ClientSettings;
use bq_runtime::{ConfigError, Layers, MinerPatience, RawConfig, RawMiner, load};

use crate::cli::PatienceArgs;

/// The settings of a miner's connections.
pub(crate) fn client_settings(patience: &MinerPatience) -> ClientSettings {
    let (secs, ms) = (Duration::from_secs, Duration::from_millis);
    ClientSettings {
        connect: secs(patience.connect_secs),
        login: secs(patience.login_secs),
        job: secs(patience.job_secs),
        silence: secs(patience.silence_secs),
        verdict: secs(patience.verdict_secs),
        share: secs(patience.share_secs),
        refusals_max: patience.refusals_max,
        nonsense_max: patience.nonsense_max,
        keys_max: patience.keys_max,
        line_bytes_max: patience.line_kib_max.saturating_mul(1024),
        attempts_max: patience.attempts_max,
        backoff_min: ms(patience.backoff_ms),
        backoff_max: secs(patience.backoff_secs_max),
        probe: secs(patience.probe_secs),
        reconnect_wait_max: secs(patience.reconnect_wait_secs_max),
        in_flight_max: patience.in_flight_max,
        waiting_max: patience.waiting_max,
        busy: ms(patience.busy_ms),
        drain: secs(patience.drain_secs),
        keepalive: secs(patience.keepalive_secs),
    }
}

/// What the flags say, and the defaults of `[miner]` elsewhere.
pub(crate) fn of_flags(args: &PatienceArgs) -> Result<ClientSettings, ConfigError> {
    let PatienceArgs {
        connect_secs,
        login_secs,
        job_secs,
        silence_secs,
        verdict_secs,
        share_secs,
        refusals_max,
        nonsense_max,
        keys_max,
        line_kib_max,
        attempts_max,
        backoff_ms,
        backoff_secs_max,
        probe_secs,
        reconnect_wait_secs_max,
        in_flight_max,
        waiting_max,
        busy_ms,
        drain_secs,
        keepalive_secs,
    } = *args;
    let miner = RawMiner {
        connect_secs,
        login_secs,
        job_secs,
        silence_secs,
        verdict_secs,
        share_secs,
        refusals_max,
        nonsense_max,
        keys_max,
        line_kib_max,
        attempts_max,
        backoff_ms,
        backoff_secs_max,
        probe_secs,
        reconnect_wait_secs_max,
        in_flight_max,
        waiting_max,
        busy_ms,
        drain_secs,
        keepalive_secs,
        ..RawMiner::default()
    };
    let flags = RawConfig { miner, ..RawConfig::default() };
    Ok(client_settings(&load(&Layers { flags, ..Layers::default() })?.config.miner.patience))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_replace_defaults_within_their_ranges() {
        assert_eq!(of_flags(&PatienceArgs::default()).unwrap(), ClientSettings::default());
        let args = PatienceArgs { login_secs: Some(7), line_kib_max: Some(8), ..PatienceArgs::default() };
        let expected =
            ClientSettings { login: Duration::from_secs(7), line_bytes_max: 8192, ..ClientSettings::default() };
        assert_eq!(of_flags(&args).unwrap(), expected);
        let error = of_flags(&PatienceArgs { login_secs: Some(0), ..PatienceArgs::default() }).unwrap_err();
        assert!(error.to_string().contains("miner.login_secs"), "{error}");
    }
}
