use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

use crate::{arrival::Arrival, port::Port, shared::Shared, turned_away};

/// How long to wait after a failed accept, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What tells a port that it is over, and whom it tells.
#[derive(Clone)]
pub(crate) struct Ends {
    /// No new connections.
    pub(crate) closed: watch::Receiver<bool>,
    /// No connections.
    pub(crate) stopped: watch::Receiver<bool>,
    /// Held by the port, and by what came in and is no connection yet.
    pub(crate) arriving: mpsc::Sender<()>,
    /// Held by the port and by every connection.
    pub(crate) alive: mpsc::Sender<()>,
}

/// Accepts the miners of one port until told to stop.
pub(crate) async fn listen(shared: Arc<Shared>, port: Port, listener: TcpListener, mut ends: Ends) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ends.closed.changed() => return,
            _ = ends.stopped.changed() => return,
        };
        match accepted {
            Ok((stream, address)) => open(&shared, port, stream, address, &ends),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, %port, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn open(shared: &Arc<Shared>, port: Port, stream: TcpStream, address: SocketAddr, ends: &Ends) {
    if shared.is_denied(address.ip()) {
        return shared.metrics.refused("denied");
    }
    let entry = if shared.is_proxy(address.ip()) {
        None
    } else {
        match shared.enter(address.ip(), port) {
            Ok(entry) => Some(entry),
            Err(reason) => {
                shared.metrics.refused(reason);
                if shared.config.plaintext {
                    turned_away::tell(stream, port, reason);
                }
                return;
            }
        }
    };
    if let Err(error) = stream.set_nodelay(true) {
        return tracing::debug!(%error, "connection was gone before it began");
    }
    let (at, alive, arriving) = (shared.clock.now(), ends.alive.clone(), ends.arriving.clone());
    let arrival = Arrival { shared: Arc::clone(shared), port, stream, address, at, arriving, alive: alive.clone() };
    let stop = ends.stopped.clone();
    tokio::spawn(async move {
        arrival.run(entry, stop).await;
        drop(alive);
    });
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
