//! A pool's socket: lines out, lines in, encrypted or not.

use std::{io, net::SocketAddr};

use bq_stratum_client::{ClientSettings, Endpoint, Lines};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::error::ConnectionError;
use crate::tls::Tls;

/// Addresses of one name that are tried: a name may have thousands.
const ADDRESSES_MAX: usize = 16;
/// Bytes read at a time.
const READ_BYTES: usize = 4096;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct Link {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    lines: Lines,
    /// Said and not yet sent.
    out: Vec<u8>,
    /// Sent, and perhaps still in a buffer of the encryption.
    unflushed: bool,
}

impl Link {
    /// Connects to the first address of `pool` that takes a connection.
    pub(super) async fn open(pool: &Endpoint, tls: &Tls, settings: &ClientSettings) -> Result<Self, ConnectionError> {
        let found = timeout(settings.connect, lookup_host((pool.host(), pool.port()))).await;
        let addresses = found.map_err(|_| ConnectionError::ConnectTimeout(settings.connect))??;
        let stream = first_of(addresses.take(ADDRESSES_MAX), pool, tls, settings).await?;
        let (reader, writer) = tokio::io::split(stream);
        Ok(Self { reader, writer, lines: Lines::new(settings.line_bytes_max), out: Vec::new(), unflushed: false })
    }

    /// Sends a line while [`Link::next`] waits.
    pub(super) fn say(&mut self, line: &str) {
        self.out.extend(line.as_bytes());
    }

    /// The next line without its end; meanwhile sends what was said. May be cancelled at any time.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, ConnectionError> {
        loop {
            if let Some(line) = self.lines.cut()? {
                return Ok(line);
            }
            let buffer = self.lines.buffer();
            buffer.reserve(READ_BYTES);
            let (is_unsent, unflushed) = (!self.out.is_empty(), self.unflushed);
            let (writer, out) = (&mut self.writer, &self.out);
            let send =
                async move { if is_unsent { writer.write(out).await } else { writer.flush().await.map(|()| 0) } };
            tokio::select! {
                read = self.reader.read_buf(buffer) => {
                    if read? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                }
                sent = send, if is_unsent || unflushed => {
                    self.out.drain(..sent?);
                    self.unflushed = is_unsent;
                }
            }
        }
    }
}

/// Tries one address after the other; the last one's failure stands for all.
async fn first_of(
    addresses: impl Iterator<Item = SocketAddr>,
    pool: &Endpoint,
    tls: &Tls,
    settings: &ClientSettings,
) -> Result<Box<dyn Stream>, ConnectionError> {
    let mut failure = ConnectionError::NoAddress;
    for address in addresses {
        match timeout(settings.connect, connect(address, pool, tls)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = ConnectionError::ConnectTimeout(settings.connect),
        }
    }
    Err(failure)
}

async fn connect(address: SocketAddr, pool: &Endpoint, tls: &Tls) -> Result<Box<dyn Stream>, ConnectionError> {
    let stream = TcpStream::connect(address).await?;
    // Shares are single small writes: waiting to fill a packet would only delay them. A refusal costs speed alone.
    drop(stream.set_nodelay(true));
    if !pool.is_tls() {
        return Ok(Box::new(stream));
    }
    let encrypted = tls.connect(pool.host(), stream).await.map_err(|error| ConnectionError::Tls(error.to_string()))?;
    Ok(Box::new(encrypted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TlsTrust;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn every_address_of_a_name_is_tried() {
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Bound and let go: nobody listens there.
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let pool: Endpoint = "pool.example:1".parse().unwrap();
        let (tls, settings) = (Tls::new(TlsTrust::Public).unwrap(), ClientSettings::default());
        let addresses = [closed, "127.0.0.2:1".parse().unwrap(), good.local_addr().unwrap(), closed];
        let found = first_of(addresses.into_iter(), &pool, &tls, &settings).await;
        assert!(found.is_ok(), "the third listens");
        good.accept().await.unwrap();
        let found = first_of([closed].into_iter(), &pool, &tls, &settings).await;
        assert!(matches!(found, Err(ConnectionError::Io(_))));
        let found = first_of(std::iter::empty(), &pool, &tls, &settings).await;
        assert!(matches!(found, Err(ConnectionError::NoAddress)));
    }
}
