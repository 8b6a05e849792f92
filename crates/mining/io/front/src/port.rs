use std::fmt;

use bq_primitives::Algorithm;

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Port {
    /// Lines, of one algorithm.
    V1(Algorithm),
    /// Frames inside Noise; SHA-256d alone.
    V2,
}

impl Port {
    /// Whose work it is.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::V1(algorithm) => algorithm,
            Self::V2 => Algorithm::Sha256d,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V1(algorithm) => algorithm.fmt(f),
            Self::V2 => f.write_str("sha256d (Stratum V2)"),
        }
    }
}
