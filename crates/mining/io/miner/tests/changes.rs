//! Work that changes under the miner's hands: keys, epochs, eras, pauses. Pools check every share against the job that it
//! names, under that job's key, and a wrong one fails the test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pool;

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use bq_miner::{BlockSource, MinerConfig, MinerEvent, NextBlock};
use bq_mining_message::{MiningChange, MiningControl, MiningMode};
use bq_pow::PowVerifier;
use bq_primitives::{Algorithm, Target, U256};
use pool::{Connection, Pool, config, eventually, start, stats, stop};
use serde_json::json;

async fn logged_in(pool: &Pool) -> Connection {
    let mut connection = pool.accept().await;
    connection.log_in("dbq1address", "rig7", "x").await;
    connection
}

/// Changes the key there and back while two threads hash, and takes shares of each job.
async fn survives_key_changes(algorithm: Algorithm) {
    let pow = Arc::new(PowVerifier::default());
    let pool = Pool::bind(algorithm).await;
    let miner = start(MinerConfig { threads: 2, ..config(&[&pool]) }, &pow);
    let mut connection = logged_in(&pool).await;
    for (id, key) in [("1", 0), ("2", 1), ("3", 0), ("4", 1)] {
        connection.send_job_under(id, key + 1, key).await;
        let mut of_this_job = 0;
        while of_this_job < 3 {
            let share = connection.share(&pow).await;
            connection.answer(&share.id, None).await;
            assert!(share.job == id || of_this_job == 0, "a share of job {} after one of job {id}", share.job);
            of_this_job += usize::from(share.job == id);
        }
    }
    let now = stats(&miner, algorithm);
    assert_eq!((now.rejected, now.lost), (0, 0));
    let builds = pow.counters();
    assert!(builds.randomx_cache_builds + builds.ethash_cache_builds == 2, "{builds:?}");
    stop(miner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn randomx_keys_change_without_a_wrong_share() {
    survives_key_changes(Algorithm::RandomX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ethash_epochs_change_without_a_wrong_share() {
    survives_key_changes(Algorithm::Ethash).await;
}

/// A chain whose era can be changed: which algorithms may seal the next block, by bit.
fn eras(active: &Arc<AtomicU8>) -> BlockSource {
    let active = Arc::clone(active);
    Arc::new(move |algorithm| {
        let is_active = active.load(Ordering::SeqCst) >> algorithm.index() & 1 == 1;
        is_active.then_some(NextBlock { target: Target(U256::MAX >> 200_usize), reward_atoms: 50 })
    })
}

const SHA256D: u8 = 0b001;
const ETHASH: u8 = 0b100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_algorithm_rests_while_its_era_is_over() {
    let pow = Arc::new(PowVerifier::default());
    let (sha256d, ethash) = (Pool::bind(Algorithm::Sha256d).await, Pool::bind(Algorithm::Ethash).await);
    let active = Arc::new(AtomicU8::new(SHA256D | ETHASH));
    let rotate = std::time::Duration::from_millis(20);
    let miner = start(MinerConfig { blocks: Some(eras(&active)), rotate, ..config(&[&sha256d, &ethash]) }, &pow);
    let (mut left, mut right) = (logged_in(&sha256d).await, logged_in(&ethash).await);
    left.send_job("1", 1).await;
    right.send_job("1", 1).await;
    let hashes = |algorithm| stats(&miner, algorithm).hashes;
    eventually(|| hashes(Algorithm::Sha256d) > 0 && hashes(Algorithm::Ethash) > 0).await;

    // The pool cannot take a job back: only the chain tells that it is worthless.
    active.store(ETHASH, Ordering::SeqCst);
    let before = hashes(Algorithm::Ethash);
    eventually(|| hashes(Algorithm::Ethash) > before).await;
    let (sha256d, ethash) = (hashes(Algorithm::Sha256d), hashes(Algorithm::Ethash));
    eventually(|| hashes(Algorithm::Ethash) > ethash + 100).await;
    assert_eq!(hashes(Algorithm::Sha256d), sha256d);

    active.store(SHA256D | ETHASH, Ordering::SeqCst);
    eventually(|| hashes(Algorithm::Sha256d) > sha256d).await;
    stop(miner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auto_measures_then_mines_what_pays_and_leaves_an_era_that_ended() {
    let pow = Arc::new(PowVerifier::default());
    let (sha256d, ethash) = (Pool::bind(Algorithm::Sha256d).await, Pool::bind(Algorithm::Ethash).await);
    let active = Arc::new(AtomicU8::new(SHA256D | ETHASH));
    let (threads, mode, blocks) = (2, MiningMode::Auto, Some(eras(&active)));
    let miner = start(MinerConfig { threads, mode, blocks, ..config(&[&sha256d, &ethash]) }, &pow);
    let (mut left, mut right) = (logged_in(&sha256d).await, logged_in(&ethash).await);
    left.send_job("1", 1).await;
    right.send_job("1", 1).await;

    // Targets are the same, and SHA-256d is thousands of times as fast.
    let measured = || miner.mining_status().details.iter().all(|lane| lane.measured_hashrate.is_some());
    eventually(measured).await;
    eventually(|| miner.mining_status().choice == Some(Algorithm::Sha256d)).await;
    let status = miner.mining_status();
    let reward = |algorithm| status.details.iter().find(|lane| lane.algorithm == algorithm).unwrap().expected_reward;
    assert!(reward(Algorithm::Sha256d) > reward(Algorithm::Ethash) && reward(Algorithm::Ethash) > Some(0.0));

    active.store(ETHASH, Ordering::SeqCst);
    eventually(|| miner.mining_status().choice == Some(Algorithm::Ethash)).await;
    active.store(0, Ordering::SeqCst);
    eventually(|| miner.mining_status().choice.is_none() && miner.stats().threads_hashing == 0).await;
    active.store(SHA256D, Ordering::SeqCst);
    eventually(|| miner.mining_status().choice == Some(Algorithm::Sha256d)).await;

    let turns = MiningChange { mode: Some(MiningMode::Turns), ..MiningChange::default() };
    miner.set_mining(&turns).unwrap();
    eventually(|| miner.mining_status().choice.is_none()).await;
    stop(miner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_stops_every_hash_and_ends_with_the_newest_job() {
    let pow = Arc::new(PowVerifier::default());
    let pool = Pool::bind(Algorithm::Sha256d).await;
    let miner = start(MinerConfig { threads: 2, ..config(&[&pool]) }, &pow);
    let mut events = miner.events();
    let mut connection = logged_in(&pool).await;
    connection.send_job("1", 1).await;
    connection.share(&pow).await;

    let pause = |paused| MiningChange { paused: Some(paused), ..MiningChange::default() };
    assert!(miner.set_mining(&pause(true)).unwrap().paused);
    eventually(|| miner.stats().threads_hashing == 0).await;
    let hashes = || stats(&miner, Algorithm::Sha256d).hashes;
    let before = hashes();
    connection.send_job("2", 2).await;
    while !matches!(events.recv().await.unwrap(), MinerEvent::Job { id, .. } if id == "2") {}
    // What the miner says after this was found after the second job came.
    connection.write(&format!("{}\n", json!({"id": 7, "method": "client.get_version", "params": []}))).await;
    connection.answer_to(7).await;
    assert_eq!((hashes(), stats(&miner, Algorithm::Sha256d).connected), (before, true));

    assert!(!miner.set_mining(&pause(false)).unwrap().paused);
    for _ in 0..3 {
        assert_eq!(connection.share(&pow).await.job, "2");
    }
    assert!(hashes() > before);
    stop(miner).await;
}
