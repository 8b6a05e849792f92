use crate::{
    Algorithm, BlockId, CompactTarget, DecodeError, Decoder, Height, MerkleRoot, Seal, SealHash, Timestamp,
    hash::tagged_hash,
};

/// Bytes of an encoded [`Header`].
pub const HEADER_BYTES: usize = 120;

/// A block header without its proof (SPEC 5.2): what the seal commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Format of the block.
    pub version: u32,
    /// The block this one builds on.
    pub parent_id: BlockId,
    /// Merkle root of the transaction ids.
    pub tx_root: MerkleRoot,
    /// Merkle root of the witness transaction ids.
    pub witness_root: MerkleRoot,
    /// When the miner says the block was made.
    pub time: Timestamp,
    /// Parent's height plus one.
    pub height: Height,
    /// The target of `algorithm` at this height.
    pub bits: CompactTarget,
    /// The algorithm that seals this block.
    pub algorithm: Algorithm,
}

impl Header {
    /// The 120 bytes that are hashed and stored; integers little-endian, the last three bytes zero.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let fields: [&[u8]; 8] = [
            &self.version.to_le_bytes(),
            &self.parent_id.0,
            &self.tx_root.0,
            &self.witness_root.0,
            &self.time.0.to_le_bytes(),
            &self.height.0.to_le_bytes(),
            &self.bits.0.to_le_bytes(),
            &[self.algorithm.id()],
        ];
        for (byte, field) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *field;
        }
        bytes
    }

    /// Reads the next 120 bytes.
    ///
    /// # Errors
    /// A short input, an unknown algorithm, or reserved bytes that are not zero.
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let header = Self {
            version: decoder.u32()?,
            parent_id: BlockId(decoder.array()?),
            tx_root: MerkleRoot(decoder.array()?),
            witness_root: MerkleRoot(decoder.array()?),
            time: Timestamp(decoder.u64()?),
            height: decoder.height()?,
            bits: CompactTarget(decoder.u32()?),
            algorithm: decoder.algorithm()?,
        };
        match decoder.array()? {
            [0, 0, 0] => Ok(header),
            _ => Err(DecodeError::ReservedNotZero),
        }
    }

    /// `S = T("BQIP0002/seal", header)`: what every algorithm works on.
    #[must_use]
    pub fn seal_hash(&self) -> SealHash {
        SealHash(tagged_hash("BQIP0002/seal", &[&self.to_bytes()]))
    }

    /// `T("BQIP0002/block", header || seal)`: the name of the sealed block.
    #[must_use]
    pub fn block_id(&self, seal: &Seal) -> BlockId {
        BlockId(tagged_hash("BQIP0002/block", &[&self.to_bytes(), &seal.to_bytes()]))
    }
}
