use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

use crate::{arrival::Arrival, port::Port, shared::Shared, turned_away};

/// How long to wait after a failed accept, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts the miners of one port until told to stop. Every connection holds a clone of `alive`.
pub(crate) async fn listen(
    shared: Arc<Shared>,
    port: Port,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    let mut stopped = stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, address)) => open(&shared, port, stream, address, &stop, &alive),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, %port, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn open(
    shared: &Arc<Shared>,
    port: Port,
    stream: TcpStream,
    address: SocketAddr,
    stop: &watch::Receiver<bool>,
    alive: &mpsc::Sender<()>,
) {
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
    let (at, alive) = (shared.clock.now(), alive.clone());
    let arrival = Arrival { shared: Arc::clone(shared), port, stream, address, at, alive: alive.clone() };
    let stop = stop.clone();
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
