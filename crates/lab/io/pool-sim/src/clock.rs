use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use bq_pool::Clock;

/// The one clock of a simulation. What people read off it may be wrong; how long it ran is not.
#[derive(Debug, Default)]
pub(crate) struct SimClock {
    now_ms: AtomicU64,
    off_ms: AtomicI64,
}

/// When every simulation starts, in milliseconds since 1970.
const START_MS: u64 = 1_800_000_000_000;

impl SimClock {
    pub(crate) fn pass(&self, span: Duration) {
        self.now_ms.fetch_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Somebody sets the machine's clock.
    pub(crate) fn jump(&self, by_ms: i64) {
        self.off_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Milliseconds since 1970, had nobody set the clock since the start.
    pub(crate) fn started_ms(&self) -> u64 {
        START_MS.saturating_add(self.now_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn story_secs(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed) / 1000
    }
}

impl Clock for SimClock {
    fn unix_ms(&self) -> u64 {
        self.started_ms().saturating_add_signed(self.off_ms.load(Ordering::Relaxed))
    }

    fn running(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::Relaxed))
    }
}
