use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get, post},
};
use bq_chain_api::{NodeApi, NodeError};
use bq_condition::{Component, ConditionList};
use bq_crowd::Crowd;
use bq_mining_message::AccessApi;
use bq_views::{Event, PoolViews, ViewError};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Mutex, Notify, Semaphore, broadcast, watch};

use crate::{
    access, api, assets,
    connect::{StratumPort, StratumV2Port},
    error::ApiError,
    events, health,
    metrics::HttpMetrics,
    places::Places,
    proofs,
};

/// A request that takes longer is answered with 503. Event streams count until their head only. A view takes
/// milliseconds: who waits longer is better told than kept, on any machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls into the pool at a time; more wait. Each holds a thread and a database reader, of which there is one: no setting, since
/// more would only wait there.
const VIEW_CALLS_MAX: usize = 8;
/// The ledger is summed at most this often, however many scrapers ask.
const CHECKS_FRESH: Duration = Duration::from_secs(2);

/// Everything loads from this server; nothing is framed, nothing is sent to it.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the handlers share.
pub(crate) struct App {
    pub(crate) node: Arc<dyn NodeApi>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) stratum: Vec<StratumPort>,
    pub(crate) stratum_v2: Option<StratumV2Port>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) event_streams: Arc<Semaphore>,
    pub(crate) event_streams_max: usize,
    /// Rows of one page of a list at most.
    pub(crate) page_max: usize,
    /// Who holds them.
    pub(crate) event_crowd: parking_lot::Mutex<Crowd<Notify>>,
    pub(crate) metrics: HttpMetrics,
    pub(crate) recorder: PrometheusHandle,
    pub(crate) views: Arc<dyn PoolViews>,
    pub(crate) access: Option<Arc<dyn AccessApi>>,
    pub(crate) view_calls: Arc<Semaphore>,
    /// Proofs that look through shares: they read most.
    pub(crate) share_proofs: Arc<Places>,
    /// The others.
    pub(crate) proofs: Arc<Places>,
    /// Lists of more rows than a page shows, and miners with all that they have.
    pub(crate) lists: Arc<Places>,
    /// What owners signed.
    pub(crate) requests: Arc<Places>,
    pub(crate) imbalance: Mutex<Option<(Instant, Result<i128, String>)>>,
    pub(crate) conditions: ConditionList,
    /// Component and name of every condition that ever held, each with a gauge of its own.
    pub(crate) conditions_seen: Mutex<BTreeSet<(&'static str, &'static str)>>,
}

impl App {
    pub(crate) fn view_calls() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(VIEW_CALLS_MAX))
    }

    pub(crate) fn event_streams_open(&self) -> usize {
        self.event_streams_max.saturating_sub(self.event_streams.available_permits())
    }

    /// Asks the pool on a thread where it may block.
    pub(crate) async fn view<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn PoolViews) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.view_calls).acquire_owned().await;
        let permit = permit.map_err(|_| ApiError::unavailable("ledger_unavailable", "shutting down"))?;
        self.view_in(permit, call).await
    }

    /// The same with a place that was waited for. The call owns it: whoever asked may hang up or be timed out, and it goes on all the same.
    pub(crate) async fn view_in<T: Send + 'static>(
        &self,
        place: impl Send + 'static,
        call: impl FnOnce(&dyn PoolViews) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let failed = |message: &str| ApiError::unavailable("ledger_unavailable", message);
        let views = Arc::clone(&self.views);
        let call = move || {
            let _place = place;
            call(views.as_ref())
        };
        match tokio::task::spawn_blocking(call).await {
            Ok(Ok(view)) => Ok(view),
            Ok(Err(error)) => {
                // The text may name files, so it is for the operator's log only.
                tracing::error!(%error, "pool view failed");
                Err(failed("the ledger cannot be read now"))
            }
            Err(error) => {
                tracing::error!(%error, "pool view ended");
                Err(failed("the ledger cannot be read now"))
            }
        }
    }

    /// Asks the node on a thread where it may block.
    pub(crate) async fn node<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn NodeApi) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let failed = |message: &str| ApiError::unavailable("node_unavailable", message);
        let permit = Arc::clone(&self.view_calls).acquire_owned().await.map_err(|_| failed("shutting down"))?;
        let node = Arc::clone(&self.node);
        let call = move || {
            let _permit = permit;
            call(node.as_ref())
        };
        match tokio::task::spawn_blocking(call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::error!(%error, "node call failed");
                Err(failed("the node cannot tell now"))
            }
            Err(error) => {
                tracing::error!(%error, "node call ended");
                Err(failed("the node cannot tell now"))
            }
        }
    }

    /// What every part of the process says of itself, and the gauges that follow from it.
    pub(crate) async fn conditions(&self) -> Vec<Component> {
        let list = self.conditions.clone();
        // A part may try its disk before it answers.
        let components = tokio::task::spawn_blocking(move || list.read()).await.unwrap_or_default();
        let mut seen = self.conditions_seen.lock().await;
        let held = |component: &Component| {
            let name = component.name;
            component.conditions.iter().map(move |condition| (name, condition.name)).collect::<Vec<_>>()
        };
        let held: BTreeSet<_> = components.iter().flat_map(held).collect();
        seen.extend(&held);
        for condition in seen.iter() {
            self.metrics.condition(*condition, held.contains(condition));
        }
        components
    }

    /// The ledger's imbalance, at most [`CHECKS_FRESH`] old, or why it is unknown.
    pub(crate) async fn imbalance(&self) -> Result<i128, String> {
        let mut kept = self.imbalance.lock().await;
        if let Some((when, known)) = kept.as_ref()
            && when.elapsed() < CHECKS_FRESH
        {
            return known.clone();
        }
        let asked = self.view(|views| views.ledger_imbalance_atoms()).await;
        let known = asked.map_err(|_| "the ledger cannot be read".to_owned());
        if let Ok(atoms) = known {
            self.metrics.ledger_imbalance(atoms);
        }
        *kept = Some((Instant::now(), known.clone()));
        known
    }
}

/// All routes with their limits.
pub(crate) fn router(app: Arc<App>) -> Router {
    let route = |name: &'static str, handler: MethodRouter<Arc<App>>| {
        handler.layer(from_fn_with_state((Arc::clone(&app), name), measured))
    };
    Router::new()
        .route("/", route("/", get(assets::page)))
        .route("/style.css", route("/style.css", get(assets::style)))
        .route("/app.js", route("/app.js", get(assets::script)))
        .route("/icon.svg", route("/icon.svg", get(assets::icon)))
        .route("/health", route("/health", get(health::health)))
        .route("/health/live", route("/health/live", get(health::live)))
        .route("/health/ready", route("/health/ready", get(health::ready)))
        .route("/metrics", route("/metrics", get(metrics)))
        .route("/api/v1/pool", route("/api/v1/pool", get(api::pool)))
        .route("/api/v1/blocks", route("/api/v1/blocks", get(api::blocks)))
        .route("/api/v1/miners/{address}", route("/api/v1/miners", get(api::miner)))
        .route("/api/v1/miners/{address}/workers", route("/api/v1/miners/workers", get(api::workers)))
        .route("/api/v1/coinbase", route("/api/v1/coinbase", get(api::coinbase)))
        .route("/api/v1/miners/{address}/coinbases", route("/api/v1/miners/coinbases", get(api::coinbases)))
        .route("/api/v1/miners/{address}/payouts", route("/api/v1/miners/payouts", get(api::payouts)))
        .route("/api/v1/miners/{address}/earnings", route("/api/v1/miners/earnings", get(api::earnings)))
        .route("/api/v1/miners/{address}/history", route("/api/v1/miners/history", get(api::miner_history)))
        .route("/api/v1/miners/{address}/proof/{what}", route("/api/v1/miners/proof", get(proofs::proof)))
        .route("/api/v1/liabilities", route("/api/v1/liabilities", get(proofs::liabilities)))
        .route("/api/v1/pool/history", route("/api/v1/pool/history", get(api::pool_history)))
        .route("/api/v1/difficulty", route("/api/v1/difficulty", get(api::difficulty)))
        .route("/api/v1/connect", route("/api/v1/connect", get(api::connect)))
        .route(
            "/api/v1/accounts/{address}/settings",
            route("/api/v1/accounts/settings", get(api::settings).post(access::change_settings))
                .layer(DefaultBodyLimit::max(access::REQUEST_BYTES_MAX)),
        )
        .route("/api/v1/why/{address}", route("/api/v1/why", get(access::why)))
        .route(
            "/api/v1/requests",
            route("/api/v1/requests", post(access::requests)).layer(DefaultBodyLimit::max(access::REQUEST_BYTES_MAX)),
        )
        .route("/api/v1/events", route("/api/v1/events", get(events::events)))
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .fallback(|| async { ApiError::not_found("no_such_path", "there is nothing here") })
        .layer(from_fn_with_state(Arc::clone(&app), guarded))
        // What is sent to a path that reads no body is refused early.
        .layer(DefaultBodyLimit::max(4 * 1024))
        .with_state(app)
}

/// What a probe may ask while every other place is taken.
pub(crate) fn probe_router(app: Arc<App>) -> Router {
    let full =
        || async { ApiError::unavailable("full", "every connection is in use: only /health and /metrics answer") };
    Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics))
        .fallback(full)
        .layer(from_fn_with_state(Arc::clone(&app), guarded))
        .layer(DefaultBodyLimit::max(4 * 1024))
        .with_state(app)
}

/// The Prometheus text format.
async fn metrics(State(app): State<Arc<App>>) -> Response {
    // Reading both refreshes their gauges; a ledger that cannot be read is no lost scrape.
    let _ = app.imbalance().await;
    app.conditions().await;
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (headers, app.recorder.render()).into_response()
}

/// Counts a request under its route's own name: a path of the client's choosing must not become a label.
async fn measured(
    State((app, route)): State<(Arc<App>, &'static str)>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let started = Instant::now();
    let response = next.run(request).await;
    app.metrics.request(route, response.status().as_u16(), started.elapsed());
    response
}

/// The time limit, and the headers that keep a browser from doing anything else with what it gets.
async fn guarded(State(_app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let mut response =
        answer.unwrap_or_else(|_| ApiError::unavailable("timeout", "the answer took too long").into_response());
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
