use axum::{
    Json,
    extract::{FromRequestParts, Path},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

/// A request that is answered with an error: `{"error": {"code": "..", "message": ".."}}`. The code is for programs, the
/// message for people.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'static str,
    message: &'a str,
}

impl ApiError {
    /// The request makes no sense.
    pub(crate) fn bad_request(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message }
    }

    /// What was asked for does not exist.
    pub(crate) fn not_found(code: &'static str, message: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, code, message: message.to_owned() }
    }

    /// Somebody asks too often.
    pub(crate) fn too_many(message: String) -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, code: "too_many_requests", message }
    }

    /// The path does not answer this method.
    pub(crate) fn method_not_allowed() -> Self {
        let message = "this path does not answer that method".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, code: "method_not_allowed", message }
    }

    /// The server cannot answer now; the same request may succeed later.
    pub(crate) fn unavailable(code: &'static str, message: &str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code, message: message.to_owned() }
    }
}

/// Part of a path; one that cannot be read is refused as everything else is. `axum::extract::Path` would answer in plain text.
#[derive(Debug)]
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        let Path(value) = read.map_err(|rejection| ApiError::bad_request("bad_path", rejection.body_text()))?;
        Ok(Self(value))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Body { error: Inner { code: self.code, message: &self.message } };
        (self.status, Json(body)).into_response()
    }
}
