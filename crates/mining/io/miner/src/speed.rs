use std::time::Duration;

/// Thread time after which a measurement counts half.
const HALF_LIFE: Duration = Duration::from_secs(120);
/// Thread time from which on a measurement can be relied upon.
const ENOUGH: Duration = Duration::from_secs(1);
/// A measurement that old must be made again: the machine may have become another.
const FRESH: Duration = Duration::from_secs(3600);

/// How fast one thread hashes one algorithm while it does nothing else, from its own work, the newest counting most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Speed {
    hashes: f64,
    /// Thread time that these took, in seconds.
    busy_secs: f64,
    /// When the last of them was added.
    updated: Duration,
    /// It could not be measured.
    hopeless: bool,
}

impl Speed {
    /// Adds work that ended by `now` and took `busy` of the threads' time.
    pub(crate) fn record(&mut self, now: Duration, hashes: f64, busy: Duration) {
        if busy.is_zero() {
            return;
        }
        if self.is_old(now) || self.hopeless {
            *self = Self::default();
        }
        let kept = 0.5_f64.powf(busy.as_secs_f64() / HALF_LIFE.as_secs_f64());
        self.hashes = self.hashes * kept + hashes;
        self.busy_secs = self.busy_secs * kept + busy.as_secs_f64();
        self.updated = now;
    }

    /// It could not be measured: counts as zero until a measurement would be old.
    pub(crate) fn give_up(&mut self, now: Duration) {
        *self = Self { updated: now, hopeless: true, ..Self::default() };
    }

    /// Hashes per second of one thread; nothing until enough was measured, or when that is too long ago.
    pub(crate) fn per_thread(&self, now: Duration) -> Option<f64> {
        if self.is_old(now) {
            return None;
        }
        if self.hopeless {
            return Some(0.0);
        }
        (self.busy_secs >= ENOUGH.as_secs_f64()).then(|| self.hashes / self.busy_secs)
    }

    fn is_old(&self, now: Duration) -> bool {
        now.saturating_sub(self.updated) > FRESH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_speed_is_known_once_enough_was_measured_and_until_it_is_old() {
        let mut speed = Speed::default();
        assert_eq!(speed.per_thread(secs(0)), None);
        speed.record(secs(1), 500.0, secs(1) / 2);
        assert_eq!(speed.per_thread(secs(1)), None);
        speed.record(secs(3), 3000.0, secs(3));
        let known = speed.per_thread(secs(3)).unwrap();
        assert!((known - 1000.0).abs() < 1e-9);
        assert_eq!(speed.per_thread(secs(3603)), Some(known));
        assert_eq!(speed.per_thread(secs(3604)), None);
        speed.record(secs(4000), 10.0, secs(2));
        assert_eq!(speed.per_thread(secs(4000)), Some(5.0), "what is old is forgotten");
    }

    #[test]
    fn the_newest_counts_most() {
        let mut speed = Speed::default();
        speed.record(secs(120), 1000.0 * 120.0, secs(120));
        speed.record(secs(240), 2000.0 * 120.0, secs(120));
        let expected = (60_000.0 + 240_000.0) / 180.0;
        assert!((speed.per_thread(secs(240)).unwrap() - expected).abs() < 1e-6);
        speed.record(secs(240), 0.0, secs(0));
        assert!((speed.per_thread(secs(240)).unwrap() - expected).abs() < 1e-6, "no time, no news");
    }

    #[test]
    fn what_cannot_be_measured_is_tried_again_later() {
        let mut speed = Speed::default();
        speed.give_up(secs(10));
        assert_eq!(speed.per_thread(secs(10)), Some(0.0));
        assert_eq!(speed.per_thread(secs(4000)), None);
        speed.give_up(secs(10));
        speed.record(secs(20), 100.0, secs(10));
        assert_eq!(speed.per_thread(secs(20)), Some(10.0), "it can be after all");
    }
}
