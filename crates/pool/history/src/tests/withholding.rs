use bq_ledger::ShareWeight;

use crate::{BlockLuck, SUSPICION};

fn luck(expected: u64, found: u64) -> BlockLuck {
    BlockLuck { parts: u128::from(expected) << 60, found }
}

/// Term by term from nothing on: slow and obvious.
fn model(mean: f64, found: u64) -> f64 {
    let (mut term, mut sum) = ((-mean).exp(), 0.0);
    for count in 0..=found {
        if count > 0 {
            term *= mean / count as f64;
        }
        sum += term;
    }
    sum
}

#[test]
fn tails_are_those_of_the_sum() {
    for expected in [1, 2, 5, 12, 31, 32, 33, 100, 600] {
        for found in 0..=expected * 2 {
            let (got, wanted) = (luck(expected, found).tail(), model(expected as f64, found));
            assert!((got - wanted).abs() <= 1e-9 * wanted, "{expected} {found}: {got} {wanted}");
        }
    }
}

#[test]
fn whoever_keeps_every_block_back_is_seen_by_twelve_expected_ones() {
    assert!((luck(12, 0).tail() - 6.14e-6).abs() < 1e-8);
    assert!(luck(12, 0).is_suspicious(SUSPICION));
    assert!(!luck(9, 0).is_suspicious(SUSPICION), "9 are not yet enough");
    assert!(luck(10, 0).is_suspicious(SUSPICION));
    assert!(!luck(12, 2).is_suspicious(SUSPICION));
}

/// Of all that an honest account may find, so much looks suspicious.
#[test]
fn an_honest_account_is_suspected_in_fewer_than_one_window_of_ten_thousand() {
    for expected in (1..=200).chain([1_000, 10_000]) {
        let suspected = (0..=expected).rev().find(|found| luck(expected, *found).is_suspicious(SUSPICION));
        let chance = suspected.map_or(0.0, |found| luck(expected, found).tail());
        assert!(chance < SUSPICION, "{expected}: {chance}");
    }
}

/// Blocks are drawn share by share, as they are found, and not from the distribution that is looked up.
#[test]
fn honest_accounts_are_not_suspected_and_thieves_of_half_their_blocks_are_in_time() {
    let mut seed = 7_u64;
    let mut drawn = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let weight = ShareWeight::from_parts(ShareWeight::ONE.parts() / 128).expect("a share");
    let (mut suspected, mut caught) = (0, 0);
    for _ in 0..1_000 {
        let (mut honest, mut thief) = (BlockLuck::default(), BlockLuck::default());
        for _ in 0..128 * 80 {
            let is_block = drawn().is_multiple_of(128);
            honest.add(weight, is_block);
            // Every other block is kept back.
            thief.add(weight, is_block && drawn().is_multiple_of(2));
        }
        suspected += u32::from(honest.is_suspicious(SUSPICION));
        caught += u32::from(thief.is_suspicious(SUSPICION));
    }
    assert!(suspected <= 2, "{suspected} of 1000 at one in 10,000");
    assert!(caught > 800, "{caught} of 1000 at 80 expected blocks");
}

#[test]
fn no_number_is_too_large() {
    for (parts, found) in [(0, 0), (0, u64::MAX), (u128::MAX, 0), (u128::MAX, u64::MAX), (1, 1), (1 << 60, u64::MAX)] {
        let tail = BlockLuck { parts, found }.tail();
        assert!((0.0..=1.0).contains(&tail), "{parts} {found}: {tail}");
    }
    let far = luck(100_000_000, 100_000_000);
    assert!((far.tail() - 0.5).abs() < 1e-4, "{}", far.tail());
    assert!(luck(100_000_000, 99_960_000).is_suspicious(SUSPICION), "four standard deviations");
    assert!(!luck(100_000_000, 99_970_000).is_suspicious(SUSPICION), "three");
}

#[test]
fn windows_add_up() {
    let both = luck(3, 1).and(luck(4, 0));
    assert_eq!(both, luck(7, 1));
    assert!(!BlockLuck::default().is_suspicious(SUSPICION), "nothing is known of who sent nothing");
}
