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

use bq_share::UnixMs;
use bq_stratum_v1::split_options;
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

use crate::{
    connection::Connection,
    port::Port,
    shared::{Admission, Shared},
    turned_away,
    wire::Wire,
};

/// The sessions behind miners that poll, by where they poll from and the login in their URL's path.
#[derive(Default)]
pub(crate) struct Getwork {
    sessions: Mutex<BTreeMap<Key, (SessionNumber, SharedLine)>>,
    /// Polls without a place of their own, by where they come from.
    guests: Mutex<BTreeMap<IpAddr, usize>>,
    begun: AtomicU64,
}

type SessionNumber = u64;
/// Polls that come together take turns.
type SharedLine = Arc<tokio::sync::Mutex<Line>>;

type Key = (IpAddr, String);

/// A poll that takes no place beside its session's: one at a time for each session.
pub(crate) struct Guest {
    getwork: Arc<Getwork>,
    address: IpAddr,
}

/// Our end of a session.
struct Line {
    stream: BufReader<UnixStream>,
    requests: u64,
    patience: Duration,
}

/// One poll.
pub(crate) struct Poll {
    pub(crate) shared: Arc<Shared>,
    pub(crate) port: Port,
    pub(crate) address: IpAddr,
    pub(crate) alive: mpsc::Sender<()>,
    /// When it was accepted.
    pub(crate) at: UnixMs,
    /// Its own place, which its session takes over if it begins one.
    pub(crate) admission: Mutex<Option<Admission>>,
    /// Why it has none, and begins no session.
    pub(crate) refused: Option<&'static str>,
}

/// Why a poll has no answer of a session.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error("POST a request to http://HOST:PORT/ADDRESS.worker")]
    NoLogin,
    #[error("the body is not a JSON request of at most {0} bytes")]
    Unreadable(usize),
    #[error("pages of a browser mine nothing here")]
    Browser,
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

/// One of them, at least, is in whatever a page has a browser send by POST, and none in what miners send.
const BROWSER_HEADERS: [&str; 4] = ["origin", "referer", "sec-fetch-site", "sec-fetch-mode"];
const METHODS: [&str; 3] = ["eth_getWork", "eth_submitWork", "eth_submitHashrate"];

impl Getwork {
    /// Whether somebody with a session polls from there, and no other poll for it goes on.
    pub(crate) fn guest(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let mut guests = self.guests.lock();
        let there = guests.get(&address).copied().unwrap_or(0);
        let sessions = self.sessions.lock();
        let from_there = sessions.range((address, String::new())..).take_while(|((from, _), _)| *from == address);
        if from_there.take(there + 1).count() <= there {
            return None;
        }
        guests.insert(address, there + 1);
        Some(Guest { getwork: Arc::clone(self), address })
    }

    fn end(&self, key: &Key, number: SessionNumber) {
        let mut sessions = self.sessions.lock();
        if sessions.get(key).is_some_and(|(known, _)| *known == number) {
            sessions.remove(key);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut guests = self.getwork.guests.lock();
        if let Some(there) = guests.get_mut(&self.address) {
            *there -= 1;
            if *there == 0 {
                guests.remove(&self.address);
            }
        }
    }
}

impl Poll {
    /// Answers the one request of a connection.
    pub(crate) async fn serve(&self, stream: TcpStream) {
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.respond(request).await) });
        let limits = self.shared.config.getwork;
        let first_line_ms = self.shared.policy(self.port.algorithm()).first_line_ms;
        let waited_ms = self.shared.clock.now().ms_since(self.at);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(first_line_ms.saturating_sub(waited_ms).max(1)))
            .keep_alive(false)
            .max_buf_size(limits.head_bytes_max)
            .serve_connection(TokioIo::new(stream), service);
        match timeout(Duration::from_millis(limits.poll_ms), connection).await {
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
        let login = request.uri().path().trim_matches('/').replace("%2C", ",").replace("%2c", ",");
        let body_bytes_max = self.shared.config.getwork.body_bytes_max;
        let is_post = request.method() == Method::POST;
        // A page behind a miner's address could poll under a name of its own, and have the address banned for what it hands in.
        let is_browsers = BROWSER_HEADERS.iter().any(|name| request.headers().contains_key(*name));
        let body = Limited::new(request.into_body(), body_bytes_max).collect().await;
        let request = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body.to_bytes()).ok());
        if is_browsers {
            return Err((Value::from(0), PollError::Browser));
        }
        let Some(request) = request.filter(|request| is_post && request.is_object()) else {
            return Err((Value::from(0), PollError::Unreadable(body_bytes_max)));
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
        let admission = self.admission()?;
        let (ours, theirs) = UnixStream::pair()?;
        let patience = Duration::from_millis(self.shared.config.getwork.answer_ms);
        let mut line = Line { stream: BufReader::new(ours), requests: 0, patience };
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
        // What other dialects have in the password follows the name here, as in V2.
        let (name, options) = split_options(&key.1);
        let password = if options.is_empty() { "x" } else { options };
        let granted = line.ask("eth_submitLogin", &json!([name, password])).await?;
        if granted["result"] != true {
            let reason = granted["error"]["message"].as_str().or_else(|| granted["error"][1].as_str());
            return Err(PollError::Login(reason.unwrap_or("the login was refused").to_owned()));
        }
        let line = Arc::new(tokio::sync::Mutex::new(line));
        // Two first polls at once: the later one's session ends with its line.
        let mut sessions = self.shared.getwork.sessions.lock();
        Ok(Arc::clone(&sessions.entry(key).or_insert((number, line)).1))
    }

    /// For a new session: the poll's own place, or another.
    fn admission(&self) -> Result<Admission, PollError> {
        let refused = |reason| PollError::NotAdmitted(turned_away::words(reason).unwrap_or(reason));
        let own = self.admission.lock().take();
        match (own, self.refused) {
            (Some(admission), _) => Ok(admission),
            (None, Some(reason)) => Err(refused(reason)),
            (None, None) => self.shared.admit(self.address).map_err(refused),
        }
    }
}

impl Line {
    async fn ask(&mut self, method: &str, params: &Value) -> Result<Value, PollError> {
        self.requests += 1;
        let id = self.requests;
        let request = json!({ "id": id, "method": method, "params": params });
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).await?;
        timeout(self.patience, self.hear(id)).await.map_err(|_| PollError::Late)?
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
