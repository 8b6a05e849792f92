//! `cpuminer-opt`. Without an option it lowers its own priority, and on a machine with anything else to do measures that.

use std::path::Path;

use super::{Match, Reading, Rival, Setting, cpuminer, ours::Ours};

pub(super) const RIVAL: Rival = Rival { name: "cpuminer-opt", variable: "BQ_BENCH_CPUMINER_OPT", matches };

/// What it makes of its highest priority.
const PRIORITY: &str = "5";
const NICENESS: i8 = -15;

fn matches(program: &Path, setting: &Setting) -> Vec<Match> {
    let ours = |ours: &Ours| ours.contender_at_niceness(NICENESS);
    cpuminer::benchmark(&RIVAL, program, setting, &["--cpu-priority", PRIORITY], ours, read)
}

/// The sum of its threads' latest rates, which it prints every five seconds, coloured.
fn read(line: &str) -> Option<Reading> {
    if line.contains("miner threads started") {
        return Some(Reading::Ready);
    }
    let mut words = line.split_once("Total: ")?.1.split_whitespace();
    let rate: f64 = words.next()?.parse().ok()?;
    let scale = match words.next()?.trim_end_matches(',') {
        "H/s" => 1.0,
        "kH/s" => 1e3,
        "MH/s" => 1e6,
        "GH/s" => 1e9,
        _ => return None,
    };
    Some(Reading::Rate(rate * scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_lines() {
        let started = "[2026-11-22 11:02:46] 1 of 2 miner threads started using 'sha256d' algorithm\u{1b}[0m";
        assert_eq!(read(started), Some(Reading::Ready));
        let total = "[2026-11-22 11:02:52]\u{1b}[01;37m Total: 15.82 MH/s, Temp: 0C, Freq: 0.000/0.000 GHz\u{1b}[0m";
        assert_eq!(read(total), Some(Reading::Rate(15_820_000.0)));
        assert_eq!(read("Total: 15.82 parsecs"), None);
        assert_eq!(read("CPU features:  AVX512 VAES SHA256"), None);
        assert_eq!(read(""), None);
    }
}
