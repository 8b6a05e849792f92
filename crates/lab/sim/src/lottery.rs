use crate::Rng;

/// Who finds the next block, and when.
#[derive(Clone, Debug)]
pub enum Lottery {
    /// Poisson arrivals: mining as it is.
    Luck(Rng),
    /// No luck: each ticket wins exactly when its expected number of blocks has grown by one. Holds that growth.
    Mean(Vec<f64>),
}

/// What happened first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// The ticket with this index won, so many seconds later.
    Found {
        /// Which ticket.
        ticket: usize,
        /// Seconds since the last draw.
        after_secs: f64,
    },
    /// Nobody won in the time given.
    Nothing,
}

impl Lottery {
    /// A lottery without luck for so many tickets, whose wins are spread evenly.
    #[must_use]
    pub fn mean(tickets: usize) -> Self {
        Self::Mean((0..tickets).map(|ticket| ticket as f64 / tickets as f64).collect())
    }

    /// Draws once. `rates` are expected wins per second of each ticket; `patience_secs` may be infinite if any is not zero.
    pub fn draw(&mut self, rates: &[f64], patience_secs: f64) -> Draw {
        match self {
            Self::Luck(rng) => luck(rng, rates, patience_secs),
            Self::Mean(progress) => mean(progress, rates, patience_secs),
        }
    }
}

fn luck(rng: &mut Rng, rates: &[f64], patience_secs: f64) -> Draw {
    let total: f64 = rates.iter().sum();
    let after_secs = if total > 0.0 { rng.exponential(total) } else { f64::INFINITY };
    if after_secs > patience_secs {
        // Arrivals have no memory: the time already waited buys nothing.
        return Draw::Nothing;
    }
    let mut point = rng.unit() * total;
    let won = rates.iter().position(|rate| {
        point -= rate;
        point <= 0.0 && *rate > 0.0
    });
    let last = || rates.iter().rposition(|rate| *rate > 0.0);
    match won.or_else(last) {
        Some(ticket) => Draw::Found { ticket, after_secs },
        None => Draw::Nothing,
    }
}

fn mean(progress: &mut [f64], rates: &[f64], patience_secs: f64) -> Draw {
    let waits = progress.iter().zip(rates).map(|(done, rate)| ((1.0 - done) / rate).max(0.0)).enumerate();
    let first = waits.filter(|(ticket, _)| rates[*ticket] > 0.0).min_by(|(_, a), (_, b)| a.total_cmp(b));
    let passed = first.map_or(patience_secs, |(_, wait)| wait.min(patience_secs));
    for (done, rate) in progress.iter_mut().zip(rates) {
        *done += if *rate > 0.0 { rate * passed } else { 0.0 };
    }
    match first.filter(|(_, wait)| *wait <= patience_secs) {
        Some((ticket, after_secs)) => {
            progress[ticket] = 0.0;
            Draw::Found { ticket, after_secs }
        }
        None => Draw::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_luck_each_ticket_wins_at_its_rate() {
        let mut lottery = Lottery::mean(2);
        let mut wins = [0, 0];
        let mut now = 0.0;
        while now < 1_000.0 {
            match lottery.draw(&[0.1, 0.02], 5.0) {
                Draw::Found { ticket, after_secs } => {
                    wins[ticket] += 1;
                    now += after_secs;
                }
                Draw::Nothing => now += 5.0,
            }
        }
        assert!((99..=101).contains(&wins[0]) && (19..=21).contains(&wins[1]), "{wins:?}");
    }

    #[test]
    fn with_luck_too_in_the_long_run() {
        let mut lottery = Lottery::Luck(Rng::seeded(3, 0));
        let mut wins = [0_u32; 3];
        for _ in 0..30_000 {
            if let Draw::Found { ticket, .. } = lottery.draw(&[2.0, 0.0, 1.0], f64::INFINITY) {
                wins[ticket] += 1;
            }
        }
        assert_eq!(wins[1], 0);
        assert!((19_500..20_500).contains(&wins[0]), "{wins:?}");
        assert_eq!(lottery.draw(&[0.0], 9.0), Draw::Nothing);
    }
}
