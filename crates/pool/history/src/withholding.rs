use bq_ledger::ShareWeight;
use bq_primitives::Timestamp;

use crate::{
    HistoryError,
    codec::{Reader, put},
};

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;

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

    /// Whether fewer were found than expected.
    #[must_use]
    pub fn is_unlucky(self) -> bool {
        (self.found as f64) < self.expected()
    }

    /// Whether a person should look at it.
    #[must_use]
    pub fn is_suspicious(self, bound: f64) -> bool {
        // Nobody is less lucky than who found nothing: most need no sum.
        self.is_unlucky() && (-self.expected()).exp() < bound && self.tail() < bound
    }
}

/// One of the windows of 30 days, counted since 1970. They are fixed before: nobody chooses where one ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LuckPeriod(pub u32);

impl LuckPeriod {
    /// Length in seconds.
    pub const SECS: u64 = 30 * 86_400;

    /// The one that a moment lies in; the last one for moments that no calendar knows.
    #[must_use]
    pub fn at(moment: Timestamp) -> Self {
        Self(u32::try_from(moment.0.checked_div(Self::SECS).unwrap_or(0)).unwrap_or(u32::MAX))
    }

    /// When it begins.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(u64::from(self.0).saturating_mul(Self::SECS))
    }
}

/// The luck of one account, or of all, on one lane: in the newest period, and in the last one before it that had a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LuckHistory {
    newest: (LuckPeriod, BlockLuck),
    before: (LuckPeriod, BlockLuck),
}

/// A period that is looked at while it lasts has many chances to look bad. Its bound is smaller by this.
const LOOKS: f64 = 10.0;

impl LuckHistory {
    /// One more share. Time never runs backwards: one of an earlier period counts in the newest.
    pub fn add(&mut self, at: Timestamp, weight: ShareWeight, is_block: bool) {
        let period = LuckPeriod::at(at);
        if self.newest.0 < period {
            let ended = std::mem::replace(&mut self.newest, (period, BlockLuck::default()));
            if ended.1 != BlockLuck::default() {
                self.before = ended;
            }
        }
        self.newest.1.add(weight, is_block);
    }

    /// The newest period with shares and the one before it, as far as there are such.
    pub fn periods(&self) -> impl Iterator<Item = (LuckPeriod, BlockLuck)> {
        [self.newest, self.before].into_iter().filter(|(_, luck)| *luck != BlockLuck::default())
    }

    /// The period that a person should look at, if there is one among the present and the last: one that is over with a tail below `bound`, or
    /// the present one with a tail below a tenth of it. An honest account is named so in fewer than two of 1 / `bound` periods.
    #[must_use]
    pub fn suspect(&self, now: Timestamp, bound: f64) -> Option<(LuckPeriod, BlockLuck)> {
        let present = LuckPeriod::at(now);
        self.periods().find(|(period, luck)| {
            let bound = if *period < present { bound } else { bound / LOOKS };
            period.0.saturating_add(1) >= present.0 && luck.is_suspicious(bound)
        })
    }

    /// The canonical encoding: version, then of both periods number, parts and blocks.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for (period, luck) in [self.newest, self.before] {
            put(&mut bytes, period.0);
            put(&mut bytes, luck.parts);
            put(&mut bytes, luck.found);
        }
        bytes
    }

    /// Reads a history.
    ///
    /// # Errors
    /// [`HistoryError`]: no writer made these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HistoryError> {
        let period = |reader: &mut Reader<'_>| {
            let number = LuckPeriod(reader.number("period")?);
            Ok((number, BlockLuck { parts: reader.wide("expected blocks")?, found: reader.number("found blocks")? }))
        };
        Reader::all(bytes, VERSION, |reader| {
            let history = Self { newest: period(reader)?, before: period(reader)? };
            match history.before.0 < history.newest.0 || history.before == Default::default() {
                true => Ok(history),
                false => Err(HistoryError::Field("period")),
            }
        })
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
