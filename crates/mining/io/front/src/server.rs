use std::{io, net::SocketAddr, sync::Arc, thread::JoinHandle};

use bq_condition::Condition;
use bq_mining_message::{AccessApi, PoolApi};
use bq_pow::PowVerifier;
use bq_primitives::Algorithm;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{mpsc, watch},
};

use crate::{
    StratumConfig,
    clock::SteadyClock,
    conditions::Conditions,
    jobs::{feed, work_channels},
    kept_files,
    listener::listen,
    metrics::StratumMetrics,
    port::Port,
    shared::Shared,
    tls::Tls,
    verify::{Prover, VerifyPool},
};

/// The Stratum ports of a pool.
#[derive(Debug)]
pub struct StratumServer;

/// A running server. It ends when this is dropped; [`StratumHandle::shutdown`] also waits for it.
pub struct StratumHandle {
    addresses: Vec<(Port, SocketAddr)>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    /// Closed once no task of the server is left.
    tasks: mpsc::Receiver<()>,
    threads: Vec<JoinHandle<()>>,
    conditions: Arc<Conditions>,
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be listened on.
    #[error("stratum port {address} for {port}: {source}")]
    Listen {
        /// What is spoken there.
        port: Port,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The cryptography of TLS is not as the build expects it.
    #[error("TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// A verification thread cannot be started.
    #[error("verification thread: {0}")]
    Thread(#[source] io::Error),
}

impl StratumServer {
    /// Opens the ports and serves miners on the present runtime. Jobs flow once the pool has a template.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub async fn start(
        config: StratumConfig,
        pool: Arc<dyn PoolApi>,
        verifier: Arc<PowVerifier>,
    ) -> Result<StratumHandle, StartError> {
        let tls = config.tls.as_ref().map(Tls::new).transpose().map_err(StartError::Tls)?;
        let listeners = bind(&config)?;
        let (clock, metrics) = (SteadyClock::start(), Arc::new(StratumMetrics::register()));
        let conditions = Arc::new(Conditions::new(clock.now(), config.panic_shown_ms, config.few_files.clone()));
        let prover = Prover::new(Arc::clone(&pool), verifier, clock, Arc::clone(&metrics), Arc::clone(&conditions));
        let (verify, threads) = VerifyPool::start(&config.verify, &Arc::new(prover)).map_err(StartError::Thread)?;
        let [(first, of_first), (second, of_second), (third, of_third)] = Algorithm::ALL.map(|_| work_channels());
        let (announcers, work) = ([first, second, third], [of_first, of_second, of_third]);
        let shared = Arc::new(Shared::new(
            config,
            Arc::clone(&pool),
            metrics,
            clock,
            verify,
            work,
            (tls, Arc::clone(&conditions)),
        ));

        let (stop, stopped) = watch::channel(false);
        let (alive, tasks) = mpsc::channel(1);
        let feeder = alive.clone();
        let stop_feed = stopped.clone();
        tokio::spawn(async move {
            feed(pool, announcers, stop_feed).await;
            drop(feeder);
        });
        if let Some(period_ms) = shared.config.kept.as_ref().map(|kept| kept.period_ms) {
            tokio::spawn(kept_files::keep(Arc::clone(&shared), period_ms, stopped.clone(), alive.clone()));
        }
        let mut addresses = Vec::new();
        for (port, listener, address) in listeners {
            addresses.push((port, address));
            let key = shared.config.v2.as_ref().filter(|_| port == Port::V2).map(|v2| v2.authority.public_text());
            match key {
                Some(key) => {
                    let url = format!("stratum2+tcp://{address}/{key}");
                    tracing::info!(%port, %address, %url, "stratum port is open");
                }
                None => tracing::info!(%port, %address, "stratum port is open"),
            }
            tokio::spawn(listen(Arc::clone(&shared), port, listener, stopped.clone(), alive.clone()));
        }
        Ok(StratumHandle { addresses, shared, stop, tasks, threads, conditions })
    }
}

impl StratumHandle {
    /// Where an algorithm is served to miners of V1, with the port that was picked.
    #[must_use]
    pub fn address(&self, algorithm: Algorithm) -> Option<SocketAddr> {
        self.address_of(Port::V1(algorithm))
    }

    /// Where something is spoken.
    #[must_use]
    pub fn address_of(&self, port: Port) -> Option<SocketAddr> {
        self.addresses.iter().find(|(open, _)| *open == port).map(|(_, address)| *address)
    }

    /// Where Stratum V2 is served, and the key that stands behind it in `stratum2+tcp://HOST:PORT/KEY`.
    #[must_use]
    pub fn v2_url_parts(&self) -> Option<(SocketAddr, String)> {
        let v2 = self.shared.config.v2.as_ref()?;
        Some((self.address_of(Port::V2)?, v2.authority.public_text()))
    }

    /// Open connections of all algorithms.
    #[must_use]
    pub fn connections(&self) -> u64 {
        u64::try_from(self.shared.connections()).unwrap_or(u64::MAX)
    }

    /// A way to read [`StratumHandle::connections`] that outlives the handle's borrow, for views.
    #[must_use]
    pub fn connection_counter(&self) -> Arc<dyn Fn() -> u64 + Send + Sync> {
        let shared = Arc::downgrade(&self.shared);
        Arc::new(move || shared.upgrade().map_or(0, |shared| u64::try_from(shared.connections()).unwrap_or(u64::MAX)))
    }

    /// Bans, tokens, sessions, and why somebody could not mine.
    #[must_use]
    pub fn access(&self) -> Arc<dyn AccessApi> {
        Arc::clone(&self.shared.access) as _
    }

    /// What is not as it should be: a verification thread that panicked in the last ten minutes, shares that cannot be booked.
    #[must_use]
    pub fn conditions(&self) -> Vec<Condition> {
        self.conditions.active(self.shared.clock.now())
    }

    /// A way to read [`StratumHandle::conditions`] that outlives the handle's borrow, for health and views.
    #[must_use]
    pub fn condition_reader(&self) -> Arc<dyn Fn() -> Vec<Condition> + Send + Sync> {
        let (conditions, clock) = (Arc::clone(&self.conditions), self.shared.clock);
        Arc::new(move || conditions.active(clock.now()))
    }

    /// Has the TLS certificate read again. A failure is a condition until it is read well: the old one is shown on.
    #[must_use]
    pub fn certificate_reloader(&self) -> Arc<dyn Fn() + Send + Sync> {
        let certificates = self.shared.config.tls.as_ref().map(|tls| Arc::clone(&tls.certificates));
        let (conditions, clock) = (Arc::clone(&self.conditions), self.shared.clock);
        Arc::new(move || match certificates.as_ref().map(|certificates| certificates.reload()) {
            None => tracing::info!("TLS is off: there is no certificate to read again"),
            Some(Ok(())) => {
                conditions.certificate_read();
                tracing::info!("the TLS certificate was read again");
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the TLS certificate cannot be read again; the old one is shown on");
                conditions.certificate_unreadable(clock.now(), error.to_string());
            }
        })
    }

    /// Closes the ports and every connection, and waits until each share already taken was verified and booked.
    pub async fn shutdown(mut self) {
        // Fails only if nobody listens any more, and then there is nobody to stop.
        let _nobody = self.stop.send(true);
        while self.tasks.recv().await.is_some() {}
        let shared = Arc::clone(&self.shared);
        let _panicked = tokio::task::spawn_blocking(move || shared.save()).await;
        // The last owner of the queues: their threads finish what is in them and end.
        drop(self.shared);
        let threads = self.threads;
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().filter_map(|thread| thread.join().err()).count());
        if !matches!(joined.await, Ok(0)) {
            tracing::error!("a verification thread ended by panic");
        }
    }
}

fn bind(config: &StratumConfig) -> Result<Vec<(Port, TcpListener, SocketAddr)>, StartError> {
    let mut listeners = Vec::new();
    let of_v1 = Algorithm::ALL.map(|algorithm| (Port::V1(algorithm), config.listen[algorithm.index()]));
    let of_v2 = (Port::V2, config.v2.as_ref().map(|v2| v2.listen));
    for (port, address) in of_v1.into_iter().chain([of_v2]) {
        let Some(address) = address else { continue };
        let failed = |source| StartError::Listen { port, address, source };
        let listener = listen_on(address, config).map_err(failed)?;
        let actual = listener.local_addr().map_err(failed)?;
        listeners.push((port, listener, actual));
    }
    Ok(listeners)
}

/// What is accepted inherits the buffers of the port.
fn listen_on(address: SocketAddr, config: &StratumConfig) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = config.buffers.send_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.buffers.receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(address)?;
    socket.listen(config.backlog)
}
