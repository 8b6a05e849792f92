//! Blocks of the pool on a moving chain.

use std::time::Duration;

use bq_ledger::LedgerAccount;
use bq_pool_machine::{BlockState, Winning};
use bq_primitives::{Algorithm, Height, Transaction, TxOut};

use super::{
    fake_node::{MATURITY, SUBSIDY},
    world::{POOL_KEY, World, key, share_to},
};

#[test]
fn a_block_is_credited_matures_and_is_paid_out() {
    let world = World::new();
    world.mine_share(1, 500);
    world.mine_share(2, 500);
    let id = world.find_block(1, 500);
    world.settle();
    let state = |world: &World| world.keeper().state.read().block(&id).map(|block| block.state);
    assert_eq!(state(&world), Some(BlockState::Immature));
    // Window of 2: the winning share counts half.
    let net = SUBSIDY - SUBSIDY / 100;
    assert_eq!(world.immature(1), net * 3 / 8);
    assert_eq!(world.immature(2), net / 4);
    assert_eq!(world.balance(LedgerAccount::Seed(Algorithm::Sha256d)), net * 3 / 8);
    world.node.mine_many(MATURITY - 1);
    world.settle();
    assert_eq!(state(&world), Some(BlockState::Matured));
    world.node.mine_many(3);
    world.settle();
    assert!(world.node.received(key(1)) > 0 && world.node.received(key(2)) > 0);
    world.check_books(&[1, 2]);
    assert_eq!(world.names(), Vec::<&str>::new());
}

#[test]
fn a_block_that_leaves_and_returns_is_credited_once() {
    let world = World::new();
    world.mine_share(1, 500);
    let parent = world.keeper().node.tip().id;
    let id = world.find_block(1, 500);
    world.settle();
    let credited = world.immature(1);
    let fork = world.node.mine_on(parent);
    let rival = world.node.mine_on(fork);
    world.settle();
    assert_eq!(world.immature(1), 0);
    world.node.reorganise_to(id);
    world.settle();
    assert_eq!(world.immature(1), credited);
    world.node.reorganise_to(rival);
    world.settle();
    assert_eq!(world.immature(1), 0);
    world.node.reorganise_to(id);
    world.node.mine_many(MATURITY + 3);
    world.settle();
    world.check_books(&[1]);
}

#[test]
fn a_block_whose_candidate_was_lost_is_found_with_its_own_share() {
    let mut world = World::new();
    world.mine_share(2, 500);
    world.settle();
    // Everything that the books were told after this is lost with the process.
    let (id, outcome) = world.try_block(share_to(key(1), 400));
    outcome.expect("booked");
    world.restart();
    world.settle();
    let winning = world.keeper().state.read().block(&id).map(|block| block.candidate.winning.clone());
    assert!(matches!(winning, Some(Winning::Share(share)) if share.sequence.0 == 2), "{winning:?}");
    world.check_books(&[1, 2]);
}

#[test]
fn coins_of_others_are_gifts_and_their_blocks_no_candidates() {
    let world = World::new();
    world.mine_share(1, 500);
    world.find_block(1, 500);
    world.node.mine_many(MATURITY + 2);
    world.settle();
    world.node.donate(POOL_KEY, 7_000_000);
    world.node.mine();
    world.settle();
    assert_eq!(world.balance(LedgerAccount::GiftIncome), 0, "not buried");
    world.node.mine_many(MATURITY);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::GiftIncome), 7_000_000);
    assert_eq!(world.names(), Vec::<&str>::new());
    world.check_books(&[1]);
}

#[test]
fn nothing_is_booked_while_the_node_has_lost_the_chain() {
    let world = World::new();
    world.mine_share(1, 500);
    world.find_block(1, 500);
    world.node.mine_many(2);
    world.settle();
    let before = world.keeper().state.read().books().clone();
    let lost = world.node.forget_blocks(3);
    world.settle();
    assert_eq!(*world.keeper().state.read().books(), before, "no orphan is booked");
    assert!(world.names().contains(&"node_out_of_step"));
    for block in lost {
        bq_chain_api::NodeApi::submit_block(world.node.as_ref(), block).expect("synced again");
    }
    world.settle();
    assert_eq!(world.names(), Vec::<&str>::new());
    world.node.mine_many(MATURITY + 4);
    world.settle();
    world.check_books(&[1]);
}

#[test]
fn books_that_are_behind_for_a_moment_are_no_condition_by_the_pools_own_clock() {
    let grace = Duration::from_secs(3600);
    let world = World::with(|config| config.out_of_step_grace = grace);
    world.mine_share(1, 500);
    world.find_block(1, 500);
    world.settle();
    world.node.forget_blocks(1);
    world.settle();
    assert_eq!(world.names(), Vec::<&str>::new());
    world.clock.pass(grace);
    assert_eq!(world.names(), ["node_out_of_step"]);
}

/// Whoever holds the key too can spend even what the books left alone: nothing they know is gone.
#[test]
fn dust_that_comes_and_goes_before_the_books_look_is_none_of_theirs() {
    let world = World::new();
    world.node.mine_many(MATURITY + 1);
    world.settle();
    world.node.donate(POOL_KEY, 1000);
    world.node.mine();
    let dust = world.keeper().node.coins_of(&POOL_KEY).expect("coins")[0].clone();
    let spend = Transaction {
        version: 1,
        inputs: vec![dust.outpoint],
        outputs: vec![TxOut { amount: dust.output.amount, key_hash: key(7) }],
        lock_height: Height(0),
        coinbase_data: vec![],
        witnesses: vec![],
    };
    world.keeper().node.submit_transaction(spend).expect("valid");
    world.node.mine();
    world.settle();
    world.check_books(&[]);
    assert_eq!(world.names(), Vec::<&str>::new());
}
