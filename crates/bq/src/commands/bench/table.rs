//! The one table that a benchmark run prints, row by row as the figures come.

use crate::exit::say;

pub(super) struct Table;

impl Table {
    pub(super) fn new() -> Self {
        Self
    }

    /// What the figures were taken on.
    pub(super) fn machine(&self) {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let model = model.map_or("unknown processor", |(_, name)| name.trim());
        let threads = std::thread::available_parallelism().map_or(0, usize::from);
        say(&format!("bq {} on {model}, {threads} threads", env!("CARGO_PKG_VERSION")));
        say("");
        say(&format!("| {:<44} | {:>14} | {:<10} |", "what", "figure", "unit"));
        say(&format!("| {:-<44} | {:->14} | {:-<10} |", "", "", ""));
    }

    /// A figure with a sensible number of digits.
    pub(super) fn rate(&self, what: &str, value: f64, unit: &str) {
        let figure = if value >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        say(&format!("| {what:<44} | {figure:>14} | {unit:<10} |"));
    }

    /// Median and 99th percentile of some durations.
    pub(super) fn percentiles(&self, what: &str, mut samples_ms: Vec<f64>) {
        samples_ms.sort_by(f64::total_cmp);
        for (name, percent) in [("p50", 50), ("p99", 99)] {
            let rank = (samples_ms.len() * percent / 100).min(samples_ms.len().saturating_sub(1));
            if let Some(value) = samples_ms.get(rank) {
                say(&format!("| {:<44} | {value:>14.4} | {:<10} |", format!("{what}, {name}"), "ms"));
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
}
