use std::{io, net::SocketAddr, time::Duration};

use jsonrpsee::server::{BatchRequestConfig, Server, ServerConfig, ServerHandle, middleware::http::HostFilterLayer};
use tokio::sync::watch;

use crate::{RpcServices, methods, services::Context};

/// The longest request and the longest answer: a block of 42,000,000 bytes in hex, and some room.
pub const BODY_BYTES_MAX: u32 = 84_100_000;
/// The most calls in one batch.
pub const BATCH_MAX: u32 = 32;
/// The most connections at a time; more are answered 429.
pub const CONNECTIONS_MAX: u32 = 64;
/// A connection must send its first request within this.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts the JSON-RPC server.
#[derive(Clone, Copy, Debug)]
pub struct RpcServer;

/// A running JSON-RPC server. Dropping it stops the server.
#[derive(Debug)]
pub struct RpcHandle {
    address: SocketAddr,
    server: ServerHandle,
    closing: watch::Sender<bool>,
}

impl RpcServer {
    /// Listens on `address` (port 0 picks a free one).
    ///
    /// # Security
    /// There is no password: whoever reaches the address may mine to any address, steer the miner, add peers, and on
    /// loopback take what the pool earned; nobody can take what miners are owed. Keep it on loopback, on a machine whose users are
    /// all trusted. There it answers only requests whose `Host` is a loopback name, so that no
    /// web page can reach it by pointing a name of its own at this machine.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn start(address: SocketAddr, mut services: RpcServices) -> io::Result<RpcHandle> {
        let config = ServerConfig::builder()
            .max_request_body_size(BODY_BYTES_MAX)
            .max_response_body_size(BODY_BYTES_MAX)
            .max_connections(CONNECTIONS_MAX)
            .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
            .set_first_request_timeout(Some(FIRST_REQUEST_TIMEOUT))
            .http_only()
            .build();
        let hosts = if address.ip().is_loopback() {
            HostFilterLayer::new(["localhost:*", "127.0.0.1:*", "[::1]:*"]).map_err(io::Error::other)?
        } else {
            tracing::warn!(%address, "JSON-RPC has no password and listens beyond this machine: the pool's commands are off");
            services.pool = None;
            HostFilterLayer::disable()
        };
        let server = Server::builder()
            .set_config(config)
            .set_http_middleware(tower::ServiceBuilder::new().layer(hosts))
            .build(address)
            .await?;
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
