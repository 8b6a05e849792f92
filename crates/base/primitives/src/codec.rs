use crate::{Algorithm, AmountError, Height};

/// Why bytes are not the record they should be. Encodings are canonical: one value, one byte string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input stops early.
    #[error("input ends early: {needed} bytes needed, {left} left")]
    UnexpectedEnd {
        /// Bytes the next field takes.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// The record is complete and bytes remain.
    #[error("{0} bytes after the end of the record")]
    TrailingBytes(usize),
    /// A compact size was written in a longer form than it needs.
    #[error("compact size is not in its shortest form")]
    NonCanonicalSize,
    /// A list is longer than what is left can hold, or than its limit.
    #[error("count {got} is above the limit of {max}")]
    CountTooLarge {
        /// The count in the input.
        got: u64,
        /// The most that is allowed here.
        max: usize,
    },
    /// A header names an algorithm that does not exist.
    #[error("unknown algorithm id {0}")]
    UnknownAlgorithm(u8),
    /// A reserved header byte is not zero.
    #[error("reserved header bytes are not zero")]
    ReservedNotZero,
    /// An output amount is out of range.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// Reads a record field by field, never past its end, and never allocates more than the input holds.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let end = DecodeError::UnexpectedEnd { needed: count, left: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(end)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let end = DecodeError::UnexpectedEnd { needed: N, left: self.rest.len() };
        let (taken, rest) = self.rest.split_first_chunk().ok_or(end)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    /// A little-endian `u16`.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// A little-endian `u32`.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A little-endian `u64`.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A height.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn height(&mut self) -> Result<Height, DecodeError> {
        self.u32().map(Height)
    }

    /// An algorithm id.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`], [`DecodeError::UnknownAlgorithm`].
    pub fn algorithm(&mut self) -> Result<Algorithm, DecodeError> {
        let id = self.u8()?;
        Algorithm::try_from(id).map_err(|_| DecodeError::UnknownAlgorithm(id))
    }

    /// A compact size as in Bitcoin (1, 3, 5 or 9 bytes), only in its shortest form.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`], [`DecodeError::NonCanonicalSize`].
    pub fn compact_size(&mut self) -> Result<u64, DecodeError> {
        let (value, least) = match self.u8()? {
            0xfd => (u64::from(self.u16()?), 0xfd),
            0xfe => (u64::from(self.u32()?), 0x1_0000),
            0xff => (self.u64()?, 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least { Err(DecodeError::NonCanonicalSize) } else { Ok(value) }
    }

    /// The length of a list whose items take at least `item_bytes_min` bytes: never more than the input can hold,
    /// so the caller may allocate for it.
    ///
    /// # Errors
    /// As [`Decoder::compact_size`], and [`DecodeError::CountTooLarge`].
    pub fn count(&mut self, item_bytes_min: usize) -> Result<usize, DecodeError> {
        let got = self.compact_size()?;
        let max = self.rest.len().checked_div(item_bytes_min).unwrap_or(0);
        match usize::try_from(got) {
            Ok(count) if count <= max => Ok(count),
            _ => Err(DecodeError::CountTooLarge { got, max }),
        }
    }

    /// Ends the record.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] when something is left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes(left)),
        }
    }
}

/// Appends a compact size in its shortest form.
pub fn put_compact_size(out: &mut Vec<u8>, value: usize) {
    if let Ok(small @ 0..=0xfc) = u8::try_from(value) {
        out.push(small);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xfd);
        out.extend(value.to_le_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xfe);
        out.extend(value.to_le_bytes());
    } else {
        out.push(0xff);
        out.extend((value as u64).to_le_bytes());
    }
}
