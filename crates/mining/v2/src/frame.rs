//! Frames as they are before encryption: a header of six bytes, then the payload.

use framing_sv2::header::Header;

/// Most bytes of a payload that is read. The longest honest one that a pool is sent, a `SetupConnection` with five full names,
/// is below 1.5 KiB.
pub const FRAME_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a header.
pub const HEADER_BYTES: usize = Header::SIZE;

/// A header announces more than [`FRAME_BYTES_MAX`]: the connection must end, for nobody waits for so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLong;

/// Bytes of the payload that a header announces.
///
/// # Errors
/// [`FrameTooLong`].
pub fn payload_bytes(header: [u8; HEADER_BYTES]) -> Result<usize, FrameTooLong> {
    let header = Header::from_bytes(&header).map_err(|_| FrameTooLong)?;
    Some(header.payload_length()).filter(|bytes| *bytes <= FRAME_BYTES_MAX).ok_or(FrameTooLong)
}

/// Cuts a stream of plain bytes into frames. Holds one unfinished frame and the chunk read last, never more; gives the memory back
/// between bursts.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// Everything before this was handed out.
    start: usize,
}

/// Capacity worth keeping for the next frame.
const KEEP_BYTES: usize = 512;

impl FrameBuffer {
    /// Adds what the transport gave. Take every frame out with [`FrameBuffer::next_frame`] before adding more.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.start.min(self.bytes.len()));
        self.start = 0;
        self.bytes.extend_from_slice(chunk);
    }

    /// The next complete frame, header and payload. It may be written to: decoders borrow it so.
    ///
    /// # Errors
    /// [`FrameTooLong`]; the buffer is of no further use then.
    pub fn next_frame(&mut self) -> Result<Option<&mut [u8]>, FrameTooLong> {
        let here = self.bytes.get(self.start..).unwrap_or_default();
        let Some(header) = here.first_chunk() else { return Ok(self.wait()) };
        let length = payload_bytes(*header)?.saturating_add(HEADER_BYTES);
        if here.len() < length {
            return Ok(self.wait());
        }
        let (start, end) = (self.start, self.start.saturating_add(length));
        self.start = end;
        Ok(self.bytes.get_mut(start..end))
    }

    fn wait(&mut self) -> Option<&mut [u8]> {
        if self.start >= self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEEP_BYTES);
            self.start = 0;
        }
        None
    }

    /// Bytes this buffer holds on to.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let [a, b, c, _] = u32::try_from(length).unwrap().to_le_bytes();
        [vec![0, 0x80, 0x1a, a, b, c], vec![7; length]].concat()
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            lengths in proptest::collection::vec(0_usize..3_000, 1..6), cuts in 1_usize..5_000
        ) {
            let stream: Vec<u8> = lengths.iter().flat_map(|length| frame(*length)).collect();
            let (mut buffer, mut seen) = (FrameBuffer::default(), Vec::new());
            for chunk in stream.chunks(cuts) {
                buffer.push(chunk);
                while let Some(frame) = buffer.next_frame().unwrap() {
                    seen.push(frame.to_vec());
                }
            }
            prop_assert_eq!(seen, lengths.into_iter().map(frame).collect::<Vec<_>>());
            prop_assert!(buffer.capacity() <= KEEP_BYTES);
        }
    }

    #[test]
    fn a_frame_of_more_than_is_read_is_told_from_its_header() {
        for (length, is_read) in [(FRAME_BYTES_MAX, true), (FRAME_BYTES_MAX + 1, false), ((1 << 24) - 1, false)] {
            let mut buffer = FrameBuffer::default();
            buffer.push(frame(length).get(..HEADER_BYTES).unwrap());
            assert_eq!(buffer.next_frame().is_ok(), is_read, "{length}");
        }
    }
}
