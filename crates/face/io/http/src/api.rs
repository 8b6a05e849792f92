//! `/api/v1`: what the pool shows of itself.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use bq_primitives::Address;
use serde::Deserialize;

use crate::{connect::connect_view, error::ApiError, router::App};

/// Part of the API (docs/http.md), as the next one.
const BLOCKS_DEFAULT: usize = 50;
const BLOCKS_MAX: usize = 500;

/// Query of `/api/v1/blocks`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlocksQuery {
    limit: Option<usize>,
}

pub(crate) async fn pool(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let view = app.view(|views| views.pool()).await?;
    Ok(Json(view).into_response())
}

pub(crate) async fn blocks(
    State(app): State<Arc<App>>,
    query: Result<Query<BlocksQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let allowed = || format!("limit is a number from 1 to {BLOCKS_MAX}, and the only parameter");
    let Ok(Query(query)) = query else { return Err(ApiError::bad_request("bad_limit", allowed())) };
    let limit = query.limit.unwrap_or(BLOCKS_DEFAULT);
    if !(1..=BLOCKS_MAX).contains(&limit) {
        return Err(ApiError::bad_request("bad_limit", allowed()));
    }
    let view = app.view(move |views| views.blocks(limit)).await?;
    Ok(Json(view).into_response())
}

pub(crate) async fn miner(State(app): State<Arc<App>>, Path(text): Path<String>) -> Result<Response, ApiError> {
    // Checked before the ledger is asked: text that is no address costs nothing.
    let address = Address::parse(&text, app.node.network())
        .map_err(|error| ApiError::bad_request("bad_address", error.to_string()))?;
    let view = app.view(move |views| views.miner(&address.to_string())).await?;
    match view {
        Some(view) => Ok(Json(view).into_response()),
        None => Err(ApiError::not_found("unknown_miner", "this address has not mined here")),
    }
}

pub(crate) async fn difficulty(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let view = app.node(|node| node.difficulty()).await?;
    Ok(Json(view).into_response())
}

pub(crate) async fn connect(State(app): State<Arc<App>>) -> Response {
    Json(connect_view(app.node.network(), &app.stratum, app.stratum_v2.as_ref())).into_response()
}
