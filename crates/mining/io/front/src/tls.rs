use std::{io, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    certificates::{Certificates, provider},
    config::TlsConfig,
    tls_session::TlsSession,
    turns::Turns,
    wire::{READ_BYTES, TlsWire, Wire},
};

/// Turns a socket whose first byte announced TLS into a [`Wire`].
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    handshake: Duration,
    turns: Turns,
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("took too long")]
    Slow,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Tls {
    /// # Errors
    /// The cryptography does not know the versions: a fault of the build.
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, rustls::Error> {
        Ok(Self {
            config: Arc::new(server_config(Arc::clone(&config.certificates))?),
            handshake: Duration::from_millis(config.handshake_ms),
            turns: Turns::new(config.handshakes_max),
        })
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> Result<Wire, HandshakeError> {
        timeout(self.handshake, self.shake_hands(stream)).await.map_err(|_| HandshakeError::Slow)?
    }

    async fn shake_hands(&self, stream: TcpStream) -> Result<Wire, HandshakeError> {
        let mut wire = TlsWire::new(stream, TlsSession::new(Arc::clone(&self.config))?);
        while wire.session.is_handshaking() || wire.has_unsent() {
            if wire.has_unsent() {
                wire.stream.writable().await?;
                wire.flush()?;
            } else {
                wire.stream.readable().await?;
                self.hear(&mut wire).await?;
            }
        }
        Ok(Wire::Tls(Box::new(wire)))
    }

    async fn hear(&self, wire: &mut TlsWire) -> Result<(), HandshakeError> {
        // Not in the task, which would have room for it for ever.
        let mut came = vec![0; READ_BYTES];
        match would_block(wire.stream.try_read(&mut came))? {
            None => return Ok(()),
            Some(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Some(count) => came.truncate(count),
        }
        // A signature, mostly.
        if let Err(error) = self.turns.take(|| wire.session.receive(&came)).await {
            // The alert that says why.
            let _gone = wire.flush();
            return Err(error.into());
        }
        Ok(())
    }
}

/// TLS 1.2 and 1.3. Nothing is kept for resumption: miners stay connected for days, and ten thousand tickets cost memory.
fn server_config(certificates: Arc<Certificates>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn would_block(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
