use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bq_primitives::Timestamp;
use bq_sync::Moment;

/// The driver's instants as moments of the state machine, whose time begins here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uptime(Instant);

impl Uptime {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Moment {
        Moment(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The instant at which [`Uptime::now`] reaches `moment`.
    pub(crate) fn instant(self, moment: Moment) -> Instant {
        self.0 + Duration::from_millis(moment.0)
    }
}

/// The system's clock; a time before 1970 is 0.
pub(crate) fn wall() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// A random number to draw addresses with; 0 if the system has none, which only makes a draw predictable.
pub(crate) fn draw() -> u64 {
    getrandom::u64().unwrap_or(0)
}
