//! Requests: bounded in number, and those of one address make room for others.

use std::{net::IpAddr, sync::Arc};

use bq_crowd::{Crowd, Entry, Home};
use hyper::HeaderMap;
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpResponse},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::BODY_BYTES_MAX;

/// Requests that are answered at a time.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    requests_max: usize,
    /// Each hears when it has to make room.
    crowd: Arc<Mutex<Crowd<Notify>>>,
}

/// A request that is being answered; over when dropped.
struct Turn<'a> {
    turns: &'a Turns,
    entry: Entry,
    over: Arc<Notify>,
}

impl Turns {
    pub(crate) fn new(requests_max: u32) -> Self {
        let requests_max = usize::try_from(requests_max).unwrap_or(usize::MAX).max(1);
        Self { requests_max, crowd: Arc::default() }
    }

    /// What `answer` comes to, unless there is no turn for it, or it has to be given up for a caller from elsewhere: then 429.
    pub(crate) async fn answer(
        &self,
        caller: IpAddr,
        answer: impl Future<Output = Result<HttpResponse, BoxError>>,
    ) -> Result<HttpResponse, BoxError> {
        let Some(turn) = self.begin(Home::of(caller)) else { return Ok(too_many()) };
        tokio::select! {
            answer = answer => answer,
            () = turn.over.notified() => Ok(too_many()),
        }
    }

    /// Nobody is waited for: who makes room does so at its next turn on the processor.
    fn begin(&self, home: Home) -> Option<Turn<'_>> {
        let mut crowd = self.crowd.lock();
        if crowd.members() >= self.requests_max {
            crowd.make_room(home)?.notify_one();
        }
        let over = Arc::new(Notify::new());
        let entry = crowd.enter(home, Arc::clone(&over));
        Some(Turn { turns: self, entry, over })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.crowd.lock().leave(self.entry);
    }
}

fn too_many() -> HttpResponse {
    refusal(429, "too many requests at a time\n")
}

/// The answer to a request whose head says that it is longer than is read; nothing for any other.
pub(crate) fn too_long(headers: &HeaderMap) -> Option<HttpResponse> {
    let length = headers.get("content-length")?.to_str().ok()?.parse::<u64>().ok()?;
    (length > u64::from(BODY_BYTES_MAX)).then(|| refusal(413, "request is too long\n"))
}

/// Closes the connection: what is left of the request is not read.
fn refusal(status: u16, text: &'static str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(text));
    // Neither conversion of these constants can fail.
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    if let Ok(close) = "close".try_into() {
        response.headers_mut().insert("connection", close);
    }
    response
}
