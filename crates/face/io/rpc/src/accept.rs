//! Sockets: bounded in number, and each has to ask in time, also between two requests.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bq_crowd::{Busy, Home, Presence, Slots};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpResponse},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller(pub(crate) IpAddr);

/// How sockets are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    /// Open at a time. Beyond it one of them makes room, or the next is turned away.
    pub(crate) sockets_max: usize,
    /// For the head of a request.
    pub(crate) head_patience: Duration,
}

/// How long to wait after a failed accept, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one hears for whom there is no socket, if he listens.
const TOO_MANY_SOCKETS: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Accepts until `closing` says so or its sender is gone, then waits for what is under way. `serve` makes what answers the requests of an address.
pub(crate) async fn accept<S>(
    listener: TcpListener,
    door: Door,
    serve: impl Fn(Caller) -> S,
    mut closing: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = HttpResponse, Error = BoxError, Future: Send> + Send + 'static,
{
    let slots = Arc::new(Slots::new(door.sockets_max.max(1), 0));
    let mut connections = JoinSet::new();
    // Kept here until there is a place, which takes a moment at most: whatever else happens, it is not dropped.
    let mut arrived: Option<(TcpStream, SocketAddr)> = None;
    loop {
        tokio::select! {
            next = listener.accept(), if arrived.is_none() => match next {
                Ok(next) => arrived = Some(next),
                Err(error) => {
                    tracing::warn!(%error, "JSON-RPC accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            slot = slots.take_at_once(home_of(arrived.as_ref())), if arrived.is_some() => {
                let Some((stream, address)) = arrived.take() else { continue };
                let Some(slot) = slot else {
                    // Nobody is kept waiting behind one of whom too many are here already.
                    let _unheard = stream.try_write(TOO_MANY_SOCKETS);
                    continue;
                };
                let presence = slots.enter(Home::of(address.ip()), slot.kind);
                let (service, closing) = (serve(Caller(address.ip())), closing.clone());
                connections.spawn(async move {
                    serve_one(stream, door.head_patience, (service, presence), closing).await;
                    drop(slot);
                });
            }
            Some(_) = connections.join_next() => {}
            () = closed(&mut closing) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Where the connection came from that waits for a place.
fn home_of(arrived: Option<&(TcpStream, SocketAddr)>) -> Home {
    Home::of(arrived.map_or(Ipv4Addr::UNSPECIFIED.into(), |(_, address)| address.ip()))
}

async fn serve_one<S>(
    stream: TcpStream,
    head_patience: Duration,
    (service, presence): (S, Presence),
    mut closing: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = HttpResponse, Error = BoxError, Future: Send> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        return tracing::debug!(%error, "connection was gone before it began");
    }
    let presence = &presence;
    let service = service_fn(move |request: Request<Incoming>| {
        let (busy, answer) = (presence.busy(), service.call(request));
        async move {
            answer.await.map(|response| response.map(|body| Answer { body, _busy: busy })).map_err(io::Error::other)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_patience);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = presence.is_wanted() => Ok(()),
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "JSON-RPC connection");
    }
}

/// An answer's body: until the last of it is sent, somebody is served here.
struct Answer {
    body: HttpBody,
    _busy: Busy,
}

impl Body for Answer {
    type Data = <HttpBody as Body>::Data;
    type Error = <HttpBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns once the server is to stop, or nobody is left who would say so.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _gone = closing.wait_for(|is_closing| *is_closing).await;
}
