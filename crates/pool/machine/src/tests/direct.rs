//! Blocks whose coinbase pays the miners (SPEC 8.8).

use bq_ledger::{LedgerAccount, WindowUnits};
use bq_primitives::BlockId;

use super::{
    storms::{Draw, happen},
    world::{LANE, MATURITY, REWARD, World, atoms, miner, terms},
};
use crate::{BlockState, DirectTerms, Event, Fault, Scheme, Winning};

const MIN: u64 = 400_000_000;

pub(super) fn direct() -> Scheme {
    let terms = DirectTerms { min: atoms(MIN), payees_max: 4 };
    Scheme::Direct { window: WindowUnits::DEFAULT, terms }
}

fn direct_world() -> World {
    let mut world = World::new();
    world.set_scheme(direct());
    world.settle();
    world
}

fn carried(world: &World, number: u8) -> u64 {
    let account = world.state.accounts().find(&miner(number)).expect("known");
    world.balance(LedgerAccount::MinerCarried(account))
}

fn mine_to_maturity(world: &mut World) {
    for _ in 0..MATURITY {
        world.mine(false);
        world.settle();
    }
}

#[test]
fn the_coinbase_pays_who_comes_to_the_minimum_and_the_rest_later() {
    let mut world = direct_world();
    // A window of two blocks: seven eighths of one of the first miner, a sixteenth of the second, the rest is the seed's.
    for _ in 0..7 {
        world.share(1, 8);
    }
    world.share(2, 16);
    world.mine(true);
    world.settle();
    let net = REWARD * 99 / 100;
    let [first, second] = [net * 7 / 16, net / 32];
    assert_eq!(world.received_by(1), first);
    assert_eq!((world.received_by(2), carried(&world, 2)), (0, 0));
    let immature = LedgerAccount::ChainImmature(LANE);
    assert_eq!(world.balance(immature), REWARD - first);

    mine_to_maturity(&mut world);
    assert_eq!(carried(&world, 2), second);
    assert_eq!(world.balance(LedgerAccount::ChainSpendable), REWARD - first);
    assert_eq!(world.payable(1) + world.payable(2), 0, "no payout owes anybody anything");

    // Two more such parts, and the second comes to the minimum: the coinbase pays all of it at once.
    world.mine(true);
    world.settle();
    mine_to_maturity(&mut world);
    assert_eq!((carried(&world, 2), world.received_by(2)), (2 * second, 0));
    world.mine(true);
    world.settle();
    assert_eq!((carried(&world, 2), world.received_by(2)), (0, 3 * second));
    assert!(3 * second >= MIN && 2 * second < MIN);
    assert_eq!(world.balance(LedgerAccount::WriteOff), 0);
}

/// Three blocks matured that put the second miner off: the next coinbase pays what it is owed of them.
fn with_a_balance() -> World {
    let mut world = direct_world();
    world.share(1, 4);
    world.share(2, 20);
    for _ in 0..3 {
        world.mine(true);
        world.settle();
        mine_to_maturity(&mut world);
    }
    world
}

#[test]
fn a_block_that_leaves_and_returns_moves_what_it_moved() {
    let mut world = with_a_balance();
    let before = (carried(&world, 2), world.state.books().clone());
    assert!(before.0 > MIN - 125_000_000 && before.0 < MIN);
    let fork = world.chain.tip;
    world.mine(true);
    let paying = world.chain.tip;
    world.settle();
    assert_eq!(carried(&world, 2), 0, "its coinbase paid it");
    // It loses against two of a stranger's.
    let rival = world.foreign_block(fork, false);
    world.chain.tip = world.foreign_block(rival, false);
    world.settle();
    assert_eq!(carried(&world, 2), before.0);
    assert_eq!(world.state.block(&paying).map(|block| block.state), Some(BlockState::Orphaned));
    // And wins in the end.
    let mut tip = paying;
    for _ in 0..4 {
        tip = world.foreign_block(tip, false);
    }
    world.chain.tip = tip;
    world.settle();
    assert_eq!(carried(&world, 2), 0);
    mine_to_maturity(&mut world);
    let account = world.state.accounts().find(&miner(2)).expect("known");
    assert_eq!(world.state.paid(account), world.received_by(2));
    // Even a branch deeper than maturity: what it had paid is owed again, at the pool's cost.
    world.chain.tip = deep_rival(&mut world, fork);
    world.settle();
    assert_eq!(carried(&world, 2), before.0);
    assert_eq!(world.state.paid(account), 0);
    let mut again = tip;
    for _ in 0..60 {
        again = world.foreign_block(again, false);
    }
    world.chain.tip = again;
    world.settle();
    assert_eq!(carried(&world, 2), 0);
    assert_eq!(world.state.paid(account), world.received_by(2));
    assert_eq!(world.balance(LedgerAccount::OrphanLoss) + world.balance(LedgerAccount::WriteOff), 0);
}

fn deep_rival(world: &mut World, fork: BlockId) -> BlockId {
    (0..40).fold(fork, |tip, _| world.foreign_block(tip, false))
}

#[test]
fn two_blocks_of_one_parent_pay_a_balance_once() {
    let mut world = with_a_balance();
    let parent = world.chain.tip;
    let [one, other] = [(); 2].map(|()| world.find_block(parent, true));
    world.chain.tip = one;
    world.settle();
    // A template on the first that does not know it yet pays the window only.
    let blind = world.find_block(other, true);
    world.chain.tip = blind;
    world.settle();
    assert_eq!(world.balance(LedgerAccount::WriteOff), 0);
    mine_to_maturity(&mut world);
    let account = world.state.accounts().find(&miner(2)).expect("known");
    assert_eq!(world.state.paid(account), world.received_by(2));
}

/// More is owed from before than fee and seed leave: it is paid first, and whose credit gives way is paid later in his turn.
#[test]
fn no_balance_waits_for_ever() {
    let mut world = World::new();
    let scheme = |payees_max| {
        let terms = DirectTerms { min: atoms(MIN), payees_max };
        Scheme::Direct { window: WindowUnits::DEFAULT, terms }
    };
    let set = |world: &mut World, payees_max| {
        let mut without_fee = terms();
        for lane in &mut without_fee.lanes {
            lane.scheme = scheme(payees_max);
            lane.fee = bq_ledger::FeeBasisPoints::new(0).expect("none");
        }
        world.append(Event::Terms(without_fee));
    };
    set(&mut world, 2);
    // Six equal miners fill the window, and a coinbase pays two of them.
    let each_shares = |world: &mut World| (1..=6).for_each(|number| world.share(number, 3));
    each_shares(&mut world);
    let mut most = 0;
    for _ in 0..120 {
        each_shares(&mut world);
        world.mine(true);
        world.settle();
        most = most.max((1..=6).map(|number| carried(&world, number)).sum::<u64>());
    }
    let got: Vec<u64> = (1..=6).map(|number| world.received_by(number)).collect();
    let (least, largest) = (got.iter().min().expect("six"), got.iter().max().expect("six"));
    assert!(largest - least < 6 * REWARD, "all are paid in turn: {got:?}");
    assert!(most < 20 * REWARD, "what is carried does not grow: {most}");
    // They go, another fills the window, and what they are owed is paid all the same.
    for _ in 0..10 {
        world.share(7, 1);
    }
    for _ in 0..40 {
        world.share(7, 1);
        world.mine(true);
        world.settle();
    }
    mine_to_maturity(&mut world);
    let left: Vec<u64> = (1..=6).map(|number| carried(&world, number)).collect();
    assert!(left.iter().all(|carried| *carried < MIN), "{left:?}");
    assert_eq!(world.balance(LedgerAccount::WriteOff), 0);
}

#[test]
fn a_residue_larger_than_the_fee_puts_the_last_payee_off() {
    let mut world = World::new();
    let mut without_fee = terms();
    for lane in &mut without_fee.lanes {
        lane.scheme = direct();
        lane.fee = bq_ledger::FeeBasisPoints::new(0).expect("none");
    }
    world.append(Event::Terms(without_fee));
    for _ in 0..2 {
        for number in 1..=3 {
            world.share(number, 3);
        }
    }
    for _ in 0..30 {
        world.mine(true);
        world.settle();
    }
    mine_to_maturity(&mut world);
    let sum: u64 = (1..=3).map(|number| world.received_by(number) + carried(&world, number)).sum();
    let residue = world.balance(LedgerAccount::Carry(LANE));
    assert_eq!(sum + residue + world.balance(LedgerAccount::Seed(LANE)), 30 * REWARD);
    assert_eq!(world.balance(LedgerAccount::WriteOff), 0);
}

#[test]
fn a_running_pool_changes_its_mode_and_loses_nothing() {
    let mut world = World::new();
    // By payouts first: one miner is paid, one is left below the minimum of payouts.
    for _ in 0..2 {
        world.share(1, 1);
        world.share(2, 60);
    }
    world.mine(true);
    world.settle();
    mine_to_maturity(&mut world);
    world.calm_down();
    let rest = world.payable(2);
    assert!(rest > 0 && world.received_by(1) > 0);
    world.set_scheme(direct());
    world.mine(false);
    world.settle();
    assert_eq!((world.payable(2), carried(&world, 2)), (0, rest));
    // Terms hold from the next share on: until one comes, blocks are paid as before.
    world.mine(true);
    world.settle();
    assert!(world.candidates[&world.chain.tip].direct().is_none());
    for _ in 0..5 {
        world.share(2, 4);
        world.share(1, 4);
        world.mine(true);
        world.settle();
    }
    assert!(world.received_by(2) > 0);
    // And back: what a coinbase may still pay stays until no such block is immature.
    world.share(3, 60);
    world.mine(true);
    world.set_scheme(terms().lanes[0].scheme);
    mine_to_maturity(&mut world);
    world.calm_down();
    assert_eq!(world.state.books().of_miners(LedgerAccount::MinerCarried).count(), 0);
    assert_eq!(world.balance(LedgerAccount::WriteOff), 0);
    for number in 1..=3 {
        let account = world.state.accounts().find(&miner(number)).expect("known");
        assert_eq!(world.state.paid(account), world.received_by(number), "miner {number}");
        assert!(world.payable(number) < 100_000_000);
    }
}

#[test]
fn a_coinbase_that_is_not_what_it_says_is_refused() {
    let mut world = direct_world();
    world.share(1, 1);
    let parent = world.chain.tip;
    let id = world.find_block(parent, true);
    let told = world.candidates[&id].clone();
    let changed = |change: &dyn Fn(&mut crate::DirectBlock)| {
        let mut candidate = told.clone();
        candidate.id = BlockId([9; 32]);
        let Winning::Coinbase(direct) = &mut candidate.winning else { panic!("a direct block") };
        change(direct);
        Event::Candidate(candidate)
    };
    let sum = world.try_append(changed(&|direct| direct.total = atoms(1)));
    assert!(matches!(sum, Err(Fault::DirectSum { .. })), "{sum:?}");
    let nobody = world.try_append(changed(&|direct| direct.paid[0].account = bq_primitives::AccountId(77)));
    assert!(matches!(nobody, Err(Fault::UnknownAccount(_))), "{nobody:?}");
    let future = world.try_append(changed(&|direct| {
        direct.newest =
            direct.newest.map(|newest| bq_mining_message::SharePosition { sequence: newest.sequence.next(), ..newest });
    }));
    assert!(matches!(future, Err(Fault::WinningShare { .. })), "{future:?}");
}

/// Random days of a pool that pays in the coinbase, and of one that changes its mode again and again.
#[test]
fn books_say_what_the_chain_says_and_nobody_is_paid_twice() {
    let (mut direct_blocks, mut put_off) = (0, 0);
    for seed in 700..=790 {
        let mut world = direct_world();
        let mut draw = Draw::new(seed);
        let switches = seed % 2 == 0;
        for _ in 0..300 {
            if switches && draw.one_in(40) {
                world.set_scheme(if draw.one_in(2) { direct() } else { terms().lanes[0].scheme });
            }
            happen(&mut world, &mut draw);
            if !draw.one_in(3) {
                world.settle();
            }
        }
        world.signs = true;
        world.frame();
        world.settle();
        direct_blocks += world.candidates.values().filter(|candidate| candidate.direct().is_some()).count();
        put_off += world.state.books().of_miners(LedgerAccount::MinerCarried).count();
        world.calm_down();
        world.compare();
        for (account, key) in world.state.accounts().iter() {
            let number = key.0[0];
            assert_eq!(world.state.paid(account), world.received_by(number), "seed {seed}: miner {number}");
        }
        assert_eq!(world.balance(LedgerAccount::Missing), 0, "seed {seed}");
        // A block that leaves and returns may find another residue than it was made with: atoms.
        let lost = world.balance(LedgerAccount::WriteOff);
        assert!(switches || lost < 20, "seed {seed}: {lost} atoms");
    }
    assert!(direct_blocks > 1_000 && put_off > 50, "{direct_blocks} direct blocks, {put_off} balances put off");
}

/// Three times as many miners as places: each is paid at most one block later than its turn.
#[test]
fn nobody_waits_longer_than_others_for_a_place() {
    let mut world = direct_world();
    let mut waits = [0_u32; 12];
    for round in 0..80 {
        for number in 1..=12 {
            world.share(number, 6);
        }
        let before: Vec<u64> = (1..=12).map(|number| world.received_by(number)).collect();
        world.mine(true);
        world.settle();
        for (number, wait) in (1..).zip(&mut waits) {
            let is_paid = world.received_by(number) > before[usize::from(number) - 1];
            *wait = if is_paid { 0 } else { *wait + 1 };
            // Balances wait until their blocks mature.
            assert!(*wait <= MATURITY + 5, "round {round}: miner {number} waits {wait}");
        }
    }
    let sums: Vec<u64> = (1..=12).map(|number| world.received_by(number)).collect();
    let (least, most) = (sums.iter().min().expect("twelve"), sums.iter().max().expect("twelve"));
    assert!(most - least < REWARD, "{sums:?}");
}

/// A block of the time when coinbases paid balances is held back until payouts have paid them.
#[test]
fn a_balance_is_not_paid_out_while_a_coinbase_may_still_pay_it() {
    let mut world = with_a_balance();
    let hidden = world.find_block(world.chain.tip, true);
    world.set_scheme(Scheme::Pplns { window: WindowUnits::DEFAULT });
    let mut tip = hidden;
    for _ in 0..3 {
        world.mine(false);
        world.settle();
        tip = world.foreign_block(tip, false);
    }
    assert_eq!(world.payable(2), 0, "it waits");
    world.chain.tip = world.foreign_block(tip, false);
    world.settle();
    assert_eq!((carried(&world, 2), world.balance(LedgerAccount::WriteOff)), (0, 0));
    // What is left after as long as a coinbase takes to mature is paid by payouts.
    for _ in 0..3 * MATURITY {
        world.mine(false);
        world.settle();
    }
    assert_eq!(carried(&world, 1) + carried(&world, 2), 0);
}
