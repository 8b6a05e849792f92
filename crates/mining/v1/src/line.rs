/// Longest line that is read, newline included. The longest honest one, an xmrig login with all its algorithms, is
/// below 1 KiB.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// A line grew past [`LINE_BYTES_MAX`]: the connection must end, for where the next line starts is anyone's guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line of more than {LINE_BYTES_MAX} bytes")]
pub struct LineTooLong;

/// Cuts a byte stream into lines. Holds one unfinished line and the chunk last read, never more; gives the memory back
/// between bursts, because ten thousand idle connections each keep one.
#[derive(Debug, Default)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Everything before this was handed out.
    start: usize,
    /// No newline lies between `start` and this.
    searched: usize,
}

/// Capacity worth keeping for the next line.
const KEEP_BYTES: usize = 512;

impl LineBuffer {
    /// Adds what the socket gave. Take every line out with [`LineBuffer::next_line`] before adding more.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.start.min(self.bytes.len()));
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        self.bytes.extend_from_slice(chunk);
    }

    /// The next complete line without its end (`\n` or `\r\n`).
    ///
    /// # Errors
    /// [`LineTooLong`]; the buffer is of no further use then.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
        let Some(offset) = unsearched.iter().position(|byte| *byte == b'\n') else {
            return self.wait();
        };
        let (start, end) = (self.start, self.searched.saturating_add(offset));
        self.start = end.saturating_add(1);
        self.searched = self.start;
        let line = self.bytes.get(start..end).unwrap_or_default();
        if line.len() >= LINE_BYTES_MAX {
            return Err(LineTooLong);
        }
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    fn wait(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        self.searched = self.bytes.len();
        let unfinished = self.bytes.len().saturating_sub(self.start);
        if unfinished >= LINE_BYTES_MAX {
            return Err(LineTooLong);
        }
        if unfinished == 0 {
            self.bytes.clear();
            self.bytes.shrink_to(KEEP_BYTES);
            (self.start, self.searched) = (0, 0);
        }
        Ok(None)
    }

    /// What was pushed and not taken out yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
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

    fn lines(chunks: &[&[u8]]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            buffer.push(chunk);
            while let Some(line) = buffer.next_line()? {
                lines.push(line.to_vec());
            }
        }
        Ok(lines)
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_are() {
        assert_eq!(lines(&[b"ab", b"c\nde\r\n", b"\nf"]), Ok(vec![b"abc".to_vec(), b"de".to_vec(), vec![]]));
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_and_one_more_byte_ends_it() {
        let fits = [vec![b'x'; LINE_BYTES_MAX - 1], b"\n".to_vec()].concat();
        assert_eq!(lines(&[&fits]).unwrap()[0].len(), LINE_BYTES_MAX - 1);
        let long = [vec![b'x'; LINE_BYTES_MAX], b"\n".to_vec()].concat();
        assert_eq!(lines(&[&long]), Err(LineTooLong));
        assert_eq!(lines(&[&long[..LINE_BYTES_MAX]]), Err(LineTooLong));
    }

    #[test]
    fn memory_is_given_back() {
        let mut buffer = LineBuffer::default();
        buffer.push(&[vec![b'x'; 6000], b"\n".to_vec()].concat());
        assert!(buffer.next_line().unwrap().is_some());
        assert!(buffer.next_line().unwrap().is_none());
        assert!(buffer.capacity() <= KEEP_BYTES);
    }

    proptest! {
        #[test]
        fn chunking_never_matters(text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300), cut in 1usize..40) {
            let model: Vec<Vec<u8>> = {
                let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
                parts.pop();
                parts.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect()
            };
            let chunks: Vec<&[u8]> = text.chunks(cut).collect();
            prop_assert_eq!(lines(&chunks).unwrap(), model);
        }
    }
}
