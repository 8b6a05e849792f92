//! PPS, FPPS, SOLO and TIDES beside the lanes' own schemes (SPEC 8.9).

use std::collections::BTreeMap;

use bq_ledger::{Cause, FeeBasisPoints, LedgerAccount, LossRate, RuinBound, ShareWeight, WindowUnits};
use bq_mining_message::{AccountScheme, SharePay, SharePrice, ShareSequence};
use bq_primitives::{AccountId, Algorithm, Height};

use super::{
    storms::{Draw, happen},
    world::{LANE, MATURITY, REWARD, World, atoms, miner},
};
use crate::{
    Act, Applied, Candidate, ConditionName, Event, Fault, Offer, PerShareEvent, State, TidesTerms, Winning, conditions,
};

fn fee(bp: u16) -> FeeBasisPoints {
    FeeBasisPoints::new(bp).expect("at most 100 %")
}

fn offer() -> Offer {
    Offer {
        usual: AccountScheme::Pplns,
        pps: Some(fee(4000)),
        fpps: Some(fee(5000)),
        solo: Some(fee(75)),
        tides: Some(TidesTerms { window: WindowUnits::new(1).expect("one"), fee: fee(200) }),
        orphan: LossRate::NONE,
        withheld: LossRate::NONE,
    }
}

fn pps() -> SharePay {
    SharePay::PerShare(SharePrice { subsidy: atoms(REWARD), fees: None, fee_bp: 4000 })
}

fn fpps() -> SharePay {
    SharePay::PerShare(SharePrice { subsidy: atoms(REWARD), fees: Some(atoms(7)), fee_bp: 5000 })
}

fn template(height: u32) -> Event {
    Event::PerShare(PerShareEvent::Template { height: Height(height), fees: atoms(11), subsidy: atoms(REWARD) })
}

/// A pool that offers every scheme and knows what a block brings.
fn offering() -> World {
    let mut world = World::new();
    world.offer(offer());
    world.append(template(1));
    world
}

/// The same with a reserve that is enough.
fn funded() -> World {
    let mut world = offering();
    for _ in 0..2 * MATURITY {
        world.mine(false);
    }
    world.settle();
    for _ in 0..40 {
        world.gift(REWARD / 2).expect("a stranger has coins");
        world.mine(false);
        world.settle();
    }
    for _ in 0..MATURITY {
        world.mine(false);
    }
    world.settle();
    let has = world.balance(LedgerAccount::GiftIncome);
    world.decide(Act::FundReserve { amount: atoms(has) }).expect("earned");
    world.settle();
    assert!(world.state.pays_per_share(), "{:?}", world.state.reserve_needed(RuinBound::OneInThousand));
    world
}

fn account(world: &World, number: u8) -> AccountId {
    world.state.accounts().find(&miner(number)).expect("known")
}

fn share_of(world: &mut World, number: u8, parts: u64, pay: SharePay) {
    world.pay = pay;
    world.share(number, parts);
    world.pay = SharePay::Window;
}

#[test]
fn shares_are_not_paid_for_themselves_before_the_reserve_is_enough() {
    let mut world = offering();
    world.settle();
    assert!(!world.state.pays_per_share());
    let pays = world.state.scheme_pays(Height(2), atoms(REWARD));
    assert_eq!(pays.of(AccountScheme::Pps, LANE), SharePay::Window);
    assert_eq!(pays.of(AccountScheme::Solo, LANE), SharePay::Solo);
    let told = conditions(&world.state, &world.outside());
    let low = told.iter().find(|condition| condition.name == ConditionName::ReserveLow).expect("told");
    let needed = world.state.reserve_needed(RuinBound::OneInThousand).expect("an amount");
    assert!(low.reason.contains(&needed.to_string()) && low.reason.contains("are missing"), "{}", low.reason);
    let begun = world.try_append(Event::PerShare(PerShareEvent::Begun));
    assert_eq!(begun, Err(Fault::PerShare("the reserve does not say so")));

    let world = funded();
    let pays = world.state.scheme_pays(Height(200), atoms(REWARD));
    assert_eq!(pays.of(AccountScheme::Pps, LANE), pps());
    let SharePay::PerShare(price) = pays.of(AccountScheme::Fpps, LANE) else { panic!("{pays:?}") };
    // No template of the last 144 heights was told.
    assert_eq!((price.fees, price.fee_bp), (Some(atoms(0)), 5000));
    assert!(conditions(&world.state, &world.outside()).iter().all(|told| told.name != ConditionName::ReserveLow));
}

#[test]
fn no_reserve_is_enough_for_a_fee_that_lost_blocks_eat_up() {
    let mut world = World::new();
    world.offer(Offer { pps: Some(fee(100)), withheld: LossRate::new(200).expect("2 %"), ..Offer::default() });
    world.append(template(1));
    assert_eq!(world.state.reserve_needed(RuinBound::OneInThousand), None);
    let told = conditions(&world.state, &world.outside());
    assert!(told.iter().any(|condition| condition.reason.contains("no reserve is enough")), "{told:?}");
}

/// Half a block of work at 40 % fee, settled in one piece and in many.
#[test]
fn a_share_is_worth_the_same_however_it_is_settled() {
    let mut once = funded();
    let mut often = once.clone();
    for round in 0..50 {
        for world in [&mut once, &mut often] {
            share_of(world, 1, 100, pps());
            share_of(world, 2, 999_983, fpps());
            world.frame();
        }
        if round % 7 == 1 {
            often.settle_shares();
        }
    }
    once.settle_shares();
    often.settle_shares();
    for number in [1, 2] {
        let (one, other) = (account(&once, number), account(&often, number));
        assert_eq!(once.payable(number), often.payable(number));
        assert_eq!(once.state.accrual(one, LANE), often.state.accrual(other, LANE));
    }
    let part = u128::from(
        ShareWeight::of(
            bq_primitives::ShareDifficulty::from_hashes(10_000),
            bq_primitives::NetworkDifficulty::from_hashes(1_000_000),
        )
        .parts(),
    );
    let worth = 50 * part * u128::from(REWARD - REWARD * 4 / 10);
    assert_eq!(u128::from(once.payable(1)), worth >> 60);
    assert_eq!(once.payable(1), 1_499_999_999, "half of it, less the fee, rounded down");
}

#[test]
fn a_block_whose_shares_are_paid_for_goes_to_the_reserve() {
    let mut world = funded();
    let before = world.balance(LedgerAccount::PpsReserve);
    share_of(&mut world, 1, 10, pps());
    world.mine(true);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::PpsImmature), REWARD);
    assert_eq!(world.balance(LedgerAccount::MinerImmature(account(&world, 1))), 0, "it is not paid twice");
    // Its branch is left, and comes back.
    let mut left = world.clone();
    left.reorg(1, |_| false, true);
    left.settle();
    assert_eq!(left.balance(LedgerAccount::PpsImmature), 0);
    for _ in 0..MATURITY {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.balance(LedgerAccount::PpsReserve), before + REWARD);
    world.settle_shares();
    assert_eq!(world.balance(LedgerAccount::PpsReserve), before + REWARD - (REWARD / 10 * 6 / 10 - 1), "rounded down");
}

#[test]
fn the_reserve_never_pays_more_than_it_holds_and_owes_the_rest() {
    let mut world = funded();
    let held = world.balance(LedgerAccount::PpsReserve);
    let shares = 2 * held / REWARD + 10;
    for _ in 0..shares {
        share_of(&mut world, 1, 1, pps());
    }
    world.frame();
    world.settle_shares();
    let earned = shares * (REWARD / 10 * 6);
    assert_eq!((world.payable(1), world.balance(LedgerAccount::PpsReserve)), (held, 0));
    assert_eq!(world.state.accrued(), earned - held, "owed");
    world.settle();
    assert!(!world.state.pays_per_share(), "new jobs are paid by windows");
    // What blocks bring then pays what is owed first.
    share_of(&mut world, 1, 10, pps());
    world.mine(true);
    for _ in 0..MATURITY {
        world.mine(false);
    }
    world.settle();
    let Applied { lines, .. } = world.settle_shares();
    assert_eq!(lines.iter().map(|line| line.amount.atoms()).sum::<u64>(), REWARD);
    assert!(matches!(world.decide(Act::ReleaseReserve { amount: atoms(1) }), Err(Fault::NotCovered { .. })));
}

#[test]
fn what_is_settled_is_not_settled_again() {
    let mut world = funded();
    share_of(&mut world, 1, 10, pps());
    world.frame();
    world.settle_shares();
    let front_end = bq_mining_message::FrontEndId(0);
    for end in [ShareSequence(0), ShareSequence(world.framed + 1), ShareSequence(world.framed + 2)] {
        let before = world.state.clone();
        let again = world.try_append(Event::PerShare(PerShareEvent::Settled { front_end, end }));
        assert!(matches!(again, Err(Fault::PerShare(_))), "{again:?}");
        assert_eq!(world.state, before);
    }
}

#[test]
fn a_block_found_solo_pays_its_finder_alone() {
    let mut world = offering();
    world.share(1, 1);
    share_of(&mut world, 2, 1, SharePay::Solo);
    world.mine(true);
    world.settle();
    let (fee, found) = (REWARD * 75 / 10_000, account(&world, 2));
    assert_eq!(world.balance(LedgerAccount::MinerImmature(found)), REWARD - fee);
    assert_eq!(world.balance(LedgerAccount::MinerImmature(account(&world, 1))), 0);
    assert_eq!(world.balance(LedgerAccount::FeeIncome(LANE)), fee);
    // Nor does its share take part in what others find.
    share_of(&mut world, 2, 1, SharePay::Solo);
    world.share(1, 1);
    world.mine(true);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::MinerImmature(found)), REWARD - fee);
    assert!(world.balance(LedgerAccount::MinerImmature(account(&world, 1))) > 0);
}

/// E10's shares, but that one unit is the window and the newest share is the block's own.
#[test]
fn a_tides_window_is_measured_in_hashes_and_holds_nobody_elses_shares() {
    let mut world = offering();
    for (number, parts, pay) in [(1, 2, SharePay::Tides), (4, 1, SharePay::Window), (2, 4, SharePay::Tides)] {
        share_of(&mut world, number, parts, pay);
    }
    share_of(&mut world, 3, 4, SharePay::Tides);
    world.mine(true);
    world.settle();
    let net = REWARD - REWARD * 200 / 10_000;
    let immature = |number| world.balance(LedgerAccount::MinerImmature(account(&world, number)));
    assert_eq!([1, 2, 3, 4].map(immature), [net / 2, net / 4, net / 8, 0]);
    assert_eq!(world.balance(LedgerAccount::Seed(LANE)), net / 8);
}

#[test]
fn what_holds_for_a_share_holds_whatever_is_offered_later() {
    let mut world = offering();
    share_of(&mut world, 1, 1, SharePay::Solo);
    world.frame();
    world.offer(Offer { solo: Some(fee(5000)), ..offer() });
    world.mine(true);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::FeeIncome(LANE)), REWARD * 75 / 10_000);
    // Taken from the list: whoever still works on such a job is paid as it was promised.
    world.offer(Offer::default());
    share_of(&mut world, 1, 1, SharePay::Solo);
    world.mine(true);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::FeeIncome(LANE)), REWARD * 75 / 10_000 + REWARD / 2);
    assert_eq!(world.state.scheme_of(&miner(1)), AccountScheme::Pplns);
}

#[test]
fn a_tides_block_of_a_job_from_before_tides_was_taken_from_the_list_pays_its_window() {
    let mut world = offering();
    share_of(&mut world, 1, 2, SharePay::Tides);
    world.frame();
    world.offer(Offer::default());
    let next = ShareSequence(world.framed + 1);
    let front_end = bq_mining_message::FrontEndId(0);
    let at = |sequence| bq_mining_message::SharePosition { front_end, sequence };
    assert!(world.state.has_tides(at(next)), "its jobs may still be worked on");
    share_of(&mut world, 2, 4, SharePay::Tides);
    world.mine(true);
    world.settle();
    let net = REWARD - REWARD * 200 / 10_000;
    let immature = |number| world.balance(LedgerAccount::MinerImmature(account(&world, number)));
    assert_eq!([1, 2].map(immature), [net / 2, net / 8]);
    world.offer(Offer::default());
    let next = ShareSequence(world.framed + 1);
    assert!(!world.state.has_tides(at(next)), "no job is so old");
}

#[test]
fn a_block_whose_own_share_is_not_known_pays_the_window() {
    let mut world = offering();
    world.share(1, 1);
    share_of(&mut world, 2, 1, SharePay::Solo);
    let tip = world.chain.tip;
    let id = world.find_block(tip, true);
    let found = world.candidates[&id].clone();
    let Winning::Share(newest) = found.winning else { panic!("{found:?}") };
    let mut other = World::new();
    std::mem::swap(&mut other.shares, &mut world.shares);
    other.offer(offer());
    other.frame();
    other.append(Event::Candidate(Candidate { winning: Winning::After(newest), ..found }));
    other.chain = world.chain;
    other.chain.tip = id;
    other.settle();
    assert_eq!(other.balance(LedgerAccount::MinerImmature(account(&other, 2))), 0);
    assert!(other.balance(LedgerAccount::MinerImmature(account(&other, 1))) > 0);
}

/// Days on which every share is paid otherwise, with reorganisations and payouts: books that balance after every event, and to each his
/// own to the last 2^-60 of an atom.
#[test]
fn a_mixed_pool_pays_each_share_once() {
    for seed in 1..=40 {
        let mut world = if seed % 4 == 0 { offering() } else { funded() };
        if seed % 2 == 1 {
            world.set_scheme(super::direct::direct());
        }
        let mut draw = Draw::new(seed);
        for _ in 0..200 {
            let open = world.state.pays_per_share();
            world.pay = match draw.below(6) {
                0 if open => pps(),
                1 if open => fpps(),
                2 => SharePay::Solo,
                3 => SharePay::Tides,
                _ => SharePay::Window,
            };
            happen(&mut world, &mut draw);
            if !draw.one_in(3) {
                world.settle();
            }
            let unsettled = world.state.unsettled_from(bq_mining_message::FrontEndId(0));
            if draw.one_in(4) && unsettled.is_some_and(|from| from <= ShareSequence(world.framed)) {
                world.settle_shares();
            }
        }
        world.signs = true;
        world.frame();
        if world.state.unsettled_from(bq_mining_message::FrontEndId(0)).is_some_and(|from| from.0 <= world.framed) {
            world.settle_shares();
        }
        world.calm_down();
        world.compare();
        check_per_share(seed, &world);
    }
}

/// The slow way: every share that is paid for itself, one by one.
fn check_per_share(seed: u64, world: &World) {
    let mut earned: BTreeMap<(AccountId, Algorithm), u128> = BTreeMap::new();
    for share in &world.shares.0 {
        if let SharePay::PerShare(SharePrice { subsidy, fees, fee_bp }) = share.pay {
            let block = subsidy.atoms() + fees.map_or(0, |fees| fees.atoms());
            let net = block - block * u64::from(fee_bp) / 10_000;
            let weight = ShareWeight::of(share.difficulty, share.network_difficulty).parts();
            let account = world.state.accounts().find(&share.payee).expect("known");
            *earned.entry((account, share.algorithm)).or_default() += u128::from(weight) * u128::from(net);
        }
    }
    let mut credited: BTreeMap<(AccountId, Algorithm), u128> = BTreeMap::new();
    let mut replayed = State::default();
    for event in &world.log {
        let event = Event::from_bytes(&event.to_bytes().expect("encodes")).expect("decodes");
        for line in replayed.apply(&event, &world.shares).expect("taken before").lines {
            if let (Cause::PpsCredited { algorithm, .. }, LedgerAccount::MinerPayable(account)) =
                (line.cause, line.credit)
            {
                *credited.entry((account, algorithm)).or_default() += u128::from(line.amount.atoms()) << 60;
            }
        }
    }
    assert_eq!(replayed, world.state, "seed {seed}");
    for ((account, lane), earned) in earned {
        let paid = credited.remove(&(account, lane)).unwrap_or(0);
        assert_eq!(paid + world.state.accrual(account, lane).parts(), earned, "seed {seed}: account {account} {lane}");
    }
    assert!(credited.is_empty(), "seed {seed}: {credited:?}");
}
