//! The worked examples of the ledger's specification, bit for bit.

use super::*;
use crate::{
    Accrual, BlockCredit, Books, FeeAverage, Head, LedgerAccount, PayoutPlan, PerShare, ShareValue, TidesFold,
    distribute, reverse_credit, solo,
};

pub(super) const REWARD: u64 = 5_000_000_000;

fn e1_window() -> Window {
    let weights = [(A, 1_152_921_504_606_846_976), (B, 691_752_902_764_108_185), (C, 461_168_601_842_738_791)];
    Window::from_parts(units(2), weights, 0).expect("sums to two units")
}

#[test]
fn e1_split() {
    let split = distribute(atoms(REWARD), bp(100), Amount::ZERO, &e1_window()).expect("in range");
    assert_eq!(split.fee, atoms(50_000_000));
    assert_eq!(split.credits, [(A, atoms(2_475_000_000)), (B, atoms(1_484_999_999)), (C, atoms(990_000_000))]);
    assert_eq!((split.seed, split.carry, split.payees), (Amount::ZERO, atoms(1), 3));
}

#[test]
fn e2_residue_joins_the_next_block() {
    let third = 768_614_336_404_564_650;
    let window = Window::from_parts(units(2), [(A, third), (B, third), (C, third + 2)], 0).expect("sums");
    let first = distribute(atoms(1_000_000_007), bp(150), Amount::ZERO, &window).expect("in range");
    assert_eq!(first.fee, atoms(15_000_000));
    assert_eq!(first.credits, [A, B, C].map(|account| (account, atoms(328_333_335))));
    assert_eq!(first.carry, atoms(2));

    let second = distribute(atoms(1_000_000_000), bp(150), first.carry, &window).expect("in range");
    assert_eq!(second.fee, atoms(15_000_000));
    let credits = [(A, atoms(328_333_333)), (B, atoms(328_333_333)), (C, atoms(328_333_334))];
    assert_eq!(second.credits, credits);
    assert_eq!(second.carry, atoms(2));

    let paid: u64 = first.credits.iter().chain(&second.credits).map(|(_, amount)| amount.atoms()).sum();
    assert_eq!(30_000_000 + paid + 2, 2_000_000_007);
}

#[test]
fn e3_window_edge() {
    let shares = [(A, 600), (B, 500), (A, 300), (C, 100)].map(|(account, d)| (account, weight(d, 1000)));
    let parts = shares.map(|(_, weight)| weight.parts());
    assert_eq!(
        parts,
        [691_752_902_764_108_185, 576_460_752_303_423_488, 345_876_451_382_054_092, 115_292_150_460_684_697]
    );
    let window = window_of(units(1), &shares);
    let weights: Vec<_> = window.weights().collect();
    assert_eq!(weights, [(A, 518_814_677_073_081_140), (B, 576_460_752_303_423_488), (C, 57_646_075_230_342_348)]);
    assert_eq!(window.seed(), 0);

    let split = distribute(atoms(REWARD), bp(200), Amount::ZERO, &window).expect("in range");
    assert_eq!(split.fee, atoms(100_000_000));
    let credits = [(A, atoms(2_205_000_000)), (B, atoms(2_450_000_000)), (C, atoms(244_999_999))];
    assert_eq!(split.credits, credits);
    assert_eq!(split.carry, atoms(1));
}

#[test]
fn e4_young_pool_leaves_the_rest_to_seed() {
    let shares = [(A, 500), (B, 250), (B, 100)].map(|(account, d)| (account, weight(d, 1000)));
    let window = window_of(units(2), &shares);
    let weights: Vec<_> = window.weights().collect();
    assert_eq!(weights, [(A, 576_460_752_303_423_488), (B, 345_876_451_382_054_092)]);
    assert_eq!(window.seed(), 1_383_505_805_528_216_372);

    let split = distribute(atoms(REWARD), bp(100), Amount::ZERO, &window).expect("in range");
    assert_eq!(split.credits, [(A, atoms(1_237_500_000)), (B, atoms(742_499_999))]);
    assert_eq!((split.seed, split.fee, split.carry), (atoms(2_970_000_000), atoms(50_000_000), atoms(1)));
}

#[test]
fn e5_difficulty_moves_inside_the_window() {
    assert_eq!(weight(250, 1000).parts(), 288_230_376_151_711_744);
    assert_eq!(weight(250, 2000).parts(), 144_115_188_075_855_872);
    let old = [(A, weight(250, 1000)); 4];
    let new = [(B, weight(250, 2000)); 4];
    let window = window_of(units(1), &[old, new].concat());
    let weights: Vec<_> = window.weights().collect();
    assert_eq!(weights, [(A, 648_518_346_341_351_424), (B, 504_403_158_265_495_552)]);

    let split = distribute(atoms(REWARD), bp(0), Amount::ZERO, &window).expect("in range");
    assert_eq!(split.credits, [(A, atoms(2_812_500_000)), (B, atoms(2_187_500_000))]);
    assert_eq!(split.carry, Amount::ZERO);
}

/// Adds the shares, credits after every `every` of them and at the end.
fn paid_per_share(value: ShareValue, shares: u32, every: u32) -> (u64, u128) {
    let mut accrual = Accrual::ZERO;
    let mut credited = 0;
    for share in 1..=shares {
        accrual = accrual.added(value).expect("in range");
        if share % every == 0 || share == shares {
            let (credit, rest) = accrual.flush();
            credited += credit.atoms();
            accrual = rest;
        }
    }
    (credited, accrual.parts())
}

#[test]
fn e6_pps_accrual() {
    let weight = weight(3, 7_000_003);
    assert_eq!(weight.parts(), 494_109_004_499);
    let value = ShareValue::of(weight, atoms(REWARD), bp(400)).expect("in range");
    assert_eq!(value.parts(), 494_109_004_499 * 4_800_000_000);
    let (credited, rest) = paid_per_share(value, 1000, 64);
    assert_eq!((credited, rest), (2_057_141, 1_124_686_766_204_944_384));
    assert_eq!(u128::from(credited) * ONE + rest, 1000 * 494_109_004_499 * 4_800_000_000);
    assert_eq!(1000 * (value.parts() >> 60), 2_057_000, "what a floor for each share would pay");
}

#[test]
fn e7_tiny_share() {
    let weight = weight(1, 1 << 40);
    assert_eq!(weight.parts(), 1_048_576);
    let value = ShareValue::of(weight, atoms(REWARD), bp(400)).expect("in range");
    assert_eq!(paid_per_share(value, 1000, 64), (4, 421_478_781_572_612_096));
    assert_eq!(value.parts() >> 60, 0, "a floor for each share would never pay");
}

#[test]
fn e8_fpps_average_of_fees() {
    let mut fees = FeeAverage::default();
    for (height, total) in (10..).map(Height).zip([1_200_345, 0, 990_001, 45, 7_777_777, 13]) {
        fees.note(height, atoms(total), atoms(REWARD));
    }
    let average = fees.before(Height(16));
    assert_eq!(average, atoms(1_661_363));
    let block = PerShare::Fpps.block_value(atoms(REWARD), average).expect("in range");
    assert_eq!(block, atoms(5_001_661_363));
    assert_eq!(bp(250).of(block), Ok(atoms(125_041_534)));

    let weight = weight(50_000, 80_000_000);
    assert_eq!(weight.parts(), 720_575_940_379_279);
    let value = ShareValue::of(weight, block, bp(250)).expect("in range");
    assert_eq!(value.parts(), 720_575_940_379_279 * 4_876_619_829);
    assert_eq!(paid_per_share(value, 1, 1), (3_047_887, 453_242_264_742_983_579));
}

#[test]
fn e9_solo() {
    let split = solo(atoms(5_000_123_457), bp(75), B).expect("in range");
    assert_eq!(split.fee, atoms(37_500_925));
    assert_eq!(split.credits, [(B, atoms(4_962_622_532))]);
    assert_eq!((split.seed, split.carry), (Amount::ZERO, Amount::ZERO));
}

#[test]
fn e10_tides() {
    let mut fold = TidesFold::new(units(8), NetworkDifficulty::from_hashes(1000), Head::Half);
    for (account, hashes) in [(C, 1000), (B, 1500), (C, 1000), (A, 3000), (B, 1000)] {
        assert!(fold.add(account, ShareDifficulty::from_hashes(hashes)).is_continue());
    }
    let window = fold.finish();
    let parts: Vec<_> = window.weights().collect();
    assert_eq!((window.whole(), window.seed()), (8000, 1000));
    assert_eq!(parts, [(A, 3000), (B, 2500), (C, 1500)]);

    let split = distribute(atoms(REWARD), bp(200), Amount::ZERO, &window).expect("in range");
    assert_eq!(split.fee, atoms(100_000_000));
    let credits = [(A, atoms(1_837_500_000)), (B, atoms(1_531_250_000)), (C, atoms(918_750_000))];
    assert_eq!(split.credits, credits);
    assert_eq!((split.seed, split.carry), (atoms(612_500_000), Amount::ZERO));
}

#[test]
fn e11_payout_batch() {
    let due = vec![(C, atoms(1_000_000)), (A, atoms(123_456_789))];
    let plan = PayoutPlan::new(due, atoms(1003)).expect("everyone gets something");
    let fees: Vec<_> = plan.payees.iter().map(|payee| payee.fee).collect();
    let nets: Vec<_> = plan.payees.iter().map(|payee| payee.net).collect();
    assert_eq!(fees, [atoms(502), atoms(501)]);
    assert_eq!(nets, [atoms(123_456_287), atoms(999_499)]);
    assert_eq!(plan.total(), Ok(atoms(124_456_789)));
    assert_eq!(123_456_287 + 999_499 + 1003, 124_456_789);

    // Who is below the threshold keeps what he has.
    let payable = |account, balance| (LedgerAccount::MinerPayable(account), balance);
    let small = [payable(B, 50_000), payable(D, 99_999)];
    let large = [payable(A, 123_456_789), payable(C, 1_000_000)];
    let coins = (LedgerAccount::ChainSpendable, 124_606_788);
    let mut books = Books::from_balances([coins].into_iter().chain(large).chain(small)).expect("balanced");
    books.apply(&plan.reserve(1).expect("in range")).expect("payable and spendable");
    books.apply(&plan.finalize(1)).expect("what was reserved can be settled");
    let left: Vec<_> = books.balances().collect();
    assert_eq!(left, [(LedgerAccount::ChainSpendable, 149_999), payable(B, 50_000), payable(D, 99_999)]);
}

#[test]
fn e12_equal_probability_is_equal_weight_in_every_lane() {
    assert_eq!(weight(1 << 32, 10_000 << 32).parts(), 115_292_150_460_684);
    let others = [weight(120_000, 2_400_000_000), weight(4_000_000_000, 80_000_000_000_000)];
    assert_eq!(others.map(ShareWeight::parts), [57_646_075_230_342; 2]);
    let whole_atoms = |weight| ShareValue::of(weight, atoms(REWARD), bp(0)).expect("in range").parts() >> 60;
    assert_eq!(whole_atoms(weight(1 << 32, 10_000 << 32)), 499_999);
    assert_eq!(others.map(whole_atoms), [249_999; 2]);
}

#[test]
fn e13_bounds() {
    let window = Window::from_parts(WindowUnits::MAX, [(A, 64 * ONE)], 0).expect("one party has it all");
    let product = u128::from(Amount::MAX.atoms()) * 64 * ONE;
    assert_eq!(product, 664_613_997_892_457_862_664_927_235_301_965_824);
    assert_eq!(product.ilog2() + 1, 119);
    assert_eq!((u128::from(Amount::MAX.atoms()) * 10_000).ilog2() + 1, 67);
    let split = distribute(Amount::MAX, bp(0), Amount::ZERO, &window).expect("in range");
    assert_eq!(split.credits, [(A, Amount::MAX)]);
    assert!(distribute(Amount::MAX, bp(0), atoms(1), &window).is_err(), "above the range of amounts");
    assert_eq!(bp(10_000).of(Amount::MAX), Ok(Amount::MAX));
}

#[test]
fn e14_orphan_and_return() {
    let split = distribute(atoms(REWARD), bp(100), Amount::ZERO, &e1_window()).expect("in range");
    let credit = |generation| {
        let (block, reward, carry_in) = (block(1), atoms(REWARD), Amount::ZERO);
        BlockCredit { block, generation, algorithm: LANE, reward, carry_in, distribution: &split }
            .transfers()
            .expect("the split is whole")
    };
    let mut books = Books::default();
    books.apply(&credit(0)).expect("a new block can be credited");
    assert_eq!(books.balance(LedgerAccount::MinerImmature(B)), 1_484_999_999);
    assert_eq!(books.balance(LedgerAccount::CarryPending(block(1))), 1);
    assert_eq!(credit(0).len(), 5);

    let inverse = reverse_credit(block(1), 0, &credit(0));
    let amounts: Vec<_> = inverse.iter().map(|line| (line.debit, line.amount.atoms())).collect();
    let expected = [
        (LedgerAccount::MinerImmature(A), 2_475_000_000),
        (LedgerAccount::MinerImmature(B), 1_484_999_999),
        (LedgerAccount::MinerImmature(C), 990_000_000),
        (LedgerAccount::FeeIncome(LANE), 50_000_000),
        (LedgerAccount::CarryPending(block(1)), 1),
    ];
    assert_eq!(amounts, expected);
    books.apply(&inverse).expect("a credit can be reversed");
    assert_eq!(books.balances().count(), 0, "all balances are back to 0");

    books.apply(&credit(1)).expect("a block that is back can be credited");
    assert_eq!(books.balance(LedgerAccount::MinerImmature(A)), 2_475_000_000);
    let keys = |generation| credit(generation).iter().map(crate::Transfer::key).collect::<Vec<_>>();
    assert!(keys(0).iter().all(|key| !keys(1).contains(key)));
}
