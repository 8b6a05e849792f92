//! How one process goes on where another stops (SPEC 11.13): ports and miners' connections are handed over while the data directory
//! changes hands.
//!
//! The newer process asks ([`Taken::from_predecessor`]), the older one lets it in ([`await_successor`]), leaves it everything and waits
//! what becomes of it ([`Heir`]), and only with a last word of the older one ([`Predecessor`]) the newer goes on.

mod heir;
mod predecessor;
mod reception;

use std::{
    io,
    net::TcpListener,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bq_front::{HANDOVER_VERSION as VERSION, HandedConnection, Handover, Port};
use bq_pow::PowVerifier;
use bq_primitives::PowKey;
use bq_runtime::{Config, SuccessorLink, is_gone};
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    heir::{Fate, Heir},
    predecessor::Predecessor,
    reception::{Incumbent, await_successor, deny},
};
use super::system::{pow_config, rehearse};

/// What is handed over.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) http: Option<TcpListener>,
    pub(crate) rpc: Option<TcpListener>,
    pub(crate) stratum: Handover,
    /// Goes on with all of it unless it says that this process may.
    pub(crate) predecessor: Option<Predecessor>,
    /// With the tables of the work that it is on.
    pub(crate) pow: Option<Arc<PowVerifier>>,
}

/// A frame between the two. Its shape may only change together with [`VERSION`], and the first two never.
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
    /// The newer one could go on with the connections now, and waits for the answer. Until then the older one keeps all that it handed over.
    Asks,
    /// It may: from here on the older one neither goes on nor ends the newer.
    May,
    /// Nobody takes over, or not now: the newer one gives up.
    Denied {
        why: String,
    },
}

/// Why nothing is handed over by a process that is to stop for good.
pub(crate) const TOLD_TO_STOP: &str = "the process that runs there was told to stop, and this one with it";

impl Taken {
    /// From the process that runs on this data directory; nothing is taken if there is none, or it is gone without a word. When this
    /// returns it has let go of the directory, and goes on unless it says that this one may. Blocks.
    ///
    /// # Errors
    /// This one could not start, or the other does not let it in: that one goes on.
    pub(crate) fn from_predecessor(config: &Config) -> anyhow::Result<Self> {
        let patience = Duration::from_secs(config.stratum_limits.takeover_secs);
        let Some(mut link) =
            SuccessorLink::to_predecessor(&config.data_dir, patience).context("the process that runs there")?
        else {
            tracing::info!("nobody runs on this data directory: there is nothing to take over");
            return Ok(Self::default());
        };
        rehearse(config)?;
        tell_if_there(&mut link, &Message::Wish { version: VERSION })?;
        let mut taken = Self::default();
        taken.predecessor = loop {
            match hear(&mut link)? {
                Some((Message::Free, _)) => break Some(Predecessor::new(link, patience)),
                Some((Message::Granted { keys }, _)) => {
                    taken.pow = Some(prepared(config, &keys));
                    tell_if_there(&mut link, &Message::Prepared)?;
                }
                Some((message, file)) => taken.take(message, file)?,
                None => {
                    // It has let go of the directory too, or this process is told that it has not.
                    tracing::warn!("the process that was to be replaced is gone: this one starts without a word of it");
                    break None;
                }
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
            (Message::Denied { why }, _) => bail!("{why}"),
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

fn tell(link: &mut SuccessorLink, message: &Message, file: Option<BorrowedFd<'_>>) -> anyhow::Result<()> {
    Ok(link.send(&postcard::to_stdvec(message)?, file)?)
}

/// The same to one that may be gone: what it said before it went is heard next.
fn tell_if_there(link: &mut SuccessorLink, message: &Message) -> anyhow::Result<()> {
    match link.send(&postcard::to_stdvec(message)?, None) {
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => bail!("{} does not read", link.other_name()),
        sent => Ok(sent?),
    }
}

fn hear(link: &mut SuccessorLink) -> anyhow::Result<Option<(Message, Option<OwnedFd>)>> {
    let Some((bytes, file)) = link.receive()? else { return Ok(None) };
    Ok(Some((postcard::from_bytes(&bytes).context("what the other process says cannot be read")?, file)))
}
