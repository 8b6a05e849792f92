//! A real node on a regtest chain whose eras change quickly, real proofs at one or two hashes per block, real
//! signatures, a clock set by hand, and a network layer in front.
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bq_chain_api::{NodeApi, SyncApi, Template, TemplateRequest};
use bq_consensus::Params;
use bq_fixtures::{POW, first_seal, quick_params, sha256d_params};
use bq_mempool::MempoolLimits;
use bq_net::{Net, NetConfig, NetHandle};
use bq_node::{LocalClock, Node, NodeConfig, StoreSettings};
use bq_primitives::{Algorithm, Amount, Block, BlockId, Height, Timestamp, Transaction, TxOut};
use bq_signature::KeyPair;
use tempfile::TempDir;
use tokio_stream::StreamExt as _;

/// The time of every node here.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicU64);

impl LocalClock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock(AtomicU64::new(quick_params().genesis_time.0 + 600)))
}

pub(crate) struct Rig {
    pub(crate) node: Arc<Node>,
    clock: Arc<ManualClock>,
    _directory: TempDir,
}

impl Rig {
    /// All three algorithms.
    pub(crate) fn new(clock: &Arc<ManualClock>) -> Self {
        Self::with(quick_params(), clock)
    }

    /// SHA-256d alone: for tests of everything else.
    pub(crate) fn sha256d(clock: &Arc<ManualClock>) -> Self {
        Self::with(sha256d_params(), clock)
    }

    fn with(params: Params, clock: &Arc<ManualClock>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = NodeConfig {
            params: Arc::new(params),
            data_dir: directory.path().to_owned(),
            mempool: MempoolLimits::default(),
            store: StoreSettings::default(),
            clock: Arc::<ManualClock>::clone(clock),
        };
        let node = Node::open(config, Arc::clone(&POW)).unwrap();
        Self { node, clock: Arc::clone(clock), _directory: directory }
    }

    pub(crate) async fn connect(&self, to: &[&NetHandle]) -> NetHandle {
        let connect = to.iter().map(|peer| peer.address().unwrap().to_string().parse().unwrap()).collect();
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let api: Arc<dyn SyncApi> = Arc::<Node>::clone(&self.node);
        Net::start(NetConfig { listen, connect, ..NetConfig::default() }, api).await.unwrap()
    }

    /// Mines `count` blocks, with the active algorithms in turn.
    pub(crate) async fn grow(&self, count: usize, payout: &KeyPair) -> BlockId {
        let (node, clock, payout) = (Arc::clone(&self.node), Arc::clone(&self.clock), payout.key_hash());
        let mine = move || {
            for turn in 0..count {
                clock.0.fetch_add(600, Ordering::Relaxed);
                let template = node.template(&TemplateRequest::new(payout, vec![])).unwrap();
                let works = &template.works;
                let algorithm = works[turn % works.len()].header.algorithm;
                node.submit_block(seal(&template, algorithm)).unwrap();
            }
            node.tip().id
        };
        tokio::task::spawn_blocking(mine).await.unwrap()
    }

    pub(crate) async fn reaches(&self, tip: BlockId) {
        let mut changes = self.node.tip_changes();
        while self.node.tip().id != tip {
            changes.next().await.unwrap();
        }
    }

    /// A transaction of the owner's oldest coin, to `to`.
    pub(crate) fn spend(&self, owner: &KeyPair, to: &KeyPair, fee: u64) -> Transaction {
        let coin = self.node.coins_of(&owner.key_hash()).unwrap().remove(0);
        let rest = coin.output.amount.checked_sub(Amount::from_atoms(fee).unwrap()).unwrap();
        let mut transaction = Transaction {
            version: 1,
            inputs: vec![coin.outpoint],
            outputs: vec![TxOut { amount: rest, key_hash: to.key_hash() }],
            lock_height: Height(0),
            coinbase_data: vec![],
            witnesses: vec![],
        };
        let message = transaction.sighash(&self.node.genesis_id(), &[coin.output]);
        transaction.witnesses = vec![owner.witness(&message).unwrap()];
        transaction
    }
}

pub(crate) fn key(number: u8) -> KeyPair {
    KeyPair::from_seed(&[number; 32]).unwrap()
}

fn seal(template: &Template, algorithm: Algorithm) -> Block {
    let work = template.work(algorithm).unwrap();
    template.seal(first_seal(&POW, &work.header, &work.key, &work.target).unwrap()).unwrap()
}
