//! How one process goes on where another stops (SPEC 11.13): ports and miners' connections are handed over while the data directory
//! changes hands.

use std::{
    net::TcpListener,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use bq_front::{HANDOVER_VERSION as VERSION, HandedConnection, Handover, Port};
use bq_mining_message::PoolApi as _;
use bq_pool::Pool;
use bq_pow::PowVerifier;
use bq_primitives::{Algorithm, PowKey};
use bq_runtime::{Config, NewerProcess, Shutdown, ShutdownTrigger, SuccessorLink, SuccessorPort};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{
    service::tell_successor,
    system::{pow_config, rehearse},
};

/// What is handed over.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) http: Option<TcpListener>,
    pub(crate) rpc: Option<TcpListener>,
    pub(crate) stratum: Handover,
    /// Goes on with all of it unless it is told that this process does.
    pub(crate) predecessor: Option<Predecessor>,
    /// With the tables of the work that it is on.
    pub(crate) pow: Option<Arc<PowVerifier>>,
}

/// A frame between the two. Its shape may only change together with [`VERSION`].
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    /// The newer one wants to take over.
    Wish {
        version: u32,
    },
    /// The older one is another version: nothing is handed over, and it goes on.
    Refused {
        version: u32,
    },
    /// It may; its work needs tables for these keys.
    Granted {
        keys: Vec<PowKey>,
    },
    /// The newer one has them: the older one stops now.
    Prepared,
    /// With a socket.
    Http,
    /// With a socket.
    Rpc,
    /// With a socket.
    Stratum(Port),
    Work(Vec<u8>),
    /// With a socket.
    Connection(Vec<u8>),
    /// That was all, the books are closed, and the data directory is free.
    Free,
    /// The newer one goes on with the connections, and the older one may go. Until then it keeps all that it handed over.
    Serves,
}

/// The process that this one took over from, which waits to hear that it may go.
#[derive(Debug)]
pub(crate) struct Predecessor(SuccessorLink);

/// The process that takes over, and what was left to it.
pub(crate) struct Heir {
    link: SuccessorLink,
    left: Taken,
}

/// What became of an heir.
pub(crate) enum Fate {
    /// It serves, or nobody shall.
    Settled,
    /// It ended before it served: what was left to it is there to go on with.
    Gone(Taken),
}

impl Taken {
    /// From the process that runs on this data directory; nothing is taken if there is none, or it stops without a word. When this
    /// returns it has let go of the directory, and goes on unless it is told that this one serves. Blocks.
    ///
    /// # Errors
    /// This one could not start, or the other is of a version that hands over something else: that one goes on.
    pub(crate) fn from_predecessor(config: &Config) -> anyhow::Result<Self> {
        let Some(mut link) = SuccessorLink::to_predecessor(&config.data_dir).context("the process that runs there")?
        else {
            tracing::info!("nobody runs on this data directory: there is nothing to take over");
            return Ok(Self::default());
        };
        rehearse(config)?;
        tell(&mut link, &Message::Wish { version: VERSION }, None)?;
        let mut taken = Self::default();
        // One that ends without that word has let go of the directory too.
        taken.predecessor = loop {
            match hear(&mut link)? {
                Some((Message::Free, _)) => break Some(Predecessor(link)),
                Some((Message::Granted { keys }, _)) => {
                    taken.pow = Some(prepared(config, &keys));
                    tell(&mut link, &Message::Prepared, None)?;
                }
                Some((message, file)) => taken.take(message, file)?,
                None => break None,
            }
        };
        let (connections, ports) = (taken.stratum.connections.len(), taken.stratum.listeners.len());
        tracing::info!(connections, ports, "took over");
        Ok(taken)
    }

    /// What is missing here, from there.
    pub(crate) fn or(mut self, other: Self) -> Self {
        self.http = self.http.or(other.http);
        self.rpc = self.rpc.or(other.rpc);
        self.predecessor = self.predecessor.or(other.predecessor);
        self.pow = self.pow.or(other.pow);
        self.stratum.listeners.extend(other.stratum.listeners);
        self
    }

    fn take(&mut self, message: Message, file: Option<OwnedFd>) -> anyhow::Result<()> {
        match (message, file) {
            (Message::Refused { version }, _) => bail!(
                "the process that runs there hands over as version {version}, this one takes over as version {VERSION}: stop it and start this one"
            ),
            (Message::Http, Some(file)) => self.http = Some(file.into()),
            (Message::Rpc, Some(file)) => self.rpc = Some(file.into()),
            (Message::Stratum(port), Some(file)) => self.stratum.listeners.push((port, file.into())),
            (Message::Connection(state), Some(socket)) => {
                self.stratum.connections.push(HandedConnection { socket, state });
            }
            (Message::Work(work), _) => self.stratum.work.push(work),
            (message, _) => bail!("the process that runs there says {message:?} without a socket"),
        }
        Ok(())
    }

    /// To the process at the other end; the sockets are open here too until this is dropped. Blocks.
    fn send(&self, link: &mut SuccessorLink) -> anyhow::Result<()> {
        let Self { http, rpc, stratum: Handover { listeners, work, connections }, .. } = self;
        for (message, listener) in [(Message::Http, http), (Message::Rpc, rpc)] {
            if let Some(listener) = listener {
                tell(link, &message, Some(listener.as_fd()))?;
            }
        }
        for (port, listener) in listeners {
            tell(link, &Message::Stratum(*port), Some(listener.as_fd()))?;
        }
        for work in work {
            tell(link, &Message::Work(work.clone()), None)?;
        }
        for HandedConnection { socket, state } in connections {
            tell(link, &Message::Connection(state.clone()), Some(socket.as_fd()))?;
        }
        Ok(())
    }
}

impl Predecessor {
    /// Lets it go: from here on only this process may go on with the connections.
    pub(crate) fn release(mut self) {
        tell_successor();
        if let Err(error) = tell(&mut self.0, &Message::Serves, None) {
            tracing::warn!(%error, "the process that this one took over from was gone already");
        }
    }
}

impl Heir {
    /// Leaves everything to the process at the other end of `link`. Blocks.
    pub(crate) fn new(mut link: SuccessorLink, left: Taken) -> Self {
        if let Err(error) = left.send(&mut link) {
            tracing::error!(%error, "the process that was to take over does not listen");
        }
        Self { link, left }
    }

    /// Call once the data directory is free: tells the heir so, and waits until it serves, or until this process is to stop. One that does not serve
    /// within `patience` is killed: it may hold the books, and nobody serves meanwhile. Blocks.
    ///
    /// # Errors
    /// The system says no.
    pub(crate) fn fate(self, patience: Duration, stop: &Shutdown) -> anyhow::Result<Fate> {
        let Self { link, left } = self;
        let heir = link.newer();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serves = runtime.block_on(async {
            let mut answer = tokio::task::spawn_blocking(move || await_served(link));
            tokio::select! {
                answer = &mut answer => return anyhow::Ok(answer?.unwrap_or(false)),
                () = stop.requested() => return Ok(true),
                () = tokio::time::sleep(patience) => {}
            }
            tracing::error!(
                secs = patience.as_secs(),
                "the process that was to take over does not serve: it is killed"
            );
            if let Some(Err(error)) = heir.map(NewerProcess::kill) {
                tracing::warn!(%error, "it cannot be killed");
            }
            // One that came to serve in that moment may have judged shares: what is left here is out of date then.
            let has_served = answer.await?.unwrap_or(false);
            ensure!(!has_served, "the process that took over was killed as it began to serve");
            Ok(false)
        });
        // A thread that still listens ends with the process.
        runtime.shutdown_background();
        Ok(if serves? { Fate::Settled } else { Fate::Gone(left) })
    }
}

/// Whether the process at the other end came to serve.
fn await_served(mut link: SuccessorLink) -> anyhow::Result<bool> {
    link.wait_without_end()?;
    tell(&mut link, &Message::Free, None)?;
    Ok(matches!(hear(&mut link)?, Some((Message::Serves, _))))
}

/// A verifier with tables for these keys: the first shares would wait for them, and ethminer does not wait for two seconds.
fn prepared(config: &Config, keys: &[PowKey]) -> Arc<PowVerifier> {
    let pow = Arc::new(PowVerifier::new(pow_config(config)));
    for key in keys {
        if let Err(error) = pow.prepare(key) {
            tracing::warn!(%error, "a table is built with the first share that needs it");
        }
    }
    pow
}

/// The pool whose work a successor gets ready for, once it runs.
pub(crate) type RunningPool = Arc<OnceLock<Weak<Pool>>>;

fn keys_of(pool: &RunningPool) -> Vec<PowKey> {
    let template = pool.get().and_then(Weak::upgrade).and_then(|pool| pool.template());
    let key = |algorithm| template.as_ref()?.work(algorithm).map(|work| work.key);
    Algorithm::ALL.into_iter().filter_map(key).collect()
}

/// Waits for a process that wants to take over and is ready to, and stops this one then. The link to it is closed last of all.
pub(crate) fn await_successor(
    data_dir: &Path,
    trigger: ShutdownTrigger,
    pool: RunningPool,
) -> oneshot::Receiver<SuccessorLink> {
    let (found, successor) = oneshot::channel();
    match SuccessorPort::listen(data_dir) {
        Ok(port) => {
            tokio::spawn(async move {
                if let Some(link) = find(&port, &pool).await {
                    // Sent first: whoever stops looks whether somebody is there.
                    let _stops_already = found.send(link);
                    trigger.request();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "no process can take over from this one"),
    }
    successor
}

async fn find(port: &SuccessorPort, pool: &RunningPool) -> Option<SuccessorLink> {
    loop {
        let link = match port.next().await {
            Ok(link) => link,
            Err(error) => {
                tracing::warn!(%error, "no process can take over from this one any more");
                return None;
            }
        };
        let keys = keys_of(pool);
        match tokio::task::spawn_blocking(move || greet(link, keys)).await {
            Ok(Ok(Some(link))) => return Some(link),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a process wanted to take over and did not get ready"),
            Err(_) => return None,
        }
    }
}

/// The link, if the process at its other end may take over.
fn greet(mut link: SuccessorLink, keys: Vec<PowKey>) -> anyhow::Result<Option<SuccessorLink>> {
    match hear(&mut link)? {
        Some((Message::Wish { version: VERSION }, _)) => {
            tell(&mut link, &Message::Granted { keys }, None)?;
            let answer = hear(&mut link)?;
            Ok(matches!(answer, Some((Message::Prepared, _))).then_some(link))
        }
        Some((Message::Wish { version }, _)) => {
            tracing::warn!(version, own = VERSION, "a process of another version wanted to take over");
            tell(&mut link, &Message::Refused { version: VERSION }, None)?;
            Ok(None)
        }
        _ => Ok(None),
    }
}

fn tell(link: &mut SuccessorLink, message: &Message, file: Option<BorrowedFd<'_>>) -> anyhow::Result<()> {
    Ok(link.send(&postcard::to_stdvec(message)?, file)?)
}

fn hear(link: &mut SuccessorLink) -> anyhow::Result<Option<(Message, Option<OwnedFd>)>> {
    let Some((bytes, file)) = link.receive()? else { return Ok(None) };
    Ok(Some((postcard::from_bytes(&bytes).context("what the other process says cannot be read")?, file)))
}
