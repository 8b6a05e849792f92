use std::time::Duration;

/// Shares a second that pools put up with from one connection, in the long run. More come only while the pool has not yet
/// learnt how fast we are, and what it refuses then it does not learn from.
const PER_SECOND: f64 = 50.0;
/// Shares that may come at once.
const BURST: f64 = 100.0;

/// Holds a connection to a bearable number of shares. Time is an argument and counts from the first call.
#[derive(Debug)]
pub(super) struct Pace {
    room: f64,
    at: Duration,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { room: BURST, at: Duration::ZERO }
    }

    /// There is room for one share more at `now`, and it is taken.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.room = PER_SECOND.mul_add(passed, self.room).min(BURST);
        self.at = now.max(self.at);
        let has_room = self.room >= 1.0;
        if has_room {
            self.room -= 1.0;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_so_many_a_second() {
        let mut pace = Pace::new();
        let mut passed =
            |millis: std::ops::Range<u64>| millis.filter(|millis| pace.take(Duration::from_millis(*millis))).count();
        assert_eq!(passed(0..1), 1);
        let first = passed(1..1000);
        assert!((147..=149).contains(&first), "{first}");
        let second = passed(1000..2000);
        assert!((49..=51).contains(&second), "{second}");
        let later = passed(100_000..100_001) + passed(100_000..100_200);
        assert!((105..=111).contains(&later), "{later}");
    }
}
