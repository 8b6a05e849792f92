use std::{io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use bq_condition::Condition;
use bq_mining_message::{AccessApi, PoolApi};
use bq_primitives::Algorithm;
use bq_share::{Evaluator, Templates};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    SchemePort, StratumConfig,
    clock::SteadyClock,
    conditions::Conditions,
    connection::Connection,
    handover::{HandedConnection, Handover, read_work, write_work},
    jobs::{feed, work_channels},
    kept_files,
    listener::{Ends, listen},
    metrics::StratumMetrics,
    port::Port,
    shared::{Leaving, Shared},
    tls::Tls,
    verify::{Prover, VerifyPool},
};

/// The Stratum ports of a pool.
#[derive(Debug)]
pub struct StratumServer;

/// A running server. It ends when this is dropped; [`StratumHandle::shutdown`] also waits for it.
pub struct StratumHandle {
    addresses: Vec<(Port, SocketAddr)>,
    /// The ports once more, for a process that takes over.
    ports: Vec<(Port, std::net::TcpListener)>,
    shared: Arc<Shared>,
    /// No new connections.
    close: watch::Sender<bool>,
    /// No connections.
    stop: watch::Sender<bool>,
    /// Closed once nothing arrives any more.
    arrivals: mpsc::Receiver<()>,
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
    /// The process that this one was to replace does not let go.
    #[error("not taken over: {0}")]
    NotTakenOver(#[source] io::Error),
}

impl StratumServer {
    /// Opens the ports and serves miners on the present runtime. Jobs flow once the pool has a template.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub async fn start(
        config: StratumConfig,
        pool: Arc<dyn PoolApi>,
        verifier: Arc<dyn Evaluator>,
    ) -> Result<StratumHandle, StartError> {
        Self::resume(config, pool, verifier, (Handover::default(), || Ok(()))).await
    }

    /// [`StratumServer::start`] with the ports and connections of a process that this one replaces, as far as they are configured here too.
    /// `begins` is called when nothing else can fail any more and the first of them is about to go on: until then the other process could. It says
    /// whether this one may.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then. A connection that cannot be gone on with is closed.
    pub async fn resume(
        config: StratumConfig,
        pool: Arc<dyn PoolApi>,
        verifier: Arc<dyn Evaluator>,
        (handed, begins): (Handover, impl FnOnce() -> io::Result<()>),
    ) -> Result<StratumHandle, StartError> {
        let Handover { listeners, work: handed_work, connections } = handed;
        let tls = config.tls.as_ref().map(Tls::new).transpose().map_err(StartError::Tls)?;
        let listeners = bind(&config, listeners)?;
        let (clock, metrics) = (SteadyClock::start(), Arc::new(StratumMetrics::register()));
        let few_files = config.few_files.clone();
        let conditions = Conditions::new(clock.now(), config.panic_shown_ms, few_files, config.tls.as_ref());
        let conditions = Arc::new(conditions);
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

        begins().map_err(StartError::NotTakenOver)?;
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
        resume_all(&shared, connections, &handed_work, &alive);
        let (close, closed) = watch::channel(false);
        let (arriving, arrivals) = mpsc::channel(1);
        let ends = Ends { closed, stopped, arriving, alive };
        let (mut addresses, mut ports) = (Vec::new(), Vec::new());
        for Listening { port, listener, address, again } in listeners {
            addresses.push((port, address));
            ports.push((port, again));
            let key = shared.config.v2.as_ref().filter(|_| port == Port::V2).map(|v2| v2.authority.public_text());
            match key {
                Some(key) => {
                    let url = format!("stratum2+tcp://{address}/{key}");
                    tracing::info!(%port, %address, %url, "stratum port is open");
                }
                None => tracing::info!(%port, %address, "stratum port is open"),
            }
            tokio::spawn(listen(Arc::clone(&shared), port, listener, ends.clone()));
        }
        Ok(StratumHandle { addresses, ports, shared, close, stop, arrivals, tasks, threads, conditions })
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

    /// Every port that is open, and where.
    #[must_use]
    pub fn addresses(&self) -> &[(Port, SocketAddr)] {
        &self.addresses
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

    /// What is not as it should be: a verification thread that panicked in the last ten minutes, shares that cannot be booked, a certificate
    /// that ends.
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
        self.ports.clear();
        let drain = Duration::from_millis(self.shared.config.verify.drain_ms);
        self.end(drain).await;
    }

    /// The same, but plain connections of miners that are logged in are left open, with the ports, for another process (SPEC 11.13).
    pub async fn hand_over(mut self) -> Handover {
        let leaving = self.shared.leave();
        let _nobody = self.close.send(true);
        // Who came in just now is not turned away: it takes a moment to be a connection.
        let patience = Duration::from_millis(self.shared.config.handover_ms);
        let _slow = timeout(patience, async { while self.arrivals.recv().await.is_some() {} }).await;
        let listeners = std::mem::take(&mut self.ports);
        // Miners wait meanwhile: whoever forges shares does not make them wait for longer.
        self.end(patience).await;
        let Leaving { work, connections } = std::mem::take(&mut *leaving.lock());
        let written = work.values().map(|work| write_work(work)).collect::<Result<_, _>>();
        let work = written.unwrap_or_else(|error| {
            tracing::error!(%error, "open jobs cannot be handed over");
            Vec::new()
        });
        Handover { listeners, work, connections }
    }

    /// Shares of strangers that are not hashed within `drain` are dropped.
    async fn end(mut self, drain: Duration) {
        // Fails only if nobody listens any more, and then there is nobody to stop.
        let _nobody = self.stop.send(true);
        while self.tasks.recv().await.is_some() {}
        let shared = Arc::clone(&self.shared);
        let _panicked = tokio::task::spawn_blocking(move || shared.save_last()).await;
        self.shared.verify.end_within(drain);
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

/// Goes on with what another process handed over.
fn resume_all(shared: &Arc<Shared>, handed: Vec<HandedConnection>, work: &[Vec<u8>], alive: &mpsc::Sender<()>) {
    if handed.is_empty() {
        return;
    }
    let work = read_work(work).unwrap_or_else(|error| {
        tracing::error!(%error, "open jobs of the other process are forgotten");
        Templates::new()
    });
    let count = handed.len();
    // Counted whether or not anybody logs it: what a log line names is only looked at where the line is wanted.
    let resumed = handed.into_iter().map(|one| resume_one(shared, one, &work, alive)).filter(|went| *went).count();
    tracing::info!(resumed, of = count, "connections of the other process go on");
}

fn resume_one(shared: &Arc<Shared>, handed: HandedConnection, work: &Templates, alive: &mpsc::Sender<()>) -> bool {
    let (stream, state) = match handed.open() {
        Ok(opened) => opened,
        Err(error) => {
            tracing::warn!(%error, "a connection of the other process is closed");
            return false;
        }
    };
    // Whoever came to a port that is not served any more comes again, to another.
    let is_served = match state.port_scheme {
        None => shared.config.listen[state.algorithm.index()].is_some(),
        Some(scheme) => {
            let is_it = |port: &SchemePort| (port.scheme, port.algorithm) == (scheme, state.algorithm);
            shared.config.scheme_ports.iter().any(is_it)
        }
    };
    if !is_served {
        return false;
    }
    let admission = match shared.admit_again(&state) {
        Ok(admission) => admission,
        Err(reason) => {
            shared.metrics.refused(reason);
            return false;
        }
    };
    let Some(connection) = Connection::resume(shared, stream, admission, state, work) else { return false };
    let (mut connection, alive) = (Box::new(connection), alive.clone());
    tokio::spawn(async move {
        connection.await_work().await;
        connection.run().await;
        drop(alive);
    });
    true
}

/// An open port.
struct Listening {
    port: Port,
    listener: TcpListener,
    address: SocketAddr,
    /// The same once more, for a process that takes over.
    again: std::net::TcpListener,
}

fn bind(config: &StratumConfig, mut handed: Vec<(Port, std::net::TcpListener)>) -> Result<Vec<Listening>, StartError> {
    let mut listeners = Vec::new();
    let of_v1 = Algorithm::ALL.map(|algorithm| (Port::V1(algorithm), config.listen[algorithm.index()]));
    let of_v2 = (Port::V2, config.v2.as_ref().map(|v2| v2.listen));
    let of_schemes = config.scheme_ports.iter();
    let of_schemes = of_schemes.map(|port| (Port::Scheme(port.scheme, port.algorithm), Some(port.address)));
    for (port, address) in of_v1.into_iter().chain([of_v2]).chain(of_schemes) {
        let Some(address) = address else { continue };
        let failed = |source| StartError::Listen { port, address, source };
        let open = take_handed(&mut handed, port, address);
        let listener = open.map_or_else(|| listen_on(address, config), Ok).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let again = listener.try_clone().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        listeners.push(Listening { port, listener, address, again });
    }
    Ok(listeners)
}

/// The port that another process left open, if it is the one that is wanted.
fn take_handed(
    handed: &mut Vec<(Port, std::net::TcpListener)>,
    port: Port,
    wanted: SocketAddr,
) -> Option<std::net::TcpListener> {
    let is_it = |open: &(Port, std::net::TcpListener)| {
        open.0 == port && open.1.local_addr().is_ok_and(|open| is_wanted(open, wanted))
    };
    let index = handed.iter().position(is_it)?;
    Some(handed.swap_remove(index).1)
}

/// Whether a port that is open is one that is asked for; port 0 asks for any.
#[must_use]
pub fn is_wanted(open: SocketAddr, wanted: SocketAddr) -> bool {
    open.ip() == wanted.ip() && (wanted.port() == 0 || open.port() == wanted.port())
}

/// What is accepted inherits the buffers of the port.
fn listen_on(address: SocketAddr, config: &StratumConfig) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = config.buffers.send_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.buffers.receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(address)?;
    socket.listen(config.backlog)?.into_std()
}
