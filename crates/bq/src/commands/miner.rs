//! `bq miner`: the built-in miner against any pool.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bq_miner::{Endpoint, Miner, MinerConfig};
use bq_pow::{PowConfig, PowVerifier, RandomXMode};
use bq_runtime::{LogConfig, LogFormat, Shutdown, init_logging, on_signals};

use crate::{
    cli::MinerArgs,
    exit::{UsageError, say},
    run::hashrate,
};

const REPORT: Duration = Duration::from_secs(10);

pub(crate) fn mine(args: &MinerArgs) -> anyhow::Result<()> {
    init_logging(&LogConfig { format: LogFormat::Text, level: "info".to_owned() })?;
    let endpoint: Endpoint = args.url.parse().map_err(|error| UsageError(format!("--url: {error}")))?;
    let config = MinerConfig {
        password: args.password.clone(),
        threads: args.threads,
        low_priority: false,
        ethash_dataset: args.full_dataset,
        ..MinerConfig::new(vec![(args.algorithm, endpoint)], args.user.clone())
    };
    config.check().map_err(|error| UsageError(format!("--{}: {error}", error.field())))?;
    let pow = Arc::new(PowVerifier::new(PowConfig {
        randomx_mode: if args.full_dataset { RandomXMode::Fast } else { RandomXMode::Light },
        build_threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        idle_vms_max: args.threads,
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let (trigger, shutdown) = Shutdown::new();
        on_signals(trigger.clone())?;
        let miner = Miner::start(config, pow, &tokio::runtime::Handle::current())?;
        let mut reports = tokio::time::interval_at(tokio::time::Instant::now() + REPORT, REPORT);
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                _ = reports.tick() => report(&miner),
            }
        }
        tokio::task::spawn_blocking(move || miner.stop()).await?;
        Ok(())
    })
}

fn report(miner: &Miner) {
    for lane in miner.stats().algorithms {
        say(&format!(
            "{:<8} 10s {:>11}  60s {:>11}  accepted {}  rejected {}",
            lane.algorithm.name(),
            hashrate(lane.hashrate_10s),
            hashrate(lane.hashrate_60s),
            lane.accepted,
            lane.rejected,
        ));
    }
}
