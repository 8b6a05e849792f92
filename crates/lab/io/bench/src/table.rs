//! The one table that a benchmark run prints, row by row as the figures come.

use super::host::Host;

pub(super) struct Table<'a> {
    host: &'a dyn Host,
}

impl<'a> Table<'a> {
    /// Prints the head.
    pub(super) fn new(host: &'a dyn Host) -> Self {
        let table = Self { host };
        table.row("what", "figure", "unit");
        host.say(&format!("|{:-<52}|{:->16}|{:-<12}|", "", "", ""));
        table
    }

    /// A figure with a sensible number of digits.
    pub(super) fn rate(&self, what: &str, value: f64, unit: &str) {
        let figure = if value >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        self.row(what, &figure, unit);
    }

    /// Median and 99th percentile of some durations.
    pub(super) fn percentiles(&self, what: &str, mut samples_ms: Vec<f64>) {
        samples_ms.sort_by(f64::total_cmp);
        for (name, percent) in [("p50", 50), ("p99", 99)] {
            let rank = (samples_ms.len() * percent / 100).min(samples_ms.len().saturating_sub(1));
            if let Some(value) = samples_ms.get(rank) {
                self.row(&format!("{what}, {name}"), &format!("{value:.4}"), "ms");
            }
        }
    }

    /// Resident memory of this process now.
    pub(super) fn memory(&self, what: &str) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
        if let Some(kib) = kib {
            self.rate(what, kib / 1024.0, "MiB");
        }
    }

    /// Why there is no figure.
    pub(super) fn left_out(&self, what: &str, why: &str) {
        self.row(what, "-", why);
    }

    fn row(&self, what: &str, figure: &str, unit: &str) {
        self.host.say(&format!("| {what:<50} | {figure:>14} | {unit:<10} |"));
    }
}
