//! What people decide about a pool, and what they see of it.

use bq_ledger::LedgerAccount;
use bq_mining_message::{AuthorizeError, PoolApi as _};
use std::sync::Arc;

use super::{
    NETWORK, atoms,
    fake_node::MATURITY,
    world::{FakeSigner, POOL_KEY, World, address, fast_folder, key, share_to},
};
use crate::{Decision, DecisionError, Pool, PoolConfig, Reason, Refusal, operator::refused as told};

fn reason() -> Reason {
    Reason { who: "ops".to_owned(), why: "a test".to_owned() }
}

fn earned() -> World {
    let world = World::new();
    for _ in 0..4 {
        world.find_block(1, 1000);
        world.settle();
    }
    world.node.mine_many(MATURITY + 6);
    world.settle();
    world.node.mine_many(6);
    world.settle();
    world
}

#[test]
fn a_dry_run_says_and_does_nothing() {
    let world = earned();
    let before = world.keeper().written();
    let withdraw = Decision::Withdraw { amount: atoms(1_000_000), to: address(9) };
    let said = world.keeper().decide(&withdraw, &reason(), true).expect("it may");
    assert!(said.starts_with("Would do: 0.01000000 coins of what the pool earned"), "{said}");
    assert_eq!(world.keeper().written(), before);
    let done = world.keeper().decide(&withdraw, &reason(), false).expect("it may");
    assert_eq!(format!("Would do: {done}"), said);
    world.settle();
    world.node.mine_many(4);
    world.settle();
    assert!(world.node.received(key(9)) > 0);
    world.check_books(&[1]);
}

#[test]
fn wrong_decisions_are_refused_with_the_reason() {
    let world = earned();
    let refused =
        |decision: Decision, reason: &Reason| world.keeper().decide(&decision, reason, false).expect_err("wrong");
    let too_much = Decision::Withdraw { amount: atoms(200_000_001), to: address(9) };
    assert!(matches!(refused(too_much, &reason()), Refusal::Fault(_)));
    let own = Decision::Withdraw {
        amount: atoms(1_000_000),
        to: bq_primitives::Address { network: NETWORK, key_hash: POOL_KEY },
    };
    assert!(matches!(refused(own, &reason()), Refusal::Value { field: "address", .. }));
    let abroad = bq_primitives::Address { network: bq_primitives::Network::Mainnet, ..address(9) };
    let abroad = Decision::Withdraw { amount: atoms(1_000_000), to: abroad };
    assert!(refused(abroad, &reason()).to_string().starts_with("address"));
    assert!(matches!(refused(Decision::Resume, &reason()), Refusal::Fault(_)));
    assert!(matches!(refused(Decision::Recover, &reason()), Refusal::State(_)));
    assert!(matches!(refused(Decision::WriteOff(atoms(1)), &reason()), Refusal::Fault(_)));
    let nothing = Reason { why: "  ".to_owned(), ..reason() };
    assert!(matches!(refused(Decision::Pause, &nothing), Refusal::Value { field: "reason", .. }));
}

#[test]
fn a_refusal_names_the_field_that_would_help() {
    let world = earned();
    let field = |decision: Decision| {
        let refusal = world.keeper().decide(&decision, &reason(), false).expect_err("wrong");
        match told(&decision, refusal) {
            DecisionError::Value { field, .. } => field,
            DecisionError::State(_) => "state",
            DecisionError::Failed(_) => "failed",
        }
    };
    let withdraw = |amount| Decision::Withdraw { amount: atoms(amount), to: address(9) };
    assert_eq!(field(withdraw(0)), "amount");
    assert_eq!(field(withdraw(1)), "amount", "the network fee eats it");
    assert_eq!(field(withdraw(200_000_001)), "amount");
    assert_eq!(field(Decision::WriteOff(atoms(1))), "amount");
    assert_eq!(field(Decision::ReleaseSuspense(atoms(1))), "amount");
    assert_eq!(field(Decision::AdoptWithdrawal(bq_primitives::TxId([7; 32]))), "txid");
    assert_eq!(field(Decision::AdoptRefill(bq_primitives::TxId([7; 32]))), "txid");
    assert_eq!(field(Decision::Resume), "state");
    assert_eq!(field(Decision::Recover), "state");
}

#[test]
fn two_people_cannot_take_the_same_twice() {
    let world = earned();
    let all = Decision::Withdraw { amount: atoms(150_000_000), to: address(9) };
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let decide = || world.keeper().decide(&all, &reason(), false).is_ok();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(decide)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(outcomes.iter().filter(|done| **done).count(), 1, "{outcomes:?}");
    world.settle();
    world.node.mine_many(6);
    world.settle();
    assert!(world.node.received(key(9)) <= 150_000_000);
    assert_eq!(world.balance(LedgerAccount::WithdrawalInFlight), 0);
}

/// Copies books and shares of a stopped pool and puts them back later.
fn copied(world: &World, folder: &std::path::Path) -> crate::StoppedPool {
    use bq_chain_api::NodeApi as _;
    let pool = crate::StoppedPool {
        data_dir: world.folder.path().to_owned(),
        network: NETWORK,
        genesis: world.node.genesis_id(),
        front_end: bq_mining_message::FrontEndId(0),
    };
    pool.back_up(folder, false).expect("made");
    pool
}

#[test]
fn an_old_copy_that_no_block_tells_of_is_paused_and_recovered_by_force() {
    let mut world = earned();
    let copies = fast_folder();
    let pool = copied(&world, &copies.path().join("copy"));
    // What the copy forgets: a withdrawal that is under way. No block of the pool comes after it.
    let withdraw = Decision::Withdraw { amount: atoms(1_000_000), to: address(9) };
    world.keeper().decide(&withdraw, &reason(), false).expect("it may");
    world.settle();
    world.close();
    let told = pool.restore(&copies.path().join("copy"), None, false).expect("restored");
    assert!(told.contains("payouts are paused") && told.contains("recover, with --forced"), "{told}");
    world.try_open(&super::world::Death::default()).expect("opens");
    world.settle();
    assert!(world.names().contains(&"paused"), "{:?}", world.names());
    assert!(!world.names().contains(&"log_behind_chain"), "no block tells of it");
    let decide = |decision: &Decision, dry_run| world.keeper().decide(decision, &reason(), dry_run);
    let refused = decide(&withdraw, false).expect_err("the copy forgot that it was taken already");
    assert!(refused.to_string().starts_with("payouts are paused (a backup was put back"), "{refused}");
    let refused = decide(&Decision::Recover, false).expect_err("nothing is known to be lost");
    assert!(refused.to_string().contains("--forced"), "{refused}");
    let before = world.keeper().written();
    let said = decide(&Decision::RecoverForced, true).expect("it may");
    assert!(said.starts_with("Would do: the log is taken for an old copy"), "{said}");
    assert_eq!(world.keeper().written(), before);
    decide(&Decision::RecoverForced, false).expect("it may");
    let conditions = world.keeper().conditions();
    let recovering = conditions.iter().find(|condition| condition.name == "recovering").expect("told");
    assert!(recovering.reason.starts_with("the log is taken for an old copy"), "{}", recovering.reason);
    for _ in 0..4 {
        world.node.mine_many(MATURITY);
        world.settle();
    }
    assert!(!world.names().contains(&"recovering"), "{:?}", world.names());
    // The withdrawal came through and is told as what it is: nothing more is paid before a person explains it.
    assert!(world.node.received(key(9)) > 0);
    assert!(world.names().contains(&"coins_missing"), "{:?}", world.names());
    decide(&Decision::Resume, false).expect("paused");
    let gone = world.node.first_payment_to(key(9));
    decide(&Decision::AdoptWithdrawal(gone), false).expect("it was a withdrawal");
    world.settle();
    assert!(!world.names().contains(&"coins_missing"), "{:?}", world.names());
    world.check_books(&[1]);
}

#[test]
fn a_copy_of_a_paused_pool_says_that_it_is_a_copy() {
    let mut world = earned();
    let copies = fast_folder();
    world.keeper().decide(&Decision::Pause, &reason(), false).expect("it may");
    let pool = copied(&world, &copies.path().join("copy"));
    world.close();
    pool.restore(&copies.path().join("copy"), None, false).expect("restored");
    world.try_open(&super::world::Death::default()).expect("opens");
    let paused = world.keeper().state.read().paused().map(|paused| paused.reason.clone()).expect("still");
    assert!(paused.starts_with("a backup was put back") && paused.ends_with(&reason().why), "{paused}");
    world.keeper().decide(&Decision::Resume, &reason(), false).expect("once is enough");
    assert!(world.keeper().state.read().paused().is_none());
}

#[test]
fn a_recovery_of_a_sound_log_costs_a_fence_and_nothing_else() {
    let world = earned();
    let (paid, owed) = (world.paid(1), world.payable(1));
    world.keeper().decide(&Decision::RecoverForced, &reason(), false).expect("it may");
    for _ in 0..4 {
        world.node.mine_many(MATURITY);
        world.settle();
    }
    assert_eq!(world.names(), Vec::<&str>::new());
    assert!(world.paid(1) + world.payable(1) >= paid + owed);
    world.find_block(1, 1000);
    world.node.mine_many(MATURITY + 8);
    world.settle();
    world.node.mine_many(6);
    world.settle();
    assert!(world.paid(1) > paid);
    world.check_books(&[1]);
}

#[test]
fn a_pause_is_seen_and_ends() {
    let world = earned();
    world.keeper().decide(&Decision::Pause, &reason(), false).expect("not paused");
    let conditions = world.keeper().conditions();
    assert_eq!(conditions[0].name, "paused");
    assert!(conditions[0].reason.contains("a test") && conditions[0].since_ms > 0);
    world.keeper().decide(&Decision::Resume, &reason(), false).expect("paused");
    assert!(world.keeper().conditions().is_empty());
}

#[test]
fn the_pool_itself_is_no_miner_and_a_login_makes_no_account() {
    let folder = fast_folder();
    let node = super::fake_node::FakeNode::new();
    let config = PoolConfig::new(folder.path().to_owned(), NETWORK);
    let pool = Pool::open(config, node, Arc::new(FakeSigner(POOL_KEY))).expect("opens");
    let own = bq_primitives::Address { network: NETWORK, key_hash: POOL_KEY }.to_string();
    assert!(matches!(pool.authorize(&own), Err(AuthorizeError::OwnAddress)));
    assert!(matches!(pool.authorize("nonsense"), Err(AuthorizeError::Address(_))));
    assert_eq!(pool.authorize(&address(3).to_string()).ok(), Some(key(3)));
    assert!(bq_views::PoolViews::miner(pool.as_ref(), &address(3).to_string()).expect("readable").is_none());
    pool.record_share(share_to(key(3), 10), None).expect("booked");
    pool.shutdown();
    let seen = bq_views::PoolViews::miner(pool.as_ref(), &address(3).to_string()).expect("readable");
    assert_eq!(seen.map(|miner| miner.workers.len()), Some(1));
}

#[test]
fn a_reason_that_would_stay_for_ever_is_bounded() {
    let world = World::new();
    let told = |who: usize, why: usize| {
        let reason = Reason { who: "w".repeat(who), why: "y".repeat(why) };
        world.keeper().decide(&Decision::Pause, &reason, true).map_err(|error| error.to_string())
    };
    assert!(told(100, 1000).is_ok());
    assert_eq!(told(101, 1000), Err("who: 101 bytes are more than 100".to_owned()));
    assert_eq!(told(100, 1001), Err("reason: 1001 bytes are more than 1000".to_owned()));
}
