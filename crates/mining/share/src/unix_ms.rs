use bq_primitives::Timestamp;

/// Milliseconds since 1970 that never go back: the wall time at the caller's start, counted from there by a clock that nobody
/// sets. A session's limits go by its differences; jobs begin their `ntime` with it and shares carry it. What needs
/// no time of day, as the sync of blocks, counts from any start instead (`bq_sync::Moment`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// This many milliseconds later.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here, 0 if it lies later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The second that it lies in.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        Timestamp(self.0 / 1000)
    }
}
