use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, service::service_fn};
use jsonrpsee::server::{
    BatchRequestConfig, Server, ServerConfig, ServerHandle, middleware::http::HostFilterLayer, stop_channel,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tower::Service as _;

use crate::{
    LongPollLimits, RpcAccess, RpcServices,
    accept::{Caller, Door, accept},
    access::LoginLayer,
    long_polls::LongPolls,
    methods,
    services::Context,
    turns::{Turns, too_long},
};

/// The longest request and the longest answer: a block of 42,000,000 bytes in hex, and some room. No setting: the chain's rules decide it.
pub const BODY_BYTES_MAX: u32 = 84_100_000;
/// The most calls in one batch; who wants more sends another. Every call takes a thread at worst.
pub const BATCH_MAX: u32 = 32;

/// Starts the JSON-RPC server.
#[derive(Clone, Copy, Debug)]
pub struct RpcServer;

/// How the server listens.
#[derive(Clone, Debug)]
pub struct RpcOptions {
    /// Where; port 0 picks a free one.
    pub address: SocketAddr,
    /// Who may change something.
    pub access: RpcAccess,
    /// Requests that are answered at a time. Beyond it the oldest of the address that has most is answered 429, for one of another address, or
    /// the next is. Default 64.
    pub connections_max: u32,
    /// Open sockets. Beyond it the one that has asked nothing for longest is closed, or the oldest of the address that has most, for one of
    /// another address, or the next is told 429. Those beyond `connections_max` are for being told 429. Default 72.
    pub sockets_max: usize,
    /// How many of those requests may wait in long polls. Default 32, and 8 of one address.
    pub long_polls: LongPollLimits,
    /// The head of a request must be there within this, also of one that follows another. Default 10 s.
    pub head_patience: Duration,
    /// Its body must be there within this after it: the largest block takes a second over a slow line. Default 10 s.
    pub body_patience: Duration,
}

impl RpcOptions {
    /// On this address, with all defaults.
    #[must_use]
    pub const fn new(address: SocketAddr, access: RpcAccess) -> Self {
        Self {
            address,
            access,
            connections_max: 64,
            sockets_max: 72,
            long_polls: LongPollLimits { total: 32, per_address: 8 },
            head_patience: Duration::from_secs(10),
            body_patience: Duration::from_secs(10),
        }
    }
}

/// A running JSON-RPC server. Dropping it stops the server.
#[derive(Debug)]
pub struct RpcHandle {
    address: SocketAddr,
    accepting: JoinHandle<()>,
    closing: watch::Sender<bool>,
    /// Dropped, it would tell what answers the requests that the server is over.
    _answering: ServerHandle,
}

impl RpcServer {
    /// Listens until it is told to stop.
    ///
    /// # Security
    /// Whoever reaches the address may look, ask for templates to any address, and hand in blocks and transactions, which prove themselves.
    /// The methods that change something in this process, or take what the pool earned, need a login of [`RpcAccess`]. Logins and
    /// answers are not encrypted: keep the address on loopback. There the server answers only requests whose `Host` is a loopback name, so
    /// that no web page can reach it by pointing a name of its own at this machine; beyond it the pool's methods are off.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn start(options: RpcOptions, services: RpcServices) -> io::Result<RpcHandle> {
        let listener = std::net::TcpListener::bind(options.address)?;
        Self::serve(listener, options, services)
    }

    /// [`RpcServer::start`] on a port that is open.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn serve(
        listener: std::net::TcpListener,
        options: RpcOptions,
        mut services: RpcServices,
    ) -> io::Result<RpcHandle> {
        let RpcOptions { address, access, connections_max, sockets_max, long_polls, head_patience, body_patience } =
            options;
        let config = ServerConfig::builder()
            .max_request_body_size(BODY_BYTES_MAX)
            .max_response_body_size(BODY_BYTES_MAX)
            // Whom there is no turn for is told so before: this counts no addresses.
            .max_connections(u32::MAX)
            .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
            .http_only()
            .build();
        let hosts = if address.ip().is_loopback() {
            HostFilterLayer::new(["localhost:*", "127.0.0.1:*", "[::1]:*"]).map_err(io::Error::other)?
        } else {
            tracing::warn!(%address, "JSON-RPC is not encrypted and listens beyond this machine: the pool's commands are off");
            services.pool = None;
            services.access = None;
            HostFilterLayer::disable()
        };
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let login = LoginLayer::new(&access, body_patience);
        let builder = Server::builder()
            .set_config(config)
            .set_http_middleware(tower::ServiceBuilder::new().layer(hosts).layer(login))
            .to_service_builder();
        let (closing, closing_in) = watch::channel(false);
        let long_polls = Arc::new(LongPolls::new(long_polls));
        let context = Context { services, long_polls, closing: closing_in.clone() };
        let module = methods::module(context).map_err(io::Error::other)?;
        let (stop_handle, answering) = stop_channel();
        let turns = Turns::new(connections_max);
        let serve = move |caller: Caller| {
            let service = builder.clone().build(module.clone(), stop_handle.clone());
            let turns = turns.clone();
            service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(caller);
                let (turns, mut service) = (turns.clone(), service.clone());
                async move {
                    match too_long(request.headers()) {
                        Some(refusal) => Ok(refusal),
                        None => turns.answer(caller.0, service.call(request)).await,
                    }
                }
            })
        };
        let accepting = tokio::spawn(accept(listener, Door { sockets_max, head_patience }, serve, closing_in));
        tracing::info!(%address, "JSON-RPC is up");
        Ok(RpcHandle { address, accepting, closing, _answering: answering })
    }
}

impl RpcHandle {
    /// Where it listens, with the port that was picked.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, ends long polls, and waits for what is under way.
    pub async fn shutdown(self) {
        self.closing.send_replace(true);
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "JSON-RPC ended abnormally");
        }
    }
}
