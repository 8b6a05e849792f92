//! Sockets: bounded in number, and each has to ask in time, also between two requests.

use std::{io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::{core::BoxError, server::HttpResponse};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller(pub(crate) IpAddr);

/// How sockets are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    /// Open at a time; more wait to be accepted.
    pub(crate) sockets_max: usize,
    /// For the head of a request.
    pub(crate) head_patience: Duration,
}

/// How long to wait after a failed accept, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until `closing` says so or its sender is gone, then waits for what is under way. `serve` makes what answers the requests of an address.
pub(crate) async fn accept<S>(
    listener: TcpListener,
    door: Door,
    serve: impl Fn(Caller) -> S,
    mut closing: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = HttpResponse, Error = BoxError, Future: Send> + Send + 'static,
{
    let sockets = Arc::new(Semaphore::new(door.sockets_max.max(1)));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // Never closed.
            let place = Arc::clone(&sockets).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, address)| (stream, address, place))
        };
        tokio::select! {
            next = next => match next {
                Ok((stream, address, place)) => {
                    let (service, closing) = (serve(Caller(address.ip())), closing.clone());
                    connections.spawn(async move {
                        serve_one(stream, door.head_patience, service, closing).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "JSON-RPC accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = closed(&mut closing) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_one<S>(stream: TcpStream, head_patience: Duration, service: S, mut closing: watch::Receiver<bool>)
where
    S: Service<Request<Incoming>, Response = HttpResponse, Error = BoxError, Future: Send> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        return tracing::debug!(%error, "connection was gone before it began");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_patience);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "JSON-RPC connection");
    }
}

/// Returns once the server is to stop, or nobody is left who would say so.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _gone = closing.wait_for(|is_closing| *is_closing).await;
}
