use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(20);

/// What a server answered.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Head without the status line, as received.
    pub headers: String,
    /// The body, with chunks joined.
    pub body: String,
    /// The bytes after the head, as received.
    pub raw: Vec<u8>,
}

impl HttpResponse {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("status {}, body {:?}", self.status, self.body))
    }

    /// The first sample of a Prometheus metric without labels.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        let mut lines = self.body.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name).and_then(|(_, value)| value.trim().parse().ok())
    }
}

/// `GET path`, one connection per request.
///
/// # Errors
/// No connection, or no whole answer within 20 seconds.
pub fn http_get(address: SocketAddr, path: &str) -> Result<HttpResponse> {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// `POST path` with a JSON body, as somebody if a login is given.
///
/// # Errors
/// As [`http_get`].
pub fn http_post(address: SocketAddr, path: &str, login: Option<&str>, body: &Value) -> Result<HttpResponse> {
    let body = body.to_string();
    let login = login.map_or_else(String::new, |login| format!("Authorization: Basic {}\r\n", base64(login)));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{login}\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    request(address, &(head + &body))
}

/// RFC 4648, with padding.
fn base64(text: &str) -> String {
    let digits: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut encoded = String::new();
    for group in text.as_bytes().chunks(3) {
        let mut bytes = [0; 4];
        bytes[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bytes);
        let picked = [18, 12, 6, 0].map(|shift| digits[(bits >> shift) as usize & 63]);
        encoded.extend(picked.iter().take(group.len() + 1));
        encoded.extend(std::iter::repeat_n('=', 3 - group.len()));
    }
    encoded
}

fn request(address: SocketAddr, text: &str) -> Result<HttpResponse> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(text.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<HttpResponse> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("answer without a head")?;
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line.split(' ').nth(1).context("no status")?.parse()?;
    let chunked = headers.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { join_chunks(body)? } else { body.to_owned() };
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("answer without a head")?;
    Ok(HttpResponse { status, headers: headers.to_owned(), body, raw: bytes[end + 4..].to_vec() })
}

fn join_chunks(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.split(';').next().unwrap_or(size).trim(), 16)?;
        if size == 0 {
            break;
        }
        body.push_str(tail.get(..size).context("chunk is cut off")?);
        rest = tail.get(size + 2..).context("chunk is cut off")?;
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::{base64, parse};

    #[test]
    fn encodes_a_login() {
        assert_eq!(base64("Aladdin:open sesame"), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(base64("ops:open sesame"), "b3BzOm9wZW4gc2VzYW1l");
    }

    #[test]
    fn joins_chunks_and_finds_metrics() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nbq_a 7\r\n9\r\n\nbq_b 1.5\r\n0\r\n\r\n";
        let response = parse(bytes).unwrap();
        assert_eq!((response.status, response.body.as_str()), (200, "bq_a 7\nbq_b 1.5"));
        assert_eq!(response.metric("bq_b"), Some(1.5));
        assert_eq!(response.metric("bq_c"), None);
    }
}
