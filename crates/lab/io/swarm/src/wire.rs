use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, ReadBuf},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What a miner's lines travel over.
pub(crate) enum Wire {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How connections are made.
#[derive(Clone)]
pub(crate) struct Wiring {
    /// Nothing speaks in the clear.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Source addresses used in turn.
    pub(crate) sources: usize,
    pub(crate) proxy_headers: bool,
}

/// Read at once.
const CHUNK_BYTES: usize = 4096;

impl Wiring {
    /// Connects the `number`th miner.
    pub(crate) async fn connect(&self, port: SocketAddr, number: usize) -> io::Result<Wire> {
        let mut stream = self.open(port, number).await?;
        stream.set_nodelay(true)?;
        if self.proxy_headers {
            let [_, b, c, d] = u32::try_from(number).unwrap_or(0).to_be_bytes();
            let header = format!("PROXY TCP4 10.{b}.{c}.{d} 127.0.0.1 40000 {}\r\n", port.port());
            stream.write_all(header.as_bytes()).await?;
        }
        let Some(config) = &self.tls else { return Ok(Wire::Clear(stream)) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
        Ok(Wire::Tls(Box::new(stream)))
    }

    async fn open(&self, port: SocketAddr, number: usize) -> io::Result<TcpStream> {
        if self.sources <= 1 || !port.ip().is_loopback() || port.is_ipv6() {
            return TcpStream::connect(port).await;
        }
        let [_, b, c, d] = u32::try_from(number % self.sources + 1).unwrap_or(1).to_be_bytes();
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, b, c, d)), 0))?;
        socket.connect(port).await
    }
}

impl Wire {
    /// Appends what comes next to `bytes`, and says how much that is; nothing at the end. The chunk lies on the stack of this call:
    /// ten thousand miners do not have one each.
    pub(crate) async fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        poll_fn(|context| {
            let mut chunk = [0; CHUNK_BYTES];
            let mut buffer = ReadBuf::new(&mut chunk);
            match self.poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) => {
                    bytes.extend_from_slice(buffer.filled());
                    Poll::Ready(Ok(buffer.filled().len()))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Clear(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }
}
