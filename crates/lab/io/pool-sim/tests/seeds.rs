//! Days that always passed must go on passing, and wrong parts must be found.
#![expect(clippy::panic, reason = "a test ends at the first surprise")]

use bq_pool_sim::{Planted, PoolPlan, run};

/// Seeds of days that the pool lives through.
const DAYS: [u64; 40] = [
    24, 27, 40, 56, 108, 144, 161, 206, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23,
    25, 26, 28, 29, 30, 31, 32, 33, 34, 35,
];

#[test]
fn a_few_dozen_days_leave_everybody_paid_and_the_books_right() {
    for seed in DAYS {
        if let Err(broken) = run(PoolPlan::DAY, seed) {
            panic!("{broken}\n{}", broken.story.lines.join("\n"));
        }
    }
}

#[test]
fn a_seed_tells_the_same_story_again() {
    let stories = [run(PoolPlan::DAY, 3), run(PoolPlan::DAY, 3)];
    assert_eq!(stories[0], stories[1]);
    assert_ne!(stories[0], run(PoolPlan::DAY, 4));
}

#[track_caller]
fn assert_found(planted: Planted, seed: u64, expected: &str) {
    match run(PoolPlan { planted: Some(planted), ..PoolPlan::DAY }, seed) {
        Ok(_) => panic!("{planted:?} is not found by seed {seed}"),
        Err(broken) => assert!(broken.what.contains(expected), "{planted:?}, seed {seed}: {}", broken.what),
    }
}

#[test]
fn a_wrong_part_around_the_books_is_found() {
    assert_found(Planted::LyingDisk, 1, "the pool does not start");
    assert_found(Planted::RowsDropped, 1, "the signed bytes of payout");
    assert_found(Planted::MeddlingSigner, 1, "the signer changed payout");
    assert_found(Planted::ShareTwice, 1, "twice");
    assert_found(Planted::AcknowledgedUnwritten, 1, "is lost");
    assert_found(Planted::WrongPayee, 2, "is not what was handed on");
}
