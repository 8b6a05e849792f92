use crate::{Algorithm, DecodeError, Decoder};

/// The 16 bytes that make one miner's work different from every other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExtraNonce(pub [u8; 16]);

/// The proof fields of a block, a fixed-length record per algorithm (SPEC 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seal {
    /// 28 bytes. `version` and `ntime` are the miner's search space and mean nothing to consensus.
    Sha256d {
        /// Pool's and miner's extranonce.
        extranonce: ExtraNonce,
        /// Version field of the 80-byte work header.
        version: u32,
        /// Time field of the 80-byte work header.
        ntime: u32,
        /// Nonce of the 80-byte work header.
        nonce: u32,
    },
    /// 20 bytes.
    RandomX {
        /// Pool's extranonce.
        extranonce: ExtraNonce,
        /// Nonce of the 76-byte blob, little-endian at offset 39.
        nonce: u32,
    },
    /// 56 bytes.
    Ethash {
        /// Pool's extranonce.
        extranonce: ExtraNonce,
        /// Ethash nonce.
        nonce: u64,
        /// Ethash mix digest; determined by the other fields.
        mix: [u8; 32],
    },
}

impl Seal {
    /// A seal of zeros, which nobody has worked for: of genesis, and of headers that are judged by every rule but the proof.
    #[must_use]
    pub const fn blank(algorithm: Algorithm) -> Self {
        let extranonce = ExtraNonce([0; 16]);
        match algorithm {
            Algorithm::Sha256d => Self::Sha256d { extranonce, version: 0, ntime: 0, nonce: 0 },
            Algorithm::RandomX => Self::RandomX { extranonce, nonce: 0 },
            Algorithm::Ethash => Self::Ethash { extranonce, nonce: 0, mix: [0; 32] },
        }
    }

    /// Length of an encoded seal of `algorithm`.
    #[must_use]
    pub const fn encoded_len(algorithm: Algorithm) -> usize {
        match algorithm {
            Algorithm::Sha256d => 28,
            Algorithm::RandomX => 20,
            Algorithm::Ethash => 56,
        }
    }

    /// The algorithm this seal belongs to.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256d { .. } => Algorithm::Sha256d,
            Self::RandomX { .. } => Algorithm::RandomX,
            Self::Ethash { .. } => Algorithm::Ethash,
        }
    }

    /// The extranonce, which every seal has.
    #[must_use]
    pub const fn extranonce(&self) -> ExtraNonce {
        match self {
            Self::Sha256d { extranonce, .. } | Self::RandomX { extranonce, .. } | Self::Ethash { extranonce, .. } => {
                *extranonce
            }
        }
    }

    /// The record that is hashed and stored; integers little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::encoded_len(self.algorithm()));
        bytes.extend(self.extranonce().0);
        match self {
            Self::Sha256d { version, ntime, nonce, .. } => {
                bytes.extend(version.to_le_bytes());
                bytes.extend(ntime.to_le_bytes());
                bytes.extend(nonce.to_le_bytes());
            }
            Self::RandomX { nonce, .. } => bytes.extend(nonce.to_le_bytes()),
            Self::Ethash { nonce, mix, .. } => {
                bytes.extend(nonce.to_le_bytes());
                bytes.extend(mix);
            }
        }
        bytes
    }

    /// Reads the seal of `algorithm`.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn decode(algorithm: Algorithm, decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let extranonce = ExtraNonce(decoder.array()?);
        Ok(match algorithm {
            Algorithm::Sha256d => {
                Self::Sha256d { extranonce, version: decoder.u32()?, ntime: decoder.u32()?, nonce: decoder.u32()? }
            }
            Algorithm::RandomX => Self::RandomX { extranonce, nonce: decoder.u32()? },
            Algorithm::Ethash => Self::Ethash { extranonce, nonce: decoder.u64()?, mix: decoder.array()? },
        })
    }
}
