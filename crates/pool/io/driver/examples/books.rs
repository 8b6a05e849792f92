//! How long a pool of many shares takes to start, to credit a block and to be replayed:
//! `cargo run --release -p bq-pool --example books -- FOLDER [SHARES]`. FOLDER must not exist; 10,000,000 shares take some
//! 220 MB in it.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for a terminal")]

#[path = "../src/tests/fake_node.rs"]
#[expect(dead_code, reason = "the tests' chain can do more than is measured")]
mod fake_node;

use std::{path::PathBuf, sync::Arc, time::Instant};

use bq_books::{BookStore as _, SqliteBooks};
use bq_chain_api::{NodeApi as _, TemplateRequest};
use bq_mining_message::{PoolApi as _, Share, SharePay};
use bq_pool::{PayoutMode, PayoutSigner, Pool, PoolConfig, SignerError};
use bq_pool_machine::{Accounts, Event, LogNumber, Shares, SharesError, State};
use bq_primitives::{
    Algorithm, Amount, BlockId, Height, KeyHash, Network, NetworkDifficulty, ShareDifficulty, Transaction, TxOut,
    WorkerName,
};
use bq_views::PoolViews as _;
use fake_node::FakeNode;

const NETWORK: Network = Network::Regtest;
const MINERS: u32 = 1000;
const POOL: KeyHash = KeyHash([0xaa; 32]);

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

/// A share worth so little that all of them fit into one window.
fn share(number: u64, shares: u64) -> Share {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&(u32::try_from(number % u64::from(MINERS)).unwrap()).to_le_bytes());
    Share {
        algorithm: Algorithm::Sha256d,
        payee: KeyHash(key),
        worker: WorkerName::default(),
        difficulty: ShareDifficulty::from_hashes(1_000_000),
        network_difficulty: NetworkDifficulty::from_hashes(u128::from(shares) * 1_000_000),
        height: Height(1),
        time_ms: number,
        block_id: None,
        pay: SharePay::default(),
    }
}

/// Replay of a log whose windows are not asked for.
struct NoShares;

impl Shares for NoShares {
    fn walk_back(
        &self,
        _: Algorithm,
        _: bq_mining_message::SharePosition,
        _: &Accounts,
        _: &mut dyn FnMut(&bq_pool_machine::EarnedShare) -> std::ops::ControlFlow<()>,
    ) -> Result<(), SharesError> {
        Ok(())
    }

    fn walk(
        &self,
        _: bq_mining_message::FrontEndId,
        _: std::ops::Range<bq_mining_message::ShareSequence>,
        _: &Accounts,
        _: &mut dyn FnMut(&bq_pool_machine::EarnedShare),
    ) -> Result<(), SharesError> {
        Ok(())
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("FOLDER"));
    let shares: u64 = arguments.next().map_or(10_000_000, |text| text.parse().unwrap());
    std::fs::create_dir(&folder).unwrap();
    let node = FakeNode::new();
    let config = PoolConfig { payout_mode: Some(PayoutMode::Ledger), ..PoolConfig::new(folder.clone(), NETWORK) };
    let open = || Pool::open(config.clone(), node.clone(), Arc::new(Signer)).unwrap();

    let pool = open();
    let started = Instant::now();
    for number in 0..shares {
        pool.record_share(share(number, shares), None).unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("taken in    {shares} shares, one call each: {:.0} shares/s", rate(shares, seconds));
    pool.shutdown();
    drop(pool);

    let started = Instant::now();
    let pool = open();
    println!("started     with {shares} shares in {:.2} s", started.elapsed().as_secs_f64());

    let request = TemplateRequest::new(POOL, b"/bq/".to_vec());
    let template = node.template(&request).unwrap();
    let block = node.seal(&template, Algorithm::Sha256d);
    let id = block.id();
    let started = Instant::now();
    pool.record_share(Share { block_id: Some(id), ..share(0, shares) }, Some(block)).unwrap();
    let is_credited = || pool.pool().unwrap().immature.0 != "0";
    while !is_credited() {
        std::thread::yield_now();
    }
    println!("credited    a block over a window of {shares} shares after {:.2} s", started.elapsed().as_secs_f64());
    pool.shutdown();
    drop(pool);

    let store = SqliteBooks::open(&folder.join("books.sqlite"), NETWORK, &node.genesis_id()).unwrap();
    let started = Instant::now();
    let mut state = State::default();
    let mut next = LogNumber(1);
    loop {
        let events = store.read(next, 4096).unwrap();
        let Some(last) = events.last() else { break };
        next = last.head.number.next();
        for stored in &events {
            // What reads windows or compares states is left out: that is measured above.
            let event = Event::from_bytes(&stored.bytes).unwrap();
            if matches!(event, Event::Chain(_) | Event::Checkpoint { .. } | Event::Candidate(_)) {
                continue;
            }
            state.apply(&event, &NoShares).unwrap();
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("replayed    {} events: {:.0} shares/s", next.0 - 1, rate(shares, seconds));
    let sizes = ["books.sqlite", "share-log"].map(|name| size(&folder.join(name)));
    println!("on disk     books {} B, shares {} B: {:.1} B a share", sizes[0], sizes[1], per_share(sizes, shares));
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(shares: u64, seconds: f64) -> f64 {
    shares as f64 / seconds
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn per_share(sizes: [u64; 2], shares: u64) -> f64 {
    (sizes[0] + sizes[1]) as f64 / shares as f64
}

fn size(path: &std::path::Path) -> u64 {
    let meta = std::fs::metadata(path).unwrap();
    if meta.is_file() {
        return meta.len();
    }
    std::fs::read_dir(path).unwrap().map(|entry| size(&entry.unwrap().path())).sum()
}
