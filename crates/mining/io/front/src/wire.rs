use std::io;

use tokio::{
    io::{Interest, Ready},
    net::{TcpStream, UnixStream},
};

use crate::{noise::NoiseWire, tls_session::TlsSession};

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
    pub(crate) stream: TcpStream,
    pub(crate) session: TlsSession,
}

/// Read from the socket at once.
pub(crate) const READ_BYTES: usize = 4_096;

impl Wire {
    /// Returns once one of `interest` may go on.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Tls(wire) if wire.session.is_readable() && interest.is_readable() => Ok(Ready::READABLE),
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
            Self::Tls(wire) => wire.has_unsent(),
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
            wire.session.say_goodbye();
            let _gone = wire.flush();
        }
    }
}

impl TlsWire {
    pub(crate) const fn new(stream: TcpStream, session: TlsSession) -> Self {
        Self { stream, session }
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.session.unsent().is_empty()
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.session.is_readable() {
            let mut came = [0; READ_BYTES];
            let count = self.stream.try_read(&mut came)?;
            if count == 0 {
                return Ok(0);
            }
            if let Err(error) = self.session.receive(&came[..count]) {
                // The alert that says why.
                let _gone = self.flush();
                return Err(invalid(error));
            }
        }
        Ok(self.session.read(buffer))
    }

    /// Takes one record's worth. [`io::ErrorKind::WouldBlock`] while the last is not out.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.has_unsent() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.session.write(bytes).map_err(invalid)?;
        self.flush()?;
        Ok(count)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.has_unsent() {
            match self.stream.try_write(self.session.unsent()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.session.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
