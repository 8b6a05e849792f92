use bq_primitives::{Algorithm, PowHash, Target};

/// Why there is no valid proof of work, or no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PowError {
    /// Header, seal and key do not belong to one algorithm.
    #[error("header is for {header}, seal for {seal}, key for {key}")]
    AlgorithmMismatch {
        /// What the header names.
        header: Algorithm,
        /// What the seal is made for.
        seal: Algorithm,
        /// What the caller's key is for.
        key: Algorithm,
    },
    /// The value misses the target.
    #[error("proof-of-work value {got} does not meet target {target}")]
    AboveTarget {
        /// The value, in the byte order of the algorithm.
        got: PowHash,
        /// What it had to meet.
        target: Target,
    },
    /// The Ethash mix in the seal is not the one the tables give.
    #[error("Ethash mix is {}, expected {}", hex(.got), hex(.expected))]
    WrongMix {
        /// In the seal.
        got: [u8; 32],
        /// Computed.
        expected: [u8; 32],
    },
    /// The epoch has no seed that miners know (SPEC 5.4).
    #[error("Ethash epoch {got} is above {max}")]
    EpochTooHigh {
        /// The epoch asked for.
        got: u32,
        /// The last one.
        max: u32,
    },
    /// The machine could not provide a table or a virtual machine.
    #[error("no memory for {what}: {bytes} bytes")]
    Memory {
        /// What was to be built.
        what: &'static str,
        /// Its size.
        bytes: u64,
    },
    /// A full dataset gives other values than the cache it was built from: this machine computes or stores wrongly.
    #[error("a full dataset disagrees with its cache; this machine's memory or processor is faulty")]
    WrongDataset,
}

impl PowError {
    /// The proof was examined and is bad: whoever sent it as valid is at fault, and it stays bad.
    /// Otherwise this machine could not examine it, which says nothing about the sender.
    #[must_use]
    pub const fn is_invalid_proof(&self) -> bool {
        match self {
            Self::AlgorithmMismatch { .. } | Self::AboveTarget { .. } | Self::WrongMix { .. } => true,
            Self::EpochTooHigh { .. } | Self::Memory { .. } | Self::WrongDataset => false,
        }
    }
}

fn hex(bytes: &[u8; 32]) -> PowHash {
    // `PowHash` prints exactly these 64 digits.
    PowHash(*bytes)
}
