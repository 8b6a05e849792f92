use bq_share::UnixMs;

/// How fast lines are read: a token bucket. A miner above the rate waits in its own socket, so nothing it sent is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineRate {
    per_second: u64,
    burst: u64,
    /// Thousandths of a line.
    spent_milli: u64,
    at: UnixMs,
}

const LINE_MILLI: u64 = 1000;

impl LineRate {
    pub(crate) const fn new(now: UnixMs, per_second: u64, burst: u64) -> Self {
        Self { per_second, burst, spent_milli: 0, at: now }
    }

    /// Counts one line.
    pub(crate) fn spend(&mut self, now: UnixMs) {
        // A line per second is a thousandth of a line per millisecond.
        let earned = now.ms_since(self.at).saturating_mul(self.per_second);
        self.at = now;
        self.spent_milli = self.spent_milli.saturating_sub(earned).saturating_add(LINE_MILLI);
    }

    /// Gives a line back: it was worth more than reading it costs.
    pub(crate) fn refund(&mut self) {
        self.spent_milli = self.spent_milli.saturating_sub(LINE_MILLI);
    }

    /// When the next line may be read.
    pub(crate) fn ready_at(&self) -> UnixMs {
        let room_milli = self.burst.max(1).saturating_sub(1).saturating_mul(LINE_MILLI);
        let over_milli = self.spent_milli.saturating_sub(room_milli);
        self.at.after_ms(over_milli.div_ceil(self.per_second.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut rate = LineRate::new(UnixMs(0), 10, 20);
        let mut at = UnixMs(0);
        let mut times = Vec::new();
        for _ in 0..23 {
            at = at.after_ms(rate.ready_at().ms_since(at));
            times.push(at.0);
            rate.spend(at);
        }
        assert!(times[..20].iter().all(|at| *at == 0));
        assert_eq!(times[20..], [100, 200, 300]);
        assert_eq!(rate.ready_at(), UnixMs(400));
    }
}
