//! `bq run`: the main job.

mod access;
mod authority;
mod bench_system;
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
use bq_runtime::{
    Config, DataDir, DataDirError, Hangups, Loaded, LogConfig, Shutdown, Source, init_logging, load, on_signals,
    raise_file_limit,
};

use self::{
    service::{Program, held_ports, tell_ready, tell_stopping},
    status::{ConnectLine, StatusSources},
    system::{System, ports},
    takeover::{Fate, Heir, RunningPool, Taken, await_successor},
};
use crate::{
    cli::RunArgs,
    exit::{UsageError, say},
};

pub(crate) use self::{
    bench_system::BenchSystem, flags::layers, keys::key_file, named_files::check as check_named_files,
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
    let mut data_dir = DataDir::lock(&config.data_dir)?;
    let patience = Duration::from_secs(config.stratum_limits.takeover_secs);
    // Signals are heard from here to the end of the process: one that comes between two lives as a server counts for the next.
    let signals = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (trigger, stop) = Shutdown::new();
    signals.block_on(async { on_signals(trigger) })?;
    loop {
        let Some(heir) = live(&config, taken, data_dir, &stop)? else { return Ok(()) };
        let Fate::Gone(left) = heir.fate(patience, &stop)? else { return Ok(()) };
        tracing::error!("the process that was to take over ended before it served: this one goes on");
        (taken, data_dir) = (left, lock_soon(&config.data_dir)?);
    }
}

/// From the opening of the books to their end. Whoever takes over then, if somebody does.
fn live(config: &Config, taken: Taken, data_dir: DataDir, stop: &Shutdown) -> anyhow::Result<Option<Heir>> {
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

/// The configured log, except that on a terminal, unless told otherwise, only warnings interrupt the live status.
fn log_config(loaded: &Loaded) -> LogConfig {
    let chosen = |line: &bq_runtime::Explained| line.field == "log.level" && line.from != Source::Default;
    let mut log = loaded.config.log.clone();
    if std::io::stdout().is_terminal() && !loaded.explained.iter().any(chosen) {
        log.level = "warn".to_owned();
    }
    log
}

/// Until the process is to stop, or another one takes over: the heir.
async fn serve(config: &Config, taken: Taken, stop: &Shutdown) -> anyhow::Result<Option<Heir>> {
    let (trigger, shutdown) = Shutdown::new();
    let (asked, asks) = (stop.clone(), trigger.clone());
    tokio::spawn(async move {
        asked.requested().await;
        asks.request();
    });
    let program = Program::of_this_process().context("SIGUSR2")?;
    let running = RunningPool::default();
    let mut successors = await_successor(&config.data_dir, trigger.clone(), Arc::clone(&running));
    // Before the start, which may take minutes.
    let hangups = Hangups::listen()?;
    let metrics = bq_http::install_metrics()?;
    let system = tokio::select! {
        system = System::start(config, metrics, taken) => system?,
        () = shutdown.requested() => {
            // Nothing to leave yet, but whoever wants the directory waits for it to be free.
            return Ok(successors.try_recv().ok().map(|link| Heir::new(link, Taken::default())));
        }
    };
    // Never set before.
    let _set = running.set(Arc::downgrade(&system.pool));
    let read_certificate_again = system.stratum.certificate_reloader();
    hangups.on_each(move || read_certificate_again());
    let served = tokio::select! {
        served = system.ready() => served,
        () = shutdown.requested() => Ok(()),
    };
    if served.is_ok() && !shutdown.is_requested() {
        if let Some(path) = &config.ready_file {
            write_ready_file(path, &system.addresses()).with_context(|| path.display().to_string())?;
        }
        tell_ready();
        program.replace_on_signal();
        show_until(&system, &shutdown).await;
    }
    let successor = successors.try_recv().ok();
    tracing::info!(hands_over = successor.is_some(), "stopping");
    let (unstored, heir) = match successor {
        Some(link) => {
            let (unstored, left) = system.hand_over().await;
            (unstored, Some(tokio::task::block_in_place(|| Heir::new(link, left))))
        }
        None => {
            tell_stopping();
            (system.stop().await, None)
        }
    };
    if !unstored.is_empty() {
        let ids: Vec<String> = unstored.iter().map(ToString::to_string).collect();
        let count = ids.len();
        bail!("{count} blocks could not be stored and are lost unless a peer has them: {}", ids.join(", "));
    }
    served?;
    if heir.is_none() {
        say(&format!("stopped; the next run goes on from {}", config.data_dir.display()));
    }
    Ok(heir)
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
