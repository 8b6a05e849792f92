use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bq_views::HealthView;
use serde::{Deserialize, Serialize};

use crate::router::App;

/// `GET /health/ready`. Status 200 when ready, 503 when not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyView {
    /// Miners can be served now.
    pub ready: bool,
    /// The conditions that say otherwise, each as `name: reason`; empty when ready.
    pub reasons: Vec<String>,
    /// Height of the tip.
    pub height: u32,
}

/// The process runs and answers; nothing more.
pub(crate) async fn live() -> Response {
    Json(serde_json::json!({ "status": "live" })).into_response()
}

/// `GET /health`: every component with its conditions. Always 200 while the process answers.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    Json(HealthView::new(&app.conditions().await)).into_response()
}

/// Ready means that no condition of any component says otherwise.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let components = app.conditions().await;
    let conditions = components.iter().flat_map(|component| &component.conditions);
    let blocking = conditions.filter(|condition| condition.blocks_readiness);
    let reasons: Vec<_> = blocking.map(|condition| format!("{}: {}", condition.name, condition.reason)).collect();
    let view = ReadyView { ready: reasons.is_empty(), reasons, height: app.node.tip().height.0 };
    let status = if view.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(view)).into_response()
}
