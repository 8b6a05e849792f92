//! A node on a regtest chain, with real proofs at one or two hashes per block, real keys, and a clock set by hand.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bq_chain_api::{BoxStream, NodeApi, Template, TemplateRequest};
use bq_consensus::Params;
use bq_fixtures::first_seal;
pub(super) use bq_fixtures::{POW, quick_params, sha256d_params};
use bq_mempool::MempoolLimits;
use bq_pow::PowVerifier;
use bq_primitives::{
    Algorithm, Amount, Block, BlockId, Header, Height, OutPoint, PowKey, Seal, Timestamp, Transaction, TxId, TxOut,
};
use bq_signature::KeyPair;
use bq_store::StoreError;
use futures::{FutureExt as _, StreamExt as _};
use tempfile::TempDir;

use crate::{LocalClock, Node, NodeConfig, NodeOpenError, StoreSettings};

#[derive(Debug)]
pub(super) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(super) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl LocalClock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

pub(super) struct Rig {
    pub(super) node: Arc<Node>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) params: Arc<Params>,
    pub(super) directory: TempDir,
}

impl Rig {
    pub(super) fn new(params: Params) -> Self {
        Self::with_pow(params, &POW)
    }

    pub(super) fn with_pow(params: Params, pow: &Arc<PowVerifier>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock(AtomicU64::new(params.genesis_time.0 + 600)));
        let params = Arc::new(params);
        let node = Node::open(config(directory.path(), &params, &clock), Arc::clone(pow)).unwrap();
        Self { node, clock, params, directory }
    }

    /// Closes the node and opens its directory again.
    pub(super) fn restart(self) -> Self {
        let Self { node, clock, params, directory } = self;
        drop(node);
        let node = open(directory.path(), &params, &clock);
        Self { node, clock, params, directory }
    }

    pub(super) fn template(&self, payout: &KeyPair) -> Template {
        let request = TemplateRequest::new(payout.key_hash(), vec![]);
        self.node.template(&request).unwrap()
    }

    /// A sealed block on the tip that nobody has submitted yet.
    pub(super) fn mine(&self, algorithm: Algorithm, payout: &KeyPair) -> Block {
        self.clock.advance(600);
        seal_with(&self.node.pow, &self.template(payout), algorithm)
    }

    /// Mines a block and adds it.
    pub(super) fn grow(&self, algorithm: Algorithm, payout: &KeyPair) -> Block {
        let block = self.mine(algorithm, payout);
        assert_eq!(self.node.submit_block(block.clone()).unwrap(), block.id());
        block
    }

    /// The first algorithms of the era of the next height, in turn.
    pub(super) fn grow_by(&self, count: usize, payout: &KeyPair) -> Vec<Block> {
        let next = |turn: usize| {
            let active = self.node.tip().next_bits;
            self.grow(active[turn % active.len()].0, payout)
        };
        (0..count).map(next).collect()
    }

    pub(super) fn submit_all(&self, blocks: &[Block]) {
        for block in blocks {
            let time = block.header.time;
            while self.clock.now() < time {
                self.clock.advance(600);
            }
            self.node.submit_block(block.clone()).unwrap();
        }
    }

    pub(super) fn balance(&self, owner: &KeyPair) -> Amount {
        let coins = self.node.coins_of(&owner.key_hash()).unwrap();
        Amount::sum(coins.iter().map(|coin| coin.output.amount)).unwrap()
    }
}

/// Opens a node. Its upkeep thread may be the last to let go of a closed one, so a file in use is waited for.
pub(super) fn open(directory: &Path, params: &Arc<Params>, clock: &Arc<ManualClock>) -> Arc<Node> {
    loop {
        match Node::open(config(directory, params, clock), Arc::clone(&POW)) {
            Err(NodeOpenError::Store(StoreError::InUse { .. })) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

pub(super) fn config(directory: &Path, params: &Arc<Params>, clock: &Arc<ManualClock>) -> NodeConfig {
    let clock: Arc<dyn LocalClock> = Arc::<ManualClock>::clone(clock);
    NodeConfig {
        params: Arc::clone(params),
        data_dir: directory.to_owned(),
        mempool: MempoolLimits::default(),
        store: StoreSettings::default(),
        clock,
    }
}

pub(super) fn key(number: u8) -> KeyPair {
    KeyPair::from_seed(&[number; 32]).unwrap()
}

pub(super) fn seal(template: &Template, algorithm: Algorithm) -> Block {
    seal_with(&POW, template, algorithm)
}

pub(super) fn seal_with(pow: &PowVerifier, template: &Template, algorithm: Algorithm) -> Block {
    let work = template.work(algorithm).unwrap();
    template.seal(first_seal(pow, &work.header, &work.key, &work.target).unwrap()).unwrap()
}

pub(super) fn seal_at(header: &Header, key: &PowKey, nonce: u32) -> Seal {
    bq_fixtures::seal_at(header, key, nonce).unwrap()
}

/// A block like `block` but with other transactions and another first hash, sealed again.
pub(super) fn reseal(params: &Params, block: &Block, transactions: Vec<Transaction>) -> Block {
    assert_eq!(block.header.algorithm, Algorithm::Sha256d);
    let mut block = Block { transactions, ..block.clone() };
    block.header.tx_root = block.tx_root();
    block.header.witness_root = block.witness_root();
    let target = block.header.bits.decode().unwrap();
    assert!(!params.retarget);
    block.seal = first_seal(&POW, &block.header, &PowKey::Sha256d, &target).unwrap();
    block
}

/// Spends one coin of `owner`: `atoms` to `to`, `fee` to the miner, the rest back.
pub(super) fn spend(
    node: &Node,
    owner: &KeyPair,
    coin: (OutPoint, TxOut),
    to: &KeyPair,
    atoms: u64,
    fee: u64,
) -> Transaction {
    let amount = |atoms: u64| Amount::from_atoms(atoms).unwrap();
    let back = coin.1.amount.atoms() - atoms - fee;
    let mut outputs = vec![TxOut { amount: amount(atoms), key_hash: to.key_hash() }];
    if back > 0 {
        outputs.push(TxOut { amount: amount(back), key_hash: owner.key_hash() });
    }
    let mut transaction = Transaction {
        version: 1,
        inputs: vec![coin.0],
        outputs,
        lock_height: Height(0),
        coinbase_data: vec![],
        witnesses: vec![],
    };
    let message = transaction.sighash(&node.genesis_id(), &[coin.1]);
    transaction.witnesses = vec![owner.witness(&message).unwrap()];
    transaction
}

/// What a stream has ready.
pub(super) fn next_now<T>(stream: &mut BoxStream<'static, T>) -> Option<T> {
    stream.next().now_or_never().flatten()
}

/// The oldest coin of a key.
pub(super) fn first_coin(node: &Node, owner: &KeyPair) -> (OutPoint, TxOut) {
    let coin = node.coins_of(&owner.key_hash()).unwrap().remove(0);
    (coin.outpoint, coin.output)
}

pub(super) fn output_of(transaction: &Transaction, index: u32) -> (OutPoint, TxOut) {
    let txid: TxId = transaction.txid();
    (OutPoint { txid, index }, transaction.outputs[index as usize])
}

/// What two nodes must agree on.
pub(super) fn state(node: &Node, keys: &[KeyPair]) -> (BlockId, Vec<BlockId>, Vec<Vec<bq_chain_api::Coin>>) {
    let tip = node.tip();
    let ids = (0..=tip.height.0).map(|height| node.block_id_at(Height(height)).unwrap().unwrap()).collect();
    let coins = keys.iter().map(|key| node.coins_of(&key.key_hash()).unwrap()).collect();
    (tip.id, ids, coins)
}
