//! The encryption of Stratum V2: Noise NX, this end showing a key that the authority signed.

use std::{io, sync::Arc, time::Duration};

use bq_stratum_v2::{HEADER_BYTES, payload_bytes};
use noise_sv2::{AEAD_MAC_LEN, ELLSWIFT_ENCODING_SIZE, NoiseEngine, Responder};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{Authority, V2Config, turns::Turns, wire::Wire};

/// Turns a socket into an encrypted [`Wire`].
pub(crate) struct Noise {
    authority: Arc<Authority>,
    certificate: Duration,
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
    #[error("the keys make no secret")]
    Noise,
}

impl Noise {
    pub(crate) fn new(config: &V2Config) -> Self {
        Self {
            authority: Arc::clone(&config.authority),
            certificate: Duration::from_secs(config.certificate_secs),
            handshake: Duration::from_millis(config.handshake_ms),
            turns: Turns::new(config.handshakes_max),
        }
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> Result<Wire, HandshakeError> {
        timeout(self.handshake, self.shake_hands(stream)).await.map_err(|_| HandshakeError::Slow)?
    }

    async fn shake_hands(&self, mut stream: TcpStream) -> Result<Wire, HandshakeError> {
        let mut theirs = [0; ELLSWIFT_ENCODING_SIZE];
        stream.read_exact(&mut theirs).await?;
        // Two keys, two secrets and a signature.
        let answer = self.turns.take(|| self.answer(theirs)).await;
        let (ours, engine) = answer.ok_or(HandshakeError::Noise)?;
        stream.write_all(&ours).await?;
        Ok(Wire::Noise(Box::new(NoiseWire::new(stream, engine))))
    }

    fn answer(&self, theirs: [u8; ELLSWIFT_ENCODING_SIZE]) -> Option<(Vec<u8>, NoiseEngine)> {
        let (public, secret) = (self.authority.public(), self.authority.secret());
        let mut responder = Responder::from_authority_kp(public, secret, self.certificate).ok()?;
        let (ours, engine) = responder.step_1(theirs).ok()?;
        Some((ours.to_vec(), engine))
    }
}

/// A session after its handshake: plain frames on this side, encrypted ones on the socket. Nothing here waits.
pub(crate) struct NoiseWire {
    pub(crate) stream: TcpStream,
    engine: NoiseEngine,
    /// Encrypted bytes that are no whole piece yet, and what came with them.
    received: Vec<u8>,
    /// Encrypted bytes of the piece that comes next: a header, or the payload that the last one announced.
    piece: usize,
    /// Whether that is a payload.
    is_payload: bool,
    /// Decrypted, not asked for yet.
    plain: Vec<u8>,
    /// Encrypted, not taken by the socket yet.
    unsent: Vec<u8>,
}

const SEALED_HEADER_BYTES: usize = HEADER_BYTES + AEAD_MAC_LEN;
/// Plain bytes of a payload that are encrypted at once.
const CHUNK_PLAIN_BYTES: usize = 65_535 - AEAD_MAC_LEN;
/// Read from the socket at once.
const READ_BYTES: usize = 4_096;
/// Capacity worth keeping for the next frame.
const KEEP_BYTES: usize = 512;
// What is read is one chunk, so that a payload is one piece.
const _: () = assert!(bq_stratum_v2::FRAME_BYTES_MAX <= CHUNK_PLAIN_BYTES);

impl NoiseWire {
    fn new(stream: TcpStream, engine: NoiseEngine) -> Self {
        let (piece, is_payload) = (SEALED_HEADER_BYTES, false);
        Self { stream, engine, received: Vec::new(), piece, is_payload, plain: Vec::new(), unsent: Vec::new() }
    }

    /// Something can be read without the socket.
    pub(crate) const fn is_readable(&self) -> bool {
        !self.plain.is_empty()
    }

    pub(crate) const fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Plain bytes, headers and payloads as they came. [`io::ErrorKind::InvalidData`]: what came was not encrypted for us, or is longer
    /// than any frame may be.
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.plain.is_empty() {
            let mut chunk = [0; READ_BYTES];
            let count = self.stream.try_read(&mut chunk)?;
            if count == 0 {
                return Ok(0);
            }
            self.received.extend_from_slice(&chunk[..count]);
            self.open_pieces()?;
        }
        let count = self.plain.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.plain[..count]);
        self.plain.drain(..count);
        self.plain.shrink_to(KEEP_BYTES);
        Ok(count)
    }

    fn open_pieces(&mut self) -> io::Result<()> {
        let mut start = 0;
        while let Some(sealed) = self.received.get(start..start + self.piece) {
            let mut piece = sealed.to_vec();
            self.engine.decrypt(&mut piece).map_err(|_| invalid("not encrypted for this session"))?;
            start += self.piece;
            (self.piece, self.is_payload) = match (self.is_payload, piece.first_chunk()) {
                (false, Some(header)) => match payload_bytes(*header).map_err(|_| invalid("a frame is too long"))? {
                    0 => (SEALED_HEADER_BYTES, false),
                    length => (length + AEAD_MAC_LEN, true),
                },
                _ => (SEALED_HEADER_BYTES, false),
            };
            self.plain.extend(piece);
        }
        self.received.drain(..start);
        if self.received.is_empty() {
            self.received.shrink_to(KEEP_BYTES);
        }
        Ok(())
    }

    /// Takes one whole frame. [`io::ErrorKind::WouldBlock`] while the last is not out.
    pub(crate) fn try_write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.has_unsent() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (header, payload) = frame.split_at_checked(HEADER_BYTES).ok_or_else(|| invalid("no whole frame"))?;
        for piece in std::iter::once(header).chain(payload.chunks(CHUNK_PLAIN_BYTES)) {
            let mut piece = piece.to_vec();
            self.engine.encrypt(&mut piece).map_err(|_| invalid("the session is used up"))?;
            self.unsent.append(&mut piece);
        }
        self.flush()?;
        Ok(frame.len())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.has_unsent() {
            match self.stream.try_write(&self.unsent) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent.shrink_to(KEEP_BYTES);
        Ok(())
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
