use std::time::Duration;

use serde_json::{Value, json};

/// What a run found out, in order.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<Figure>);

/// One of it.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// How much it is.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

/// Parts of a hundred that percentiles are told for; 100 is the last.
const PERCENTS: [(usize, &str); 3] = [(50, "p50"), (99, "p99"), (100, "max")];

impl Figures {
    /// All, in the order in which they were found.
    #[must_use]
    pub fn all(&self) -> &[Figure] {
        &self.0
    }

    /// The value of the figure of this name.
    #[must_use]
    pub fn value(&self, what: &str) -> Option<f64> {
        self.0.iter().find(|figure| figure.what == what).map(|figure| figure.value)
    }

    /// A JSON object: names with their units, and values.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let rows = self.0.iter();
        Value::Array(rows.map(|row| json!({ "what": row.what, "value": row.value, "unit": row.unit })).collect())
    }

    /// Lines of a table.
    #[must_use]
    pub fn table(&self) -> Vec<String> {
        let mut lines = vec![format!("| {:<62} | {:>14} | {:<10} |", "what", "figure", "unit")];
        lines.push(format!("|{:-<64}|{:->16}|{:-<12}|", "", "", ""));
        lines.extend(self.0.iter().map(|row| {
            let value = row.value;
            let figure =
                if value >= 1_000.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") };
            format!("| {:<62} | {figure:>14} | {:<10} |", row.what, row.unit)
        }));
        lines
    }

    pub(crate) fn add(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.0.push(Figure { what: what.into(), value, unit });
    }

    pub(crate) fn count(&mut self, what: impl Into<String>, count: usize) {
        self.add(what, float(count), "");
    }

    /// One more of those.
    pub(crate) fn tally(&mut self, what: String) {
        match self.0.iter_mut().find(|figure| figure.what == what) {
            Some(figure) => figure.value += 1.0,
            None => self.add(what, 1.0, ""),
        }
    }

    /// Median, 99th percentile and the last of some durations.
    pub(crate) fn percentiles(&mut self, what: &str, mut samples: Vec<Duration>) {
        samples.sort_unstable();
        for (percent, name) in PERCENTS {
            let rank = (samples.len() * percent / 100).min(samples.len().saturating_sub(1));
            if let Some(sample) = samples.get(rank) {
                self.add(format!("{what}, {name}"), millis(*sample), "ms");
            }
        }
    }
}

pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// A count as a figure.
pub(crate) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_samples() {
        let mut figures = Figures::default();
        figures.percentiles("wait", (1..=200).rev().map(Duration::from_millis).collect());
        let values: Vec<_> = ["p50", "p99", "max"].map(|name| figures.value(&format!("wait, {name}"))).to_vec();
        assert_eq!(values, [Some(101.0), Some(199.0), Some(200.0)]);
        figures.percentiles("nothing", Vec::new());
        assert_eq!(figures.all().len(), 3);
        assert_eq!(figures.to_json()[0], json!({ "what": "wait, p50", "value": 101.0, "unit": "ms" }));
    }
}
