use std::time::Duration;

use serde_json::Value;

use crate::job::{FoundShare, Job};

/// One Stratum dialect as a client speaks it: text in, text and events out; no socket, no clock. One value per connection.
pub trait Dialect: Send {
    /// The first line.
    fn hello(&mut self) -> String;

    /// Takes one line of the pool.
    ///
    /// # Errors
    /// What makes this connection useless.
    fn handle(&mut self, line: &Value) -> Result<Vec<Event>, DialectError>;

    /// The line that submits a share under request id `id`.
    fn submit(&self, share: &FoundShare<'_>, id: u64) -> String;

    /// A line that shows the pool that we are there, where its dialect has one.
    fn keepalive(&self) -> Option<String> {
        None
    }

    /// How long the pool may take for its first answer; nothing where it may wait for work to give.
    fn first_answer_within(&self) -> Option<Duration> {
        None
    }
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
    /// The pool says something that its dialect does not know.
    #[error("{what} of the pool is malformed")]
    Malformed {
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

/// The id of keepalives.
pub(crate) const KEEPALIVE_ID: u64 = 50;
/// Ids below this are those of the login; submits count up from it.
pub const FIRST_SUBMIT_ID: u64 = 100;

/// Who says we are.
pub(crate) const AGENT: &str = concat!("bq/", env!("CARGO_PKG_VERSION"));

/// The text of an error member: a string, `[code, text, ..]` or `{message}`; nothing if there is no error.
pub(crate) fn error_text(line: &Value) -> Option<String> {
    match line.get("error")? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.get(1).and_then(Value::as_str).unwrap_or("refused").to_owned()),
        Value::Object(members) => Some(members.get("message").and_then(Value::as_str).unwrap_or("refused").to_owned()),
        Value::Bool(_) | Value::Number(_) => Some("refused".to_owned()),
    }
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

/// A whole number, or one in a text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
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
    const CHARS_MAX: usize = 500;
    let text = message.get("params")?.get(0)?.as_str()?;
    Some(Event::Message(text.chars().filter(|char| !char.is_control()).take(CHARS_MAX).collect()))
}
/// One JSON value as a line.
pub(crate) fn line(value: &Value) -> String {
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let shown = shown_message(&json!({"params": ["hi\u{1b}[2J\nthere"]}));
        assert!(matches!(shown, Some(Event::Message(text)) if text == "hi[2Jthere"));
    }
}
