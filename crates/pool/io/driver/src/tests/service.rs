//! The pool with its threads, as the binary runs it.

use std::{sync::Arc, time::Duration};

use bq_chain_api::NodeApi;
use bq_mining_message::{PoolApi, RecordShareError, ShareReject};
use bq_primitives::WorkerName;
use bq_views::{BlockStateView, Event, PoolViews};
use tokio::{sync::broadcast, time::timeout};

use super::{
    FakeSigner, POOL_KEY, address, atoms,
    fake_node::{FakeNode, MATURITY},
    world::{LANE, share_to},
};
use crate::{Pool, PoolConfig};

/// Fails the test rather than hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

async fn wait_for(events: &mut broadcast::Receiver<Event>, wanted: impl Fn(&Event) -> bool) {
    let found = async {
        while let Ok(event) = events.recv().await {
            if wanted(&event) {
                return;
            }
        }
        panic!("the pool stopped");
    };
    timeout(PATIENCE, found).await.expect("the event comes");
}

fn is_block(state: BlockStateView) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Block(view) if view.state == state)
}

fn is_payout(wanted: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Payout { state, .. } if state == wanted)
}

#[tokio::test]
async fn from_login_to_payment() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = FakeNode::new();
    let config = PoolConfig {
        final_depth: 2,
        payout_interval: Duration::ZERO,
        payout_min: atoms(1_000_000),
        ..PoolConfig::new(folder.path().to_owned(), super::NETWORK)
    };
    let pool = Pool::open(config.clone(), node.clone(), Arc::new(FakeSigner)).expect("opened");
    let mut events = pool.events().subscribe();

    let mut templates = pool.templates();
    let first = timeout(PATIENCE, templates.wait_for(Option::is_some)).await.expect("in time").expect("open").clone();
    let first = first.expect("a template");
    assert_eq!(first.transactions[0].outputs[0].key_hash, POOL_KEY);
    assert!(first.transactions[0].coinbase_data.starts_with(b"/bq/"));
    node.mine();
    let is_new = |template: &Option<Arc<bq_chain_api::Template>>| {
        template.as_ref().is_some_and(|template| template.parent_id == node.tip().id)
    };
    let template = timeout(PATIENCE, templates.wait_for(is_new))
        .await
        .expect("in time")
        .expect("open")
        .clone()
        .expect("a template");
    wait_for(&mut events, |event| matches!(event, Event::Tip { height: 1, .. })).await;

    let miner = address(1).to_string();
    let payee = pool.authorize(&miner).expect("an address");
    for _ in 0..3 {
        pool.record_share(share_to(payee, 500), None).expect("booked");
    }
    pool.note_rejected(payee, &WorkerName::default(), LANE, ShareReject::Stale);
    let block = node.seal(&template, LANE);
    pool.record_share(share_to(payee, 100), Some(block)).expect("booked");
    wait_for(&mut events, is_block(BlockStateView::Immature)).await;
    for _ in 1..MATURITY {
        node.mine();
    }
    wait_for(&mut events, is_block(BlockStateView::Matured)).await;
    wait_for(&mut events, is_payout("broadcast")).await;
    node.mine_many(2);
    wait_for(&mut events, is_payout("final")).await;

    pool.set_connections(7);
    let view = pool.pool().expect("readable");
    assert_eq!((view.blocks_found, view.blocks_orphaned, view.miners_active, view.connections), (1, 0, 1, 7));
    assert_eq!(view.ledger_imbalance, "0");
    let lane = &view.algorithms["sha256d"];
    assert_eq!((lane.shares.accepted, lane.shares.rejected["stale"], lane.blocks, lane.active), (4, 1, 1, true));
    assert!(lane.pool_hashrate > 0.0);
    let seen = pool.miner(&miner).expect("readable").expect("known");
    assert_eq!(seen.paid.0, node.received(address(1).key_hash).to_string());
    assert_eq!((seen.workers.len(), seen.payouts.len()), (1, 1));
    assert_eq!(seen.payouts[0].state, "final");
    assert!(pool.miner(&address(9).to_string()).expect("readable").is_none());
    assert!(pool.miner("nonsense").expect("readable").is_none());
    let blocks = pool.blocks(10).expect("readable").blocks;
    assert_eq!((blocks.len(), blocks[0].finder.as_str()), (1, miner.as_str()));
    assert_eq!(pool.ledger_imbalance_atoms().expect("readable"), 0);

    pool.shutdown();
    assert!(matches!(pool.record_share(share_to(payee, 1), None), Err(RecordShareError::Closed)));
    drop(pool);
    let again = Pool::open(config, node.clone(), Arc::new(FakeSigner)).expect("opened again");
    assert_eq!(again.authorize(&miner).expect("known"), payee);
    assert_eq!(again.miner(&miner).expect("readable").expect("known").paid, seen.paid);
}

#[test]
fn shares_of_many_threads_are_all_booked() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = PoolConfig::new(folder.path().to_owned(), super::NETWORK);
    let pool = Pool::open(config.clone(), FakeNode::new(), Arc::new(FakeSigner)).expect("opened");
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let pool = &pool;
            scope.spawn(move || {
                let payee = pool.authorize(&address(thread).to_string()).expect("an address");
                for _ in 0..100 {
                    pool.record_share(share_to(payee, 1), None).expect("booked");
                }
            });
        }
    });
    let view = pool.pool().expect("readable");
    assert_eq!((view.algorithms["sha256d"].shares.accepted, view.miners_active), (400, 4));
    drop(pool);
    let pool = Pool::open(config, FakeNode::new(), Arc::new(FakeSigner)).expect("opened again");
    assert!((pool.pool().expect("readable").algorithms["sha256d"].effort - 0.4).abs() < 1e-9);
}
