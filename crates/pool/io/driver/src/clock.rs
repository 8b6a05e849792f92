use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Two readings of time. The pool takes both from outside, so that a simulator can make days pass in seconds.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970, as people and other machines read it: it may jump, also back.
    fn unix_ms(&self) -> u64;

    /// How long the clock has run: only moves forward. For windows and pauses.
    fn running(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock that runs from now on.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub(crate) fn shared() -> Arc<dyn Clock> {
        Arc::new(Self::start())
    }
}

impl Clock for SystemClock {
    /// 0 on a clock before 1970.
    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn running(&self) -> Duration {
        self.started.elapsed()
    }
}
