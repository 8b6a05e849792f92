//! What a service manager (systemd) hears, and the ports that it may hold for us.

use std::{
    ffi::OsString,
    io,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    sync::{Arc, OnceLock},
};

use bq_front::{Port, is_wanted};
use bq_primitives::Algorithm;
use bq_runtime::Config;
use listenfd::ListenFd;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use super::takeover::Taken;

/// How this process was started, for a successor that is the program which lies there then.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    replacements: SignalStream,
}

impl Program {
    /// Call early: where the program lies cannot be told any more once it was replaced.
    ///
    /// # Errors
    /// The system tells nothing, or lets no handler be set.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let takeover = OsString::from("--takeover");
        let arguments = std::env::args_os().skip(1).filter(|argument| *argument != takeover);
        let arguments = arguments.chain([takeover.clone()]).collect();
        Ok(Self { path: own_path()?, arguments, replacements: signal(SignalKind::user_defined2())? })
    }

    /// Starts a successor at every SIGUSR2. One that fails says why in its own log, and this process goes on.
    pub(crate) fn replace_on_signal(mut self) -> Started {
        let started = Started::default();
        let all = started.clone();
        tokio::spawn(async move {
            while self.replacements.recv().await.is_some() {
                if let Some(reason) = why_it_may_not_end() {
                    tracing::error!(%reason, "no process that takes over is started");
                    continue;
                }
                let mut successor = Command::new(&self.path);
                successor.args(&self.arguments);
                let started = all.clone();
                // A thread that nobody waits for: the successor outlives this process if all goes well.
                std::thread::spawn(move || started.start(successor));
            }
        });
        started
    }
}

/// Why nobody can go on where this process ends, if that is so: with the first process of a container all others end.
pub(crate) fn why_it_may_not_end() -> Option<String> {
    (std::process::id() == 1).then(|| {
        "this is process 1 of a container, with which every other process there ends: replace the container, whose miners connect again"
            .to_owned()
    })
}

/// The processes that this one started to take over and that have not ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Started(Arc<Mutex<Successors>>);

#[derive(Debug, Default)]
struct Successors {
    running: Vec<Pid>,
    /// Nobody takes over any more.
    is_over: bool,
}

impl Started {
    /// Asks all of them to end: this process stops, and nobody takes over.
    pub(crate) fn end(&self) {
        let mut successors = self.0.lock();
        successors.is_over = true;
        for pid in &successors.running {
            terminate(*pid);
        }
    }

    /// Blocks until it has ended.
    fn start(&self, mut successor: Command) {
        tracing::info!(program = %successor.get_program().display(), "starting a process that takes over");
        match successor.spawn().and_then(|successor| self.await_end(successor)) {
            Ok(status) => tracing::error!(%status, "the process that was to take over ended"),
            Err(error) => tracing::error!(%error, "no process that takes over can be started"),
        }
    }

    fn await_end(&self, mut successor: Child) -> io::Result<ExitStatus> {
        let Some(pid) = i32::try_from(successor.id()).ok().and_then(Pid::from_raw) else { return successor.wait() };
        let mut successors = self.0.lock();
        successors.running.push(pid);
        if successors.is_over {
            terminate(pid);
        }
        drop(successors);
        // Its number is its own until it is waited for: that is done where nobody signals to it.
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        let mut successors = self.0.lock();
        successors.running.retain(|other| *other != pid);
        successor.wait()
    }
}

fn terminate(pid: Pid) {
    if let Err(error) = kill_process(pid, Signal::TERM) {
        tracing::warn!(%error, "the process that was to take over cannot be told to end");
    }
}

/// Where the program lies, as it was when this was asked first: once the file is replaced the system tells no path any more, and this process may
/// begin to serve again after a successor failed.
fn own_path() -> io::Result<PathBuf> {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = match PATH.get() {
        Some(path) => path.clone(),
        None => std::env::current_exe()?,
    };
    Ok(PATH.get_or_init(|| path).clone())
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
    let of_schemes = || {
        let port = config.stratum_limits.scheme_ports.iter().find(|port| is_wanted(open, port.address))?;
        Some(Port::Scheme(port.scheme, port.algorithm))
    };
    of_v1.map(Port::V1).or_else(of_v2).or_else(of_schemes).map(Role::Stratum)
}
