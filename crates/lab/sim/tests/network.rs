//! Twenty nodes and what keeps them apart: `bq sim --scenario network-week` and shorter runs.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::thread;

use bq_primitives::Algorithm;
use bq_sim::{Cause, Conduct, NetworkPlan, NetworkRun};
use bq_sync::{DisconnectReason, Misbehavior};

/// What must hold for every plan and seed.
fn check(plan: &NetworkPlan, seed: u64) -> NetworkRun {
    let run = plan.run(seed);
    assert!(run.has_converged && run.has_one_state, "seed {seed}: nodes do not agree in the end");
    let failures: Vec<_> = run.reorgs.iter().filter(|reorg| reorg.cause == Cause::Nothing).collect();
    assert!(failures.is_empty(), "seed {seed}: deeper than anything explains: {failures:?}");
    assert!(run.honest_refused().is_empty(), "seed {seed}: {:?}", run.honest_refused());
    for healed in &run.healed {
        let after_ms = healed.converged_after_ms.unwrap();
        assert!(after_ms <= 180_000, "seed {seed}: partition {} healed in {after_ms} ms", healed.partition);
        // The losing side's blocks are all that a partition can undo, and a race at its end.
        let deepest = run.deepest_reorg(|cause| *cause == Cause::Partition(healed.partition));
        assert!(deepest <= healed.lost_blocks + 1, "seed {seed}: {deepest} blocks left, {} lost", healed.lost_blocks);
    }
    run
}

#[test]
fn twenty_nodes_agree_after_a_week() {
    let plan = NetworkPlan::week();
    let run = check(&plan, 1);
    // A thousand blocks, give or take four deviations of the lottery and what changes of the hash rate bring.
    assert!((850..1_200).contains(&run.blocks.len()), "{}", run.blocks.len());
    for algorithm in Algorithm::ALL {
        assert!(run.blocks.iter().filter(|block| block.algorithm == algorithm).count() > 250, "{algorithm}");
    }
    assert!(run.deepest_reorg(|cause| *cause == Cause::Race) <= 2);
    // Not vacuous: halves that were apart for hours undid blocks on one side.
    assert!((5..40).contains(&run.deepest_reorg(|_| true)), "{}", run.deepest_reorg(|_| true));
    let calm: Vec<_> = run.blocks.iter().filter(|block| block.is_calm).collect();
    let stale = calm.iter().filter(|block| block.is_stale).count();
    assert!(stale * 50 <= calm.len(), "{stale} of {} blocks without a partition are stale", calm.len());
    assert!(run.reach_ms()[run.reach_ms().len() / 2] < 2_000);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "two worlds at a time; neither knows of the other")]
fn nodes_agree_whatever_the_seed() {
    let plan = NetworkPlan::hours();
    thread::scope(|scope| {
        for half in [2..5, 5..8] {
            let plan = &plan;
            scope.spawn(move || half.for_each(|seed| drop(check(plan, seed))));
        }
    });
}

#[test]
fn hostile_nodes_are_cut_off_for_what_they_do() {
    let run = check(&NetworkPlan::hours(), 1);
    let reasons = |conduct: Conduct| {
        let node = run.honest + NetworkPlan::hours().hostile.iter().position(|one| *one == conduct).unwrap();
        let cuts = run.cut_offs.iter().filter(move |cut| cut.whom == node && cut.by < run.honest);
        cuts.map(|cut| cut.reason).collect::<Vec<_>>()
    };
    let is_forgery =
        |reason: &&DisconnectReason| matches!(reason, DisconnectReason::Misbehaved(Misbehavior::Refused(100)));
    assert!(reasons(Conduct::Forger).iter().filter(is_forgery).count() >= 5);
    assert!(!reasons(Conduct::Mute).is_empty());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let plan = NetworkPlan::hours();
    let [first, again, other] = [1, 1, 2].map(|seed| plan.run(seed));
    assert!(first == again);
    assert!(first.blocks != other.blocks);
}

/// The control: refusing a silent node for an hour, as one refuses a liar, makes an hour of a partition of ten minutes, and
/// undoes blocks that no partition explains.
#[test]
fn an_hours_refusal_for_silence_is_too_much() {
    let run = NetworkPlan { pause_ms: 3_600_000, ..NetworkPlan::hours() }.run(1);
    assert!(run.reorgs.iter().any(|reorg| reorg.cause == Cause::Nothing));
}
