//! States that legal events reach and that once contradicted the chain, or stopped payouts for good.

use bq_ledger::LedgerAccount;
use bq_primitives::{BlockId, Height, TxId};

use super::{
    chain::ToyBlock,
    world::{MATURITY, POOL, STRANGER, World, atoms, terms},
};
use crate::{
    Act, BlockState, Candidate, ChainEvent, Event, LogHash, LogHead, LogNumber, PayoutState, PayoutTerms, Spent, Terms,
    Tip,
};

/// A payout of a matured block, signed, in no block.
fn open_payout() -> World {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    for _ in 1..MATURITY {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.state.payouts().map(|payout| payout.state).collect::<Vec<_>>(), [PayoutState::Signed]);
    world.chain.mempool.clear();
    world
}

#[test]
fn a_payout_whose_coin_was_spent_is_void_also_when_the_log_hears_of_it_long_after() {
    let mut world = open_payout();
    let input = world.state.payouts().next().expect("open").planned.inputs[0].outpoint;
    world.steal(&[input], 0);
    for _ in 0..250 {
        world.mine(false); // more than the horizon, in one way
    }
    world.follow();
    world.settle();
    assert!(world.state.payouts().all(|payout| payout.state == PayoutState::Void));
}

#[test]
fn a_payout_whose_block_was_lost_is_void_also_when_the_log_hears_of_it_long_after() {
    let mut world = open_payout();
    world.reorg(10, |_| false, false);
    for _ in 0..250 {
        world.mine(false);
    }
    world.settle();
    assert!(world.state.payouts().all(|payout| payout.state == PayoutState::Void));
}

#[test]
fn a_block_of_the_same_template_makes_the_coin_of_an_open_payout_anew() {
    let mut world = open_payout();
    let first = world.state.blocks().next().expect("one").candidate.clone();
    let ToyBlock { parent, transactions, .. } = world.chain.blocks[&first.id].clone();
    let id = BlockId([0x22; 32]);
    world.append(Event::Candidate(Candidate { id, ..first.clone() }));
    world.chain.blocks.insert(id, ToyBlock { id, height: first.height, parent, transactions });
    world.chain.tip = id;
    for _ in 0..12 {
        world.chain.tip = world.foreign_block(world.chain.tip, false);
        world.follow();
    }
    assert_eq!(world.state.block(&first.id).map(|block| block.state), Some(BlockState::Lost));
    assert_eq!(world.state.block(&id).map(|block| block.state), Some(BlockState::Matured));
    world.calm_down();
    assert!(world.state.payouts().all(|payout| payout.state == PayoutState::Final));
}

#[test]
fn a_clock_that_went_back_does_not_lift_the_limit_of_a_round() {
    let mut world = World::new();
    world.decide(Act::Pause).expect("not paused");
    for number in 1..=20 {
        world.share(number, 1);
        world.mine(true);
    }
    for _ in 0..30 {
        world.mine(false);
    }
    world.settle();
    world.decide(Act::Resume).expect("paused");
    world.now_ms += 1_000_000_000;
    world.settle();
    assert_eq!(world.state.payouts().count(), 2);
    world.now_ms -= 900_000_000;
    world.settle();
    assert_eq!(world.state.payouts().count(), 4, "one more round and no more");
}

#[test]
fn dust_that_comes_and_goes_between_two_looks_stops_nothing() {
    let mut world = World::new();
    let from = world.chain.tip();
    let tip = Tip { id: BlockId([9; 32]), height: Height(from.height.0 + 2) };
    let outpoint = bq_primitives::OutPoint { txid: TxId([3; 32]), index: 0 };
    let received = crate::Received { outpoint, amount: atoms(10), height: Height(from.height.0 + 1), coinbase: false };
    let spent = Spent { by: TxId([4; 32]), height: tip.height, explained: false };
    let way =
        crate::ChainWay { fork: from, tip, joined: vec![], received: vec![received], spent: vec![(outpoint, spent)] };
    world.append(Event::Chain(ChainEvent::Way(way)));
    assert_eq!(world.state.coins().count(), 0);
}

#[test]
fn a_block_of_the_old_key_that_joins_late_is_nobodys() {
    let mut world = World::new();
    world.share(1, 1);
    let id = world.find_block(world.chain.tip, true);
    world.decide(Act::NewKey { key: STRANGER }).expect("nothing is open");
    assert!(world.state.block(&id).is_none());
}

#[test]
fn a_crumb_does_not_hold_up_a_recovery() {
    let mut world = World::new();
    world.append(Event::Terms(Terms { payouts: PayoutTerms { gift_min: atoms(1), ..terms().payouts }, ..terms() }));
    world.decide(Act::Pause).expect("not paused");
    for _ in 0..12 {
        world.mine(false);
    }
    world.gift(100).expect("a stranger has coins");
    for _ in 0..4 {
        world.share(1, 1);
        world.mine(true);
    }
    for _ in 0..20 {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.balance(LedgerAccount::GiftIncome), 100);
    let seen = LogHead { number: LogNumber(9_999), hash: LogHash([1; 32]) };
    world.decide(Act::Recover { seen }).expect("behind");
    world.decide(Act::Resume).expect("paused");
    world.calm_down();
    assert!(world.state.recovery().is_some_and(|recovery| !recovery.open), "it ends");
    assert!(world.received_by(1) > 0);
}

#[test]
fn a_lower_gift_min_does_not_make_old_dust_a_difference() {
    let mut world = World::new();
    assert_eq!(world.state.gift_floor(), terms().payouts.gift_min);
    world.append(Event::Terms(Terms { payouts: PayoutTerms { gift_min: atoms(1), ..terms().payouts }, ..terms() }));
    assert_eq!(world.state.gift_floor(), terms().payouts.gift_min);
}

#[test]
fn coins_that_a_base_does_not_know_are_missing() {
    for paid in [false, true] {
        let mut world = open_payout();
        if paid {
            world.calm_down(); // its change is a coin of the books
            assert_eq!(world.balance(LedgerAccount::ChainInFlight), 0);
        } else {
            world.signs = false;
        }
        let (joined, known) = world.known();
        let mut base = world.chain.base(&[POOL], &joined, &known);
        base.received.clear();
        let held = world.balance(LedgerAccount::ChainSpendable) + world.balance(LedgerAccount::ChainInFlight);
        world.append(Event::Chain(ChainEvent::Base(base)));
        assert_eq!(world.balance(LedgerAccount::Missing), held);
        assert!(held > 0);
    }
}

#[test]
fn a_payout_that_the_lost_key_never_signed_does_not_hold_the_new_one_up() {
    let mut world = World::new();
    world.signs = false;
    world.share(1, 1);
    world.mine(true);
    for _ in 1..MATURITY {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.state.payouts().map(|payout| payout.state).collect::<Vec<_>>(), [PayoutState::Planned]);
    let owed = world.balance(LedgerAccount::ChainInFlight);
    world.decide(Act::NewKey { key: STRANGER }).expect("nothing of the old key can confirm");
    assert_eq!(world.balance(LedgerAccount::Missing), owed);
    assert!(world.payable(1) > 0, "it is owed again");
}
