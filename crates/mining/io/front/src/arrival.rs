use std::{net::SocketAddr, sync::Arc, time::Duration};

use bq_share::UnixMs;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::{mpsc, watch},
    time::{timeout, timeout_at},
};

use crate::{
    connection::Connection,
    getwork::Poll,
    port::Port,
    proxy_header::{HeaderError, is_announced_by, read_source},
    shared::{Admission, Entry, Shared},
    turned_away,
    wire::Wire,
};

/// A socket on its way to a miner's connection: whose it is, and what it speaks, is told by its first bytes.
pub(crate) struct Arrival {
    pub(crate) shared: Arc<Shared>,
    pub(crate) port: Port,
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    pub(crate) at: UnixMs,
    /// Held until it is a connection, or none.
    pub(crate) arriving: mpsc::Sender<()>,
    /// Held by everything that the server waits for when it ends.
    pub(crate) alive: mpsc::Sender<()>,
}

/// Why a socket became no connection, for the counter.
type Refused = &'static str;

/// What became of a socket.
enum Met {
    /// The transport of a connection.
    Wire(Wire, Admission),
    /// It had one request, which was answered.
    Served,
}

/// What the first bytes are the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Lines,
    Tls,
    Http,
    ProxyHeader,
    Unknown,
}

/// Enough to tell them apart.
const PEEK_BYTES: usize = 8;
/// For browsers and probes that mistook the port.
const HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
    This port speaks Stratum: point a miner at it (stratum+tcp:// or stratum+ssl://).\n";
/// For miners of V1 that mistook the port.
const V1_ANSWER: &[u8] =
    b"{\"id\":null,\"result\":null,\"error\":[20,\"This port speaks Stratum V2: for stratum+tcp take the other one\",null]}\n";
/// A request that is answered so fits.
const DISMISSED_BYTES: usize = 2048;
/// An answer to what will be closed may take this long to go out.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Arrival {
    /// Until the connection ends.
    pub(crate) async fn run(self, entry: Option<Entry>, mut stop: watch::Receiver<bool>) {
        let (shared, port, at, arriving) = (Arc::clone(&self.shared), self.port, self.at, self.arriving.clone());
        // In a box, because its memory is given back when the miner has arrived, and the task's is not.
        let opening = Box::pin(self.open(entry));
        let opened = tokio::select! {
            opened = opening => opened,
            _ = stop.changed() => return,
        };
        drop(arriving);
        match opened {
            Ok(Met::Wire(wire, admission)) => {
                let connection = Connection::new(&shared, port, wire, admission, at);
                drop((shared, stop));
                Box::new(connection).run().await;
            }
            Ok(Met::Served) => {}
            Err(reason) => shared.metrics.refused(reason),
        }
    }

    async fn open(mut self, entry: Option<Entry>) -> Result<Met, Refused> {
        let entry = match entry {
            Some(entry) => entry,
            None => self.proxied().await?,
        };
        let admission = match entry {
            Entry::Admitted(admission) => admission,
            Entry::Guest(guest) => {
                if self.is_poll().await? {
                    return Ok(self.serve_poll(None, None, guest).await);
                }
                drop(guest);
                match self.shared.admit(self.address.ip()) {
                    Ok(admission) => admission,
                    Err(reason) => return Err(self.turn_away(reason)),
                }
            }
            Entry::TurnedAway(reason, permit) => {
                return match timeout(LAST_WORDS, self.is_poll()).await {
                    Ok(Ok(true)) => Ok(self.serve_poll(None, Some(reason), permit).await),
                    _ => Err(self.turn_away(reason)),
                };
            }
        };
        if self.shared.polls_on(self.port) {
            let is_poll = tokio::select! {
                is_poll = self.is_poll() => is_poll?,
                why = admission.place.wanted() => return Err(why.name()),
            };
            if is_poll {
                return Ok(self.serve_poll(Some(admission), None, ()).await);
            }
        }
        let wire = tokio::select! {
            wire = self.meet() => wire?,
            why = admission.place.wanted() => return Err(why.name()),
        };
        Ok(Met::Wire(wire, admission))
    }

    async fn is_poll(&self) -> Result<bool, Refused> {
        let (first, count) = self.look().await?;
        Ok(first[..count].starts_with(b"POST"))
    }

    /// `kept` is held until it is answered.
    async fn serve_poll<T>(self, admission: Option<Admission>, refused: Option<Refused>, kept: T) -> Met {
        let Self { shared, port, alive, stream, address, at, arriving: _arriving } = self;
        let poll = Poll { shared, port, address: address.ip(), alive, at, admission: Mutex::new(admission), refused };
        poll.serve(stream).await;
        drop(kept);
        Met::Served
    }

    /// Tells why, and gives the reason back for the counter.
    fn turn_away(self, reason: Refused) -> Refused {
        if self.shared.config.plaintext {
            turned_away::tell(self.stream, self.port, reason);
        }
        reason
    }

    /// Lets in whom a listed proxy connects. Until its header is there the proxy itself holds the place.
    async fn proxied(&mut self) -> Result<Entry, Refused> {
        let place = self.shared.take_place(None)?;
        let patience = Duration::from_millis(self.shared.config.proxy_header_ms);
        let source = match timeout(patience, read_source(&mut self.stream)).await {
            Ok(Ok(source)) => source,
            Ok(Err(HeaderError::Io(_))) => return Err("peer_gone"),
            Ok(Err(error)) => {
                tracing::debug!(proxy = %self.address, %error, "a listed proxy must announce whom it connects");
                return Err("proxy_header_missing");
            }
            Err(_slow) => return Err("proxy_header_late"),
        };
        drop(place);
        if let Some(source) = source {
            self.address.set_ip(source);
        }
        self.shared.enter(self.address.ip(), self.port)
    }

    async fn meet(self) -> Result<Wire, Refused> {
        match self.port {
            Port::V1(_) | Port::Scheme(..) => self.greet().await,
            Port::V2 => self.shake_hands().await,
        }
    }

    /// Looks at the first bytes without taking them.
    async fn look(&self) -> Result<([u8; PEEK_BYTES], usize), Refused> {
        let policy = self.shared.policy(self.port.algorithm());
        let first_line = self.shared.clock.instant(self.at.after_ms(policy.first_line_ms));
        let mut first = [0; PEEK_BYTES];
        match timeout_at(first_line.into(), self.stream.peek(&mut first)).await {
            Ok(Ok(0)) => Err("peer_closed"),
            Ok(Ok(count)) => Ok((first, count)),
            Ok(Err(_)) => Err("peer_gone"),
            Err(_late) => Err("silent"),
        }
    }

    /// Serves V2. A key looks like anything; what is a line of V1, a page's request or a proxy's header in eight bytes is none but once in
    /// millions, and then its client comes again with another.
    async fn shake_hands(mut self) -> Result<Wire, Refused> {
        let (first, count) = self.look().await?;
        let first = &first[..count];
        if is_announced_by(first) {
            return Err("unlisted_proxy");
        }
        if let [b'{', b'"', rest @ ..] = first
            && rest.len() == PEEK_BYTES - 2
            && rest.iter().all(|byte| matches!(byte, b' '..=b'~'))
        {
            self.dismiss(V1_ANSWER).await;
            return Err("v1_on_v2");
        }
        if first.starts_with(b"GET /") {
            self.dismiss(HTTP_ANSWER).await;
            return Err("http");
        }
        let Some(noise) = &self.shared.noise else { return Err("v2_off") };
        noise.accept(self.stream).await.map_err(|error| {
            tracing::debug!(address = %self.address, %error, "Noise handshake");
            "noise_failed"
        })
    }

    /// Last words. What came is read first: a socket that is closed with something unread tells its peer so, who then may not hear them.
    async fn dismiss(&mut self, words: &[u8]) {
        let _unread = self.stream.try_read(&mut [0; DISMISSED_BYTES]);
        let _gone = timeout(LAST_WORDS, self.stream.write_all(words)).await;
    }

    /// Serves V1.
    async fn greet(mut self) -> Result<Wire, Refused> {
        let (first, count) = self.look().await?;
        match (Speech::of(&first[..count]), &self.shared.tls) {
            (Speech::Lines, _) if self.shared.config.plaintext => Ok(Wire::Clear(self.stream)),
            (Speech::Lines, _) => Err("plaintext_off"),
            (Speech::Tls, Some(tls)) => tls.accept(self.stream).await.map_err(|error| {
                tracing::debug!(address = %self.address, %error, "TLS handshake");
                "tls_failed"
            }),
            (Speech::Tls, None) => Err("tls_off"),
            (Speech::Http, _) => {
                self.dismiss(HTTP_ANSWER).await;
                Err("http")
            }
            (Speech::ProxyHeader, _) => Err("unlisted_proxy"),
            // No strike: a browser behind a miner's address can be made to send anything once (SPEC 11.6.3).
            (Speech::Unknown, _) => Err("unknown_protocol"),
        }
    }
}

impl Speech {
    fn of(first: &[u8]) -> Self {
        match first {
            [0x16, ..] => Self::Tls,
            bytes if is_announced_by(bytes) => Self::ProxyHeader,
            // White space may come before a line; a line that is no object is the session's to answer.
            [b'{' | b'[' | b'"' | b' ' | b'\t' | b'\r' | b'\n', ..] => Self::Lines,
            [b'A'..=b'Z', ..] => Self::Http,
            [b'!'..=b'~', ..] => Self::Lines,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_who_it_is() {
        for (bytes, speech) in [
            (b"{\"id\":1}".as_slice(), Speech::Lines),
            (b"\n{", Speech::Lines),
            (b"x", Speech::Lines),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01", Speech::Tls),
            (b"\x16", Speech::Tls),
            (b"GET / HT", Speech::Http),
            (b"POST /ge", Speech::Http),
            (b"PROXY TC", Speech::ProxyHeader),
            (b"\r\n\r\n\0\r\nQ", Speech::ProxyHeader),
            (b"\r\n{\"id\":", Speech::Lines),
            (b"\x00\x01", Speech::Unknown),
            (b"\x80\x2e\x01", Speech::Unknown),
            (b"\xff", Speech::Unknown),
        ] {
            assert_eq!(Speech::of(bytes), speech, "{bytes:?}");
        }
    }
}
