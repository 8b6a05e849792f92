use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const LINE_BYTES_MAX: usize = 64 * 1024;

/// The server said nothing for as long as a stock miner would wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence(Duration);

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "silence for {:?}", self.0)
    }
}

impl std::error::Error for Silence {}

/// A connection that speaks one JSON object per line.
#[derive(Debug)]
pub struct LineClient {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl LineClient {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends one object.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, message: &Value) -> Result<()> {
        self.send_raw(format!("{message}\n").as_bytes())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The next object, or nothing when none arrived within `limit`.
    ///
    /// # Errors
    /// The server closed the connection, or sent something that is not a line of JSON.
    pub fn receive(&mut self, limit: Duration) -> Result<Option<Value>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let text = String::from_utf8(line)?;
                return Ok(Some(serde_json::from_str(&text).with_context(|| format!("line {text:?}"))?));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                bail!("a line of more than {LINE_BYTES_MAX} bytes");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.fill(left.max(Duration::from_micros(200)))? || left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// The next object, which must come.
    ///
    /// # Errors
    /// As [`LineClient::receive`], and silence.
    pub fn expect(&mut self, limit: Duration) -> Result<Value> {
        self.receive(limit)?.ok_or_else(|| Silence(limit).into())
    }

    /// The answer to the request `id`, passing over everything else.
    ///
    /// # Errors
    /// As [`LineClient::expect`].
    pub fn expect_answer(&mut self, id: u64, limit: Duration) -> Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let message = self.expect(deadline.saturating_duration_since(Instant::now()))?;
            if message.get("id").and_then(Value::as_u64) == Some(id) && message.get("method").is_none() {
                return Ok(message);
            }
        }
    }

    /// The server closes the connection within `limit`; whatever it says before that is returned.
    ///
    /// # Errors
    /// It stays open.
    pub fn expect_close(&mut self, limit: Duration) -> Result<Vec<Value>> {
        let deadline = Instant::now() + limit;
        let mut said = Vec::new();
        loop {
            match self.receive(deadline.saturating_duration_since(Instant::now())) {
                Ok(Some(message)) => said.push(message),
                Ok(None) => bail!("connection still open after {limit:?}; it said {said:?}"),
                Err(_) => return Ok(said),
            }
        }
    }

    /// Reads once; false when nothing came in time.
    fn fill(&mut self, limit: Duration) -> Result<bool> {
        self.stream.set_read_timeout(Some(limit))?;
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => bail!("connection closed by the server"),
            Ok(count) => {
                self.buffer.extend(&bytes[..count]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
