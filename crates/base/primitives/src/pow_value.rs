use std::fmt;

use crate::{Algorithm, NetworkDifficulty, PowHash, Target, U256};

/// What a proof of work comes to, as a number: the smaller, the more work. Made from the hash here and nowhere else, so that
/// which end of a hash is the most significant is known in one place (SPEC 5.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PowValue(U256);

impl PowValue {
    /// The value of a hash as `algorithm` returns it: little-endian for SHA-256d and RandomX, big-endian for Ethash.
    #[must_use]
    pub fn of(algorithm: Algorithm, hash: &PowHash) -> Self {
        Self(match algorithm {
            Algorithm::Sha256d | Algorithm::RandomX => U256::from_le_bytes(hash.0),
            Algorithm::Ethash => U256::from_be_bytes(hash.0),
        })
    }

    /// Expected hashes for a value as low as this.
    #[must_use]
    pub fn difficulty(self) -> NetworkDifficulty {
        NetworkDifficulty::of_target(Target(self.0))
    }

    /// It is as low as `target` asks for.
    #[must_use]
    pub fn meets(self, target: &Target) -> bool {
        self.0 <= target.0
    }
}

impl fmt::Debug for PowValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PowValue({:064x})", self.0)
    }
}
