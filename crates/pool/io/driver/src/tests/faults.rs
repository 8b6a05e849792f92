//! Full disks, a node that refuses, reorganised payouts, books that do not belong here.

use std::sync::Arc;

use bq_chain_api::{NodeApi, TransactionStatus};
use bq_ledger::LedgerAccount;
use bq_mining_message::RecordShareError;
use bq_pool_store::{BlockState, PayoutState, StoreError};
use bq_primitives::{Amount, Network};

use super::{
    FakeSigner, address, atoms,
    fake_node::{FakeNode, MATURITY},
    world::{Death, LANE, World, share_of},
};
use crate::{Pool, PoolConfig, PoolError, core::Core};

/// A pool with one broadcast payout to miners 1 and 2.
fn world_with_payout() -> World {
    let world = World::new();
    world.mine_share(1, 1000);
    world.mine_share(2, 1000);
    world.find_block(2, 100);
    world.node.mine_many(MATURITY);
    world.settle();
    assert_eq!(payout_state(&world), Some(PayoutState::Broadcast));
    world
}

fn payout_state(world: &World) -> Option<PayoutState> {
    world.core().store.open_payouts().expect("readable").first().map(|payout| payout.state)
}

fn finish(world: &World) {
    for _ in 0..4 {
        world.node.mine();
        world.settle();
    }
    assert_eq!(payout_state(world), None);
    world.check_books(&[1, 2]);
    assert!(world.paid(1) > 0 && world.paid(2) > 0);
}

#[test]
fn a_payout_that_fell_out_of_the_mempool_is_sent_again_byte_for_byte() {
    let world = world_with_payout();
    let sent = world.node.mempool();
    world.node.forget_mempool();
    world.settle();
    assert_eq!(world.node.mempool(), sent);
    finish(&world);
}

#[test]
fn a_payout_that_was_reorganised_out_is_sent_again() {
    let world = world_with_payout();
    let parent = world.node.tip().id;
    world.node.mine();
    world.settle();
    assert_eq!(payout_state(&world), Some(PayoutState::Confirmed));
    let beside = world.node.mine_on(parent);
    world.node.reorganise_to(beside);
    world.node.forget_mempool();
    world.settle();
    assert_eq!(payout_state(&world), Some(PayoutState::Broadcast));
    finish(&world);
}

#[test]
fn a_payout_whose_coin_is_gone_is_blocked_and_nothing_is_credited_back() {
    let world = World::new();
    let start = world.node.tip().id;
    world.mine_share(1, 1000);
    world.mine_share(2, 1000);
    world.find_block(2, 100);
    world.node.mine_many(MATURITY);
    world.settle();
    let good = world.node.tip().id;
    let in_flight = world.balance(LedgerAccount::ChainInFlight);
    world.node.reorganise_to(world.node.mine_on(start));
    world.node.mine();
    world.settle();
    assert_eq!(payout_state(&world), Some(PayoutState::Blocked));
    assert_eq!(world.balance(LedgerAccount::ChainInFlight), in_flight);
    assert_eq!((world.payable(1), world.payable(2)), (0, 0));
    assert_ne!(world.delta(), Some(0), "the alarm rings");
    world.settle();
    assert_eq!(world.core().store.open_payouts().expect("readable").len(), 1, "no new payout while one is blocked");

    world.node.reorganise_to(good);
    world.settle();
    finish(&world);
}

#[test]
fn a_node_that_refuses_blocks_the_payout_until_it_takes_it() {
    let world = World::new();
    world.node.refuse_transactions(Some("fee too low"));
    world.mine_share(1, 1000);
    world.mine_share(2, 1000);
    world.find_block(2, 100);
    world.node.mine_many(MATURITY);
    world.settle();
    assert_eq!(payout_state(&world), Some(PayoutState::Blocked));
    world.node.mine_many(50);
    world.settle();
    assert_eq!(payout_state(&world), Some(PayoutState::Blocked), "time proves nothing");
    world.node.refuse_transactions(None);
    world.settle();
    assert_eq!(payout_state(&world), Some(PayoutState::Broadcast));
    finish(&world);
}

#[test]
fn a_payout_is_void_only_when_another_spend_of_its_coin_is_buried() {
    let world = world_with_payout();
    let payout = world.core().store.open_payouts().expect("readable").remove(0);
    let mut other = world.node.mempool().remove(0);
    other.outputs.truncate(1);
    world.node.forget_mempool();
    world.node.submit_transaction(other).expect("a valid spend by somebody with the key");
    world.settle();
    assert_eq!(payout_state(&world), Some(PayoutState::Blocked));
    world.node.mine();
    world.settle();
    assert_eq!(payout_state(&world), Some(PayoutState::Blocked), "one confirmation can be undone");
    world.node.mine();
    world.settle();
    let voided = world.core().store.payout_of_txid(&payout.planned.txid).expect("readable").expect("there");
    assert_eq!(voided.state, PayoutState::Void);
    assert!(world.payable(1) > 0);
    assert_ne!(world.delta(), Some(0), "coins left that the books do not know of: payouts stop");
    assert_eq!(payout_state(&world), None);
    world.core().store.audit().expect("the books themselves are sound");
}

/// A pool whose every write fails once `death` strikes, on a node that lives.
fn pool_on_a_small_disk(world: &mut World, death: &Death) -> Core {
    world.close();
    let (store, log) = world.books(death);
    let node = Arc::clone(&world.node);
    Core::open_with(world.config.clone(), node, Arc::new(FakeSigner), store, log).expect("opened")
}

#[test]
fn a_full_disk_refuses_shares_and_resumes_by_itself() {
    let mut world = World::new();
    let account = world.account(1);
    let death = Death::default();
    let core = pool_on_a_small_disk(&mut world, &death);
    let share = || share_of(account, 100);
    core.record(share(), None).expect("booked");
    assert_eq!(core.account_of(address(1).key_hash).expect("known"), account);
    death.strike();
    for _ in 0..3 {
        assert!(matches!(core.record(share(), None), Err(RecordShareError::Log(_))));
    }
    core.authorize(&address(2).to_string()).expect("a login needs no disk");
    assert!(core.account_of(address(2).key_hash).is_err());
    assert_eq!(core.account_of(address(1).key_hash).expect("known accounts need no disk"), account);
    core.refresh_template().expect("jobs keep flowing");
    let reason = core.share_log_failure().expect("operators and load balancers must know");
    assert!(reason.starts_with("shares cannot be written: ") && !reason.contains('/'), "{reason}");
    death.heal();
    assert_eq!(core.share_log_failure(), None);
    core.record(share(), None).expect("booked again");
    drop(core);
    world.restart();
    assert_eq!(world.shares_in_log(), 2, "refused shares left no trace");
}

#[test]
fn a_block_found_while_nothing_can_be_written_is_not_lost() {
    for restarts in [false, true] {
        let mut world = World::new();
        world.mine_share(1, 1000);
        let account = world.account(1);
        let death = Death::default();
        let core = pool_on_a_small_disk(&mut world, &death);
        death.strike();
        let request =
            bq_chain_api::TemplateRequest { payout: super::POOL_KEY, coinbase_data: world.config.pool_tag.clone() };
        let block = world.node.seal(&world.node.template(&request).expect("a template"), LANE);
        let id = block.id();
        assert!(matches!(core.record(share_of(account, 100), Some(block)), Err(RecordShareError::Log(_))));
        assert!(world.node.block(&id).expect("readable").is_some(), "the network has it");
        if restarts {
            drop(core);
            world.restart();
            world.settle();
        } else {
            death.heal();
            core.settle_once().expect("it goes on where it was stopped");
            drop(core);
            world.restart();
            world.settle();
            assert_eq!(world.shares_in_log(), 2, "its share is booked too");
        }
        let stored = world.core().store.pool_block(&id).expect("readable").expect("kept, or found on the chain");
        assert_eq!(stored.state, BlockState::Immature);
        world.check_books(&[]);
    }
}

#[test]
fn a_ledger_older_than_the_share_log_is_refused() {
    let mut world = World::new();
    world.mine_share(1, 100);
    world.close();
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let path = world.folder.path().join(name);
        if path.exists() {
            std::fs::remove_file(path).expect("removed");
        }
    }
    let error = Core::open(world.config.clone(), world.node.clone(), Arc::new(FakeSigner)).err();
    assert!(matches!(error, Some(PoolError::LedgerBehindShares { .. })), "{error:?}");
}

#[test]
fn the_books_of_another_chain_are_refused_with_the_file_named() {
    let mut world = World::new();
    world.mine_share(1, 100);
    world.close();
    let config = PoolConfig { network: Network::Devnet, ..world.config.clone() };
    let error = Core::open(config, world.node.clone(), Arc::new(FakeSigner)).err();
    assert!(matches!(error, Some(PoolError::WrongNetwork { .. })), "{error:?}");

    // The same network from another genesis: the fake chain with another first block.
    let other = bq_primitives::BlockId([1; 32]);
    let error =
        bq_pool_store::SqliteLedger::open(&world.folder.path().join("ledger.sqlite"), super::NETWORK, &other).err();
    assert!(matches!(error, Some(StoreError::Foreign { .. })));
}

#[test]
fn senseless_settings_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = || PoolConfig::new(folder.path().to_owned(), super::NETWORK);
    let cases = [
        (PoolConfig { fee_bp: 10_001, ..good() }, "fee_bp"),
        (PoolConfig { pplns_window_units: 0, ..good() }, "pplns_window_units"),
        (PoolConfig { pplns_window_units: 65, ..good() }, "pplns_window_units"),
        (PoolConfig { payout_min: Amount::ZERO, ..good() }, "payout_min"),
        (PoolConfig { final_depth: 0, ..good() }, "final_depth"),
        (PoolConfig { payout_inputs_max: 0, ..good() }, "payout_inputs_max"),
        (PoolConfig { pool_tag: vec![b'x'; 65], ..good() }, "pool_tag"),
    ];
    for (config, field) in cases {
        let error = Pool::open(config, FakeNode::new(), Arc::new(FakeSigner)).err().expect(field);
        assert!(error.to_string().contains(field) && !error.is_transient(), "{error}");
    }
}

#[test]
fn a_login_must_be_an_address_of_this_network() {
    let world = World::new();
    let account = world.account(1);
    assert_eq!(world.account(1), account);
    for login in ["", "x", "bq1qqqq", &format!("{}x", address(1))] {
        let refused = world.core().authorize(login);
        assert!(matches!(refused, Err(bq_mining_message::AuthorizeError::Address(_))), "{login}");
    }
    let foreign = bq_primitives::Address { network: Network::Mainnet, ..address(1) };
    assert!(world.core().authorize(&foreign.to_string()).is_err());
    let own = bq_primitives::Address { key_hash: super::POOL_KEY, ..address(1) };
    let refused = world.core().authorize(&own.to_string());
    assert!(matches!(refused, Err(bq_mining_message::AuthorizeError::OwnAddress)), "{refused:?}");
}

#[test]
fn amounts_too_small_for_their_fee_wait() {
    let world = World::with(|config| {
        config.payout_min = atoms(1);
        // A fee of about 90,000 atoms per output.
        config.fee_rate = 100_000_000;
    });
    world.mine_share(1, 1000);
    world.mine_share(2, 1);
    world.mine_share(1, 900);
    world.find_block(1, 100);
    world.node.mine_many(MATURITY);
    world.settle();
    let open = world.core().store.open_payouts().expect("readable");
    assert_eq!(open[0].planned.plan.payees.iter().map(|payee| payee.account).collect::<Vec<_>>(), [world.account(1)]);
    let status = world.node.transaction_status(&open[0].planned.txid).expect("readable");
    assert_eq!(status, TransactionStatus::InMempool);
    assert!(world.payable(2) > 0);
}
