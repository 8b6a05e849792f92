use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::router::App;

/// `GET /health/ready`. Status 200 when ready, 503 when not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyView {
    /// Miners can be served now.
    pub ready: bool,
    /// Why not; empty when ready.
    pub reasons: Vec<String>,
    /// Height of the tip.
    pub height: u32,
}

/// The process runs and answers; nothing more.
pub(crate) async fn live() -> Response {
    Json(serde_json::json!({ "status": "live" })).into_response()
}

/// Ready means: the node has a tip and no condition that says otherwise, the pool has a template, shares can be written, and the ledger can be read.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut reasons = Vec::new();
    if !(app.has_template)() {
        reasons.push("the pool has no block template yet".to_owned());
    }
    let conditions = app.node.conditions().into_iter().filter(|condition| condition.blocks_readiness);
    reasons.extend(conditions.map(|condition| format!("{}: {}", condition.name, condition.reason)));
    reasons.extend(app.share_log_failure().await);
    if let Err(error) = app.imbalance().await {
        reasons.push(error);
    }
    let view = ReadyView { ready: reasons.is_empty(), reasons, height: app.node.tip().height.0 };
    let status = if view.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(view)).into_response()
}
