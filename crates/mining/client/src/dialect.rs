use std::time::Duration;

use serde_json::{Value, json};

use crate::job::{FoundShare, Job};

/// One Stratum dialect as a client speaks it: text in, text and events out; no socket, no clock. One value per connection.
pub trait Dialect: Send {
    /// The first line.
    fn hello(&mut self) -> String;

    /// Takes one line of the pool.
    ///
    /// # Errors
    /// What cannot be used: of this line, or of this connection ([`DialectError::ends_connection`]).
    fn handle(&mut self, line: &Value) -> Result<Vec<Event>, DialectError>;

    /// The line that submits a share under request id `id`.
    fn submit(&self, share: &FoundShare<'_>, id: u64) -> String;

    /// A line that shows the pool that we are there, where its dialect has one.
    fn keepalive(&self) -> Option<String> {
        None
    }

    /// The pool took the login.
    fn is_logged_in(&self) -> bool;

    /// The request of the login that waits for its answer, if one does.
    fn login_request(&self) -> Option<u64>;

    /// The request that an answer without an id is for: `oldest` is the oldest submit without an answer.
    fn unnamed_answer(&self, _is_error: bool, oldest: Option<u64>) -> Option<u64> {
        self.login_request().or(oldest)
    }
}

/// Gives an answer whose id is null or missing the id of the request that it must be for (SPEC 11.9, 5). Pools answer in order.
pub fn name_answer(dialect: &dyn Dialect, message: &mut Value, oldest: Option<u64>) {
    let is_null = |member: &str| message.get(member).is_none_or(Value::is_null);
    // Work is pushed like an answer, by pools that know nothing else.
    let is_work = dialect.is_logged_in() && message.get("result").is_some_and(Value::is_array);
    if !is_null("id") || !is_null("method") || is_null("result") && is_null("error") || is_work {
        return;
    }
    let id = dialect.unnamed_answer(!is_null("error"), oldest);
    if let (Some(id), Some(members)) = (id, message.as_object_mut()) {
        members.insert("id".to_owned(), json!(id));
    }
}

/// The pool had no time for a share, by the words that pools have for it: it may be sent again.
#[must_use]
pub fn is_busy(refusal: &str) -> bool {
    let refusal = refusal.to_ascii_lowercase();
    ["busy", "try again", "too many requests", "overloaded"].iter().any(|words| refusal.contains(words))
}

/// What a line of the pool means.
#[derive(Debug)]
pub enum Event {
    /// Send this line.
    Send(String),
    /// Work on this from now on.
    Job(Job),
    /// For people.
    Message(String),
    /// The answer to submit `id`: nothing when accepted, else why not.
    Answer {
        /// Of the submit.
        id: u64,
        /// Why not.
        refused: Option<String>,
    },
}

/// Why a connection is useless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// The pool will not have us.
    #[error("login refused: {0}")]
    Refused(String),
    /// The login cannot go on.
    #[error("{what} of the pool is malformed")]
    Malformed {
        /// Which message.
        what: &'static str,
    },
    /// The pool says something that means nothing; what it said before stands.
    #[error("{what} of the pool means nothing")]
    Nonsense {
        /// Which message.
        what: &'static str,
    },
    /// The pool has work that we cannot do.
    #[error("the pool has work for {algorithm:?}, which is not mined here")]
    Unsupported {
        /// The pool's name for it.
        algorithm: String,
    },
    /// The pool asks us to come again.
    #[error("the pool asked to reconnect")]
    Reconnect {
        /// Where, if not here.
        host: Option<String>,
        /// The same.
        port: Option<u16>,
        /// When.
        wait: Duration,
    },
}

impl DialectError {
    /// Nothing more is to be had from this connection.
    #[must_use]
    pub const fn ends_connection(&self) -> bool {
        !matches!(self, Self::Nonsense { .. })
    }
}

/// The id of keepalives.
pub(crate) const KEEPALIVE_ID: u64 = 50;
/// Ids below this are those of the login; submits count up from it.
pub const FIRST_SUBMIT_ID: u64 = 100;

/// Who says we are.
pub(crate) const AGENT: &str = concat!("bq/", env!("CARGO_PKG_VERSION"));

/// The text of an error member: a string, `[code, text, ..]` or `{message}`, fit for a terminal; nothing if there is no
/// error.
pub(crate) fn error_text(line: &Value) -> Option<String> {
    let text = match line.get("error")? {
        Value::Null => return None,
        Value::String(text) => Some(text.as_str()),
        Value::Array(parts) => parts.get(1).and_then(Value::as_str),
        Value::Object(members) => members.get("message").and_then(Value::as_str),
        Value::Bool(_) | Value::Number(_) => None,
    };
    Some(printable(text.unwrap_or("refused")))
}

/// Decodes `text` as exactly `N` bytes of hex, with or without `0x`.
pub(crate) fn bytes<const N: usize>(text: Option<&Value>) -> Option<[u8; N]> {
    let text = text?.as_str()?;
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes).ok()?;
    Some(bytes)
}

/// Decodes `text` as hex of at most `max` bytes.
pub(crate) fn byte_string(text: Option<&Value>, max: usize) -> Option<Vec<u8>> {
    let text = text?.as_str().filter(|text| text.len() <= 2 * max)?;
    hex::decode(text).ok()
}

/// A request or notification name, if the line is one.
pub(crate) fn method(line: &Value) -> Option<&str> {
    line.get("method")?.as_str()
}

/// The id of an answer. Some pools write the number that they were given as text.
pub(crate) fn id(line: &Value) -> Option<u64> {
    number(line.get("id")?)
}

/// A whole number, or one in a text, or one written with a fraction of zero.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).or_else(|| {
        let whole = value.as_f64().filter(|number| number.fract() == 0.0)?;
        format!("{whole:.0}").parse().ok()
    })
}

/// How a pool writes the names of its jobs: some write numbers, and want numbers back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct JobIds {
    are_numbers: bool,
}

impl JobIds {
    const CHARS_MAX: usize = 256;

    /// The name of a job.
    pub(crate) fn read(&mut self, id: Option<&Value>) -> Option<String> {
        let id = id?;
        self.are_numbers = id.is_number();
        let text = if self.are_numbers { id.to_string() } else { id.as_str()?.to_owned() };
        (text.len() <= Self::CHARS_MAX).then_some(text)
    }

    /// The same as the pool wrote it.
    pub(crate) fn write(self, id: &str) -> Value {
        let number = self.are_numbers.then(|| serde_json::from_str(id).ok()).flatten();
        number.unwrap_or_else(|| json!(id))
    }
}

/// What `client.reconnect` says: `[host, port, seconds to wait]`, of which any may be missing.
pub(crate) fn reconnect(message: &Value) -> DialectError {
    let param = |index: usize| message.get("params")?.get(index);
    let host = param(0).and_then(Value::as_str).map(str::to_owned);
    let port = param(1).and_then(number).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    let wait = Duration::from_secs(param(2).and_then(number).unwrap_or(0));
    DialectError::Reconnect { host, port, wait }
}

/// What `client.show_message` says, fit for a terminal.
pub(crate) fn shown_message(message: &Value) -> Option<Event> {
    message.get("params")?.get(0)?.as_str().map(|text| Event::Message(printable(text)))
}

/// A stranger's text without what moves the cursor, hides or turns round what stands beside it; at most 500 characters.
#[must_use]
pub fn printable(text: &str) -> String {
    const CHARS_MAX: usize = 500;
    let shows = |char: &char| {
        !char.is_control()
            && !matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().filter(shows).take(CHARS_MAX).collect()
}

/// One JSON value as a line.
pub(crate) fn line(value: &Value) -> String {
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnects_are_read_in_every_form() {
        let read = |params: Value| match reconnect(&json!({"method": "client.reconnect", "params": params})) {
            DialectError::Reconnect { host, port, wait } => (host, port, wait.as_secs()),
            other => panic!("{other}"),
        };
        assert_eq!(read(json!(["pool", 3333, 5])), (Some("pool".to_owned()), Some(3333), 5));
        assert_eq!(read(json!(["pool", "3333"])), (Some("pool".to_owned()), Some(3333), 0));
        assert_eq!(read(json!([])), (None, None, 0));
        assert_eq!(read(json!(["", 70_000, "9"])), (Some(String::new()), None, 9));
    }

    #[test]
    fn messages_cannot_play_with_the_terminal() {
        let shown = shown_message(&json!({"params": ["hi\u{1b}[2J\nth\u{202e}ere"]}));
        assert!(matches!(shown, Some(Event::Message(text)) if text == "hi[2Jthere"));
        let refused = error_text(&json!({"error": [20, "no\u{7}pe", null]}));
        assert_eq!(refused.as_deref(), Some("nope"));
        assert_eq!(printable(&"x".repeat(9_000)).len(), 500);
    }

    #[test]
    fn ids_may_be_numbers_or_texts() {
        for (written, read) in
            [(json!(101), Some(101)), (json!("101"), Some(101)), (json!(101.0), Some(101)), (json!(1.5), None)]
        {
            assert_eq!(id(&json!({"id": written})), read);
        }
        let mut ids = JobIds::default();
        for written in [json!(17), json!("17"), json!("a")] {
            let read = ids.read(Some(&written)).unwrap();
            assert_eq!(ids.write(&read), written);
        }
        assert_eq!((ids.read(Some(&json!(null))), ids.read(Some(&json!("x".repeat(257))))), (None, None));
    }

    #[test]
    fn busy_is_no_verdict() {
        assert!(is_busy("Server busy") && is_busy("Too many requests, try again later"));
        assert!(!is_busy("Stale share") && !is_busy("Low difficulty share"));
    }
}
