//! What a service manager (systemd) hears, and the ports that it may hold for us.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::Command, sync::OnceLock};

use bq_front::{Port, is_wanted};
use bq_primitives::Algorithm;
use bq_runtime::Config;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::takeover::Taken;

/// How this process was started, for a successor that is the program which lies there then.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    replacements: Signal,
}

impl Program {
    /// Call early: where the program lies cannot be told any more once it was replaced.
    ///
    /// # Errors
    /// The system tells nothing, or lets no handler be set.
    pub(crate) fn of_this_process() -> std::io::Result<Self> {
        let takeover = OsString::from("--takeover");
        let arguments = std::env::args_os().skip(1).filter(|argument| *argument != takeover);
        let arguments = arguments.chain([takeover.clone()]).collect();
        Ok(Self { path: own_path()?, arguments, replacements: signal(SignalKind::user_defined2())? })
    }

    /// Starts a successor at every SIGUSR2. One that fails says why in its own log, and this process goes on.
    pub(crate) fn replace_on_signal(mut self) {
        tokio::spawn(async move {
            while self.replacements.recv().await.is_some() {
                let mut successor = Command::new(&self.path);
                successor.args(&self.arguments);
                // A thread that nobody waits for: the successor outlives this process if all goes well.
                std::thread::spawn(move || start(successor));
            }
        });
    }
}

/// Where the program lies, as it was when this was asked first: once the file is replaced the system tells no path any more, and this process may
/// begin to serve again after a successor failed.
fn own_path() -> std::io::Result<PathBuf> {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = match PATH.get() {
        Some(path) => path.clone(),
        None => std::env::current_exe()?,
    };
    Ok(PATH.get_or_init(|| path).clone())
}

fn start(mut successor: Command) {
    tracing::info!(program = %successor.get_program().display(), "starting a process that takes over");
    match successor.status() {
        Ok(status) => tracing::error!(%status, "the process that was to take over ended"),
        Err(error) => tracing::error!(%error, "no process that takes over can be started"),
    }
}

/// Everything is up.
pub(crate) fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// It is this process that is watched from now on: the one that was is about to end.
pub(crate) fn tell_successor() {
    tell(&[NotifyState::MainPid(std::process::id())]);
}

/// This process stops by itself.
pub(crate) fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Nothing happens where no service manager listens.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// The ports that a service manager opened for us, by their addresses. What is none of ours is closed.
pub(crate) fn held_ports(config: &Config) -> Taken {
    let mut taken = Taken::default();
    let mut held = ListenFd::from_env();
    for index in 0..held.len() {
        let listener = match held.take_tcp_listener(index) {
            Ok(Some(listener)) => listener,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(index, %error, "what the service manager hands over is no port");
                continue;
            }
        };
        let Ok(open) = listener.local_addr() else { continue };
        match role_of(open, config) {
            Some(Role::Http) => taken.http = Some(listener),
            Some(Role::Rpc) => taken.rpc = Some(listener),
            Some(Role::Stratum(port)) => taken.stratum.listeners.push((port, listener)),
            None => tracing::warn!(address = %open, "the service manager holds a port that is not configured"),
        }
    }
    taken
}

enum Role {
    Http,
    Rpc,
    Stratum(Port),
}

fn role_of(open: SocketAddr, config: &Config) -> Option<Role> {
    if is_wanted(open, config.http) {
        return Some(Role::Http);
    }
    if is_wanted(open, config.rpc) {
        return Some(Role::Rpc);
    }
    let of_v1 = Algorithm::ALL.into_iter().find(|algorithm| is_wanted(open, config.stratum(*algorithm)));
    let of_v2 = || is_wanted(open, config.stratum_v2).then_some(Port::V2);
    of_v1.map(Port::V1).or_else(of_v2).map(Role::Stratum)
}
