//! What must hold for every legal choice of times and algorithms, honest or not (SPEC 3.6).

mod random_chain;

use bq_consensus::{
    Branch, Consequence, LinearBranch, RequiredBits, SealedHeader, UnitFraction, block_work, check_header,
    discounted_work, extend, required_bits, weighted_work,
};
use bq_primitives::{Target, Timestamp, U256, Work};
use proptest::prelude::*;

use random_chain::{Stamp, Step, check_every_step, grow, header, params, seal};

fn stamp() -> impl Strategy<Value = Stamp> {
    prop_oneof![Just(Stamp::Honest), Just(Stamp::Earliest), Just(Stamp::Latest), any::<u16>().prop_map(Stamp::At),]
}

fn steps(length: usize) -> impl Strategy<Value = Vec<Step>> {
    // Mostly bursts and ordinary gaps, sometimes a day of silence.
    let gap = prop_oneof![4 => 0_u64..30, 4 => 0_u64..3_000, 1 => 0_u64..100_000];
    let step = (0_usize..3, gap, stamp()).prop_map(|(algorithm, gap_secs, stamp)| Step { algorithm, gap_secs, stamp });
    prop::collection::vec(step, length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The inequality of SPEC 3.6, the guard, and the step bounds, at every height of random chains.
    #[test]
    fn difficulty_never_eases_faster_than_the_clock(count in 1_usize..=3, steps in steps(250)) {
        check_every_step(count, &steps);
    }

    /// A later clock never asks for more work.
    #[test]
    fn a_later_clock_is_never_harder(count in 1_usize..=3, steps in steps(40), more in 0_u64..200_000) {
        let params = params(count);
        let mut branch = LinearBranch::new(params.genesis_entry());
        let mut now = params.genesis_time.0;
        for step in &steps {
            now = grow(&params, &mut branch, now, step).0;
        }
        let tip = branch.pop().unwrap();
        let bits_at = |time: u64| {
            let mut later = branch.clone();
            let mut moved = tip;
            moved.clock = Timestamp(time);
            later.push(moved);
            required_bits(&params, &later)
        };
        let (early, late) = (bits_at(tip.clock.0), bits_at(tip.clock.0 + more));
        for (early, late) in early.iter().zip(&late) {
            prop_assert!(early.base_bits.decode().unwrap() <= late.base_bits.decode().unwrap());
            prop_assert!(early.target <= late.target);
        }
    }

    /// A reorganisation needs no rollback: the same headers give the same entries whatever else the index holds.
    #[test]
    fn entries_are_a_function_of_the_headers(steps in steps(60)) {
        let params = params(3);
        let mut branch = LinearBranch::new(params.genesis_entry());
        let mut now = params.genesis_time.0;
        let mut headers = Vec::new();
        for step in &steps {
            now = grow(&params, &mut branch, now, step).0;
            let tip = *branch.tip();
            let bits = RequiredBits {
                algorithm: tip.algorithm.unwrap(),
                bits: tip.bits,
                base_bits: tip.bits,
                target: tip.bits.decode().unwrap(),
            };
            branch.pop();
            headers.push((header(&branch, &bits, tip.time), tip));
            branch.push(tip);
        }
        let mut again = LinearBranch::new(params.genesis_entry());
        for (header, expected) in headers {
            let entry = extend(&params, &again, &header, expected.id).unwrap();
            prop_assert_eq!(entry, expected);
            again.push(entry);
        }
    }

    /// The exact root against its definition, and the weight against its reference.
    #[test]
    fn weight_is_the_floor_of_the_mean(
        targets in prop::collection::vec((1_u32..256, 1_u32..256), 1..=3),
        run in any::<u8>(),
    ) {
        let pairs: Vec<_> = targets
            .iter()
            .map(|(a, b)| [*a, *b].map(|bits| Target(U256::MAX.wrapping_shr(usize::try_from(bits).unwrap()))))
            .map(|[target, unit]| (target, unit))
            .collect();
        // Both works are powers of two here, so that the mean is one too when its exponent is whole.
        let exponent: i64 = targets.iter().map(|(a, b)| i64::from(*a) - i64::from(*b) + 64).sum();
        let work = block_work(pairs.iter().copied()).0;
        let k = i64::try_from(pairs.len()).unwrap();
        if exponent < 0 {
            prop_assert_eq!(work, U256::ONE);
        } else if exponent / k < 256 {
            let floor = usize::try_from(exponent / k).unwrap();
            prop_assert_eq!(work.bit_len(), floor + 1);
            if exponent % k == 0 {
                prop_assert_eq!(work, U256::ONE.wrapping_shl(floor));
            }
        }
        let weight = weighted_work(&pairs, run);
        prop_assert!(weight >= Work(U256::ONE) && weight.0 <= work);
        prop_assert_eq!(weight, discounted_work(Work(work), pairs.len(), run));
    }
}

#[test]
fn run_discount_starts_at_the_seventh_block_and_ends_at_a_64th() {
    let work = Work(U256::from(6400));
    let weights =
        |active| [1, 6, 7, 8, 12, 13, 255].map(|run| u64::try_from(discounted_work(work, active, run).0).unwrap());
    assert_eq!(weights(3), [6400, 6400, 3200, 1600, 100, 100, 100]);
    assert_eq!(weights(2), weights(3));
    assert_eq!(weights(1), [6400; 7]);
    assert_eq!(discounted_work(Work(U256::ONE), 3, 255), Work(U256::ONE));
}

#[test]
fn after_a_month_without_blocks_one_step_eases_by_a_quarter_and_the_debt_is_forgotten() {
    let params = params(1);
    let month = 30 * 86_400;
    let mut branch = LinearBranch::new(params.genesis_entry());
    let step = |gap_secs| Step { algorithm: 0, gap_secs, stamp: Stamp::Honest };
    let (now, first) = grow(&params, &mut branch, params.genesis_time.0, &step(month));
    let (now, second) = grow(&params, &mut branch, now, &step(600));
    let (_, third) = grow(&params, &mut branch, now, &step(600));
    let start = first[0].target.0;
    let exact = Target(start + start / U256::from(4)).to_compact();
    assert_eq!(second[0].bits, exact);
    assert_eq!(third[0].bits, exact, "on schedule from here");
    assert_eq!(UnitFraction::QUARTER.of(U256::from(7)), U256::ONE);
}

#[test]
fn a_time_too_far_ahead_is_held_not_refused() {
    let params = params(1);
    let branch = LinearBranch::new(params.genesis_entry());
    let required = required_bits(&params, &branch)[0];
    let now = params.genesis_time.0 + 10_000;
    let at = |time| {
        let sealed =
            SealedHeader { header: header(&branch, &required, Timestamp(time)), seal: seal(required.algorithm) };
        check_header(&params, &branch, sealed, Timestamp(now))
    };
    assert!(at(now + params.future_limit_secs).is_ok());
    let early = at(now + params.future_limit_secs + 1).unwrap_err();
    assert_eq!((early.consequence(), early.misbehavior()), (Consequence::Hold, 0));
    let old = at(params.genesis_time.0).unwrap_err();
    assert_eq!((old.consequence(), old.misbehavior()), (Consequence::Invalid, 100));
    assert!(at(params.genesis_time.0 + 1).is_ok());
}
