//! What vardiff promises (SPEC 11.8), held against miners from 1 kH/s to 100 TH/s on good and bad lines.

mod randomx;
mod world;

use world::{Miner, Outcome, Port, mine_on};

const SPEEDS: [f64; 6] = [1e3, 1e5, 1e8, 1e10, 1e12, 1e14];

fn miner(speed: f64) -> Miner {
    Miner { speed, lines_per_second: 5_700.0, delay_ms: 50.0, jitter_ms: 0.0, stall_ms: 0.0, reconnect_ms: 0.0 }
}

fn mine(miner: Miner, seed: u64, span_ms: f64) -> Outcome {
    mine_on(Port::sha256d(), miner, seed, span_ms)
}

#[test]
fn every_speed_settles_within_a_minute_and_stays() {
    for speed in SPEEDS {
        let runs: Vec<_> = (0..20).map(|seed| mine(miner(speed), seed, 1_860_000.0)).collect();
        let off = runs.iter().filter(|run| (run.difficulty_at(60_000.0) / (speed * 10.0) - 1.0).abs() > 0.2).count();
        assert!(off <= 3, "{speed}: {off} of 20 are off after a minute");
        let changes: usize = runs.iter().map(|run| run.changes_after(60_000.0)).sum();
        assert!(changes <= 80, "{speed}: {changes} changes in ten hours");
        assert!(runs.iter().all(|run| run.refused == 0 && !run.closed), "{speed}: a share was refused");
        let credit: f64 = runs.iter().map(|run| run.credit[1]).sum::<f64>() / (speed * 1_800.0 * 20.0);
        // 3,600 shares: 1.7 % by chance.
        assert!((credit - 1.0).abs() < 0.05, "{speed}: {credit} per hash");
    }
}

/// 5,700 shares a second at the start, as many as the device can send: slowed before the second is over.
#[test]
fn a_fast_miner_is_slowed_within_the_first_second() {
    for speed in [1e11, 1e12, 1e13, 1e14] {
        let run = mine(miner(speed), 1, 5_000.0);
        let raised = run.difficulty_at(1_000.0) / run.difficulty_at(0.0);
        assert!(raised > 100.0, "{speed}: {raised} times");
        assert!(run.accepted < 8_000 && run.refused == 0 && !run.closed, "{speed}: {run:?}");
    }
}

#[test]
fn jitter_stalls_and_reconnects_change_nothing_of_that() {
    for speed in [1e4, 1e9, 1e13] {
        let bad = Miner { jitter_ms: 400.0, stall_ms: 8_000.0, reconnect_ms: 300_000.0, ..miner(speed) };
        let runs: Vec<_> = (0..20).map(|seed| mine(bad, seed, 1_860_000.0)).collect();
        let off =
            runs.iter().filter(|run| (run.difficulty_at(1_800_000.0) / (speed * 10.0) - 1.0).abs() > 0.25).count();
        assert!(off <= 3, "{speed}: {off} of 20 are off after half an hour");
        let credit: f64 = runs.iter().map(|run| run.credit[1]).sum::<f64>() / (speed * 1_800.0 * 20.0);
        assert!((0.93..1.05).contains(&credit), "{speed}: {credit} per hash, what a reconnect loses included");
        assert!(runs.iter().all(|run| !run.closed), "{speed}");
    }
}
