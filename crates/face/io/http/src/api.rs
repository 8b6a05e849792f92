//! `/api/v1`: what the pool shows of itself.

use std::{str::FromStr, sync::Arc};

use axum::{
    Extension, Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use bq_crowd::Home;
use bq_primitives::{Address, WorkerName};
use bq_views::{Page, PoolViews, ViewError};
use serde::{Deserialize, Serialize};

use crate::{
    asker::Asker,
    connect::connect_view,
    error::{ApiError, ApiPath},
    router::App,
};

/// Rows of a page when nobody says how many. Part of the API (docs/http.md).
const ROWS_DEFAULT: usize = 50;

/// Query of every list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    after: Option<String>,
    limit: Option<usize>,
}

type PageResult = Result<Query<PageQuery>, QueryRejection>;

impl App {
    /// Which part of a list is asked for.
    fn page<C: FromStr>(&self, query: PageResult) -> Result<Page<C>, ApiError> {
        let most = self.page_max;
        let allowed = || format!("limit is a number from 1 to {most}; the only other parameter is after");
        let Ok(Query(PageQuery { after, limit })) = query else {
            return Err(ApiError::bad_request("bad_limit", allowed()));
        };
        let limit = limit.unwrap_or(ROWS_DEFAULT.min(most));
        if !(1..=most).contains(&limit) {
            return Err(ApiError::bad_request("bad_limit", allowed()));
        }
        let after = after.map(|after| after.parse()).transpose();
        let wrong =
            |_| ApiError::bad_request("bad_cursor", "after is next of the page before, of the same list".to_owned());
        Ok(Page { after: after.map_err(wrong)?, limit })
    }

    /// Rows for somebody. More than a page shows cost as much more, so few such lists are put together at a time, in turn by address.
    async fn rows<T: Send + 'static>(
        &self,
        Asker(asker): Asker,
        rows: usize,
        call: impl FnOnce(&dyn PoolViews) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if rows <= ROWS_DEFAULT {
            return self.view(call).await;
        }
        let busy = || ApiError::unavailable("lists_busy", "other long lists are being put together: ask again");
        let place = self.lists.enter(Home::of(asker)).await.ok_or_else(busy)?;
        self.view_in(place, call).await
    }

    /// Checked before the ledger is asked: text that is no address costs nothing.
    pub(crate) fn address(&self, text: &str) -> Result<String, ApiError> {
        let address = Address::parse(text, self.node.network());
        address
            .map(|address| address.to_string())
            .map_err(|error| ApiError::bad_request("bad_address", error.to_string()))
    }
}

/// The answer about a miner that may never have mined here.
fn of_miner(view: Option<impl Serialize>) -> Result<Response, ApiError> {
    match view {
        Some(view) => Ok(Json(view).into_response()),
        None => Err(ApiError::not_found("unknown_miner", "this address has not mined here")),
    }
}

pub(crate) async fn pool(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let view = app.view(|views| views.pool()).await?;
    Ok(Json(view).into_response())
}

pub(crate) async fn blocks(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    query: PageResult,
) -> Result<Response, ApiError> {
    let page = app.page(query)?;
    let view = app.rows(asker, page.limit, move |views| views.blocks(&page)).await?;
    Ok(Json(view).into_response())
}

/// With up to a thousand workers: a long list, whoever asks.
pub(crate) async fn miner(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    ApiPath(text): ApiPath<String>,
) -> Result<Response, ApiError> {
    let address = app.address(&text)?;
    of_miner(app.rows(asker, usize::MAX, move |views| views.miner(&address)).await?)
}

pub(crate) async fn workers(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    ApiPath(text): ApiPath<String>,
    query: PageResult,
) -> Result<Response, ApiError> {
    let (address, page) = (app.address(&text)?, app.page(query)?);
    of_miner(app.rows(asker, page.limit, move |views| views.workers(&address, &page)).await?)
}

pub(crate) async fn payouts(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    ApiPath(text): ApiPath<String>,
    query: PageResult,
) -> Result<Response, ApiError> {
    let (address, page) = (app.address(&text)?, app.page(query)?);
    of_miner(app.rows(asker, page.limit, move |views| views.payouts(&address, &page)).await?)
}

pub(crate) async fn coinbase(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    match app.view(|views| views.coinbase()).await? {
        Some(view) => Ok(Json(view).into_response()),
        None => Err(ApiError::not_found("no_template", "the pool has no block template yet")),
    }
}

pub(crate) async fn coinbases(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    ApiPath(text): ApiPath<String>,
    query: PageResult,
) -> Result<Response, ApiError> {
    let (address, page) = (app.address(&text)?, app.page(query)?);
    of_miner(app.rows(asker, page.limit, move |views| views.coinbases(&address, &page)).await?)
}

pub(crate) async fn earnings(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    ApiPath(text): ApiPath<String>,
    query: PageResult,
) -> Result<Response, ApiError> {
    let (address, page) = (app.address(&text)?, app.page(query)?);
    of_miner(app.rows(asker, page.limit, move |views| views.earnings(&address, &page)).await?)
}

pub(crate) async fn settings(
    State(app): State<Arc<App>>,
    ApiPath(text): ApiPath<String>,
) -> Result<Response, ApiError> {
    let address = app.address(&text)?;
    of_miner(app.view(move |views| views.settings(&address)).await?)
}

/// Query of what came in when.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    step: Option<String>,
    worker: Option<WorkerName>,
}

type HistoryResult = Result<Query<HistoryQuery>, QueryRejection>;

fn bad_history() -> ApiError {
    ApiError::bad_request(
        "bad_step",
        "step is 5m, 1h or 1d; worker, of a miner only, is the name of a worker".to_owned(),
    )
}

/// What is asked for: step and worker.
fn wanted(query: HistoryResult) -> Result<(String, Option<WorkerName>), ApiError> {
    let Ok(Query(HistoryQuery { step, worker })) = query else { return Err(bad_history()) };
    let step = step.unwrap_or_else(|| "5m".to_owned());
    // Before the statistics are asked.
    if ["5m", "1h", "1d"].contains(&step.as_str()) { Ok((step, worker)) } else { Err(bad_history()) }
}

pub(crate) async fn pool_history(State(app): State<Arc<App>>, query: HistoryResult) -> Result<Response, ApiError> {
    let (step, None) = wanted(query)? else { return Err(bad_history()) };
    let view = app.view(move |views| views.history(&step)).await?;
    view.map(|view| Json(view).into_response()).ok_or_else(bad_history)
}

pub(crate) async fn miner_history(
    State(app): State<Arc<App>>,
    ApiPath(text): ApiPath<String>,
    query: HistoryResult,
) -> Result<Response, ApiError> {
    let (address, (step, worker)) = (app.address(&text)?, wanted(query)?);
    of_miner(app.view(move |views| views.miner_history(&address, worker.as_ref(), &step)).await?)
}

pub(crate) async fn difficulty(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let view = app.node(|node| node.difficulty()).await?;
    Ok(Json(view).into_response())
}

pub(crate) async fn connect(State(app): State<Arc<App>>) -> Response {
    Json(connect_view(app.node.network(), &app.stratum, app.stratum_v2.as_ref())).into_response()
}
