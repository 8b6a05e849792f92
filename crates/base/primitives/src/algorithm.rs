use std::{fmt, str::FromStr};

/// A proof-of-work algorithm that may seal a block (SPEC 2.1). The discriminant is the header's algorithm id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Algorithm {
    /// Double SHA-256 over an 80-byte Bitcoin-shaped work header.
    Sha256d = 0,
    /// RandomX v1 (`rx/0`) over a 76-byte blob.
    RandomX = 1,
    /// Ethash over a 32-byte work hash and a 64-bit nonce.
    Ethash = 2,
}

impl Algorithm {
    /// How many algorithms exist; the length of a table indexed by [`Algorithm::index`].
    pub const COUNT: usize = 3;

    /// Every algorithm, in increasing id.
    pub const ALL: [Self; Self::COUNT] = [Self::Sha256d, Self::RandomX, Self::Ethash];

    /// The id written into the header.
    #[must_use]
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The id as a table index, below [`Algorithm::COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used in flags, configuration, API and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256d => "sha256d",
            Self::RandomX => "randomx",
            Self::Ethash => "ethash",
        }
    }
}

/// An algorithm id or name that this software does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown algorithm {0}; known are 0 sha256d, 1 randomx, 2 ethash")]
pub struct UnknownAlgorithm(pub String);

impl TryFrom<u8> for Algorithm {
    type Error = UnknownAlgorithm;

    fn try_from(id: u8) -> Result<Self, UnknownAlgorithm> {
        match id {
            0 => Ok(Self::Sha256d),
            1 => Ok(Self::RandomX),
            2 => Ok(Self::Ethash),
            other => Err(UnknownAlgorithm(other.to_string())),
        }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
