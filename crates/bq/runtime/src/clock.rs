use std::time::{SystemTime, UNIX_EPOCH};

use bq_primitives::Timestamp;

/// The system's wall clock in seconds since 1970. A clock before 1970 reads 0.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp(now_ms() / 1_000)
}

/// The system's wall clock in milliseconds since 1970. A clock before 1970 reads 0.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_milliseconds_are_one_clock() {
        let (before, middle, after) = (now_ms(), now().0, now_ms());
        assert!(before / 1_000 <= middle && middle <= after / 1_000);
        assert!(middle > 1_700_000_000, "seconds since 1970, not since start");
    }
}
