/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Verified in full and booked.
    Accepted {
        /// It was also a block.
        block: bool,
    },
    /// Not credited.
    Rejected(Reject),
}

/// Why a share earns nothing, in the order in which it is looked for (SPEC 11.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// The submit cannot be read; the text says which part.
    Malformed(&'static str),
    /// The connection has not logged in, or not as this worker.
    Unauthorized,
    /// The job was never given to this connection, or is forgotten.
    UnknownJob,
    /// Seen before.
    Duplicate,
    /// The proof does not meet the share target.
    LowDifficulty,
    /// The tip moved on, and it is no block.
    Stale,
    /// There is no room for it, or it cannot be written; not the miner's fault.
    Busy,
    /// The claimed result or mix is not what the proof computes to.
    BadProof,
}

impl Reject {
    /// In words that do not depend on a dialect.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Malformed(text) => text,
            Self::Unauthorized => "Not logged in, or not as this worker",
            Self::UnknownJob => "Job not found: never given to this connection, or forgotten",
            Self::Duplicate => "Duplicate share",
            Self::LowDifficulty => "Low difficulty share",
            Self::Stale => "Stale share: the chain had moved on",
            Self::Busy => "Server busy",
            Self::BadProof => "Wrong result: the work does not compute to it",
        }
    }
}
