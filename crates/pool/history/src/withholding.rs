use bq_ledger::ShareWeight;

/// Where a person should look at an account: an honest one comes so far in fewer than one window in ten thousand.
pub const SUSPICION: f64 = 1e-4;

/// Blocks that an account found, beside those that its shares were expected to be.
///
/// A miner who keeps blocks back has the shares and lacks the blocks. So has one who is unlucky: this says how unlucky, and never more. An alarm
/// is for a person to judge, nothing is withheld from anybody because of it.
///
/// It holds for a window that is fixed before, such as a month: who looks after every share and stops at the worst moment finds somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockLuck {
    /// Sum of the weights of accepted shares, in 2^-60 of a block; stays at the end of `u128`.
    pub parts: u128,
    /// Blocks among them, whatever became of them later.
    pub found: u64,
}

impl BlockLuck {
    /// One more share.
    pub fn add(&mut self, weight: ShareWeight, is_block: bool) {
        self.parts = self.parts.saturating_add(weight.parts().into());
        self.found = self.found.saturating_add(is_block.into());
    }

    /// Several windows as one: those of all lanes, say.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { parts: self.parts.saturating_add(other.parts), found: self.found.saturating_add(other.found) }
    }

    /// How many blocks such shares are on average.
    #[must_use]
    pub fn expected(self) -> f64 {
        self.parts as f64 / ShareWeight::ONE.parts() as f64
    }

    /// How likely an honest miner with such shares finds no more blocks than this one did: the lower tail of a Poisson distribution,
    /// which is above that of the shares themselves as long as fewer are found than expected (Hoeffding). Off by less than a
    /// millionth part of itself up to 10^8 expected blocks.
    #[must_use]
    pub fn tail(self) -> f64 {
        poisson_tail(self.expected(), self.found)
    }

    /// Whether a person should look at it.
    #[must_use]
    pub fn is_suspicious(self, bound: f64) -> bool {
        self.tail() < bound
    }
}

/// Terms that are added at most; they fall below a part in 10^17 of the sum within nine standard deviations.
const TERMS_MAX: u32 = 200_000;

/// P(X <= found) where `mean` are expected.
fn poisson_tail(mean: f64, found: u64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    let found = found as f64;
    if found > mean {
        // The other side is the shorter sum.
        let first = (ln_chance(mean, found + 1.0)).exp();
        return (1.0 - first * falling(|term| mean / (found + 1.0 + term))).max(0.0);
    }
    ln_chance(mean, found).exp() * falling(|term| (found + 1.0 - term) / mean)
}

/// 1 + r(1) + r(1) r(2) + ..., until a term no longer counts.
fn falling(ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for number in 1..=TERMS_MAX {
        term *= ratio(f64::from(number)).max(0.0);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

/// ln P(X = count).
fn ln_chance(mean: f64, count: f64) -> f64 {
    count * mean.ln() - mean - ln_factorial(count)
}

/// ln n!: summed for a small n, by Stirling's series for others.
fn ln_factorial(n: f64) -> f64 {
    if n < 32.0 {
        let (mut sum, mut factor) = (0.0, 2.0);
        while factor <= n {
            sum += f64::ln(factor);
            factor += 1.0;
        }
        return sum;
    }
    let series = 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3)) + 1.0 / (1260.0 * n.powi(5));
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + series
}
