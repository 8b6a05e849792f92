use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bq_share::UnixMs;

/// Wall time that never jumps: read once at start, then counted by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SteadyClock {
    started: Instant,
    unix_ms: u64,
}

impl SteadyClock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), unix_ms: wall().0 }
    }

    pub(crate) fn now(&self) -> UnixMs {
        UnixMs(self.unix_ms.saturating_add(millis(self.started.elapsed())))
    }

    /// The instant at which [`SteadyClock::now`] reaches `time`.
    pub(crate) fn instant(&self, time: UnixMs) -> Instant {
        self.started + Duration::from_millis(time.0.saturating_sub(self.unix_ms))
    }
}

/// What the system's clock says now. It may jump, as when it is set: for what others date by theirs.
pub(crate) fn wall() -> UnixMs {
    UnixMs(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
