//! How fast a stranger computes a pool anew from its export: `cargo run --release -p bq-pool --example replay -- FOLDER [SHARES] [BLOCKS]`.
//! FOLDER must not exist; 2,000,000 shares take some 100 MB in it. Blocks are found evenly, and each pays a window of two blocks' shares in
//! its coinbase.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for a terminal")]

#[path = "../src/tests/fake_node.rs"]
#[expect(dead_code, reason = "the tests' chain can do more than is measured")]
mod fake_node;

use std::{path::PathBuf, sync::Arc, time::Instant};

use bq_chain_api::NodeApi as _;
use bq_mining_message::{FrontEndId, PoolApi as _, Share};
use bq_pool::{
    NodeBlocks, PayoutMode, PayoutSigner, Pool, PoolConfig, PoolFiles, ReplayStep, SignerError, StoppedPool,
    replay_export,
};
use bq_primitives::{
    Algorithm, Amount, BlockId, Height, KeyHash, Network, NetworkDifficulty, ShareDifficulty, Transaction, TxOut,
    WorkerName,
};
use fake_node::FakeNode;

const NETWORK: Network = Network::Regtest;
const MINERS: u32 = 1000;
const POOL: KeyHash = KeyHash([0xaa; 32]);
const DIFFICULTY: u64 = 1_000_000;
/// Shares that are handed in with one call.
const TOGETHER: u64 = 256;

fn atoms(amount: u64) -> Amount {
    Amount::from_atoms(amount).unwrap()
}

struct Signer;

impl PayoutSigner for Signer {
    fn key_hash(&self) -> KeyHash {
        POOL
    }

    fn commitment_key(&self) -> [u8; 32] {
        [1; 32]
    }

    fn sign_transaction(&self, _: &BlockId, _: Transaction, _: &[TxOut]) -> Result<Transaction, SignerError> {
        Err(SignerError("nothing is paid here".to_owned()))
    }
}

fn share(number: u64, between: u64) -> Share {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&(u32::try_from(number % u64::from(MINERS)).unwrap()).to_le_bytes());
    Share {
        algorithm: Algorithm::Sha256d,
        payee: KeyHash(key),
        worker: WorkerName::default(),
        difficulty: ShareDifficulty::from_hashes(DIFFICULTY),
        network_difficulty: NetworkDifficulty::from_hashes(u128::from(between) * u128::from(DIFFICULTY)),
        height: Height(1),
        time_ms: number,
        block_id: None,
        pay: bq_mining_message::SharePay::default(),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("FOLDER"));
    let mut number = |usual| arguments.next().map_or(usual, |text| text.parse().unwrap());
    let (shares, blocks): (u64, u64) = (number(2_000_000), number(20));
    std::fs::create_dir(&folder).unwrap();
    let node = FakeNode::new();
    let config = PoolConfig {
        payout_mode: Some(PayoutMode::Direct),
        direct_min: atoms(1000),
        ..PoolConfig::new(folder.join("data"), NETWORK)
    };
    let tag = config.pool_tag.clone();
    mine(&node, config, shares, shares / blocks);

    let pool = StoppedPool {
        data_dir: folder.join("data"),
        network: NETWORK,
        genesis: node.genesis_id(),
        front_end: FrontEndId(0),
    };
    let export = folder.join("export");
    let started = Instant::now();
    PoolFiles { pool: pool.clone(), is_backup: false, tag }.export_all(&export).unwrap();
    println!("exported    {shares} shares in {:.2} s", started.elapsed().as_secs_f64());

    let (started, mut log) = (Instant::now(), None);
    let each = |step| {
        if let ReplayStep::Log(_) = step {
            log.get_or_insert_with(Instant::now);
        }
    };
    let replayed = replay_export(&export, &NodeBlocks(node.as_ref()), each).unwrap();
    let (all, log) = (started.elapsed().as_secs_f64(), log.unwrap().elapsed().as_secs_f64());
    assert_eq!(replayed.difference, None);
    println!("replayed    {} shares, {} blocks, {} credits:", replayed.shares, replayed.blocks, replayed.credits);
    println!("            all of it {all:.2} s, {:.0} shares/s", rate(replayed.shares, all));
    println!(
        "            without hashes of files and the opening of segments {log:.2} s, {:.0} shares/s",
        rate(replayed.shares, log)
    );

    let started = Instant::now();
    let findings = pool.audit().unwrap();
    assert_eq!(findings.faults, Vec::<String>::new());
    println!("bq audit    of the same {:.2} s", started.elapsed().as_secs_f64());
}

/// A pool that takes so many shares and finds a block after each `between`.
fn mine(node: &Arc<FakeNode>, config: PoolConfig, shares: u64, between: u64) {
    let pool = Pool::open(config, node.clone(), Arc::new(Signer)).unwrap();
    let mut next = 0;
    while next < shares {
        let end = (next + between).min(shares);
        while next < end {
            let to = (next + TOGETHER).min(end);
            let taken = pool.record_shares((next..to).map(|number| share(number, between)).collect());
            assert!(taken.iter().all(Result::is_ok));
            next = to;
        }
        let tip = node.tip().id;
        let template = loop {
            match pool.template() {
                Some(template) if template.parent_id == tip => break template,
                _ => std::thread::yield_now(),
            }
        };
        let block = node.seal(&template, Algorithm::Sha256d);
        let found = Share { block_id: Some(block.id()), ..share(next, between) };
        pool.record_share(found, Some(block)).unwrap();
    }
    pool.shutdown();
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(shares: u64, seconds: f64) -> f64 {
    shares as f64 / seconds
}
