use std::time::{SystemTime, UNIX_EPOCH};

use bq_primitives::Timestamp;

/// The system's clock; a time before 1970 is 0.
pub(crate) fn wall() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// A random number to draw addresses with; 0 if the system has none, which only makes a draw predictable.
pub(crate) fn draw() -> u64 {
    getrandom::u64().unwrap_or(0)
}
