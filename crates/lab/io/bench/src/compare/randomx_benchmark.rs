//! `randomx-benchmark`, of the reference implementation.

use std::{path::Path, time::Duration};

use bq_primitives::Algorithm;

use super::{Contender, End, Match, Reading, Rival, Setting, huge_pages::free_huge_pages, ours::Ours, setup_max};

pub(super) const RIVAL: Rival = Rival { name: "randomx-benchmark", variable: "BQ_BENCH_RANDOMX", matches };

/// It is told how many hashes to make, not how long: that many per thread and second on the processors we know, so that a
/// turn takes about as long as ours.
const LIGHT_HASHES_PER_SECOND: u64 = 35;
const FULL_HASHES_PER_SECOND: u64 = 250;
/// Reserved pages of 2 MiB for cache, dataset, and a scratchpad per thread.
const HUGE_PAGES: u64 = 1168;

fn matches(program: &Path, setting: &Setting) -> Vec<Match> {
    let pages = if free_huge_pages() >= HUGE_PAGES.saturating_add(setting.threads as u64) { "large" } else { "small" };
    let run = |full_dataset: bool, threads: usize| {
        let per_second = if full_dataset { FULL_HASHES_PER_SECOND } else { LIGHT_HASHES_PER_SECOND };
        let nonces = per_second.saturating_mul(setting.time.as_secs().max(1)).saturating_mul(threads as u64);
        let text = [threads.to_string(), nonces.to_string()];
        let mode = if full_dataset { "--mine" } else { "--verify" };
        let mut arguments = vec![mode, "--auto", "--init", &text[0], "--threads", &text[0], "--nonces", &text[1]];
        if pages == "large" {
            arguments.push("--largePages");
        }
        Match {
            work: if full_dataset { "randomx full" } else { "randomx light" },
            against: format!("{}, {pages} pages", RIVAL.name),
            ours: Ours { algorithm: Algorithm::RandomX, threads, time: setting.time, full_dataset }.contender(),
            theirs: Contender {
                program: program.to_owned(),
                arguments: arguments.into_iter().map(str::to_owned).collect(),
                threads,
                read,
                setup_max: setup_max(full_dataset),
                end: End::ByItself(setting.time.saturating_add(Duration::from_secs(1))),
            },
        }
    };
    vec![run(false, 1), run(true, setting.threads)]
}

fn read(line: &str) -> Option<Reading> {
    if let Some(rest) = line.strip_prefix("Memory initialized in ") {
        return rest.strip_suffix(" s")?.parse().ok().map(Reading::Built);
    }
    if line.starts_with("Running benchmark") {
        return Some(Reading::Ready);
    }
    let (value, unit) = line.strip_prefix("Performance: ")?.split_once(' ')?;
    let value: f64 = value.parse().ok().filter(|value| *value > 0.0)?;
    match unit {
        "hashes per second" => Some(Reading::Rate(value)),
        "ms per hash" => Some(Reading::Rate(1e3 / value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_lines() {
        assert_eq!(read("Memory initialized in 0.576027 s"), Some(Reading::Built(0.576_027)));
        assert_eq!(read("Running benchmark (60 nonces) ..."), Some(Reading::Ready));
        assert_eq!(read("Performance: 50 ms per hash"), Some(Reading::Rate(20.0)));
        assert_eq!(read("Performance: 552.4 hashes per second"), Some(Reading::Rate(552.4)));
        assert_eq!(read("Performance: 0 ms per hash"), None);
        assert_eq!(read("Performance: good"), None);
        assert_eq!(read(" - light memory mode (256 MiB)"), None);
    }
}
