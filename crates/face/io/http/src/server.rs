use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use bq_chain_api::NodeApi;
use bq_condition::ConditionList;
use bq_crowd::{Home, Presence, Slot, SlotKind, Slots};
use bq_mining_message::AccessApi;
use bq_views::{Event, PoolViews};
use http_body_util::BodyExt as _;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, Semaphore, broadcast, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    asker::Asker,
    connect::{StratumPort, StratumV2Port},
    metrics::HttpMetrics,
    places::{PlaceLimits, Places},
    router::{App, probe_router, router},
};

/// A client gets this long to send its request's head, also between two requests. Browsers and scrapers need a moment; the places are
/// what an operator sets.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A probe knows what it wants.
const PROBE_HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest head of a request, URL included; a longer one is answered with 431.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Answers under way get this long when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Histograms are condensed this often, whether anybody scrapes or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the server shows.
pub struct HttpParts {
    /// The chain.
    pub node: Arc<dyn NodeApi>,
    /// The pool.
    pub views: Arc<dyn PoolViews>,
    /// Who may mine, and why somebody cannot; nothing: this process serves no miners.
    pub access: Option<Arc<dyn AccessApi>>,
    /// What every part of the process says of itself.
    pub conditions: ConditionList,
    /// The live feed; every client subscribes. Its capacity is how far a client may fall behind.
    pub events: broadcast::Sender<Event>,
    /// Where miners connect.
    pub stratum: Vec<StratumPort>,
    /// The Stratum V2 listener, if there is one.
    pub stratum_v2: Option<StratumV2Port>,
    /// From [`crate::install_metrics`].
    pub metrics: PrometheusHandle,
    /// How many at a time.
    pub limits: HttpLimits,
    /// Proxies in front of this server whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
}

/// How many clients are served at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Open connections; of more, the one that is idle for longest makes room. Default 1,024.
    pub connections_max: usize,
    /// Clients of the live feed; more get 503. Default 512.
    pub event_streams_max: usize,
    /// Rows of one page of a list at most. Default 500.
    pub page_max: usize,
    /// Connections beyond the others, for one request of health or metrics each. Default 32.
    pub probes_max: usize,
    /// Proofs that look through shares at a time, one of an address. Default 1.
    pub share_proofs_max: usize,
    /// Other proofs at a time, half of them of an address. Default 4.
    pub proofs_max: usize,
    /// Long lists at a time, one of an address. Default 2.
    pub lists_max: usize,
    /// Requests that wait for one of these, of each kind. Default 1,024.
    pub waiting_max: usize,
    /// For how long. Default 5 s.
    pub wait: Duration,
}

impl HttpLimits {
    fn places(&self, all_max: usize, home_max: usize) -> Arc<Places> {
        Places::new(PlaceLimits { all_max, home_max, waiting_max: self.waiting_max, wait: self.wait })
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            event_streams_max: 512,
            page_max: 500,
            probes_max: 32,
            share_proofs_max: 1,
            proofs_max: 4,
            lists_max: 2,
            waiting_max: 1_024,
            wait: Duration::from_secs(5),
        }
    }
}

/// The HTTP server.
#[derive(Debug)]
pub struct HttpServer;

/// The server did not start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken, or not of this machine.
    #[error("http address {address}: {source}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A running server. Dropping it does not stop the server; [`HttpHandle::shutdown`] does.
#[derive(Debug)]
pub struct HttpHandle {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl HttpServer {
    /// Listens on `address` (port 0 picks a free one) and serves until told to stop.
    ///
    /// # Errors
    /// [`HttpError::Bind`].
    pub async fn start(address: SocketAddr, parts: HttpParts) -> Result<HttpHandle, HttpError> {
        let bind = |source| HttpError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let bound = listener.local_addr().map_err(bind)?;
        Ok(Self::serve((listener, bound), parts))
    }

    /// Serves on a port that is open, and where that is, until told to stop.
    #[must_use]
    pub fn serve((listener, bound): (TcpListener, SocketAddr), parts: HttpParts) -> HttpHandle {
        let (stop, stopping) = watch::channel(false);
        let app = Arc::new(App {
            node: parts.node,
            conditions: parts.conditions,
            conditions_seen: Mutex::default(),
            events: parts.events,
            stratum: parts.stratum,
            stratum_v2: parts.stratum_v2,
            stopping: stopping.clone(),
            event_streams: Arc::new(Semaphore::new(parts.limits.event_streams_max)),
            event_streams_max: parts.limits.event_streams_max,
            page_max: parts.limits.page_max,
            event_crowd: parking_lot::Mutex::default(),
            metrics: HttpMetrics::register(),
            recorder: parts.metrics,
            views: parts.views,
            access: parts.access,
            view_calls: App::view_calls(),
            share_proofs: parts.limits.places(parts.limits.share_proofs_max, 1),
            proofs: parts.limits.places(parts.limits.proofs_max, parts.limits.proofs_max.div_ceil(2)),
            lists: parts.limits.places(parts.limits.lists_max, 1),
            // No setting: more would only wait for the file that all of them write.
            requests: parts.limits.places(1, 1),
            imbalance: Mutex::new(None),
        });
        tokio::spawn(upkeep(app.recorder.clone(), stopping.clone()));
        let metrics = app.metrics;
        let slots = Arc::new(Slots::new(parts.limits.connections_max, parts.limits.probes_max));
        let proxies = parts.proxies.into();
        let routers = Routers { pages: router(Arc::clone(&app)), probes: probe_router(app), proxies };
        let accepting = tokio::spawn(accept(listener, slots, routers, metrics, stopping));
        tracing::info!(address = %bound, "http listening");
        HttpHandle { address: bound, stop, accepting }
    }
}

impl HttpHandle {
    /// Where the server really listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, ends event streams, lets answers under way finish for a few seconds, and returns.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "http server ended abnormally");
        }
    }
}

/// What is answered on a connection, by the kind of its place.
#[derive(Clone)]
struct Routers {
    pages: Router,
    probes: Router,
    proxies: Arc<[IpNet]>,
}

async fn accept(
    listener: TcpListener,
    slots: Arc<Slots>,
    routers: Routers,
    metrics: HttpMetrics,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    // Kept here while it waits for a place: whatever else happens, it is not dropped.
    let mut arrived: Option<(TcpStream, SocketAddr)> = None;
    loop {
        tokio::select! {
            next = listener.accept(), if arrived.is_none() => match next {
                Ok(next) => arrived = Some(next),
                Err(error) => {
                    // Out of files or the client left early. Without a pause the former would spin.
                    tracing::warn!(%error, "http accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(slot) = slots.take(home_of(arrived.as_ref())), if arrived.is_some() => {
                if let Some((stream, address)) = arrived.take() {
                    let presence = slots.enter(Home::of(address.ip()), slot.kind);
                    let visit = Visit { stream, address, presence, slot };
                    connections.spawn(visit.serve(routers.clone(), stopping.clone()));
                    metrics.connections(connections.len());
                }
            }
            () = stopped(&mut stopping) => break,
            Some(_) = connections.join_next() => metrics.connections(connections.len()),
        }
    }
    drop(listener);
    let all_done = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, all_done).await.is_err() {
        tracing::warn!(STOP_TIMEOUT = ?STOP_TIMEOUT, "http answers cut off");
    }
}

/// Where the connection came from that waits for a place.
fn home_of(arrived: Option<&(TcpStream, SocketAddr)>) -> Home {
    Home::of(arrived.map_or(Ipv4Addr::UNSPECIFIED.into(), |(_, address)| address.ip()))
}

/// One connection.
struct Visit {
    stream: TcpStream,
    address: SocketAddr,
    presence: Presence,
    slot: Slot,
}

impl Visit {
    async fn serve(self, routers: Routers, mut stopping: watch::Receiver<bool>) {
        let Self { stream, address, presence, slot } = self;
        // Events are small and wanted at once.
        let _ = stream.set_nodelay(true);
        let Routers { pages, probes, proxies } = routers;
        let (router, head_timeout) = match slot.kind {
            SlotKind::Page => (pages, HEAD_TIMEOUT),
            SlotKind::Probe => (probes, PROBE_HEAD_TIMEOUT),
        };
        let router = TowerToHyperService::new(router);
        let presence = &presence;
        let service = service_fn(|mut request: Request<Incoming>| {
            let asker = Asker::of(address.ip(), request.headers(), &proxies);
            request.extensions_mut().insert(asker);
            let (busy, answer) = (presence.busy(), router.call(request));
            async move {
                let response = answer.await?;
                // Until the last of it is sent, somebody is served here.
                Ok::<_, Infallible>(response.map(|body| {
                    body.map_frame(move |frame| {
                        let _ = &busy;
                        frame
                    })
                }))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .keep_alive(slot.kind == SlotKind::Page)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = presence.is_wanted() => Ok(()),
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "http connection ended");
        }
    }
}

/// Returns once the server is told to stop. A handle that was dropped tells nothing: then the server goes on.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn upkeep(recorder: PrometheusHandle, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            _ = ticks.tick() => recorder.run_upkeep(),
            () = stopped(&mut stopping) => return,
        }
    }
}
