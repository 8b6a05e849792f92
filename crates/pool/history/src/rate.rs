use bq_primitives::{ShareDifficulty, Timestamp};

use crate::{
    HistoryError, Ring, Span,
    codec::{Reader, put},
};

/// Time that a rate is taken over at least: two shares in a row do not read as a giant.
const SPAN_SECS_MIN: u64 = 10;

/// A window of a rate that slots of five minutes can tell. The shorter ones, of a minute and of ten, want every share: who counts shares
/// keeps those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Window {
    /// Both, the shorter first.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// Its length in seconds.
    #[must_use]
    pub const fn secs(self) -> u64 {
        match self {
            Self::Hour => Span::Hour.secs(),
            Self::Day => Span::Day.secs(),
        }
    }

    /// Slots of five minutes that it covers: the present one and those before it.
    const fn slots(self) -> u64 {
        match self {
            Self::Hour => 12,
            Self::Day => 288,
        }
    }
}

/// Work and the time it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// In expected hashes.
    pub work: u128,
    /// At least 1.
    pub secs: u64,
}

impl Rate {
    /// Hashes per second, for people.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a displayed estimate")]
    pub fn per_second(self) -> f64 {
        self.work as f64 / self.secs.max(1) as f64
    }
}

/// Shares without a window's length between them: who began within the window is measured over its own time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// When its first share came.
    since: Timestamp,
    /// That share's difficulty: what it took to find it lies before.
    first: u64,
}

impl Run {
    pub(crate) const fn begun(at: Timestamp, difficulty: ShareDifficulty) -> Self {
        Self { since: at, first: difficulty.hashes() }
    }

    /// Work over the window's slots, from the beginning of the oldest to `now`: an hour is measured over 55 to 60 minutes. A run that is
    /// younger is measured over the time since its first share, without that share, and over 10 seconds at least.
    pub(crate) fn rate(self, fives: &Ring, now: Timestamp, window: Window) -> Rate {
        let present = Span::FiveMinutes.slot_at(now);
        let oldest = u64::from(present.0).saturating_sub(window.slots().saturating_sub(1));
        let oldest = crate::SlotNumber(u32::try_from(oldest).unwrap_or(u32::MAX));
        let start = Span::FiveMinutes.start_of(oldest);
        let work = fives.sum(oldest, present).work;
        if self.since <= start {
            return Rate { work, secs: now.0.saturating_sub(start.0).max(1) };
        }
        let secs = now.0.saturating_sub(self.since.0).max(SPAN_SECS_MIN);
        Rate { work: work.saturating_sub(self.first.into()), secs }
    }

    pub(crate) fn encode(self, bytes: &mut Vec<u8>) {
        put(bytes, self.since.0);
        put(bytes, self.first);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, HistoryError> {
        Ok(Self { since: Timestamp(reader.number("run")?), first: reader.number("run")? })
    }
}
