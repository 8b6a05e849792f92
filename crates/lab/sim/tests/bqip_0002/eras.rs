//! Tests 12 and 13: where one stretch of rules meets the next.

use bq_consensus::StartBits;
use bq_primitives::Algorithm;
use bq_sim::{ChainPlan, Consensus, Run, Scenario, recovery_blocks};

use crate::{
    controls::AbsoluteAsert,
    seeds::{Eight, SEEDS, mean, median},
};

const SWITCH: usize = 1_000;

/// What the switch itself did to an algorithm's difficulty.
fn difficulty_step(run: &Run, algorithm: Algorithm) -> f64 {
    let at = |height: usize| run.blocks[height - 1].next_difficulty[algorithm.index()];
    // The records of the two blocks below the switch hold the difficulties of the last block before it and the first after.
    at(SWITCH - 1) / at(SWITCH - 2)
}

fn recovery(run: &Run) -> f64 {
    let event = run.blocks[SWITCH - 2].found_secs;
    recovery_blocks(&run.blocks, event).map_or(f64::INFINITY, |(blocks, _)| blocks as f64)
}

fn switches_smoothly(eight: &Eight, continuing: &[Algorithm], scale: f64) -> bool {
    let steps = eight.summaries.iter().map(|summary| summary.weight_step.unwrap());
    let weight = steps.fold((f64::MAX, 0.0_f64), |(low, high), step| (low.min(step), high.max(step)));
    let recovery = median(eight.runs.iter().map(recovery));
    println!("era: weight step {weight:.3?}, recovery {recovery} blocks");
    // One ordinary step lies between the two difficulties that are compared.
    let scaled = continuing.iter().all(|algorithm| {
        let step = mean(eight.runs.iter().map(|run| difficulty_step(run, *algorithm)));
        println!("era: {algorithm} difficulty step {step:.3}");
        (step / scale - 1.0).abs() <= 0.08
    });
    weight.0 >= 0.75 && weight.1 <= 1.25 && recovery <= 120.0 && scaled
}

#[test]
fn test_12_eras_join_smoothly() {
    use Algorithm::{RandomX, Sha256d};
    assert!(switches_smoothly(&Eight::of("era-1-to-3"), &[Sha256d], 3.0));
    assert!(switches_smoothly(&Eight::of("era-3-to-2"), &[Sha256d, RandomX], 2.0 / 3.0));

    // Without CONTINUE the difficulty does not carry over.
    let plan = || Scenario::chain_plan("era-1-to-3").unwrap();
    let mut restarted = plan();
    let table = &mut restarted.setup.params.eras.table;
    table[1].algorithms[0].start_bits = table[0].algorithms[0].start_bits;
    assert!(!switches_smoothly(&Eight::of_plan(restarted, &Consensus), &[Sha256d], 3.0));

    // With units of work that ignore what the chain has grown to, the weight does not.
    let mut revalued = plan();
    for rule in &mut revalued.setup.params.eras.table[1].algorithms {
        rule.ref_bits = if let StartBits::At(start) = rule.start_bits { start } else { rule.ref_bits };
    }
    assert!(!switches_smoothly(&Eight::of_plan(revalued, &Consensus), &[Sha256d], 3.0));
}

/// The first step after a month of silence, and the mean of the blocks after it.
fn stale(plan: &ChainPlan, rule: &dyn bq_sim::Rule) -> (f64, f64) {
    let runs: Vec<Run> = SEEDS.map(|seed| plan.run(seed, rule)).collect();
    let step = |run: &Run| run.blocks[0].difficulty / run.blocks[0].next_difficulty[0];
    let normal = |run: &Run| (run.blocks[999].found_secs - run.blocks[0].found_secs) / 999.0;
    let (step, normal) = (mean(runs.iter().map(step)), mean(runs.iter().map(normal)));
    println!("stale genesis: first step {step:.6}, then {normal:.1} s");
    (step, normal)
}

#[test]
fn test_13_a_stale_genesis_is_forgotten() {
    let plan = Scenario::chain_plan("stale-genesis").unwrap();
    let passes = |(step, normal): (f64, f64)| (step - 1.25).abs() < 1e-4 && (585.0..=609.0).contains(&normal);
    assert!(passes(stale(&plan, &Consensus)));
    assert!(!passes(stale(&plan, &AbsoluteAsert)));
}
