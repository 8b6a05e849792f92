use std::{collections::VecDeque, time::Duration};

/// The windows that miners' terminals show.
pub(crate) const WINDOWS: [Duration; 3] =
    [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(15 * 60)];
/// Points of the count that are kept lie at least this far apart, so that a meter holds some 900 of them.
const POINT_GAP: Duration = Duration::from_secs(1);

/// Counts hashes and tells how many a second there were over a window that ends now.
///
/// The count is known exactly at its points, which lie about a second apart, and is taken to grow evenly between them; while
/// nothing was hashed for more than a second it stands still. Time is an argument, and counts from wherever the caller likes.
#[derive(Clone, Debug, Default)]
pub(crate) struct HashMeter {
    /// The count at increasing times, back to the longest window and one point beyond it.
    points: VecDeque<Point>,
    /// The end of the newest step.
    newest: Option<Point>,
    /// When the first step began.
    began: Option<Duration>,
    max: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: Duration,
    total: u64,
}

impl HashMeter {
    /// Adds a step that lasted from `began` to `ended`. Steps come in the order of their ends; those of several threads may
    /// overlap.
    pub(crate) fn record(&mut self, began: Duration, ended: Duration, hashes: u64) {
        let first = *self.began.get_or_insert(began);
        let last = self.newest.unwrap_or(Point { at: first, total: 0 });
        if began > last.at + POINT_GAP {
            // Nothing was hashed until this step began: the count stood still.
            self.keep(last);
            self.keep(Point { at: began, total: last.total });
        } else if self.points.back().is_none_or(|kept| last.at >= kept.at + POINT_GAP) {
            self.keep(last);
        }
        self.newest = Some(Point { at: ended.max(last.at), total: last.total.saturating_add(hashes) });
    }

    /// Hashes per second over the `window` that ends now; nothing while it is not yet full.
    pub(crate) fn rate(&self, now: Duration, window: Duration) -> Option<f64> {
        let start = now.checked_sub(window).filter(|start| self.began.is_some_and(|began| began <= *start))?;
        Some(self.since(start, window))
    }

    /// As [`HashMeter::rate`], over the time since the first step while that is less than `window`.
    pub(crate) fn rate_so_far(&self, now: Duration, window: Duration) -> f64 {
        let age = self.began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
        let window = window.min(age);
        if window.is_zero() { 0.0 } else { self.since(now.saturating_sub(window), window) }
    }

    /// The highest rate over the shortest window that was ever kept up.
    pub(crate) const fn max(&self) -> Option<f64> {
        self.max
    }

    fn keep(&mut self, point: Point) {
        self.points.push_back(point);
        let oldest = point.at.saturating_sub(WINDOWS[2]);
        while self.points.get(1).is_some_and(|second| second.at <= oldest) {
            self.points.pop_front();
        }
        let now = self.rate(point.at, WINDOWS[0]);
        self.max = self.max.into_iter().chain(now).reduce(f64::max);
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn since(&self, start: Duration, window: Duration) -> f64 {
        let total = self.newest.map_or(0, |newest| newest.total);
        (total as f64 - self.total_at(start)) / window.as_secs_f64()
    }

    /// The count at `time`.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn total_at(&self, time: Duration) -> f64 {
        let later = self.points.partition_point(|point| point.at <= time);
        let before = later.checked_sub(1).and_then(|index| self.points.get(index)).copied();
        let after = self.points.get(later).copied().or(self.newest);
        match (before, after) {
            (Some(before), Some(after)) if after.at > before.at => {
                let part = (time.min(after.at) - before.at).as_secs_f64() / (after.at - before.at).as_secs_f64();
                before.total as f64 + (after.total - before.total) as f64 * part
            }
            (Some(at), _) => {
                self.newest.filter(|newest| newest.at <= time).map_or(at.total, |newest| newest.total) as f64
            }
            (None, _) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEN: Duration = WINDOWS[0];

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// The same by definition: every step kept, each counted by the part of it that lies in the window.
    fn model(steps: &[(u64, u64, u64)], now: u64, window: u64) -> f64 {
        let start = now.saturating_sub(window);
        let hashes: f64 = steps
            .iter()
            .map(|&(began, ended, hashes)| {
                let inside = ended.saturating_sub(began.max(start)) as f64;
                if ended > began { hashes as f64 * inside / (ended - began) as f64 } else { 0.0 }
            })
            .sum();
        hashes / (window as f64 / 1000.0)
    }

    #[test]
    fn a_window_is_unknown_until_it_is_full() {
        let mut meter = HashMeter::default();
        assert_eq!((meter.rate(ms(99_000), TEN), meter.rate_so_far(ms(99_000), TEN)), (None, 0.0));
        for second in 5..25_u64 {
            meter.record(ms(second * 1000), ms(second * 1000 + 1000), 500);
            let now = ms(second * 1000 + 1000);
            assert_eq!(meter.rate(now, TEN).is_some(), second >= 14, "{second}");
            assert!((meter.rate_so_far(now, TEN) - 500.0).abs() < 1e-9);
        }
        assert_eq!((meter.rate(ms(25_000), TEN), meter.max()), (Some(500.0), Some(500.0)));
        assert_eq!(meter.rate(ms(25_000), WINDOWS[1]), None);
        assert_eq!(meter.rate(ms(30_000), TEN), Some(250.0), "half of the window idle");
        assert_eq!(meter.rate(ms(40_000), TEN), Some(0.0), "nothing lately");
    }

    #[test]
    fn an_idle_time_counts_as_idle() {
        let mut meter = HashMeter::default();
        meter.record(ms(0), ms(1000), 1000);
        meter.record(ms(20_000), ms(21_000), 1000);
        assert_eq!(meter.rate(ms(20_000), TEN), Some(100.0), "taken at the end of the last step");
        assert_eq!(meter.rate(ms(21_000), TEN), Some(100.0));
        assert_eq!(meter.rate(ms(29_000), TEN), Some(100.0));
        assert_eq!(meter.rate(ms(30_500), TEN), Some(50.0), "half of the last step is left");
    }

    #[test]
    fn a_meter_stays_small() {
        let mut meter = HashMeter::default();
        for step in 0..1_000_000_u64 {
            meter.record(ms(step * 4), ms(step * 4 + 4), 8);
        }
        assert!(meter.points.len() <= 902, "{}", meter.points.len());
        assert_eq!(meter.rate(ms(4_000_000), WINDOWS[2]), Some(2000.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Cutting a window between two points is wrong by at most what was hashed between them.
        #[test]
        fn rates_are_those_of_the_definition(
            steps in prop::collection::vec((0_u64..3_000, 1_u64..2_000, 0_u64..10_000), 1..60),
            window in 1_000_u64..60_000,
        ) {
            let (mut meter, mut at, mut all) = (HashMeter::default(), 0, Vec::new());
            for (idle, length, hashes) in steps {
                let began = at + idle;
                at = began + length;
                meter.record(ms(began), ms(at), hashes);
                all.push((began, at, hashes));
            }
            let Some(rate) = meter.rate(ms(at), ms(window)) else {
                prop_assert!(all[0].0 + window > at);
                return Ok(());
            };
            let between_points = 4.0 * 10_000.0 / (window as f64 / 1000.0);
            prop_assert!((rate - model(&all, at, window)).abs() <= between_points);
            prop_assert!(rate >= 0.0);
        }
    }
}
