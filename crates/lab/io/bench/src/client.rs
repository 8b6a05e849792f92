//! A miner's side of a Stratum connection, just enough to log in, take a job and submit proofs made beforehand.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// A server that says nothing for this long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

pub(super) struct Client {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        Ok(Self { reader: BufReader::new(stream.try_clone()?), stream })
    }

    pub(super) fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        self.send_lines(std::slice::from_ref(message))
    }

    /// Sends many messages in one write.
    pub(super) fn send_lines(&mut self, messages: &[Value]) -> anyhow::Result<()> {
        let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
        Ok(self.stream.write_all(lines.as_bytes())?)
    }

    pub(super) fn receive(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Sends a request and waits for its answer; what comes in between is returned too, in order.
    pub(super) fn call(&mut self, id: u64, method: &str, params: &Value) -> anyhow::Result<(Value, Vec<Value>)> {
        self.send(&json!({ "id": id, "method": method, "params": params }))?;
        let mut others = Vec::new();
        loop {
            let message = self.receive()?;
            if message["id"] != json!(id) {
                others.push(message);
            } else if message["error"].is_null() {
                return Ok((message["result"].clone(), others));
            } else {
                bail!("{method}: {}", message["error"]);
            }
        }
    }

    /// The first message of `method`, among `seen` or next to come.
    pub(super) fn notification(&mut self, method: &str, seen: Vec<Value>) -> anyhow::Result<Value> {
        if let Some(found) = seen.into_iter().find(|message| message["method"] == method) {
            return Ok(found["params"].clone());
        }
        loop {
            let message = self.receive()?;
            if message["method"] == method {
                return Ok(message["params"].clone());
            }
        }
    }
}

/// A field of JSON text that must be hex of `N` bytes, with or without `0x`.
pub(super) fn hex_field<const N: usize>(value: &Value) -> anyhow::Result<[u8; N]> {
    let text = value.as_str().context("a hex text is missing")?;
    let mut bytes = [0; N];
    hex::decode_to_slice(text.trim_start_matches("0x"), &mut bytes).with_context(|| format!("{text:?}"))?;
    Ok(bytes)
}
