//! How one process goes on where another stops (SPEC 11.13): ports and miners' connections are handed over while the data directory
//! changes hands.

use std::{
    net::TcpListener,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use anyhow::{Context as _, bail};
use bq_front::{HANDOVER_VERSION as VERSION, HandedConnection, Handover, Port};
use bq_runtime::{ShutdownTrigger, SuccessorLink, SuccessorPort};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::service::tell_successor;

/// What is handed over.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) http: Option<TcpListener>,
    pub(crate) rpc: Option<TcpListener>,
    pub(crate) stratum: Handover,
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
    /// The older one stops now.
    Granted,
    /// With a socket.
    Http,
    /// With a socket.
    Rpc,
    /// With a socket.
    Stratum(Port),
    Work(Vec<u8>),
    /// With a socket.
    Connection(Vec<u8>),
    /// That was all, and the books are closed.
    Done,
}

impl Taken {
    /// From the process that runs on this data directory; nothing is taken if there is none, or it stops without a word. When this
    /// returns it has let go of the directory. Blocks.
    ///
    /// # Errors
    /// The other process is of a version that hands over something else, and goes on.
    pub(crate) fn from_predecessor(data_dir: &Path) -> anyhow::Result<Self> {
        let Some(mut link) = SuccessorLink::to_predecessor(data_dir).context("the process that runs there")? else {
            tracing::info!("nobody runs on this data directory: there is nothing to take over");
            return Ok(Self::default());
        };
        tell(&mut link, &Message::Wish { version: VERSION }, None)?;
        let mut taken = Self::default();
        while let Some((message, file)) = hear(&mut link)? {
            taken.take(message, file)?;
        }
        let (connections, ports) = (taken.stratum.connections.len(), taken.stratum.listeners.len());
        tracing::info!(connections, ports, "took over");
        Ok(taken)
    }

    /// What is missing here, from there.
    pub(crate) fn or(mut self, other: Self) -> Self {
        self.http = self.http.or(other.http);
        self.rpc = self.rpc.or(other.rpc);
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
            (Message::Granted, _) => tell_successor(),
            (Message::Done, _) => {}
            (message, _) => bail!("the process that runs there says {message:?} without a socket"),
        }
        Ok(())
    }

    /// To the process at the other end. Blocks.
    ///
    /// # Errors
    /// It is gone, and so are the connections.
    pub(crate) fn send(self, link: &mut SuccessorLink) -> anyhow::Result<()> {
        let Self { http, rpc, stratum: Handover { listeners, work, connections } } = self;
        for (message, listener) in [(Message::Http, http), (Message::Rpc, rpc)] {
            if let Some(listener) = listener {
                tell(link, &message, Some(listener.as_fd()))?;
            }
        }
        for (port, listener) in listeners {
            tell(link, &Message::Stratum(port), Some(listener.as_fd()))?;
        }
        for work in work {
            tell(link, &Message::Work(work), None)?;
        }
        for HandedConnection { socket, state } in connections {
            tell(link, &Message::Connection(state), Some(socket.as_fd()))?;
        }
        tell(link, &Message::Done, None)
    }
}

/// Waits for a process that wants to take over, and stops this one then. The link to it is closed last of all.
pub(crate) fn await_successor(data_dir: &Path, trigger: ShutdownTrigger) -> oneshot::Receiver<SuccessorLink> {
    let (found, successor) = oneshot::channel();
    match SuccessorPort::listen(data_dir) {
        Ok(port) => {
            tokio::spawn(async move {
                if let Some(link) = find(&port).await {
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

async fn find(port: &SuccessorPort) -> Option<SuccessorLink> {
    loop {
        let link = match port.next().await {
            Ok(link) => link,
            Err(error) => {
                tracing::warn!(%error, "no process can take over from this one any more");
                return None;
            }
        };
        match tokio::task::spawn_blocking(move || greet(link)).await {
            Ok(Ok(Some(link))) => return Some(link),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a process wanted to take over and did not say so"),
            Err(_) => return None,
        }
    }
}

/// The link, if the process at its other end may take over.
fn greet(mut link: SuccessorLink) -> anyhow::Result<Option<SuccessorLink>> {
    match hear(&mut link)? {
        Some((Message::Wish { version: VERSION }, _)) => {
            tell(&mut link, &Message::Granted, None)?;
            Ok(Some(link))
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
