use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest line a pool may send: the longest in use, a job with many branches, takes some 3 KiB.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Cuts a stream into lines. What was read and not yet returned stays here, so `next` may be cancelled at any time.
pub(super) struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) const fn new(from: R) -> Self {
        Self { from, buffer: Vec::new() }
    }

    /// The next line without its end.
    ///
    /// # Errors
    /// The stream ended or failed, or a line is too long.
    pub(super) async fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                return Ok(line);
            }
            if self.buffer.len() >= LINE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "line too long"));
            }
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(bytes: &[u8]) -> (Vec<Vec<u8>>, io::ErrorKind) {
        let mut lines = Lines::new(bytes);
        let mut read = Vec::new();
        loop {
            match lines.next().await {
                Ok(line) => read.push(line),
                Err(error) => return (read, error.kind()),
            }
        }
    }

    #[tokio::test]
    async fn lines_end_at_newlines_and_are_bounded() {
        assert_eq!(
            all(b"a\n\nbc\nd").await,
            (vec![b"a".to_vec(), vec![], b"bc".to_vec()], io::ErrorKind::UnexpectedEof)
        );
        let endless = vec![b'x'; 2 * LINE_BYTES_MAX];
        assert_eq!(all(&endless).await, (vec![], io::ErrorKind::InvalidData));
    }
}
