//! One question to a running pool's HTTP API.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, body::Bytes};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longest answer that is read.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What `path` shows.
///
/// # Errors
/// Nobody answers, or the answer is an error.
pub(super) fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    ask(address, Method::GET, path, String::new())
}

/// What `path` answers to a JSON document.
///
/// # Errors
/// Nobody answers, or the answer is an error.
pub(super) fn post(address: SocketAddr, path: &str, json: String) -> anyhow::Result<String> {
    ask(address, Method::POST, path, json)
}

fn ask(address: SocketAddr, method: Method, path: &str, body: String) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("no pool answers at {address}: is `bq run` running?"))?;
        exchange(stream, address, method, path, body).await
    })
}

async fn exchange(
    stream: TcpStream,
    address: SocketAddr,
    method: Method,
    path: &str,
    body: String,
) -> anyhow::Result<String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body =
        Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await.map_err(|error| anyhow::anyhow!(error))?;
    let text = String::from_utf8(body.to_bytes().to_vec())?;
    if !status.is_success() {
        bail!("{status}: {}", message(&text).unwrap_or(text));
    }
    Ok(text)
}

/// The sentence of an error of this API.
fn message(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body["error"]["message"].as_str().map(str::to_owned)
}
