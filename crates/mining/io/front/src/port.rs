use std::fmt;

use bq_mining_message::AccountScheme;
use bq_primitives::Algorithm;

/// What is spoken on a port.
// Three bytes wide, a pair of it and a descriptor comes out wrong of rustc 1.95 (LLVM puts garbage into the descriptor): four are copied right.
#[repr(align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Port {
    /// Lines, of one algorithm.
    V1(Algorithm),
    /// Frames inside Noise; SHA-256d alone.
    V2,
    /// Lines, of one algorithm, whose miners are paid so whatever their accounts chose (SPEC 8.9.12).
    Scheme(AccountScheme, Algorithm),
}

impl Port {
    /// Where lines are spoken: for miners whose accounts choose, or who are all paid by one scheme.
    #[must_use]
    pub const fn of_lines(algorithm: Algorithm, scheme: Option<AccountScheme>) -> Self {
        match scheme {
            None => Self::V1(algorithm),
            Some(scheme) => Self::Scheme(scheme, algorithm),
        }
    }

    /// Whose work it is.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::V1(algorithm) | Self::Scheme(_, algorithm) => algorithm,
            Self::V2 => Algorithm::Sha256d,
        }
    }

    /// How everybody is paid here; nothing where accounts choose.
    #[must_use]
    pub const fn scheme(self) -> Option<AccountScheme> {
        match self {
            Self::Scheme(scheme, _) => Some(scheme),
            Self::V1(_) | Self::V2 => None,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V1(algorithm) => algorithm.fmt(f),
            Self::V2 => f.write_str("sha256d (Stratum V2)"),
            Self::Scheme(scheme, algorithm) => write!(f, "{algorithm} ({scheme})"),
        }
    }
}
