use std::fmt;

use bq_primitives::tagged_hash;
use serde::{Deserialize, Serialize};

/// Number of an event: 1 for the first, without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogNumber(pub u64);

/// Commits to an event and to all before it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogHash(pub [u8; 32]);

/// Where the log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Number of the newest event; 0 in an empty log.
    pub number: LogNumber,
    /// Its hash; zero in an empty log.
    pub hash: LogHash,
}

impl LogNumber {
    /// The number of the event after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl LogHead {
    /// The head once an event with these bytes is appended: `hash(n) = T("BQIP0002/pool-log", hash(n - 1) || bytes(n))`
    /// (SPEC 8.6).
    #[must_use]
    pub fn after(&self, bytes: &[u8]) -> Self {
        let hash = LogHash(tagged_hash("BQIP0002/pool-log", &[&self.hash.0, bytes]));
        Self { number: self.number.next(), hash }
    }
}

impl fmt::Display for LogNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for LogHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LogHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogHash({self})")
    }
}
