/// A line that is longer than a pool may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of the pool has more than {max} bytes")]
pub struct LineTooLong {
    /// Allowed.
    pub max: usize,
}

/// Cuts bytes into lines. What was read and not yet returned stays here.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// No newline lies before it: each byte is looked at once.
    searched: usize,
    max: usize,
}

impl Lines {
    /// Lines of at most `max` bytes.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { buffer: Vec::new(), searched: 0, max }
    }

    /// Where to append what was read; at most `max` bytes at a time, or memory is the sender's to fill.
    pub const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The next whole line without its end, if there is one.
    ///
    /// # Errors
    /// A line is too long, whole or not.
    pub fn cut(&mut self) -> Result<Option<Vec<u8>>, LineTooLong> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let end = unsearched.iter().position(|byte| *byte == b'\n').map(|end| end.saturating_add(self.searched));
        if end.unwrap_or(self.buffer.len()) > self.max {
            return Err(LineTooLong { max: self.max });
        }
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        self.searched = 0;
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `pieces`, read one after the other.
    fn all(max: usize, pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let (mut lines, mut read) = (Lines::new(max), Vec::new());
        for piece in pieces {
            lines.buffer().extend(*piece);
            while let Some(line) = lines.cut()? {
                read.push(line);
            }
        }
        Ok(read)
    }

    #[test]
    fn lines_end_at_newlines_and_are_bounded() {
        let expected = Ok(vec![b"a".to_vec(), vec![], b"bcd".to_vec()]);
        assert_eq!(all(3, &[b"a\n\nbc", b"d", b"\ne"]), expected);
        assert_eq!(all(3, &[b"abcd\n"]), Err(LineTooLong { max: 3 }));
        assert_eq!(all(3, &[b"ab", b"cd"]), Err(LineTooLong { max: 3 }));
    }
}
