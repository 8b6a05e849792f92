use serde_json::Value;

use crate::{job::Job, shared::FoundShare};

/// One Stratum dialect as a client speaks it: text in, text and events out; no socket, no clock. One value per connection.
pub(super) trait Dialect: Send {
    /// The first line.
    fn hello(&mut self) -> String;

    /// Takes one line of the pool.
    ///
    /// # Errors
    /// What makes this connection useless.
    fn handle(&mut self, line: &Value) -> Result<Vec<Event>, DialectError>;

    /// The line that submits a share under request id `id`.
    fn submit(&self, share: &FoundShare, id: u64) -> String;
}

/// What a line of the pool means.
#[derive(Debug)]
pub(super) enum Event {
    /// Send this line.
    Send(String),
    /// Work on this from now on.
    Job(Job),
    /// The answer to submit `id`: nothing when accepted, else why not.
    Answer { id: u64, refused: Option<String> },
}

/// Why a connection is useless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DialectError {
    /// The pool will not have us.
    #[error("login refused: {0}")]
    Refused(String),
    /// The pool says something that its dialect does not know.
    #[error("{what} of the pool is malformed")]
    Malformed {
        /// Which message.
        what: &'static str,
    },
    /// The pool asks us to come again.
    #[error("the pool asked to reconnect")]
    Reconnect,
}

/// Ids below this are those of the login; submits count up from it.
pub(super) const FIRST_SUBMIT_ID: u64 = 100;

/// Who says we are.
pub(super) const AGENT: &str = concat!("bq/", env!("CARGO_PKG_VERSION"));

/// The text of an error member: a string, `[code, text, ..]` or `{message}`; nothing if there is no error.
pub(super) fn error_text(line: &Value) -> Option<String> {
    match line.get("error")? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.get(1).and_then(Value::as_str).unwrap_or("refused").to_owned()),
        Value::Object(members) => Some(members.get("message").and_then(Value::as_str).unwrap_or("refused").to_owned()),
        Value::Bool(_) | Value::Number(_) => Some("refused".to_owned()),
    }
}

/// Decodes `text` as exactly `N` bytes of hex, with or without `0x`.
pub(super) fn bytes<const N: usize>(text: Option<&Value>) -> Option<[u8; N]> {
    let text = text?.as_str()?;
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes).ok()?;
    Some(bytes)
}

/// Decodes `text` as hex of at most `max` bytes.
pub(super) fn byte_string(text: Option<&Value>, max: usize) -> Option<Vec<u8>> {
    let text = text?.as_str().filter(|text| text.len() <= 2 * max)?;
    hex::decode(text).ok()
}

/// A request or notification name, if the line is one.
pub(super) fn method(line: &Value) -> Option<&str> {
    line.get("method")?.as_str()
}

/// One JSON value as a line.
pub(super) fn line(value: &Value) -> String {
    format!("{value}\n")
}
