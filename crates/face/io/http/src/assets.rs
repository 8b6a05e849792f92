//! The dashboard's files, built into the binary. They load nothing from elsewhere.

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};

const PAGE: &str = include_str!("../../../../../web/index.html");
const STYLE: &str = include_str!("../../../../../web/style.css");
const SCRIPT: &str = include_str!("../../../../../web/app.js");
const ICON: &str = include_str!("../../../../../web/icon.svg");

pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", PAGE)
}

pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

pub(crate) async fn icon() -> Response {
    file("image/svg+xml", ICON)
}

/// A new binary may bring new files under the old names, so a browser asks again each time.
fn file(content_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")], text).into_response()
}
