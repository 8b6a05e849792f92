use std::io::{self, Read as _, Write as _};

use rustls::ServerConnection;
use tokio::{
    io::{Interest, Ready},
    net::{TcpStream, UnixStream},
};

use crate::noise::NoiseWire;

/// What a miner's messages travel over. Nothing here waits but [`Wire::ready`].
pub(crate) enum Wire {
    Clear(TcpStream),
    Tls(Box<TlsWire>),
    Noise(Box<NoiseWire>),
    /// Within this process.
    Local(UnixStream),
}

/// A TLS session after its handshake.
pub(crate) struct TlsWire {
    stream: TcpStream,
    session: ServerConnection,
    /// Bytes that came out of the last record and were not asked for yet.
    readable: usize,
}

/// Most encrypted bytes that wait for the socket: a job or reply is not taken before the last is nearly out.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

impl Wire {
    pub(crate) fn tls(stream: TcpStream, mut session: ServerConnection) -> io::Result<Self> {
        session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        // The first lines may have come with the end of the handshake.
        let readable = session.process_new_packets().map_err(invalid)?.plaintext_bytes_to_read();
        Ok(Self::Tls(Box::new(TlsWire { stream, session, readable })))
    }

    /// Returns once one of `interest` may go on.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Tls(wire) if wire.readable > 0 && interest.is_readable() => Ok(Ready::READABLE),
            Self::Noise(wire) if wire.is_readable() && interest.is_readable() => Ok(Ready::READABLE),
            Self::Tls(wire) => wire.stream.ready(interest).await,
            Self::Noise(wire) => wire.stream.ready(interest).await,
            Self::Clear(stream) => stream.ready(interest).await,
            Self::Local(stream) => stream.ready(interest).await,
        }
    }

    /// Reads what is there; [`io::ErrorKind::WouldBlock`] if that is nothing yet.
    pub(crate) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.try_read(buffer),
            Self::Local(stream) => stream.try_read(buffer),
            Self::Tls(wire) => wire.try_read(buffer),
            Self::Noise(wire) => wire.try_read(buffer),
        }
    }

    /// Writes what fits; [`io::ErrorKind::WouldBlock`] if that is nothing yet.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.try_write(bytes),
            Self::Local(stream) => stream.try_write(bytes),
            Self::Tls(wire) => wire.try_write(bytes),
            Self::Noise(wire) => wire.try_write(bytes),
        }
    }

    /// Something that was written has not left yet: call [`Wire::flush`] once the socket is writable.
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Self::Clear(_) | Self::Local(_) => false,
            Self::Tls(wire) => wire.session.wants_write(),
            Self::Noise(wire) => wire.has_unsent(),
        }
    }

    /// Sends on what was written before, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(_) | Self::Local(_) => Ok(()),
            Self::Tls(wire) => wire.flush(),
            Self::Noise(wire) => wire.flush(),
        }
    }

    /// Another process could go on with it.
    pub(crate) const fn is_clear(&self) -> bool {
        matches!(self, Self::Clear(_))
    }

    pub(crate) const fn is_noise(&self) -> bool {
        matches!(self, Self::Noise(_))
    }

    /// Tells a TLS client that this is the end and not a cut. What does not fit is not waited for.
    pub(crate) fn say_goodbye(&mut self) {
        if let Self::Tls(wire) = self {
            wire.session.send_close_notify();
            let _gone = wire.flush();
        }
    }
}

impl TlsWire {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.readable == 0 {
            let count = self.session.read_tls(&mut Socket(&self.stream))?;
            if count == 0 {
                return Ok(0);
            }
            match self.session.process_new_packets() {
                Ok(state) if state.peer_has_closed() && state.plaintext_bytes_to_read() == 0 => return Ok(0),
                Ok(state) => self.readable = state.plaintext_bytes_to_read(),
                Err(error) => {
                    // The alert that says why.
                    let _gone = self.flush();
                    return Err(invalid(error));
                }
            }
        }
        // Without a whole record this is an error of the kind that means "not yet".
        let count = self.session.reader().read(buffer)?;
        self.readable = self.readable.saturating_sub(count);
        Ok(count)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.session.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Socket(&self.stream)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The socket as rustls reads and writes it: never waiting.
pub(crate) struct Socket<'a>(pub(crate) &'a TcpStream);

impl io::Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
