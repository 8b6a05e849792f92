//! The encoding of everything here: whole numbers of seven bits a byte, the least significant first, none longer than it must be. One value,
//! one byte string: a reader refuses every other.

/// Bytes that no writer of this crate made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// They end too early.
    #[error("the bytes end inside the {0}")]
    End(&'static str),
    /// A number is longer than it must be, or larger than its kind.
    #[error("the {0} is no number of its kind")]
    Number(&'static str),
    /// A field holds what no writer puts there.
    #[error("the {0} is impossible")]
    Field(&'static str),
    /// A newer software wrote them.
    #[error("version {0} is not known")]
    Version(u8),
    /// More follows.
    #[error("{0} bytes too many")]
    Trailing(usize),
}

/// What is left to be read.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// Reads all of `bytes` as one value, behind a byte that names the version.
    pub(crate) fn all<T>(
        bytes: &'a [u8],
        version: u8,
        read: impl FnOnce(&mut Self) -> Result<T, HistoryError>,
    ) -> Result<T, HistoryError> {
        let mut reader = Self(bytes);
        match reader.byte("version")? {
            known if known == version => {}
            other => return Err(HistoryError::Version(other)),
        }
        let value = read(&mut reader)?;
        match reader.0.len() {
            0 => Ok(value),
            left => Err(HistoryError::Trailing(left)),
        }
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, HistoryError> {
        let (first, rest) = self.0.split_first().ok_or(HistoryError::End(what))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], HistoryError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(HistoryError::End(what))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array(&mut self, what: &'static str) -> Result<[u8; 32], HistoryError> {
        self.bytes(32, what)?.try_into().map_err(|_| HistoryError::End(what))
    }

    pub(crate) fn wide(&mut self, what: &'static str) -> Result<u128, HistoryError> {
        let mut value = 0_u128;
        let mut shift = 0_u32;
        loop {
            let byte = self.byte(what)?;
            let bits = u128::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift).filter(|shifted| shifted.checked_shr(shift) == Some(bits));
            value |= shifted.ok_or(HistoryError::Number(what))?;
            if byte & 0x80 == 0 {
                // A last byte of nothing says what fewer bytes say.
                return if byte == 0 && shift > 0 { Err(HistoryError::Number(what)) } else { Ok(value) };
            }
            shift = shift.saturating_add(7);
        }
    }

    pub(crate) fn number<T: TryFrom<u128>>(&mut self, what: &'static str) -> Result<T, HistoryError> {
        T::try_from(self.wide(what)?).map_err(|_| HistoryError::Number(what))
    }

    /// A number that is at least 1.
    pub(crate) fn positive<T: TryFrom<u128>>(&mut self, what: &'static str) -> Result<T, HistoryError> {
        match self.wide(what)? {
            0 => Err(HistoryError::Field(what)),
            value => T::try_from(value).map_err(|_| HistoryError::Number(what)),
        }
    }
}

pub(crate) fn put(bytes: &mut Vec<u8>, value: impl Into<u128>) {
    let mut rest: u128 = value.into();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}
