//! Why somebody cannot mine, and what owners of addresses ask by signature.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
    response::{IntoResponse as _, Response},
};
use bq_crowd::Home;
use bq_mining_message::{AccessApi, AccessError, SignedRequest};

use crate::{
    asker::Asker,
    error::{ApiError, ApiPath},
    router::App,
};

/// A request, a public key of 1,952 bytes and a signature of 3,309, in hex, and some room.
pub(crate) const REQUEST_BYTES_MAX: usize = 16 * 1024;

pub(crate) async fn why(
    State(app): State<Arc<App>>,
    Extension(Asker(asker)): Extension<Asker>,
    ApiPath(text): ApiPath<String>,
) -> Result<Response, ApiError> {
    Ok(Json(access(&app)?.why(&text, Some(asker))).into_response())
}

pub(crate) async fn requests(
    State(app): State<Arc<App>>,
    Extension(Asker(asker)): Extension<Asker>,
    request: Result<Json<SignedRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(request) = request.map_err(|rejection| ApiError::bad_request("bad_request", rejection.body_text()))?;
    carry_out(&app, asker, request).await
}

/// What the owner of this account wants for it (SPEC 8.11), and nothing else that an owner may ask.
pub(crate) async fn change_settings(
    State(app): State<Arc<App>>,
    Extension(Asker(asker)): Extension<Asker>,
    ApiPath(text): ApiPath<String>,
    request: Result<Json<SignedRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let address = app.address(&text)?;
    let Json(request) = request.map_err(|rejection| ApiError::bad_request("bad_request", rejection.body_text()))?;
    let mut lines = request.request.lines().skip(2);
    let (of, wish) = (lines.next().unwrap_or_default(), lines.nth(1).unwrap_or_default());
    if of.strip_prefix("address ") != Some(&address) {
        return Err(ApiError::bad_request("other_account", "the request is for another address".to_owned()));
    }
    if !matches!(wish.split(' ').next(), Some("settings" | "cancel")) {
        let message = "the last line is settings .. or cancel ..; /api/v1/requests takes others";
        return Err(ApiError::bad_request("malformed", message.to_owned()));
    }
    carry_out(&app, asker, request).await
}

async fn carry_out(app: &App, asker: IpAddr, request: SignedRequest) -> Result<Response, ApiError> {
    let access = access(app)?;
    // It checks a signature and writes to disk. In turn by address: so signatures never have more than a core, whoever sends them, and nobody waits for
    // all that another sends.
    let busy = || ApiError::unavailable("requests_busy", "others' requests are being carried out: send it again");
    let place = app.requests.enter(Home::of(asker)).await.ok_or_else(busy)?;
    let carry_out = move || {
        let _place = place;
        access.carry_out(Some(asker), &request)
    };
    let done = tokio::task::spawn_blocking(carry_out).await;
    match done.map_err(|_| ApiError::unavailable("not_done", "the request was not carried out"))? {
        Ok(done) => Ok(Json(done).into_response()),
        Err(error) => Err(refusal(&error)),
    }
}

fn refusal(error: &AccessError) -> ApiError {
    let message = error.to_string();
    match error {
        AccessError::TooFast => ApiError::too_many(message),
        AccessError::Setting { name, .. } => ApiError::bad_request(name, message),
        AccessError::NoSuchToken(_) => ApiError::not_found("no_such_token", &message),
        AccessError::Disk(_) | AccessError::Full => ApiError::unavailable("not_done", &message),
        _ => ApiError::bad_request("refused", message),
    }
}

fn access(app: &App) -> Result<Arc<dyn AccessApi>, ApiError> {
    app.access.clone().ok_or_else(|| ApiError::not_found("no_such_path", "this process serves no miners"))
}
