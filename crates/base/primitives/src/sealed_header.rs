use crate::{BlockId, DecodeError, Decoder, Header, Seal};

/// A header and its proof, not judged yet: what decides a block's place in the tree (SPEC 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedHeader {
    /// What is sealed.
    pub header: Header,
    /// The proof.
    pub seal: Seal,
}

impl SealedHeader {
    /// The block's name.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.header.block_id(&self.seal)
    }

    /// Appends the 120 header bytes and the seal.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.header.to_bytes());
        out.extend(self.seal.to_bytes());
    }

    /// Reads 120 header bytes and the seal of the header's algorithm.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let header = Header::decode(decoder)?;
        Ok(Self { header, seal: Seal::decode(header.algorithm, decoder)? })
    }
}

/// A sealed header and its name, which is computed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedHeader {
    sealed: SealedHeader,
    id: BlockId,
}

impl NamedHeader {
    /// The header and its proof.
    #[must_use]
    pub const fn sealed(&self) -> &SealedHeader {
        &self.sealed
    }

    /// The block's name.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        self.id
    }
}

impl From<SealedHeader> for NamedHeader {
    fn from(sealed: SealedHeader) -> Self {
        Self { sealed, id: sealed.id() }
    }
}
