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
