//! Days that always passed must go on passing, and wrong parts must be found.
#![expect(clippy::panic, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;

use bq_pool_sim::{Planted, PoolPlan, run};

/// Seeds of days that the pool lives through.
const DAYS: [u64; 44] = [
    17, 96, 239, 677, 24, 27, 40, 56, 108, 144, 161, 206, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18,
    19, 20, 21, 22, 23, 25, 26, 28, 29, 30, 31, 32, 33, 34, 35,
];

/// One seed of a plan, whose figures are added up.
#[track_caller]
fn live(plan: PoolPlan, seed: u64, sums: &mut BTreeMap<&'static str, u64>) {
    match run(plan, seed) {
        Ok(story) => story.figures.into_iter().for_each(|(name, value)| *sums.entry(name).or_insert(0) += value),
        Err(broken) => panic!("{}: {broken}\n{}", plan.name, broken.story.lines.join("\n")),
    }
}

#[test]
fn a_few_dozen_days_leave_everybody_paid_and_the_books_right() {
    let mut sums = BTreeMap::new();
    DAYS.iter().for_each(|seed| live(PoolPlan::DAY, *seed, &mut sums));
    // Hostile miners hide what they find now and then, and never earn more than they draw.
    assert!(sums["hostile_credit"] <= sums["hostile_lots"], "{sums:?}");
    let happens = [
        "acknowledged",
        "hostile_credit",
        "connections_banned",
        "connections_ended_by_pool",
        "wires_broken",
        "submits_refused",
        "submits_waited",
        "submits_busy",
        "submits_again",
        "block_wait_max_ms",
    ];
    for name in happens {
        assert!(sums[name] > 0, "{name} never happened");
    }
}

#[test]
fn coinbases_pay_everybody_what_the_slow_model_says() {
    let mut sums = BTreeMap::new();
    (1..=24).for_each(|seed| live(PoolPlan::DIRECT, seed, &mut sums));
    let blocks = sums["blocks_matured"];
    assert!(blocks > 100, "{blocks} blocks");
}

/// Seeds of days on which old books were put back, and that once paid somebody twice or stopped.
const RESTORES: [u64; 12] = [10, 11, 40, 41, 65, 94, 103, 197, 315, 466, 474, 657];

#[test]
fn old_books_that_are_put_back_pay_nobody_twice() {
    RESTORES.iter().for_each(|seed| live(PoolPlan::RESTORE, *seed, &mut BTreeMap::new()));
}

/// Each with the plans beside it.
#[test]
fn accounts_of_every_scheme_get_what_the_slow_model_says_at_every_event() {
    let mut sums = BTreeMap::new();
    for (plan, seeds) in
        [(PoolPlan::SCHEMES, 1..=24), (PoolPlan::SCHEMES_DIRECT, 1..=8), (PoolPlan::SCHEMES_RESTORE, 1..=8)]
    {
        seeds.for_each(|seed| live(plan, seed, &mut sums));
    }
    let happens = [
        "alone_atoms",
        "turns_of_the_reserve",
        "blocks_of_windows",
        "blocks_solo",
        "blocks_of_tides",
        "blocks_pps",
        "blocks_fpps",
        "shares_with_fees",
    ];
    for name in happens {
        assert!(sums[name] > 0, "{name} never happened");
    }
}

#[test]
fn a_seed_tells_the_same_story_again() {
    let stories = [run(PoolPlan::DAY, 3), run(PoolPlan::DAY, 3)];
    assert_eq!(stories[0], stories[1]);
    assert_ne!(stories[0], run(PoolPlan::DAY, 4));
}

/// Which of them depends on every draw of the day, so that none is named.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;

#[track_caller]
fn assert_found(planted: Planted, expected: &str) {
    assert_found_in(PoolPlan::DAY, planted, expected);
}

#[track_caller]
fn assert_found_in(plan: PoolPlan, planted: Planted, expected: &str) {
    let plan = PoolPlan { planted: Some(planted), ..plan };
    let mut others = Vec::new();
    for seed in SEEDS {
        match run(plan, seed).err().map(|broken| broken.what) {
            Some(what) if what.contains(expected) => return,
            other => others.push((seed, other)),
        }
    }
    panic!("{planted:?}: no seed finds {expected:?}: {others:#?}");
}

#[test]
fn a_wrong_part_around_the_books_is_found() {
    assert_found(Planted::LyingDisk, "the pool does not start");
    assert_found(Planted::RowsDropped, "the signed bytes of payout");
    assert_found(Planted::MeddlingSigner, "the signer changed payout");
    assert_found(Planted::ShareTwice, "twice");
    assert_found(Planted::AcknowledgedUnwritten, "is lost");
    assert_found(Planted::WrongPayee, "is not what was handed on");
    assert_found(Planted::NewInputsOnRetry, "pays miners and is not in the books");
}

#[test]
fn a_wrong_part_of_the_front_end_is_found() {
    assert_found(Planted::NewerDifficulty, "its job said otherwise");
    assert_found(Planted::NewerDifficulty, "its proof is worth less");
    assert_found(Planted::ClaimTrusted, "its proof is worth less");
    assert_found(Planted::SameWork, "is credited again");
    assert_found(Planted::RefusedUnseen, "refused unseen");
    assert_found(Planted::BlockAfterSync, "was not handed to the node at once");
}

#[test]
fn a_wrong_rule_of_the_machine_is_found() {
    assert_found(Planted::WindowOffByOne, "the slow model says");
    assert_found(Planted::ReleasedOnTimeOut, "it may still confirm");
}

#[test]
fn a_wrong_rule_of_a_scheme_is_found() {
    let found = |planted, expected| assert_found_in(PoolPlan::SCHEMES, planted, expected);
    found(Planted::PerShareWithoutFee, "the slow model says that shares earn");
    found(Planted::SettledTwice, "the slow model says that");
    found(Planted::TidesDifficulty, "of block");
    found(Planted::WindowCountsOthers, "of block");
    found(Planted::BegunAtOnce, "the reserve does not say so");
    found(Planted::NeverEnded, "shares are paid for themselves out of");
}
