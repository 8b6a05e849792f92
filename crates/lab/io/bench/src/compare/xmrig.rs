//! `xmrig`, by its offline benchmark, which it is not let finish: a million hashes take half an hour.

use std::path::Path;

use bq_primitives::Algorithm;

use super::{Contender, DATASET_SETUP_MAX, End, Match, Reading, Rival, Setting, ours::Ours};

pub(super) const RIVAL: Rival = Rival { name: "xmrig", variable: "BQ_BENCH_XMRIG", matches };

fn matches(program: &Path, setting: &Setting) -> Vec<Match> {
    let threads = setting.threads;
    let threads_text = threads.to_string();
    // Registers of the processor stay as they are, as root too: changing them would speed up the others' turns.
    let arguments = ["--bench=1M", "-t", &threads_text, "--print-time=3", "--no-color", "--randomx-wrmsr=-1"];
    vec![Match {
        work: "randomx full",
        against: RIVAL.name.to_owned(),
        ours: Ours { algorithm: Algorithm::RandomX, threads, time: setting.time, full_dataset: true }.contender(),
        theirs: Contender {
            program: program.to_owned(),
            arguments: arguments.map(str::to_owned).into(),
            threads,
            read,
            setup_max: DATASET_SETUP_MAX,
            end: End::After(setting.time),
        },
    }]
}

fn read(line: &str) -> Option<Reading> {
    if let Some((_, rest)) = line.split_once("dataset ready (") {
        return rest.strip_suffix(" ms)")?.parse().ok().map(|ms: f64| Reading::Built(ms / 1e3));
    }
    if line.contains("READY threads") {
        return Some(Reading::Ready);
    }
    // Hashes of all, and the seconds they took: " 0.46% 4573/1000000 (15.015s)".
    let progress = line.split_once("  bench ")?.1.split_once("% ")?.1;
    let (hashes, rest) = progress.split_once('/')?;
    let secs: f64 = rest.split_once('(')?.1.strip_suffix("s)")?.parse().ok()?;
    let hashes: f64 = hashes.parse().ok()?;
    (secs > 0.0).then(|| Reading::Mean(hashes / secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_lines() {
        let built = "[2026-11-22 11:07:22.192]  randomx  dataset ready (17205 ms)";
        assert_eq!(read(built), Some(Reading::Built(17.205)));
        let ready =
            "[2026-11-22 11:07:22.193]  cpu      READY threads 1/1 (1) huge pages 100% 1/1 memory 2048 KB (0 ms)";
        assert_eq!(read(ready), Some(Reading::Ready));
        let progress = "[2026-11-22 11:07:42.227]  bench     0.62% 6174/1000000 (20.034s)";
        assert_eq!(read(progress), Some(Reading::Mean(6174.0 / 20.034)));
        assert_eq!(read("[2026-11-22 11:06:57.307]  bench    start benchmark hashes 1M algo rx/0"), None);
        assert_eq!(read("[2026-11-22 11:07:37.208]  miner    speed 10s/60s/15m 303.4 n/a n/a H/s max 305.6 H/s"), None);
        assert_eq!(read("  bench  0% 0/1000000 (0.000s)"), None);
        assert_eq!(read(""), None);
    }
}
