//! `bq run`: the main job.

mod access;
mod authority;
mod bench_system;
mod bystander;
mod certificates;
mod flags;
mod keys;
mod named_files;
mod service;
mod signer;
mod status;
mod stratum;
mod system;
mod takeover;

use std::{
    io::IsTerminal as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bq_pow::PowVerifier;
use bq_primitives::BlockId;
use bq_runtime::{
    Config, DataDir, DataDirError, Hangups, Loaded, LogConfig, Shutdown, Source, SuccessorLink, init_logging, load,
    on_signals, raise_file_limit,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::oneshot;

use self::{
    bystander::Bystander,
    service::{Program, Started, held_ports, tell_ready, tell_stopping},
    status::{ConnectLine, StatusSources},
    system::{Opened, System, ports, pow_config},
    takeover::{Fate, Heir, Incumbent, TOLD_TO_STOP, Taken, await_successor, deny},
};
use crate::{
    cli::RunArgs,
    exit::{UsageError, say},
};

pub(crate) use self::{
    bench_system::BenchSystem,
    flags::layers,
    keys::{key_file, signer_wallet},
    named_files::check as check_named_files,
    signer::WalletSigner,
    status::condition_line,
};

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// [`UsageError`] for a wrong setting; otherwise the part that could not start or go on.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    let loaded = load(&layers(args)).map_err(|error| UsageError(error.to_string()))?;
    init_logging(&log_config(&loaded))?;
    let Loaded { config, unknown_environment, .. } = loaded;
    for name in unknown_environment {
        tracing::warn!(name, "environment variable names no setting");
    }
    named_files::check(&config)?;
    let held = held_ports(&config);
    match raise_file_limit() {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
    let mut taken = if args.takeover { Taken::from_predecessor(&config)?.or(held) } else { held };
    // One that ended without a word may hold the directory for a moment more.
    let mut data_dir = if args.takeover { lock_soon(&config.data_dir) } else { DataDir::lock(&config.data_dir) }?;
    let patience = Duration::from_secs(config.stratum_limits.takeover_secs);
    // Signals are heard from here to the end of the process: one that comes between two lives as a server counts for the next.
    let signals = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (trigger, stop) = Shutdown::new();
    signals.block_on(async { on_signals(trigger) })?;
    let mut goes_on = false;
    loop {
        let Some(heir) = live(&config, (taken, goes_on), data_dir, &stop)? else { return Ok(()) };
        let Fate::Gone(left) = heir.fate(patience, &stop) else { return Ok(()) };
        tracing::error!("the process that was to take over ended before it served: this one goes on");
        let Some(locked) = lock_again(&config.data_dir, &stop) else { return Ok(()) };
        (taken, data_dir, goes_on) = (left, locked, true);
    }
}

/// From the opening of the books to their end. Whoever takes over then, if somebody does.
fn live(config: &Config, taken: (Taken, bool), data_dir: DataDir, stop: &Shutdown) -> anyhow::Result<Option<Heir>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config, taken, stop));
    // Blocking calls that hang must not keep the process alive; the books are closed already.
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(data_dir);
    result
}

/// A process that just ended may hold the directory for a moment more.
fn lock_soon(path: &Path) -> Result<DataDir, DataDirError> {
    const PATIENCE: Duration = Duration::from_secs(10);
    const PAUSE: Duration = Duration::from_millis(20);
    let begun = Instant::now();
    loop {
        match DataDir::lock(path) {
            Err(DataDirError::InUse { .. }) if begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            locked => return locked,
        }
    }
}

/// Between two attempts of a process that has miners' connections to get back to its books.
const REOPENING_PAUSE: Duration = Duration::from_secs(2);

/// The directory that is this process's own again, however long that takes; nothing if it is to stop.
fn lock_again(path: &Path, stop: &Shutdown) -> Option<DataDir> {
    while !stop.is_requested() {
        match lock_soon(path) {
            Ok(locked) => return Some(locked),
            Err(error) => tracing::error!(%error, "miners wait: this process cannot go on yet, and tries again"),
        }
        std::thread::sleep(REOPENING_PAUSE);
    }
    None
}

/// The configured log, except that on a terminal, unless told otherwise, only warnings interrupt the live status.
fn log_config(loaded: &Loaded) -> LogConfig {
    let chosen = |line: &bq_runtime::Explained| line.field == "log.level" && line.from != Source::Default;
    let mut log = loaded.config.log.clone();
    if std::io::stdout().is_terminal() && !loaded.explained.iter().any(chosen) {
        log.level = "warn".to_owned();
    }
    log
}

/// Until the process is to stop, or another one takes over: the heir. `goes_on` tells that a process that was to take over failed.
async fn serve(config: &Config, (taken, goes_on): (Taken, bool), stop: &Shutdown) -> anyhow::Result<Option<Heir>> {
    let (trigger, shutdown) = Shutdown::new();
    let (asked, asks) = (stop.clone(), trigger.clone());
    tokio::spawn(async move {
        asked.requested().await;
        asks.request();
    });
    let program = Program::of_this_process().context("SIGUSR2")?;
    let inherits = goes_on || taken.predecessor.is_some();
    let incumbent = Arc::new(Incumbent::new(inherits));
    let mut successors = await_successor(config, (trigger.clone(), shutdown.clone()), Arc::clone(&incumbent));
    // Before the start, which may take minutes.
    let hangups = Hangups::listen()?;
    let metrics = bq_http::install_metrics()?;
    let system = tokio::select! {
        system = start(config, (taken, goes_on), metrics, &shutdown) => system?,
        () = shutdown.requested() => {
            // Nothing to leave yet, but whoever wants the directory waits for it to be free.
            return Ok(chosen(&mut successors, stop).map(|link| Heir::new(link, Taken::default())));
        }
    };
    incumbent.serves(&system.pool, system.conditions.clone());
    let read_certificate_again = system.stratum.certificate_reloader();
    hangups.on_each(move || read_certificate_again());
    let mut started = Started::default();
    let served = tokio::select! {
        served = system.ready() => served,
        () = shutdown.requested() => Ok(()),
    };
    if served.is_ok() && !shutdown.is_requested() {
        if let Some(path) = &config.ready_file {
            match write_ready_file(path, &system.addresses()).with_context(|| path.display().to_string()) {
                // Nobody else has the miners that this process inherited.
                Err(error) if inherits => tracing::error!(%error, "the ready file cannot be written"),
                written => written?,
            }
        }
        tell_ready();
        started = program.replace_on_signal();
        show_until(&system, &shutdown).await;
    }
    let successor = chosen(&mut successors, stop);
    tracing::info!(hands_over = successor.is_some(), "stopping");
    let (unstored, heir) = match successor {
        Some(link) => {
            let (unstored, left) = system.hand_over().await;
            (unstored, Some(tokio::task::block_in_place(|| Heir::new(link, left))))
        }
        None => {
            started.end();
            tell_stopping();
            (system.stop().await, None)
        }
    };
    let lost = lost_blocks(&unstored);
    let Some(heir) = heir else {
        if let Some(lost) = lost {
            bail!("{lost}");
        }
        served?;
        say(&format!("stopped; the next run goes on from {}", config.data_dir.display()));
        return Ok(None);
    };
    // Whatever else went wrong, miners' connections are not dropped for it.
    for error in lost.into_iter().chain(served.err().map(|error| error.to_string())) {
        tracing::error!(%error, "handing over");
    }
    Ok(Some(heir))
}

/// Who takes over, if somebody does and nobody said that all is to stop.
fn chosen(successors: &mut oneshot::Receiver<SuccessorLink>, stop: &Shutdown) -> Option<SuccessorLink> {
    let link = successors.try_recv().ok()?;
    if stop.is_requested() {
        deny(link, TOLD_TO_STOP.to_owned());
        return None;
    }
    Some(link)
}

/// Opens the books and starts every part. A process that goes on with miners' connections tries for as long as it takes, and says meanwhile where
/// its pages are why it does not serve.
///
/// # Errors
/// See [`Opened::new`] and [`System::start`].
async fn start(
    config: &Config,
    (mut taken, goes_on): (Taken, bool),
    metrics: PrometheusHandle,
    shutdown: &Shutdown,
) -> anyhow::Result<System> {
    let pow = taken.pow.take().unwrap_or_else(|| Arc::new(PowVerifier::new(pow_config(config))));
    let bystander = Bystander::default();
    let opened = loop {
        match Opened::new(config, Arc::clone(&pow)).await {
            Err(error) if goes_on => {
                tracing::error!(%error, "miners wait: the books cannot be opened, which is tried again");
                bystander.tell(&error, taken.http.as_ref());
                tokio::time::sleep(REOPENING_PAUSE).await;
            }
            opened => break opened?,
        }
    };
    drop(bystander);
    System::start(config, (opened, taken), metrics, shutdown.clone()).await
}

fn lost_blocks(unstored: &[BlockId]) -> Option<String> {
    let ids: Vec<String> = unstored.iter().map(ToString::to_string).collect();
    let told =
        || format!("{} blocks could not be stored and are lost unless a peer has them: {}", ids.len(), ids.join(", "));
    (!ids.is_empty()).then(told)
}

async fn show_until(system: &System, shutdown: &Shutdown) {
    let sources = StatusSources {
        node: system.node.clone(),
        pool: system.pool.clone(),
        conditions: system.conditions.clone(),
        events: system.pool.events().subscribe(),
        connect: ports(&system.stratum)
            .map(|(algorithm, port)| ConnectLine::new(algorithm, port, &system.miner_address))
            .chain(system.stratum.v2_url_parts().map(|(address, key)| ConnectLine::v2(address, &key)))
            .collect(),
        dashboard: system.http.address(),
    };
    tokio::select! {
        () = status::show(sources) => shutdown.requested().await,
        () = shutdown.requested() => {}
    }
}

/// Written beside its place and renamed into it, so that a reader never sees half a file.
fn write_ready_file(path: &Path, addresses: &serde_json::Value) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, format!("{addresses}\n"))?;
    std::fs::rename(partial, path)
}
