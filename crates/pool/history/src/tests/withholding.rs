use bq_ledger::ShareWeight;
use bq_primitives::Timestamp;

use crate::{BlockLuck, HistoryError, LuckHistory, LuckPeriod, SUSPICION};

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

/// In the middle of a period.
fn moment(period: u32) -> Timestamp {
    Timestamp(LuckPeriod(period).start().0 + LuckPeriod::SECS / 2)
}

fn history(periods: &[(u32, u64, u64)]) -> LuckHistory {
    let mut history = LuckHistory::default();
    for (period, expected, found) in periods {
        for block in 0..*expected {
            history.add(moment(*period), ShareWeight::ONE, block < *found);
        }
    }
    history
}

#[test]
fn a_period_ends_where_it_was_fixed_and_the_one_before_is_kept() {
    let first = history(&[(7, 3, 2)]);
    assert_eq!(first.periods().collect::<Vec<_>>(), [(LuckPeriod(7), luck(3, 2))]);
    let both = history(&[(7, 3, 2), (9, 5, 1)]);
    assert_eq!(both.periods().collect::<Vec<_>>(), [(LuckPeriod(9), luck(5, 1)), (LuckPeriod(7), luck(3, 2))]);
    let mut late = both;
    late.add(moment(8), ShareWeight::ONE, true);
    assert_eq!(late.periods().next(), Some((LuckPeriod(9), luck(6, 2))), "a clock that was put back");
    let third = history(&[(7, 3, 2), (9, 5, 1), (10, 1, 1)]);
    assert_eq!(third.periods().map(|(period, _)| period.0).collect::<Vec<_>>(), [10, 9]);
}

#[test]
fn a_period_is_judged_while_it_lasts_and_until_the_next_one_is_over() {
    let missing = history(&[(7, 12, 0)]);
    assert_eq!(missing.suspect(moment(7), SUSPICION), Some((LuckPeriod(7), luck(12, 0))), "6.1e-6 is below 1e-5");
    assert_eq!(missing.suspect(moment(8), SUSPICION), Some((LuckPeriod(7), luck(12, 0))));
    assert_eq!(missing.suspect(moment(9), SUSPICION), None, "nobody is told of what is long over");
    let hardly = history(&[(7, 10, 0)]);
    assert_eq!(hardly.suspect(moment(7), SUSPICION), None, "4.5e-5 is not below 1e-5");
    assert_eq!(hardly.suspect(moment(8), SUSPICION), Some((LuckPeriod(7), luck(10, 0))));
    assert_eq!(hardly.suspect(moment(8), 0.0), None, "never");
    let again = history(&[(7, 12, 0), (8, 1, 1)]);
    assert_eq!(again.suspect(moment(8), SUSPICION), Some((LuckPeriod(7), luck(12, 0))), "a lucky start hides nothing");
}

/// Whoever looks all the time stops at the worst moment: the smaller bound makes up for it.
#[test]
fn looking_all_the_time_names_hardly_more_honest_accounts() {
    const BOUND: f64 = 1e-2;
    let mut seed = 11_u64;
    let mut drawn = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let weight = ShareWeight::from_parts(ShareWeight::ONE.parts() / 16).expect("a share");
    let accounts = 1_500;
    let mut named = 0;
    for _ in 0..accounts {
        let mut history = LuckHistory::default();
        let is_named = (0..16 * 60).any(|_| {
            history.add(moment(7), weight, drawn().is_multiple_of(16));
            history.suspect(moment(7), BOUND).is_some()
        });
        named += u32::from(is_named);
    }
    assert!(f64::from(named) < f64::from(accounts) * BOUND, "{named} of {accounts} at a bound of {BOUND}");
}

#[test]
fn histories_are_read_back_and_nothing_else_is() {
    for history in [LuckHistory::default(), history(&[(7, 3, 2)]), history(&[(7, 3, 2), (9, 5, 1)])] {
        let bytes = history.to_bytes();
        assert_eq!(LuckHistory::from_bytes(&bytes), Ok(history));
        for cut in 0..bytes.len() {
            assert!(LuckHistory::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
    }
    let swapped = [1, 7, 1, 1, 9, 1, 1];
    assert_eq!(LuckHistory::from_bytes(&swapped), Err(HistoryError::Field("period")), "the later one comes first");
}
