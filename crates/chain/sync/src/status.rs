use bq_primitives::{BlockId, DecodeError, Decoder, Height, U256, Work};

/// The end of a chain, as a node knows its own and as a peer claims its.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainTip {
    /// The block.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// Sum of block weights up to it (SPEC 4.2). A peer's is a claim until its headers prove it.
    pub work: Work,
}

/// The first thing two peers tell each other, and again from time to time (SPEC 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// [`crate::PROTOCOL_VERSION`] of the sender.
    pub version: u32,
    /// Which chain the sender follows.
    pub genesis_id: BlockId,
    /// The end of the best chain whose blocks the sender holds.
    pub tip: ChainTip,
}

impl Status {
    /// Bytes of the encoding: version, genesis, tip id, height, work; integers little-endian.
    pub(crate) const BYTES: usize = 4 + 32 + 32 + 4 + 32;

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.version.to_le_bytes());
        out.extend(self.genesis_id.0);
        out.extend(self.tip.id.0);
        out.extend(self.tip.height.0.to_le_bytes());
        out.extend(self.tip.work.0.to_le_bytes::<32>());
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: decoder.u32()?,
            genesis_id: BlockId(decoder.array()?),
            tip: ChainTip {
                id: BlockId(decoder.array()?),
                height: decoder.height()?,
                work: Work(U256::from_le_bytes(decoder.array::<32>()?)),
            },
        })
    }
}
