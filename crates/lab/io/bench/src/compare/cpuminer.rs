//! pooler's `minerd`.

use std::path::Path;

use bq_primitives::Algorithm;

use super::{Contender, End, Match, Reading, Rival, SETUP_MAX, Setting, ours::Ours};

pub(super) const RIVAL: Rival = Rival { name: "cpuminer", variable: "BQ_BENCH_CPUMINER", matches };

fn matches(program: &Path, setting: &Setting) -> Vec<Match> {
    benchmark(&RIVAL, program, setting, &[], Ours::contender, read)
}

/// SHA-256d at every thread count by a program with cpuminer's command line, `options` beside the usual ones.
pub(super) fn benchmark(
    rival: &Rival,
    program: &Path,
    setting: &Setting,
    options: &[&str],
    ours: fn(&Ours) -> Contender,
    read: fn(&str) -> Option<Reading>,
) -> Vec<Match> {
    let pair = |threads: usize| {
        let count = threads.to_string();
        let arguments = ["--benchmark", "-a", "sha256d", "-t", &count].into_iter().chain(options.iter().copied());
        Match {
            work: "sha256d",
            against: rival.name.to_owned(),
            ours: ours(&Ours { algorithm: Algorithm::Sha256d, threads, time: setting.time, full_dataset: false }),
            theirs: Contender {
                program: program.to_owned(),
                arguments: arguments.map(str::to_owned).collect(),
                threads,
                read,
                setup_max: SETUP_MAX,
                end: End::After(setting.time),
            },
        }
    };
    setting.thread_counts().into_iter().map(pair).collect()
}

/// The sum of its threads' latest rates, which it prints every five seconds.
fn read(line: &str) -> Option<Reading> {
    if line.contains("miner threads started") {
        return Some(Reading::Ready);
    }
    let rate: f64 = line.split_once("] Total: ")?.1.strip_suffix(" khash/s")?.parse().ok()?;
    Some(Reading::Rate(rate * 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_lines() {
        let started = "[2026-11-22 11:03:01] 1 miner threads started, using 'sha256d' algorithm.";
        assert_eq!(read(started), Some(Reading::Ready));
        assert_eq!(read("[2026-11-22 11:03:06] thread 0: 21349464 hashes, 5524 khash/s"), None);
        assert_eq!(read("[2026-11-22 11:03:06] Total: 5524 khash/s"), Some(Reading::Rate(5_524_000.0)));
        assert_eq!(read("[2026-11-22 11:03:06] Total: many khash/s"), None);
        assert_eq!(read(""), None);
    }
}
