//! `bq miner`: the built-in miner against any pool.

mod chain;
mod keys;
mod view;

use std::{
    io::IsTerminal as _,
    num::NonZeroUsize,
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, SystemTime},
};

use bq_miner::{Affinity, Endpoint, Miner, MinerConfig, TlsTrust, fastest_sha256d_kernel};
use bq_mining_message::{MiningChange, MiningControl as _, MiningMode};
use bq_pow::{PowConfig, PowVerifier, RandomXMode};
use bq_primitives::Algorithm;
use bq_runtime::{LogConfig, LogFormat, Shutdown, init_logging, on_signals};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, interval_at},
};

use self::{
    keys::{Key, Keys},
    view::View,
};
use crate::{
    cli::MinerArgs,
    exit::{UsageError, say},
    patience,
};

/// How often the speed is printed: seldom where people can ask for it.
const REPORT_ON_TERMINAL: Duration = Duration::from_secs(60);
const REPORT: Duration = Duration::from_secs(10);
/// On a terminal the view tells what happens; only what it does not know of may interrupt it. Lost connections it knows.
const LOG_ON_TERMINAL: &str = "warn,bq_miner::client=error,bq_miner::client::connection=warn,bq_miner::huge_pages=info";

pub(crate) fn mine(args: &MinerArgs) -> anyhow::Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let level = if terminal { LOG_ON_TERMINAL } else { "info" };
    init_logging(&LogConfig { format: LogFormat::Text, level: level.to_owned() })?;
    let config = config(args)?;
    config.check().map_err(|error| UsageError(format!("--{}: {error}", error.field())))?;
    let pow = Arc::new(PowVerifier::new(PowConfig {
        randomx_mode: if args.full_dataset { RandomXMode::Fast } else { RandomXMode::Light },
        build_threads: available_parallelism().unwrap_or(NonZeroUsize::MIN),
        idle_vms_max: args.threads,
    }));
    let view = View { colours: terminal };
    header(&config, args, view);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let (trigger, shutdown) = Shutdown::new();
        on_signals(trigger.clone())?;
        let miner = Miner::start(config, pow, &tokio::runtime::Handle::current())?;
        let default = if terminal { REPORT_ON_TERMINAL } else { REPORT };
        let period = args.print_secs.map_or(default, |seconds| Duration::from_secs(seconds.get()));
        tokio::select! {
            () = shutdown.requested() => {}
            () = show(&miner, view, terminal, period) => {}
        }
        tokio::task::spawn_blocking(move || miner.stop()).await?;
        Ok(())
    })
}

fn config(args: &MinerArgs) -> anyhow::Result<MinerConfig> {
    let endpoints = args.urls.iter().map(|url| endpoint(url, args.algorithm)).collect::<Result<Vec<_>, _>>()?;
    let blocks = match &args.node {
        Some(address) => Some(chain::follow(address, &args.user)?),
        None => None,
    };
    let affinity = match &args.cpu_affinity {
        Some(mask) => Affinity::Cpus(mask.parse().map_err(|error| UsageError(format!("--cpu-affinity: {error}")))?),
        None => Affinity::Auto,
    };
    Ok(MinerConfig {
        password: args.password.clone(),
        client: patience::of_flags(&args.patience).map_err(|error| UsageError(error.to_string()))?,
        tls: trust(args)?,
        threads: args.threads,
        mode: if blocks.is_some() { MiningMode::Auto } else { MiningMode::Turns },
        cpu_priority: args.cpu_priority,
        affinity,
        ethash_dataset: args.full_dataset,
        ethash_dataset_dir: args.dataset_dir.clone(),
        ethash_dataset_ahead: !args.no_dataset_ahead,
        gpu: args.gpu,
        blocks,
        ..MinerConfig::new(endpoints, args.user.clone())
    })
}

/// Whose certificates are taken.
fn trust(args: &MinerArgs) -> Result<TlsTrust, UsageError> {
    if args.tls_insecure {
        return Ok(TlsTrust::Anyone);
    }
    let read =
        |text: &String| fingerprint(text).ok_or_else(|| UsageError(format!("--tls-fingerprint {text}: 64 hex digits")));
    let fingerprints = args.tls_fingerprint.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(if fingerprints.is_empty() { TlsTrust::Public } else { TlsTrust::Fingerprints(fingerprints) })
}

/// A SHA-256 in hex, with colons between the bytes or without.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.replace(':', ""), &mut bytes).ok()?;
    Some(bytes)
}

/// `[ALGORITHM=]URL`.
fn endpoint(text: &str, default: Option<Algorithm>) -> Result<(Algorithm, Endpoint), UsageError> {
    let usage = |problem: String| UsageError(format!("--url {text}: {problem}"));
    let (algorithm, url) = match text.split_once('=') {
        Some((name, url)) => (name.parse().map_err(|error| usage(format!("{error}")))?, url),
        None => {
            (default.ok_or_else(|| usage("name its algorithm with --algorithm, or as randomx=URL".to_owned()))?, text)
        }
    };
    Ok((algorithm, url.parse().map_err(|error| usage(format!("{error}")))?))
}

/// What is known before the first connection.
fn header(config: &MinerConfig, args: &MinerArgs, view: View) {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let tables = if args.full_dataset { "full datasets" } else { "light caches (--full-dataset is many times faster)" };
    say(&view.line(SystemTime::now(), "cpu", &format!("{} threads on {cores} processors, {tables}", args.threads)));
    if config.algorithms.contains(&Algorithm::Sha256d) {
        let kernel = fastest_sha256d_kernel().name();
        say(&view.line(SystemTime::now(), "cpu", &format!("sha256d kernel {kernel}")));
    }
}

/// Shows what happens, and does what keys ask for. Ends with the miner.
async fn show(miner: &Miner, view: View, terminal: bool, period: Duration) {
    let mut events = miner.events();
    let mut keys = Keys::of_terminal();
    if keys.is_some() {
        say(&view.line(SystemTime::now(), "miner", "keys: h hashrate, p pause, r resume; Ctrl-C ends"));
    }
    let mut reports = interval_at(Instant::now() + period, period);
    loop {
        let now = SystemTime::now;
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => view.event(now(), &event, &miner.stats(), terminal).iter().for_each(|line| say(line)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = reports.tick() => view.speeds(now(), &miner.stats()).iter().for_each(|line| say(line)),
            key = keys::next(&mut keys) => match key {
                Key::Hashrate => view.threads(now(), &miner.stats()).iter().for_each(|line| say(line)),
                Key::Pause => set_paused(miner, view, true),
                Key::Resume => set_paused(miner, view, false),
            },
        }
    }
}

fn set_paused(miner: &Miner, view: View, paused: bool) {
    let change = MiningChange { paused: Some(paused), ..MiningChange::default() };
    let text = match miner.set_mining(&change) {
        Ok(_) if paused => "paused, press r to resume".to_owned(),
        Ok(_) => "resumed".to_owned(),
        Err(error) => error.to_string(),
    };
    say(&view.line(SystemTime::now(), "miner", &text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_tools_print_them() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!((fingerprint(&plain), fingerprint(&colons)), (Some([0xab; 32]), Some([0xab; 32])));
        assert_eq!((fingerprint("ab"), fingerprint("")), (None, None));
    }

    #[test]
    fn urls_may_name_their_algorithm() {
        let read = |text, default| endpoint(text, default).map(|(algorithm, url)| (algorithm, url.to_string()));
        let randomx = Some(Algorithm::RandomX);
        assert_eq!(read("pool:1", randomx).unwrap(), (Algorithm::RandomX, "pool:1".to_owned()));
        let named = read("ethash=stratum1+tcp://pool:1", randomx).unwrap();
        assert_eq!(named, (Algorithm::Ethash, "pool:1".to_owned()));
        for text in ["pool:1", "scrypt=pool:1", "ethash=pool"] {
            assert!(read(text, None).is_err(), "{text}");
        }
    }
}
