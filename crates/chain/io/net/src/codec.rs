use std::io;

use bq_sync::{Kind, Message, WireError};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};

/// What came over a stream: a message, or bytes that are none. Only messages are ever written.
pub(crate) type Frame = Result<Message, WireError>;

/// One message per direction of a stream: four bytes of length, then the message (SPEC 9.1). The length is checked
/// against the limit of the message's kind before anything is allocated, and memory grows only as bytes arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WireCodec {
    requests: &'static [Kind],
    answers: &'static [Kind],
}

impl WireCodec {
    /// Status, headers, and the mempool.
    pub(crate) const SYNC: Self = Self {
        requests: &[Kind::Status, Kind::GetHeaders, Kind::GetMempool],
        answers: &[Kind::Status, Kind::Headers, Kind::Mempool, Kind::Busy],
    };
    /// Blocks.
    pub(crate) const BLOCKS: Self = Self { requests: &[Kind::GetBlocks], answers: &[Kind::Blocks, Kind::Busy] };
    /// Addresses of other nodes.
    pub(crate) const ADDRESSES: Self =
        Self { requests: &[Kind::GetAddresses], answers: &[Kind::Addresses, Kind::Busy] };
}

impl request_response::Codec for WireCodec {
    type Protocol = StreamProtocol;
    type Request = Frame;
    type Response = Frame;

    async fn read_request<T>(&mut self, _: &Self::Protocol, io: &mut T) -> io::Result<Frame>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.requests).await
    }

    async fn read_response<T>(&mut self, _: &Self::Protocol, io: &mut T) -> io::Result<Frame>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.answers).await
    }

    async fn write_request<T>(&mut self, _: &Self::Protocol, io: &mut T, frame: Frame) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, frame).await
    }

    async fn write_response<T>(&mut self, _: &Self::Protocol, io: &mut T, frame: Frame) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, frame).await
    }
}

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T, allowed: &[Kind]) -> io::Result<Frame> {
    let mut head = [0; 5];
    io.read_exact(&mut head).await?;
    let [length @ .., first] = head;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    let Some(kind) = Kind::from_byte(first).filter(|kind| allowed.contains(kind)) else {
        return Ok(Err(WireError::UnknownKind(Some(first))));
    };
    if length == 0 || length > kind.bytes_max() {
        return Ok(Err(WireError::TooLong { kind, got: length, max: kind.bytes_max() }));
    }
    let mut bytes = vec![first];
    let rest = u64::try_from(length - 1).unwrap_or(u64::MAX);
    io.take(rest).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Message::from_bytes(&bytes))
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, frame: Frame) -> io::Result<()> {
    let bytes = frame.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?.to_bytes();
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(&bytes).await?;
    io.close().await
}

#[cfg(test)]
mod tests {
    use bq_primitives::BlockId;
    use futures::{executor::block_on, io::Cursor};

    use super::*;

    fn read_all(bytes: Vec<u8>, allowed: &[Kind]) -> io::Result<Frame> {
        block_on(read(&mut Cursor::new(bytes), allowed))
    }

    #[test]
    fn a_frame_survives_the_round_trip() {
        let message = Message::GetBlocks(vec![BlockId([3; 32])]);
        let mut stream = Cursor::new(Vec::new());
        block_on(write(&mut stream, Ok(message.clone()))).unwrap();
        assert_eq!(read_all(stream.into_inner(), WireCodec::BLOCKS.requests).unwrap(), Ok(message));
    }

    #[test]
    fn what_does_not_belong_here_is_refused_from_its_first_five_bytes() {
        let head = |length: u32, kind: u8| [&length.to_le_bytes()[..], &[kind]].concat();
        let refused = |bytes, allowed| read_all(bytes, allowed).unwrap().unwrap_err();
        assert_eq!(refused(head(10, 99), WireCodec::SYNC.requests), WireError::UnknownKind(Some(99)));
        let blocks = Kind::Blocks as u8;
        assert_eq!(refused(head(10, blocks), WireCodec::SYNC.answers), WireError::UnknownKind(Some(blocks)));
        for length in [0, u32::MAX] {
            let error = refused(head(length, blocks), WireCodec::BLOCKS.answers);
            assert!(matches!(error, WireError::TooLong { kind: Kind::Blocks, .. }), "{error}");
        }
        assert!(read_all(head(10, blocks), WireCodec::BLOCKS.answers).is_err(), "cut off");
    }
}
