use std::{io, net::SocketAddr, time::Duration};

use jsonrpsee::server::{BatchRequestConfig, Server, ServerConfig, ServerHandle, middleware::http::HostFilterLayer};
use tokio::sync::watch;

use crate::{RpcAccess, RpcServices, access::LoginLayer, methods, services::Context};

/// The longest request and the longest answer: a block of 42,000,000 bytes in hex, and some room. No setting: the chain's rules decide it.
pub const BODY_BYTES_MAX: u32 = 84_100_000;
/// The most calls in one batch; who wants more sends another. Every call takes a thread at worst.
pub const BATCH_MAX: u32 = 32;
/// A connection must send its first request within this. Its own tools send it at once; what an operator sets is how many there may be.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// Connections at a time; more are answered 429. Default 64.
    pub connections_max: u32,
}

impl RpcOptions {
    /// On this address, with 64 connections.
    #[must_use]
    pub const fn new(address: SocketAddr, access: RpcAccess) -> Self {
        Self { address, access, connections_max: 64 }
    }
}

/// A running JSON-RPC server. Dropping it stops the server.
#[derive(Debug)]
pub struct RpcHandle {
    address: SocketAddr,
    server: ServerHandle,
    closing: watch::Sender<bool>,
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
        let RpcOptions { address, access, connections_max } = options;
        let config = ServerConfig::builder()
            .max_request_body_size(BODY_BYTES_MAX)
            .max_response_body_size(BODY_BYTES_MAX)
            .max_connections(connections_max)
            .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
            .set_first_request_timeout(Some(FIRST_REQUEST_TIMEOUT))
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
        let server = Server::builder()
            .set_config(config)
            .set_http_middleware(tower::ServiceBuilder::new().layer(hosts).layer(LoginLayer::new(&access)))
            .build_from_tcp(listener)?;
        let address = server.local_addr()?;
        let (closing, closing_in) = watch::channel(false);
        let module = methods::module(Context { services, closing: closing_in }).map_err(io::Error::other)?;
        tracing::info!(%address, "JSON-RPC is up");
        Ok(RpcHandle { address, server: server.start(module), closing })
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
        // An error means that it stopped before.
        let _ = self.server.stop();
        self.server.stopped().await;
    }
}
