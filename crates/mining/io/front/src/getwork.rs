//! HTTP getwork (SPEC 11.7.10): a miner that polls, each time on a connection of its own. Behind its requests stands a session as any other, which
//! outlives them: limits, difficulty, trust and duplicates are that session's.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpStream, UnixStream},
    sync::mpsc,
    time::timeout,
};

use crate::{connection::Connection, port::Port, shared::Shared, wire::Wire};

/// The sessions behind miners that poll, by where they poll from and the login in their URL's path.
#[derive(Default)]
pub(crate) struct Getwork {
    sessions: Mutex<BTreeMap<Key, (SessionNumber, SharedLine)>>,
    begun: AtomicU64,
}

type SessionNumber = u64;
/// Polls that come together take turns.
type SharedLine = Arc<tokio::sync::Mutex<Line>>;

type Key = (IpAddr, String);

/// Our end of a session.
struct Line {
    stream: BufReader<UnixStream>,
    requests: u64,
}

/// One poll.
pub(crate) struct Poll {
    pub(crate) shared: Arc<Shared>,
    pub(crate) port: Port,
    pub(crate) address: IpAddr,
    pub(crate) alive: mpsc::Sender<()>,
}

/// Why a poll has no answer of a session.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error("POST a request to http://HOST:PORT/ADDRESS.worker")]
    NoLogin,
    #[error("the body is not a JSON request of at most {BODY_BYTES_MAX} bytes")]
    Unreadable,
    #[error("only eth_getWork, eth_submitWork and eth_submitHashrate are answered here")]
    UnknownMethod,
    #[error("no session for you now: {0}")]
    NotAdmitted(&'static str),
    #[error("{0}")]
    Login(String),
    #[error("the session ended; poll again")]
    Ended(#[from] io::Error),
    #[error("no answer in time; poll again")]
    Late,
}

/// Head and body of a poll are a few hundred bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const BODY_BYTES_MAX: usize = 4 * 1024;
/// A poll is there at once and answered at once, unless the verifier is busy.
const POLL_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const METHODS: [&str; 3] = ["eth_getWork", "eth_submitWork", "eth_submitHashrate"];

impl Getwork {
    fn end(&self, key: &Key, number: SessionNumber) {
        let mut sessions = self.sessions.lock();
        if sessions.get(key).is_some_and(|(known, _)| *known == number) {
            sessions.remove(key);
        }
    }
}

impl Poll {
    /// Answers the one request of a connection.
    pub(crate) async fn serve(&self, stream: TcpStream) {
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.respond(request).await) });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        match timeout(POLL_TIMEOUT, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "getwork connection ended"),
            Err(_) => tracing::debug!("getwork connection took too long"),
        }
    }

    /// An error has status 200 too: only then do miners read why, and wait before they ask again.
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let body = self.answer(request).await.unwrap_or_else(|(id, error)| {
            json!({ "id": id, "jsonrpc": "2.0", "result": null, "error": { "code": -1, "message": error.to_string() } })
        });
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// The session's answer, under the poll's own id.
    async fn answer(&self, request: Request<Incoming>) -> Result<Value, (Value, PollError)> {
        let login = request.uri().path().trim_matches('/').to_owned();
        let is_post = request.method() == Method::POST;
        let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
        let request = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body.to_bytes()).ok());
        let Some(request) = request.filter(|request| is_post && request.is_object()) else {
            return Err((Value::from(0), PollError::Unreadable));
        };
        let id = request["id"].clone();
        let under_id = |error| (id.clone(), error);
        let method = METHODS.into_iter().find(|known| request["method"] == *known);
        let method = method.ok_or_else(|| under_id(PollError::UnknownMethod))?;
        if login.is_empty() {
            return Err(under_id(PollError::NoLogin));
        }
        let line = self.line((self.address, login)).await.map_err(under_id)?;
        let mut answer = line.lock().await.ask(method, &request["params"]).await.map_err(under_id)?;
        answer["id"] = id.clone();
        Ok(answer)
    }

    /// The miner's session; a new one is logged in first.
    async fn line(&self, key: Key) -> Result<SharedLine, PollError> {
        let known = self.shared.getwork.sessions.lock().get(&key).cloned();
        if let Some((_, line)) = known {
            return Ok(line);
        }
        let (ours, theirs) = UnixStream::pair()?;
        let mut line = Line { stream: BufReader::new(ours), requests: 0 };
        let admission = self.shared.admit(self.address).map_err(PollError::NotAdmitted)?;
        let now = self.shared.clock.now();
        let connection = Box::new(Connection::new(&self.shared, self.port, Wire::Local(theirs), admission, now));
        let (shared, alive) = (Arc::clone(&self.shared), self.alive.clone());
        let number = shared.getwork.begun.fetch_add(1, Ordering::Relaxed);
        let of_task = key.clone();
        tokio::spawn(async move {
            connection.run().await;
            shared.getwork.end(&of_task, number);
            drop(alive);
        });
        let granted = line.ask("eth_submitLogin", &json!([key.1, "x"])).await?;
        if granted["result"] != true {
            let reason = granted["error"]["message"].as_str().or_else(|| granted["error"][1].as_str());
            return Err(PollError::Login(reason.unwrap_or("the login was refused").to_owned()));
        }
        let line = Arc::new(tokio::sync::Mutex::new(line));
        // Two first polls at once: the later one's session ends with its line.
        let mut sessions = self.shared.getwork.sessions.lock();
        Ok(Arc::clone(&sessions.entry(key).or_insert((number, line)).1))
    }
}

impl Line {
    async fn ask(&mut self, method: &str, params: &Value) -> Result<Value, PollError> {
        self.requests += 1;
        let id = self.requests;
        let request = json!({ "id": id, "method": method, "params": params });
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).await?;
        timeout(ANSWER_TIMEOUT, self.hear(id)).await.map_err(|_| PollError::Late)?
    }

    /// Jobs that are pushed in between are passed over: the next poll asks for the newest.
    async fn hear(&mut self, id: u64) -> Result<Value, PollError> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let answer: Value = serde_json::from_str(&line).map_err(io::Error::from)?;
            if answer["id"] == id {
                return Ok(answer);
            }
        }
    }
}
