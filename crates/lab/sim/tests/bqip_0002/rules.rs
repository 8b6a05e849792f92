//! Tests 14 and 15: the rule bit for bit, and a guard that only hardens.

use std::path::{Path, PathBuf};

use bq_conformance::{Report, run_reader};
use bq_consensus::{difficulty_states, schedule_exponent};
use bq_primitives::{Algorithm, Target, Timestamp, U256};
use bq_sim::{Chain, Consensus, Rng, Rule, Setup};
use serde_json::Value;

use crate::{controls::EasingGuard, seeds::SEEDS};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../vectors")
}

#[expect(clippy::disallowed_methods, reason = "a test reads its vectors")]
fn run(path: &Path) -> Report {
    run_reader(&path.display().to_string(), std::fs::File::open(path).unwrap()).unwrap()
}

fn cases(report: &Report, section: &str) -> usize {
    report.sections.iter().filter(|ran| ran.name.contains(section)).map(|ran| ran.cases).sum()
}

#[test]
fn test_14_the_rule_gives_the_published_figures() {
    let model = run(&vectors().join("bqip0002_model.json"));
    let counts = ["exp2_frac", "exponent", "step", "block_work"].map(|section| cases(&model, section));
    assert_eq!(counts, [240, 113, 600, 100], "{model}");
    let runs = std::fs::read_dir(vectors().join("asert_bch")).unwrap().map(|entry| entry.unwrap().path());
    let runs = runs.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run")));
    let lines: usize = runs.map(|path| run(&path).cases()).sum();
    assert_eq!(lines, 14_000);
    let decred = run(&vectors().join("asert_bch/decred_dcp0011.json"));
    assert_eq!(decred.cases(), 1_424, "{decred}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its vectors")]
fn test_14_control_rounding_toward_zero_is_noticed() {
    let text = std::fs::read_to_string(vectors().join("bqip0002_model.json")).unwrap();
    let model: Value = serde_json::from_str(&text).unwrap();
    let lags = model["exponent"].as_array().unwrap().iter().map(|case| {
        let expected: i128 = case[1].to_string().parse().unwrap();
        (case[0].as_i64().unwrap(), expected)
    });
    let truncated = |lag: i64| (i128::from(lag) << 32) / 14_400;
    let (mut wrong, mut right) = (0, 0);
    for (lag, expected) in lags {
        assert_eq!(schedule_exponent(lag, 14_400), expected);
        *(if truncated(lag) == expected { &mut right } else { &mut wrong }) += 1;
    }
    assert!(wrong >= 10 && right >= 10, "{wrong} wrong, {right} right");
}

/// Mines `blocks` blocks with random algorithms, gaps and legal times; `honest` replaces the times by honest ones. At every
/// height, asks whether the guard eased (SPEC 3.4), or hardened by more than its step (SPEC 3.5).
fn guard_only_hardens(seed: u64, count: usize, honest: bool, rule: &dyn Rule) -> bool {
    let setup = Setup::steady(count, 20);
    let mut chain = Chain::new(&setup.params, rule);
    let mut rng = Rng::seeded(seed, 9);
    let mut now = setup.params.genesis_time.0;
    for _ in 0..600 {
        let states = difficulty_states(&setup.params, chain.branch());
        for (state, required) in states.iter().zip(chain.required()) {
            let base = required.base_bits.decode().unwrap();
            let hardest_step = Target(state.previous.0 - state.previous.0 / U256::from(4));
            let least = hardest_step.to_compact().decode().unwrap().min(base);
            if required.target > base || required.target < least {
                return false;
            }
        }
        // Bursts, ordinary gaps, and now and then a day of silence.
        now += match rng.between(0, 8) {
            0..=3 => rng.between(0, 30),
            4..=7 => rng.between(0, 3_000),
            _ => rng.between(0, 100_000),
        };
        let earliest = chain.earliest().0;
        now = now.max(earliest.saturating_sub(setup.params.future_limit_secs));
        let lie = rng.between(earliest, now + setup.params.future_limit_secs);
        let time = if honest { now.max(earliest) } else { lie };
        let algorithm = Algorithm::ALL[rng.between(0, count as u64 - 1) as usize];
        chain.mine(algorithm, Timestamp(time), Timestamp(now));
    }
    true
}

#[test]
fn test_15_the_guard_never_eases() {
    for seed in SEEDS {
        for count in 1..=3 {
            for honest in [false, true] {
                assert!(guard_only_hardens(seed, count, honest, &Consensus), "seed {seed}, k = {count}");
            }
        }
    }
    assert!(SEEDS.into_iter().all(|seed| !guard_only_hardens(seed, 1, false, &EasingGuard)));
}
