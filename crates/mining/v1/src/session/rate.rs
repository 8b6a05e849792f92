use crate::TimeMs;

/// A token bucket that may go into debt: a little above the limit is answered politely, far above ends the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineRate {
    per_second: u64,
    burst: u64,
    /// Thousandths of a line.
    spent_milli: u64,
    at: TimeMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Fine,
    /// Above the limit.
    Over,
    /// So far above that no confusion explains it.
    Flood,
}

const LINE_MILLI: u64 = 1000;
/// Bursts of debt before it counts as a flood.
const FLOOD_BURSTS: u64 = 5;

impl LineRate {
    pub(super) const fn new(now: TimeMs, per_second: u64, burst: u64) -> Self {
        Self { per_second, burst, spent_milli: 0, at: now }
    }

    /// Counts one line.
    pub(super) fn spend(&mut self, now: TimeMs) -> Pace {
        // A line per second is a thousandth of a line per millisecond.
        let earned = now.since(self.at).saturating_mul(self.per_second);
        self.at = now;
        self.spent_milli = self.spent_milli.saturating_sub(earned).saturating_add(LINE_MILLI);
        let burst_milli = self.burst.saturating_mul(LINE_MILLI);
        if self.spent_milli > burst_milli.saturating_mul(FLOOD_BURSTS) {
            Pace::Flood
        } else if self.spent_milli > burst_milli {
            Pace::Over
        } else {
            Pace::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_debt_then_flood_and_time_forgives() {
        let mut rate = LineRate::new(TimeMs(0), 10, 20);
        let paces: Vec<Pace> = (0..101).map(|_| rate.spend(TimeMs(0))).collect();
        assert!(paces[..20].iter().all(|pace| *pace == Pace::Fine));
        assert!(paces[20..100].iter().all(|pace| *pace == Pace::Over));
        assert_eq!(paces[100], Pace::Flood);
        assert_eq!(rate.spend(TimeMs(5_000)), Pace::Over);
        assert_eq!(rate.spend(TimeMs(20_000)), Pace::Fine);
    }
}
