//! The miner against small pools, one per dialect, that speak as stock pools do and check every share from its wire form.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pool;

use std::{sync::Arc, time::Duration};

use bq_miner::{MinerConfig, NextBlock};
use bq_mining_message::{MiningChange, MiningControl};
use bq_pow::PowVerifier;
use bq_primitives::{Algorithm, Target, U256};
use pool::{Pool, config, eventually, start, stats, stop};

/// Logs in, mines two jobs, has a share of each accepted and one refused.
async fn mines(algorithm: Algorithm) {
    let pow = Arc::new(PowVerifier::default());
    let pool = Pool::bind(algorithm).await;
    let miner = start(config(&[&pool]), &pow);
    let mut connection = pool.accept().await;
    connection.log_in("dbq1address", "rig7", "x").await;
    connection.send_job("1", 1).await;
    let first = connection.share(&pow).await;
    assert_eq!(first.job, "1");
    connection.answer(&first.id, None).await;
    eventually(|| stats(&miner, algorithm).accepted == 1).await;

    connection.send_job("2", 2).await;
    // Shares of the first job may still be under way; then come those of the second alone.
    let second = loop {
        let share = connection.share(&pow).await;
        if share.job == "2" {
            break share;
        }
        connection.answer(&share.id, None).await;
    };
    connection.answer(&second.id, Some((23, "Low difficulty share"))).await;
    eventually(|| stats(&miner, algorithm).rejected == 1).await;

    let now = stats(&miner, algorithm);
    assert!(now.connected && now.hashes > 0 && now.hashrate.recent > 0.0);
    assert_eq!(now.last_error.as_deref(), Some("Low difficulty share"));
    assert_eq!(now.blocks_found, 0, "no block target is known");
    stop(miner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sha256d_shares_reach_the_pool() {
    mines(Algorithm::Sha256d).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn randomx_shares_reach_the_pool() {
    mines(Algorithm::RandomX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ethash_shares_reach_the_pool() {
    mines(Algorithm::Ethash).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_made_again_with_new_work() {
    let pow = Arc::new(PowVerifier::default());
    let pool = Pool::bind(Algorithm::Sha256d).await;
    let miner = start(config(&[&pool]), &pow);
    let mut connection = pool.accept().await;
    connection.log_in("dbq1address", "rig7", "x").await;
    connection.send_job("1", 1).await;
    let unanswered = connection.share(&pow).await;
    assert_eq!(unanswered.job, "1");
    drop(connection);
    eventually(|| !stats(&miner, Algorithm::Sha256d).connected).await;
    assert!(stats(&miner, Algorithm::Sha256d).lost >= 1);

    let mut connection = pool.accept().await;
    connection.log_in("dbq1address", "rig7", "x").await;
    connection.send_job("9", 2).await;
    let share = connection.share(&pow).await;
    assert_eq!(share.job, "9", "no share of the old connection's job");
    stop(miner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_and_refusals_end_a_connection_and_are_told() {
    let pow = Arc::new(PowVerifier::default());
    let pool = Pool::bind(Algorithm::Sha256d).await;
    let miner = start(config(&[&pool]), &pow);
    let error = || stats(&miner, Algorithm::Sha256d).last_error;
    let mut connection = pool.accept().await;
    connection.request("mining.subscribe").await;
    for _ in 0..100 {
        connection.write("{not json\n").await;
    }
    eventually(|| error().as_deref() == Some("100 lines of the pool make no sense")).await;
    assert_eq!(stats(&miner, Algorithm::Sha256d).nonsense, 100);
    let mut connection = pool.accept().await;
    let request = connection.request("mining.subscribe").await;
    connection.answer(&request["id"], Some((24, "Unauthorized worker"))).await;
    eventually(|| error().as_deref() == Some("login refused: Unauthorized worker")).await;
    assert!(!stats(&miner, Algorithm::Sha256d).connected);
    stop(miner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_thread_takes_turns_and_follows_its_settings() {
    let pow = Arc::new(PowVerifier::default());
    let (sha256d, ethash) = (Pool::bind(Algorithm::Sha256d).await, Pool::bind(Algorithm::Ethash).await);
    let config = MinerConfig {
        rotate: Duration::from_millis(40),
        blocks: Some(Arc::new(|algorithm| {
            let target = if algorithm == Algorithm::Ethash { Target::MAX } else { Target(U256::ZERO) };
            Some(NextBlock { target, reward_atoms: 1 })
        })),
        ..config(&[&sha256d, &ethash])
    };
    let miner = start(config, &pow);
    let (mut left, mut right) = (sha256d.accept().await, ethash.accept().await);
    for connection in [&mut left, &mut right] {
        connection.log_in("dbq1address", "rig7", "x").await;
        connection.send_job("1", 1).await;
    }
    for _ in 0..2 {
        for connection in [&mut left, &mut right] {
            let share = connection.share(&pow).await;
            connection.answer(&share.id, None).await;
        }
    }
    eventually(|| stats(&miner, Algorithm::Ethash).blocks_found >= 2).await;
    assert_eq!(stats(&miner, Algorithm::Sha256d).blocks_found, 0);

    // One algorithm less: its connection ends, the other goes on.
    let only = MiningChange { algorithms: Some(vec![Algorithm::Ethash]), ..MiningChange::default() };
    let status = miner.set_mining(&only).unwrap();
    assert_eq!((status.algorithms, status.hashrate.len()), (vec![Algorithm::Ethash], 1));
    left.ends().await;
    let share = right.share(&pow).await;
    right.answer(&share.id, None).await;

    // Off, and on again with more threads.
    let off = MiningChange { enabled: Some(false), ..MiningChange::default() };
    assert!(!miner.set_mining(&off).unwrap().enabled);
    right.ends().await;
    let on = MiningChange { enabled: Some(true), threads: Some(2), ..MiningChange::default() };
    assert_eq!(miner.set_mining(&on).unwrap().threads, 2);
    let mut right = ethash.accept().await;
    right.log_in("dbq1address", "rig7", "x").await;
    right.send_job("5", 3).await;
    assert_eq!(right.share(&pow).await.job, "5");
    let fewer = MiningChange { threads: Some(0), ..MiningChange::default() };
    miner.set_mining(&fewer).unwrap();
    right.ends().await;

    for (change, field) in [
        (MiningChange { threads: Some(100_000), ..MiningChange::default() }, "threads"),
        (MiningChange { algorithms: Some(vec![]), ..MiningChange::default() }, "algorithms"),
        (MiningChange { algorithms: Some(vec![Algorithm::RandomX]), ..MiningChange::default() }, "algorithms"),
    ] {
        let before = miner.mining_status();
        assert_eq!(miner.set_mining(&change).unwrap_err().field, field);
        assert_eq!(miner.mining_status().threads, before.threads);
    }
    stop(miner).await;
}
