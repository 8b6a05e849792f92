//! What a program has said in its turn, summed up.

use std::time::{Duration, Instant};

use super::Reading;

/// The figures of one turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Hashes per second.
    pub(super) rate: f64,
    /// Seconds that building the tables took, if the program says so.
    pub(super) built_secs: Option<f64>,
    /// Share of its threads' time for which it had a processor while hashing; one on an idle machine. Not known of a program
    /// that does not say when it begins.
    pub(super) cpu_share: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// When it began to hash, by what it said.
    since: Option<Instant>,
    /// The processor time it had used when it said that it was ready.
    cpu_time: Option<Duration>,
    built_secs: Option<f64>,
    rates: Vec<f64>,
    mean: Option<f64>,
    last: String,
}

impl Tally {
    /// Takes in a line and what it says.
    pub(super) fn take(&mut self, line: String, reading: Option<Reading>, cpu_time: impl Fn() -> Option<Duration>) {
        match reading {
            Some(Reading::Built(secs)) => self.built_secs = Some(secs),
            Some(Reading::Ready) => {
                self.since = Some(Instant::now());
                self.cpu_time = cpu_time();
            }
            Some(Reading::Rate(rate)) => self.rates.push(rate),
            Some(Reading::Mean(rate)) => self.mean = Some(rate),
            None => {}
        }
        // A program that says a rate hashes, whether or not it said that it was ready.
        if matches!(reading, Some(Reading::Rate(_) | Reading::Mean(_))) {
            self.since.get_or_insert_with(Instant::now);
        }
        if !line.trim().is_empty() {
            self.last = line;
        }
    }

    /// How long it has been hashing.
    pub(super) fn hashing_for(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The last thing it said, short enough for a table.
    pub(super) fn last(&self) -> String {
        self.last.chars().filter(|c| !c.is_control()).take(120).collect()
    }

    /// The figures, if there is a hash rate.
    pub(super) fn outcome(&self, cpu_time: Option<Duration>, threads: usize) -> Option<Outcome> {
        // The first of several is taken while the program warms up, over a shorter time.
        let settled = if let [_, rest @ ..] = self.rates.as_slice()
            && !rest.is_empty()
        {
            rest
        } else {
            &self.rates
        };
        let rate = self.mean.or_else(|| median(settled))?;
        let used = cpu_time.zip(self.cpu_time).map(|(end, start)| end.saturating_sub(start).as_secs_f64());
        let threads = u32::try_from(threads).map_or(f64::INFINITY, f64::from);
        let cpu_share = used.map(|used| used / (self.hashing_for().as_secs_f64() * threads));
        Some(Outcome { rate, built_secs: self.built_secs, cpu_share })
    }
}

/// The middle one, or the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(readings: &[Reading]) -> Option<Outcome> {
        let mut tally = Tally::default();
        for reading in readings {
            tally.take(format!("{reading:?}"), Some(*reading), || None);
        }
        tally.outcome(None, 1)
    }

    #[test]
    fn the_first_of_several_rates_does_not_count() {
        let rate = |rates: &[f64]| {
            outcome(&rates.iter().copied().map(Reading::Rate).collect::<Vec<_>>()).map(|outcome| outcome.rate)
        };
        assert_eq!(rate(&[]), None);
        assert_eq!(rate(&[5.0]), Some(5.0));
        assert_eq!(rate(&[5.0, 8.0]), Some(8.0));
        assert_eq!(rate(&[1.0, 9.0, 7.0, 8.0]), Some(8.0));
        assert_eq!(rate(&[1.0, 9.0, 7.0]), Some(8.0));
    }

    #[test]
    fn the_last_mean_counts_and_a_built_table_alone_does_not() {
        let built = Reading::Built(3.0);
        assert_eq!(outcome(&[built, Reading::Ready]), None);
        let full = outcome(&[built, Reading::Ready, Reading::Mean(5.0), Reading::Mean(6.0)]);
        assert_eq!(full, Some(Outcome { rate: 6.0, built_secs: Some(3.0), cpu_share: None }));
    }

    #[test]
    fn the_processor_share_is_that_since_ready() {
        let mut tally = Tally::default();
        tally.take(String::new(), Some(Reading::Ready), || Some(Duration::from_secs(200)));
        tally.take("rate".to_owned(), Some(Reading::Rate(1.0)), || None);
        std::thread::sleep(Duration::from_millis(20));
        let share = tally.outcome(Some(Duration::from_millis(200_010)), 1).unwrap().cpu_share.unwrap();
        assert!(share > 0.0 && share <= 0.5, "{share}");
        assert_eq!(tally.last(), "rate");
    }
}
