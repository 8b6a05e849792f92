//! Coinbases pay a cold key, and a person fills the float (SPEC 8.13): told, followed, given back and replayed.

use bq_chain_api::NodeApi as _;
use bq_ledger::LedgerAccount;
use bq_pool_machine::{ColdEvent, Event};
use bq_primitives::{Height, KeyHash, OutPoint, Transaction, TxOut};

use super::{
    atoms,
    fake_node::MATURITY,
    replay::{events, export, replay, rewrite},
    world::{D, POOL_KEY, World, key},
};
use crate::{PayoutMode, PoolConfig};

fn cold() -> KeyHash {
    key(0xc0)
}

fn with_cold_key(config: &mut PoolConfig) {
    config.cold_key = Some(cold());
}

fn direct(config: &mut PoolConfig) {
    with_cold_key(config);
    config.payout_mode = Some(PayoutMode::Direct);
}

/// A person sends so much to the pool's own key, out of the first coin that is enough; the rest goes back, and a fee to the miner.
fn fill(world: &World, amount: u64) -> Transaction {
    let coins = world.node.coins_of(&cold()).expect("coins");
    let coin = coins.into_iter().find(|coin| coin.output.amount.atoms() > amount + 1_000).expect("one is enough");
    let rest = coin.output.amount.atoms() - amount - 1_000;
    let to = |key_hash, amount| TxOut { amount: atoms(amount), key_hash };
    send(world, coin.outpoint, vec![to(POOL_KEY, amount), to(cold(), rest)])
}

fn send(world: &World, input: OutPoint, outputs: Vec<TxOut>) -> Transaction {
    let inputs = vec![input];
    let (lock_height, coinbase_data, witnesses) = (Height(0), vec![], vec![]);
    let transaction = Transaction { version: 1, inputs, outputs, lock_height, coinbase_data, witnesses };
    world.node.submit_transaction(transaction.clone()).expect("valid");
    transaction
}

/// A pool whose miner 1 found a block that matured.
fn mined(change: fn(&mut PoolConfig)) -> World {
    let world = World::with(change);
    world.mine_share(1, D / 2);
    world.settle();
    world.find_block(1, D / 10);
    world.settle();
    world.node.mine_many(MATURITY);
    world.settle();
    world
}

fn held(world: &World) -> [u64; 3] {
    [LedgerAccount::ChainCold, LedgerAccount::ChainArriving, LedgerAccount::ChainSpendable]
        .map(|account| world.balance(account))
}

#[test]
fn miners_are_paid_out_of_what_a_person_sent() {
    let mut world = mined(with_cold_key);
    let reward = world.node.mined_to(cold());
    assert_eq!((world.node.mined_to(POOL_KEY), held(&world)), (0, [reward, 0, 0]));
    let owed = world.payable(1);
    assert!(owed > 0 && world.names().contains(&"float_low"), "{:?}", world.names());
    assert!(world.keeper().authorize(&super::world::address(0xc0).to_string()).is_err(), "it is nobody's account");
    world.restart();
    world.settle();
    fill(&world, owed);
    let fork = world.node.mine();
    world.settle();
    assert_eq!(held(&world), [reward - owed - 1_000, owed, 0]);
    world.check_books(&[1]);
    // Its block leaves, and another one has it.
    let parent = world.node.block(&fork).expect("a node").expect("a block").header.parent_id;
    let other = world.node.mine_on(parent);
    world.node.reorganise_to(other);
    world.settle();
    world.check_books(&[1]);
    world.node.mine_many(3);
    world.settle();
    world.node.mine_many(3);
    world.settle();
    world.check_books(&[1]);
    assert_eq!((world.payable(1), world.balance(LedgerAccount::Missing)), (0, 0));
    assert!(world.paid(1) > 0 && !world.names().contains(&"float_low"));
    world.keeper().checkpoint(true).expect("written");
    world.restart();
    world.settle();
    assert_eq!(world.names(), Vec::<&str>::new());
    world.close();
    let folder = export(&world, "export");
    assert_eq!(replay(&world, &folder).expect("made").difference, None);
}

#[test]
fn what_a_coinbase_leaves_the_pool_goes_cold_and_a_replay_knows_whose_a_coin_is() {
    let mut world = mined(direct);
    let (own, to_miners) = (world.node.mined_to(cold()), world.node.mined_to(key(1)));
    assert!(own > 0 && to_miners > 0 && world.node.mined_to(POOL_KEY) == 0);
    assert_eq!(held(&world), [own, 0, 0]);
    world.check_books(&[1]);
    world.close();
    let folder = export(&world, "export");
    assert_eq!(replay(&world, &folder).expect("made").difference, None);
    // The same log with nothing said of the cold key's coins would call them the pool's own.
    let is_mark = |bytes: &[u8]| matches!(Event::from_bytes(bytes), Ok(Event::Cold(ColdEvent::Coins(_))));
    let unmarked: Vec<Vec<u8>> = events(&folder).into_iter().filter(|bytes| !is_mark(bytes)).collect();
    rewrite(&folder, &unmarked);
    assert!(replay(&world, &folder).expect("made").difference.is_some());
}

#[test]
fn what_lies_with_a_key_before_it_is_the_cold_one_is_the_pools() {
    let mut world = World::new();
    world.mine_share(1, D / 2);
    world.settle();
    world.find_block(1, D / 10);
    world.node.mine_many(MATURITY);
    world.settle();
    world.node.donate(cold(), 5_000_000);
    world.node.mine_many(MATURITY + 1);
    world.settle();
    world.config.cold_key = Some(cold());
    world.restart();
    world.settle();
    assert_eq!(held(&world)[0], 5_000_000, "a gift");
    assert_eq!(world.names(), Vec::<&str>::new());
    world.check_books(&[1]);
    // And nobody's any more to be paid by coinbases, which changes nothing of what is there.
    world.config.cold_key = None;
    world.restart();
    world.find_block(1, D / 10);
    world.settle();
    assert_eq!((held(&world)[0], world.node.mined_to(cold())), (5_000_000, 0));
    world.check_books(&[1]);
}

#[test]
fn cold_coins_that_went_elsewhere_stop_payouts() {
    let world = mined(with_cold_key);
    let coin = world.node.coins_of(&cold()).expect("coins")[0].clone();
    send(&world, coin.outpoint, vec![TxOut { amount: coin.output.amount, key_hash: key(9) }]);
    world.node.mine();
    world.settle();
    assert!(world.names().contains(&"cold_coins_spent"), "{:?}", world.names());
    world.node.donate(POOL_KEY, 1_000_000);
    world.node.mine_many(MATURITY + 1);
    world.settle();
    assert_eq!(world.paid(1), 0);
    world.check_books(&[1]);
}
