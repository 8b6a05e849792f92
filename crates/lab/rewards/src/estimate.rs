/// Normal quantile of a two-sided interval of 95 %.
pub const Z_95: f64 = 1.959_964;
/// The same of four intervals that hold together with 95 % (Bonferroni): one for each strategy.
pub const Z_OF_FOUR: f64 = 2.497_705;

/// A mean over batches and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
}

impl Estimate {
    /// Of one figure for each batch; nothing is known from fewer than two.
    #[must_use]
    pub fn of(batches: &[f64]) -> Self {
        let count = batches.len() as f64;
        let mean = batches.iter().sum::<f64>() / count;
        let squares: f64 = batches.iter().map(|figure| (figure - mean).powi(2)).sum();
        let error = if batches.len() < 2 { f64::INFINITY } else { (squares / (count - 1.0) / count).sqrt() };
        Self { mean, error }
    }

    /// Of `(a / b) / (c / d) - 1` for four sums, of which each batch has its part: taken over all batches at once, for the ratio of one
    /// batch is biased by its own luck. The error is that of the linear part.
    #[must_use]
    pub fn of_ratios(batches: &[[f64; 4]]) -> Self {
        let sums = batches.iter().fold([0.0; 4], |sums, batch| std::array::from_fn(|part| sums[part] + batch[part]));
        let [a, b, c, d] = sums;
        let ratio = a / b / (c / d);
        let off = |batch: &[f64; 4]| ratio * (batch[0] / a - batch[1] / b - batch[2] / c + batch[3] / d);
        let squares: f64 = batches.iter().map(|batch| off(batch).powi(2)).sum();
        let count = batches.len() as f64;
        let error = if batches.len() < 2 { f64::INFINITY } else { (squares * count / (count - 1.0)).sqrt() };
        Self { mean: ratio - 1.0, error }
    }

    /// Of how often something happened.
    #[must_use]
    pub fn of_share(happened: u32, tried: u32) -> Self {
        let mean = f64::from(happened) / f64::from(tried);
        Self { mean, error: (mean * (1.0 - mean) / f64::from(tried)).sqrt() }
    }

    /// Half the width of the interval of a normal quantile.
    #[must_use]
    pub fn half_width(self, z: f64) -> f64 {
        z * self.error
    }

    /// Whether the interval of a normal quantile holds a value.
    #[must_use]
    pub fn holds(self, value: f64, z: f64) -> bool {
        (self.mean - value).abs() <= self.half_width(z)
    }
}
