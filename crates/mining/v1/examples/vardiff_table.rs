//! Prints what vardiff does to miners of SHA-256d (1 kH/s to 100 TH/s) and RandomX (1 kH/s to 1 MH/s): the tables in docs/benchmarks.md.
//!
//!     cargo run --release -p bq-stratum-v1 --example vardiff_table

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "counts are small, and printing is what it is for"
)]

#[path = "../tests/vardiff/world.rs"]
mod world;

use world::{Miner, Outcome, Port, START, mine_on};

const SEEDS: u64 = 200;
const SPAN_MS: f64 = 3_660_000.0;

fn main() {
    println!(
        "start {START} hashes, share interval 10 s (RandomX 10,000 and 15 s), {SEEDS} runs of 61 minutes each, at most 5,700 lines/s"
    );
    for (name, line) in [
        (
            "50 ms",
            Miner {
                speed: 0.0,
                lines_per_second: 5_700.0,
                delay_ms: 50.0,
                jitter_ms: 0.0,
                stall_ms: 0.0,
                reconnect_ms: 0.0,
            },
        ),
        (
            "50 ms, jitter 400 ms, stalls of 8 s every 2 min, reconnects every 10 min",
            Miner {
                speed: 0.0,
                lines_per_second: 5_700.0,
                delay_ms: 50.0,
                jitter_ms: 400.0,
                stall_ms: 8_000.0,
                reconnect_ms: 600_000.0,
            },
        ),
    ] {
        println!("\n{name}\n");
        println!(
            "| hashes/s | settled, median | 95 % | within 20 % at 60 s | changes in the hour after | shares in the first minute | refused | credit per hash, first minute | after |"
        );
        println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        for (port, exponents) in [(Port::sha256d(), 3..=14), (Port::randomx(), 3..=6)] {
            println!("| {} | | | | | | | | |", port.algorithm);
            for exponent in exponents {
                let speed = 10_f64.powi(exponent);
                let span = SPAN_MS + port.dataset_ms;
                let runs = (0..SEEDS).map(|seed| mine_on(port, Miner { speed, ..line }, seed, span));
                row(&port, speed, &runs.collect::<Vec<_>>());
            }
        }
    }
}

/// Time counts from when it began to mine.
fn row(port: &Port, speed: f64, runs: &[Outcome]) {
    let (ideal, count, minute) = (port.ideal(speed), SEEDS as f64, port.dataset_ms + 60_000.0);
    let mut settled: Vec<f64> = runs.iter().map(|run| (run.settled_ms(ideal) - port.dataset_ms) / 1000.0).collect();
    settled.sort_by(f64::total_cmp);
    let at = |part: f64| settled.get((count * part) as usize).copied().unwrap_or(f64::INFINITY);
    let good = runs.iter().filter(|run| (run.difficulty_at(minute) / ideal - 1.0).abs() <= 0.2).count();
    let changes: usize = runs.iter().map(|run| run.changes_after(minute)).sum();
    let refused: u32 = runs.iter().map(|run| run.refused).sum();
    let shares: u32 = runs.iter().map(|run| run.accepted_in_minute).sum();
    let credit =
        |part: usize, seconds: f64| runs.iter().map(|run| run.credit[part]).sum::<f64>() / (speed * seconds * count);
    println!(
        "| {speed:.0e} | {:.0} s | {:.0} s | {} % | {:.1} | {:.0} | {refused} | {:.3} | {:.3} |",
        at(0.5),
        at(0.95),
        good * 100 / runs.len(),
        changes as f64 / count,
        f64::from(shares) / count,
        credit(0, 60.0),
        credit(1, SPAN_MS / 1000.0 - 60.0),
    );
}
