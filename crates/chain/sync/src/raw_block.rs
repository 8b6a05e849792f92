use bq_primitives::{Block, BlockId, DecodeError, Decoder};

use crate::SealedHeader;

/// An encoded block whose header is read and whose body is not: reading 42 MB of witnesses is the node's work, naming
/// the block is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBlock {
    id: BlockId,
    bytes: Vec<u8>,
}

impl RawBlock {
    /// Reads header and seal, and keeps the bytes.
    ///
    /// # Errors
    /// The header or seal cannot be read, or there are more bytes than any block has.
    pub fn new(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        if bytes.len() > Block::ENCODED_BYTES_MAX {
            let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Err(DecodeError::CountTooLarge { got, max: Block::ENCODED_BYTES_MAX });
        }
        let id = SealedHeader::decode(&mut Decoder::new(&bytes))?.id();
        Ok(Self { id, bytes })
    }

    /// A block of our own, whose name is known.
    #[must_use]
    pub const fn known(id: BlockId, bytes: Vec<u8>) -> Self {
        Self { id, bytes }
    }

    /// The block's name, from its header and seal.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        self.id
    }

    /// The encoded block.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<&Block> for RawBlock {
    fn from(block: &Block) -> Self {
        Self { id: block.id(), bytes: block.to_bytes() }
    }
}
