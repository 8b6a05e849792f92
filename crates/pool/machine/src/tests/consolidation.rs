//! Small coins become one (SPEC 8.5.8).

use bq_ledger::LedgerAccount;
use bq_primitives::Amount;

use super::{
    storms::{Draw, happen},
    world::{World, atoms},
};
use crate::{Event, Fault, PayoutEvent, PayoutKind, PayoutState, PlannedPayout, Upkeep, plan_consolidation};

/// A pool with many coins that nobody is owed: no share was sent.
fn with_coins(blocks: usize) -> World {
    let mut world = World::new();
    for _ in 0..blocks {
        world.mine(true);
    }
    world.calm_down();
    world
}

fn free(world: &World) -> Vec<u64> {
    let free = world.state.coins().filter(|(outpoint, coin)| world.state.is_spendable(outpoint, coin));
    free.map(|(_, coin)| coin.amount.atoms()).collect()
}

#[test]
fn more_coins_than_wanted_become_fewer_at_the_pools_cost() {
    let mut world = with_coins(30);
    assert_eq!(free(&world).len(), 30);
    world.upkeep = Upkeep { coins_max: 5, ..Upkeep::LEAST };
    world.calm_down();
    world.calm_down();
    assert!(free(&world).len() <= 5, "{:?}", free(&world));
    let cost = world.balance(LedgerAccount::NetFeeExpense);
    let paid: u64 = 30 * super::world::REWARD;
    assert_eq!(free(&world).iter().sum::<u64>() + cost, paid);
    for payout in world.state.payouts() {
        assert_eq!((&payout.planned.kind, payout.state), (&PayoutKind::Consolidation, PayoutState::Final));
        assert!(payout.planned.inputs.len() <= 4);
    }
}

#[test]
fn the_smallest_go_and_what_costs_more_than_it_is_worth_stays() {
    let world = with_coins(10);
    let cost = 528;
    assert_eq!(plan_consolidation(&world.state, 10, 1), Ok(None));
    let planned = plan_consolidation(&world.state, 9, 1).expect("sound").expect("too many");
    assert_eq!(planned.inputs.len(), 4);
    let fee = planned.network_fee.atoms();
    assert!(fee > 4 * cost && fee < 5 * cost, "{fee}");
    let mut smallest = free(&world);
    smallest.sort_unstable();
    let joined: Vec<u64> = planned.inputs.iter().map(|input| input.amount.atoms()).collect();
    assert_eq!(joined, smallest[..4]);
}

#[test]
fn coins_that_are_too_small_for_any_payout_are_joined_until_one_can_be_paid() {
    let mut world = World::new();
    // Each block brings the pool's account a little, and miner 1 the rest of what it is owed later.
    world.share(1, 1);
    world.mine(true);
    world.mine(true);
    world.mine(true);
    world.calm_down();
    let due = |world: &World| world.state.due().count();
    assert_eq!(due(&world), 0, "all is paid");
    // A minimum above what four coins come to: nobody could ever be paid.
    let mut terms = super::world::terms();
    terms.payouts.inputs_max = 2;
    terms.payouts.payout_min = atoms(3 * super::world::REWARD);
    world.append(Event::Terms(terms));
    for _ in 0..6 {
        world.share(1, 1);
        world.share(1, 1);
        world.mine(true);
    }
    let before = world.received_by(1);
    for _ in 0..4 {
        world.calm_down();
    }
    assert!(world.received_by(1) > before + 3 * super::world::REWARD - 1_000_000, "{}", world.payable(1));
}

fn refused(world: &World, planned: &PlannedPayout, change: impl Fn(&mut PlannedPayout)) -> Fault {
    let mut planned = planned.clone();
    change(&mut planned);
    let transaction = planned.transaction(world.state.accounts(), super::world::POOL).expect("keys");
    planned.txid = transaction.txid();
    let mut world = world.clone();
    world.try_append(Event::Payout(PayoutEvent::Planned(planned))).expect_err("refused")
}

#[test]
fn nothing_leaves_with_one_but_the_fee_of_the_terms() {
    let world = with_coins(10);
    let good = plan_consolidation(&world.state, 1, 1).expect("sound").expect("too many");
    let more = |planned: &mut PlannedPayout| {
        planned.network_fee = atoms(planned.network_fee.atoms() + 1);
        planned.change = atoms(planned.change.atoms() - 1);
    };
    assert!(matches!(refused(&world, &good, more), Fault::Payout { .. }));
    let all = |planned: &mut PlannedPayout| planned.change = Amount::ZERO;
    assert!(matches!(refused(&world, &good, all), Fault::Payout { .. }));
    let one = |planned: &mut PlannedPayout| {
        let rest = planned.inputs.split_off(1);
        let less = Amount::sum(rest.iter().map(|input| input.amount)).expect("few");
        planned.change = planned.change.checked_sub(less).expect("more");
    };
    assert!(matches!(refused(&world, &good, one), Fault::Payout { .. }));
    let mut paused = world.clone();
    paused.append(Event::Payout(PayoutEvent::Planned(good)));
}

#[test]
fn days_with_joined_coins_leave_everybody_paid_and_the_books_right() {
    let mut joined = 0;
    for seed in 800..=840 {
        let mut world = World::new();
        world.upkeep = Upkeep { coins_max: 2, ..Upkeep::LEAST };
        let mut draw = Draw::new(seed);
        for _ in 0..250 {
            happen(&mut world, &mut draw);
            if !draw.one_in(3) {
                world.settle();
            }
        }
        world.signs = true;
        world.frame();
        world.calm_down();
        world.compare();
        let is_one = |payout: &&crate::Payout| payout.planned.kind == PayoutKind::Consolidation;
        joined += world.state.payouts().filter(is_one).count();
        let loss = world.balance(LedgerAccount::OrphanLoss);
        for (account, key) in world.state.accounts().iter() {
            let number = key.0[0];
            assert_eq!(world.state.paid(account), world.received_by(number), "seed {seed}: miner {number}");
            assert!(world.payable(number) < 100_000_000 || loss > 0, "seed {seed}: miner {number} is still owed");
        }
        assert_eq!(world.balance(LedgerAccount::Missing), 0, "seed {seed}");
    }
    assert!(joined > 0);
}
