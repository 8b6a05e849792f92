//! The key file is lost: the log goes on with another key at once, whatever the old one has open.

use bq_ledger::LedgerAccount;
use bq_primitives::{Amount, KeyHash};

use super::world::{FINAL_DEPTH, MATURITY, REWARD, World};
use crate::{Act, ChainEvent, Event, PayoutState};

const NEW: KeyHash = KeyHash([0xbb; 32]);

fn lose_key(world: &mut World) {
    world.follow();
    world.decide(Act::NewKey { key: NEW }).expect("nothing forbids it");
    world.key = NEW;
}

/// A payout of a part of a matured block, signed and sent, in no block.
fn signed_payout() -> World {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    for _ in 1..MATURITY {
        world.mine(false);
    }
    world.settle();
    assert_eq!(states(&world), [PayoutState::Signed]);
    world
}

fn states(world: &World) -> Vec<PayoutState> {
    world.state.payouts().map(|payout| payout.state).collect()
}

fn change(world: &World) -> u64 {
    world.state.payouts().map(|payout| payout.planned.change.atoms()).sum()
}

/// The missing coins are given up, and the pool pays from what it mines with the new key.
fn goes_on(world: &mut World, miner: u8) {
    let missing = world.balance(LedgerAccount::Missing);
    if missing > 0 {
        world.decide(Act::WriteOff { amount: Amount::from_atoms(missing).expect("an amount") }).expect("missing");
    }
    let before = world.received_by(miner);
    world.share(miner, 1);
    for _ in 0..3 {
        world.mine(true);
    }
    world.calm_down();
    assert!(world.received_by(miner) > before, "{:?}", world.state.payouts().collect::<Vec<_>>());
    assert!(world.state.payouts().all(|payout| !payout.is_open()));
}

#[test]
fn immature_rewards_are_credited_and_missing() {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    world.mine(true);
    lose_key(&mut world);
    assert_eq!(world.balance(LedgerAccount::Missing), 2 * REWARD);
    assert_eq!(world.balance(LedgerAccount::ChainImmature(bq_primitives::Algorithm::Sha256d)), 0);
    assert!(world.payable(1) > 0, "the work was done");
    // Whether those blocks stay changes nothing any more.
    world.reorg(1, |_| false, true);
    world.follow();
    assert_eq!(world.balance(LedgerAccount::Missing), 2 * REWARD);
    goes_on(&mut world, 1);
}

#[test]
fn a_signed_payout_still_confirms_and_its_change_is_missing() {
    let mut world = signed_payout();
    let change = change(&world);
    lose_key(&mut world);
    assert_eq!((states(&world), world.balance(LedgerAccount::Missing)), (vec![PayoutState::Signed], 0));
    for _ in 0..FINAL_DEPTH {
        world.settle();
        world.mine(false);
    }
    world.follow();
    assert_eq!((states(&world), world.balance(LedgerAccount::Missing)), (vec![PayoutState::Final], change));
    assert!(change > 0 && world.received_by(1) > 0);
    goes_on(&mut world, 2);
}

#[test]
fn a_payout_that_leaves_the_chain_after_the_key_was_lost_is_sent_again() {
    let mut world = signed_payout();
    for _ in 0..FINAL_DEPTH {
        world.mine(false);
    }
    world.follow();
    assert_eq!(states(&world), [PayoutState::Final]);
    lose_key(&mut world);
    let missing = world.balance(LedgerAccount::Missing);
    assert_eq!(missing, change(&world));
    world.reorg(usize::try_from(FINAL_DEPTH).expect("small"), |_| false, false);
    world.chain.mempool.clear();
    world.follow();
    assert_eq!((states(&world), world.balance(LedgerAccount::Missing)), (vec![PayoutState::Signed], 0));
    world.calm_down();
    assert_eq!((states(&world), world.balance(LedgerAccount::Missing)), (vec![PayoutState::Final], missing));
    // The same when the missing coins were explained in between.
    world.decide(Act::WriteOff { amount: Amount::from_atoms(missing).expect("an amount") }).expect("missing");
    world.reorg(60, |_| false, false);
    world.chain.mempool.clear();
    world.follow();
    assert_eq!(states(&world), [PayoutState::Signed]);
    goes_on(&mut world, 1);
}

#[test]
fn a_payout_whose_reward_was_lost_with_the_key_is_void() {
    for confirmed in [false, true] {
        let mut world = signed_payout();
        if confirmed {
            world.mine(false);
        }
        lose_key(&mut world);
        world.chain.mempool.clear();
        world.reorg(20, |_| false, false);
        world.chain.mempool.clear();
        world.follow();
        for _ in 0..FINAL_DEPTH + MATURITY {
            world.mine(false);
        }
        world.follow();
        world.settle();
        assert_eq!(states(&world), [PayoutState::Void]);
        assert!(world.payable(1) > 0);
        goes_on(&mut world, 1);
    }
}

#[test]
fn a_base_knows_the_coins_of_the_old_key() {
    let mut world = signed_payout();
    lose_key(&mut world);
    let (joined, known) = world.known();
    let base = world.chain.base(&[world.key], &joined, &known);
    world.append(Event::Chain(ChainEvent::Base(base)));
    assert_eq!((states(&world), world.balance(LedgerAccount::Missing)), (vec![PayoutState::Signed], 0));
}

#[test]
fn a_payout_whose_coin_a_thief_took_is_void_after_the_key_was_lost() {
    let mut world = signed_payout();
    let input = world.state.payouts().next().expect("open").planned.inputs[0];
    lose_key(&mut world);
    world.chain.mempool.clear();
    world.steal(&[input.outpoint], 0);
    world.mine(false);
    for _ in 0..FINAL_DEPTH {
        world.mine(false);
    }
    world.follow();
    world.settle();
    assert_eq!(states(&world), [PayoutState::Void]);
    assert_eq!(world.balance(LedgerAccount::Missing), input.amount.atoms());
    goes_on(&mut world, 1);
}
