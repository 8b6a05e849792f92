//! Real nodes, real proofs, real sockets: what one node validated, another one validates from what it is sent.
#![expect(clippy::unwrap_used, reason = "a broken harness should say where")]
mod rig;

use std::{future::Future, time::Duration};

use bq_chain_api::{NodeApi, SyncApi, TransactionStatus};
use bq_primitives::{Algorithm, Height};

use crate::rig::{Rig, clock, key};

/// Far more than any step takes: it only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(120);

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("not in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_three_eras_validates_on_a_node_that_saw_none_of_it() {
    let clock = clock();
    let (old, fresh) = (Rig::new(&clock), Rig::new(&clock));
    let miner = key(1);
    let tip = old.grow(10, &miner).await;
    let used: Vec<_> = (1..=10)
        .map(|height| {
            let id = old.node.block_id_at(Height(height)).unwrap().unwrap();
            old.node.block(&id).unwrap().unwrap().header.algorithm
        })
        .collect();
    assert!(Algorithm::ALL.iter().all(|algorithm| used.contains(algorithm)), "{used:?}");
    let server = old.connect(&[]).await;
    let client = fresh.connect(&[&server]).await;
    within(fresh.reaches(tip)).await;
    assert_eq!(fresh.node.coins_of(&miner.key_hash()).unwrap(), old.node.coins_of(&miner.key_hash()).unwrap());
    // The new one mines and the old one follows.
    let tip = fresh.grow(2, &key(2)).await;
    within(old.reaches(tip)).await;
    within(client.shutdown()).await;
    within(server.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_mined_apart_agree_on_the_longer_branch() {
    let clock = clock();
    let (a, b) = (Rig::new(&clock), Rig::new(&clock));
    let (at_a, miner) = (a.connect(&[]).await, key(1));
    let at_b = b.connect(&[&at_a]).await;
    let shared = a.grow(3, &miner).await;
    within(b.reaches(shared)).await;
    within(at_b.shutdown()).await;
    // Across the borders of two eras, with different algorithms and payees on each side.
    a.grow(4, &key(2)).await;
    let best = b.grow(6, &key(3)).await;
    let at_b = b.connect(&[&at_a]).await;
    within(a.reaches(best)).await;
    assert_eq!(a.node.coins_of(&key(2).key_hash()).unwrap(), []);
    assert_eq!(a.node.coins_of(&key(3).key_hash()).unwrap(), b.node.coins_of(&key(3).key_hash()).unwrap());
    assert_eq!(a.node.missing_bodies(100), []);
    within(at_b.shutdown()).await;
    within(at_a.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_blocks_arrive_in_order() {
    let clock = clock();
    let (old, fresh) = (Rig::sha256d(&clock), Rig::sha256d(&clock));
    let tip = old.grow(200, &key(1)).await;
    let server = old.connect(&[]).await;
    let client = fresh.connect(&[&server]).await;
    within(fresh.reaches(tip)).await;
    assert_eq!(fresh.node.tip(), old.node.tip());
    assert_eq!(client.peers()[0].misbehavior, 0);
    within(client.shutdown()).await;
    within(server.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_relayed_mined_elsewhere_and_comes_back_confirmed() {
    let clock = clock();
    let rigs = [Rig::sha256d(&clock), Rig::sha256d(&clock), Rig::sha256d(&clock)];
    let (payer, payee, miner) = (key(1), key(2), key(3));
    let tip = rigs[0].grow(4, &payer).await;
    // In the mempool before anybody is connected: the peer asks for it, and passes it on.
    let payment = rigs[0].spend(&payer, &payee, 100_000);
    let txid = rigs[0].node.submit_transaction(payment).unwrap();
    let first = rigs[0].connect(&[]).await;
    let second = rigs[1].connect(&[&first]).await;
    let third = rigs[2].connect(&[&second]).await;
    within(rigs[2].reaches(tip)).await;
    within(async {
        while rigs[2].node.transaction_status(&txid).unwrap() != TransactionStatus::InMempool {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let tip = rigs[2].grow(1, &miner).await;
    within(rigs[0].reaches(tip)).await;
    let status = rigs[0].node.transaction_status(&txid).unwrap();
    assert!(matches!(status, TransactionStatus::Confirmed { block_id, .. } if block_id == tip), "{status:?}");
    assert_eq!(rigs[0].node.coins_of(&payee.key_hash()).unwrap().len(), 1);
    for handle in [third, second, first] {
        within(handle.shutdown()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_other_rules_part_where_their_rules_do() {
    let clock = clock();
    // The same genesis, but from height 4 on one of them allows what the other does not.
    let (strict, lax) = (Rig::sha256d(&clock), Rig::new(&clock));
    assert_eq!(strict.node.genesis_id(), lax.node.genesis_id());
    let shared = lax.grow(3, &key(1)).await;
    let server = strict.connect(&[]).await;
    let client = lax.connect(&[&server]).await;
    within(strict.reaches(shared)).await;
    within(server.wait_for_peers(1)).await;
    let mut peers = server.peer_counts();
    lax.grow(4, &key(1)).await;
    within(peers.wait_for(|count| *count == 0)).await.unwrap();
    // The block at height 4 is SHA-256d, which both allow; the one above it is not.
    assert!(strict.node.best_header().height <= Height(4));
    within(client.shutdown()).await;
    within(server.shutdown()).await;
}
