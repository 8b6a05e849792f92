use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use bq_signer::{MESSAGE_BYTES_MAX, read_message, write_message};
use serde::{Serialize, de::DeserializeOwned};

/// One connection: messages with their lengths before them (SPEC 8.12.1), each within a time.
#[derive(Debug)]
pub(crate) struct Line {
    stream: UnixStream,
    patience: Duration,
}

/// Read at once: a message takes memory as it arrives, not as it announces itself.
const CHUNK_BYTES: usize = 64 << 10;

impl Line {
    pub(crate) const fn new(stream: UnixStream, patience: Duration) -> Self {
        Self { stream, patience }
    }

    /// Sends a message. Blocks, for `patience` at most.
    pub(crate) fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let bytes = write_message(message).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let until = self.deadline()?;
        self.write_all(&length.to_be_bytes(), until)?;
        self.write_all(&bytes, until)
    }

    /// Receives a message; nothing if the other end has closed between two. Blocks, for `patience` at most.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let until = self.deadline()?;
        let mut length = [0; 4];
        if self.read(&mut length[..1], until)? == 0 {
            return Ok(None);
        }
        self.read_exact(&mut length[1..], until)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
        }
        let mut bytes = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        while bytes.len() < length {
            let wanted = chunk.len().min(length - bytes.len());
            let came = self.read(&mut chunk[..wanted], until)?;
            if came == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&chunk[..came]);
        }
        read_message(&bytes).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn deadline(&self) -> io::Result<Instant> {
        Instant::now().checked_add(self.patience).ok_or_else(|| io::Error::other("such a patience has no end"))
    }

    fn read_exact(&mut self, mut into: &mut [u8], until: Instant) -> io::Result<()> {
        while !into.is_empty() {
            let came = self.read(into, until)?;
            if came == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            into = &mut into[came..];
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8], until: Instant) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(until)?))?;
        retried(|| self.stream.read(into))
    }

    fn write_all(&mut self, mut bytes: &[u8], until: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(left(until)?))?;
            let went = retried(|| self.stream.write(bytes))?;
            bytes = &bytes[went..];
        }
        Ok(())
    }
}

/// Until then; the system takes no time of zero.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// What a signal interrupted is done again; a time that is over has one name.
fn retried(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            done => return done,
        }
    }
}
