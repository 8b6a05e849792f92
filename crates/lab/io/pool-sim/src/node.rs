//! Two views of one chain with a link between them: the pool's node, and everybody else's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bq_chain_api::{
    BlockSummary, BoxStream, Coin, MiningInfo, NodeApi, NodeError, Route, SubmitBlockError, SubmitTransactionError,
    Template, TemplateRequest, TemplateWork, TipSummary, TransactionStatus,
};
use bq_pool::Clock as _;
use bq_primitives::{
    Algorithm, Amount, Block, BlockId, BlockWeight, CoinbasePaths, CompactTarget, ExtraNonce, Header, Height, KeyHash,
    MerkleRoot, Network, OutPoint, PowKey, Seal, Target, Timestamp, Transaction, TxId, TxOut, U256, UnsealedBody, Work,
};
use parking_lot::Mutex;

use crate::{
    chain::{Chain, MATURITY},
    clock::SimClock,
    death::Death,
    planted::Resender,
};

pub(crate) const NETWORK: Network = Network::Regtest;
/// What every block pays.
pub(crate) const SUBSIDY: u64 = 5_000_000_000;
/// Expected lots of a block.
pub(crate) const NETWORK_DIFFICULTY: u64 = 1000;
/// Who mines what the pool does not.
pub(crate) const STRANGER: KeyHash = KeyHash([0xee; 32]);

/// Everything that the nodes know.
pub(crate) struct Net {
    /// What the pool's node knows.
    pub(crate) ours: Chain,
    /// What everybody else knows.
    pub(crate) theirs: Chain,
    pub(crate) is_linked: bool,
    /// The pool's node answers nothing.
    pub(crate) is_down: bool,
    /// Height up to which the pool's node has read the chain again after its store was lost.
    pub(crate) resyncing: Option<usize>,
    /// When the pool handed each of its blocks to its node for the first time, on the clock that never jumps.
    pub(crate) submitted: BTreeMap<BlockId, Duration>,
    /// What transactions leave over is the block's.
    pub(crate) has_fees: bool,
    sealed: u32,
}

impl Net {
    pub(crate) fn new() -> Self {
        let genesis = genesis();
        let (ours, theirs) = (Chain::new(genesis.clone()), Chain::new(genesis));
        Self {
            ours,
            theirs,
            is_linked: true,
            is_down: false,
            resyncing: None,
            submitted: BTreeMap::new(),
            has_fees: false,
            sealed: 0,
        }
    }

    /// A block of somebody else on `parent`, with what waits there if it continues the best chain.
    pub(crate) fn foreign_block(&mut self, parent: BlockId, takes: bool) -> Option<BlockId> {
        let height = self.theirs.block(&parent)?.header.height.0 + 1;
        let coinbase = Transaction::coinbase(Height(height), vec![output(SUBSIDY, STRANGER)], vec![]);
        let mut transactions = vec![coinbase];
        if takes && self.theirs.tip().id() == parent {
            transactions.append(&mut self.theirs.mempool.clone());
        }
        self.sealed += 1;
        let header = header(parent, height, Algorithm::Sha256d);
        let block = Block { header, seal: seal(Algorithm::Sha256d, self.sealed), transactions };
        let id = block.id();
        self.theirs.add(block);
        confirm(&mut self.theirs);
        self.exchange();
        Some(id)
    }

    /// What one side has and the other not goes over the link.
    pub(crate) fn exchange(&mut self) {
        if !self.is_linked {
            return;
        }
        if let Some(upto) = self.resyncing {
            let best = self.theirs.best().to_vec();
            for id in best.iter().take(upto) {
                if let Some(block) = self.theirs.block(id).cloned() {
                    self.ours.add(block);
                }
            }
            self.resyncing = (upto < best.len()).then_some(upto);
            if self.resyncing.is_some() {
                return;
            }
        }
        pass(&self.theirs, &mut self.ours);
        pass(&self.ours, &mut self.theirs);
        let (a, b) = (self.ours.mempool.clone(), self.theirs.mempool.clone());
        for transaction in a {
            let _ = self.theirs.offer(transaction);
        }
        for transaction in b {
            let _ = self.ours.offer(transaction);
        }
    }

    /// The pool's node loses its store and reads the chain again.
    pub(crate) fn lose_store(&mut self) {
        self.ours = Chain::new(genesis());
        self.resyncing = Some(1);
    }
}

/// Blocks of the best chain that the other side does not know.
fn pass(from: &Chain, to: &mut Chain) {
    let unknown = from.best().iter().rev().take_while(|id| to.block(id).is_none()).count();
    for id in &from.best()[from.best().len() - unknown..] {
        if let Some(block) = from.block(id) {
            to.add(block.clone());
        }
    }
    confirm(to);
}

fn confirm(chain: &mut Chain) {
    let waiting = std::mem::take(&mut chain.mempool);
    chain.mempool = waiting.into_iter().filter(|waiting| chain.block_of(&waiting.txid()).is_none()).collect();
}

/// The pool's node as one life of the pool reaches it.
pub(crate) struct SimNode {
    pub(crate) net: Arc<Mutex<Net>>,
    pub(crate) death: Arc<Death>,
    pub(crate) clock: Arc<SimClock>,
    /// Sends payments anew: a planted bug.
    pub(crate) resender: Option<Mutex<Resender>>,
}

impl SimNode {
    fn ask<T>(&self, of: impl FnOnce(&Net) -> T) -> Result<T, NodeError> {
        let net = self.net.lock();
        if net.is_down || self.death.is_dead() { Err(NodeError::Closed) } else { Ok(of(&net)) }
    }
}

impl NodeApi for SimNode {
    fn network(&self) -> Network {
        NETWORK
    }

    fn genesis_id(&self) -> BlockId {
        genesis().id()
    }

    fn coinbase_maturity(&self) -> u32 {
        MATURITY
    }

    fn tip(&self) -> TipSummary {
        let net = self.net.lock();
        let tip = net.ours.tip();
        TipSummary {
            id: tip.id(),
            height: tip.header.height,
            time: tip.header.time,
            chain_work: Work(U256::from(tip.header.height.0)),
            next_bits: Algorithm::ALL.into_iter().map(|algorithm| (algorithm, CompactTarget(0x207f_ffff))).collect(),
        }
    }

    fn tip_changes(&self) -> BoxStream<'static, TipSummary> {
        Box::pin(Never)
    }

    fn template(&self, request: &TemplateRequest) -> Result<Template, NodeError> {
        self.ask(|net| {
            if net.resyncing.is_some() {
                return Err(NodeError::Request("the node is reading the chain".to_owned()));
            }
            let (parent_id, height) = (net.ours.tip().id(), net.ours.tip().header.height.0 + 1);
            let fees = if net.has_fees { net.ours.fees() } else { 0 };
            let reward = output(SUBSIDY + fees, request.payout);
            let coinbase = Transaction::coinbase(Height(height), vec![reward], request.coinbase_data.clone());
            let others = net.ours.mempool.to_vec();
            let paths = CoinbasePaths::of(others.iter().map(|other| (other.txid(), other.wtxid())));
            let body = UnsealedBody { coinbase: Arc::new(coinbase), others: Arc::new(others) };
            let works = Algorithm::ALL.map(|algorithm| TemplateWork {
                header: header(parent_id, height, algorithm),
                target: block_target(),
                key: key(algorithm),
                body: body.clone(),
            });
            Ok(Template {
                parent_id,
                height: Height(height),
                reward: reward.amount,
                fees: Amount::from_atoms(fees).unwrap_or(Amount::MAX),
                coinbase_weight_max: BlockWeight::MAX,
                paths,
                works: works.to_vec(),
            })
        })?
    }

    fn submit_block(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        let effect = self.death.effect();
        self.net.lock().submitted.entry(block.id()).or_insert(self.clock.running());
        if !effect.happens {
            return Err(NodeError::Closed.into());
        }
        let mut net = self.net.lock();
        if net.is_down {
            return Err(NodeError::Closed.into());
        }
        let (id, parent) = (block.id(), block.header.parent_id);
        if net.ours.block(&id).is_some() {
            return Err(SubmitBlockError::Duplicate);
        }
        if net.ours.block(&parent).is_none() {
            return Err(SubmitBlockError::UnknownParent(parent));
        }
        net.ours.add(block);
        confirm(&mut net.ours);
        net.exchange();
        if effect.is_heard { Ok(id) } else { Err(NodeError::Closed.into()) }
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        self.ask(|net| net.ours.block(id).cloned())
    }

    fn block_summary(&self, id: &BlockId) -> Result<Option<BlockSummary>, NodeError> {
        self.ask(|net| {
            net.ours.block(id).map(|block| BlockSummary {
                id: *id,
                header: block.header,
                seal: block.seal,
                chain_work: Work(U256::from(block.header.height.0)),
                confirmations: net.ours.height_on_best(id).map(|height| net.ours.tip().header.height.0 - height + 1),
            })
        })
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        self.ask(|net| usize::try_from(height.0).ok().and_then(|height| net.ours.best().get(height).copied()))
    }

    fn route(&self, from: &BlockId, blocks_max: usize) -> Result<Route, NodeError> {
        self.ask(|net| net.ours.route(from, blocks_max))
    }

    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        self.ask(|net| net.ours.coins().values().filter(|coin| coin.output.key_hash == *key_hash).cloned().collect())
    }

    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, NodeError> {
        self.ask(|net| net.ours.spender_of(outpoint))
    }

    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        let effect = self.death.effect();
        let mut net = self.net.lock();
        if !effect.happens || net.is_down {
            return Err(NodeError::Closed.into());
        }
        let transaction = match &self.resender {
            Some(resender) => resender.lock().send(&net.ours, transaction),
            None => transaction,
        };
        let outcome = net.ours.offer(transaction);
        net.exchange();
        if effect.is_heard { outcome } else { Err(NodeError::Closed.into()) }
    }

    fn transaction_status(&self, txid: &TxId) -> Result<TransactionStatus, NodeError> {
        self.ask(|net| match net.ours.block_of(txid) {
            Some(block) => TransactionStatus::Confirmed {
                block_id: block.id(),
                height: block.header.height,
                confirmations: net.ours.tip().header.height.0 - block.header.height.0 + 1,
            },
            None if net.ours.mempool.iter().any(|waiting| waiting.txid() == *txid) => TransactionStatus::InMempool,
            None => TransactionStatus::Unknown,
        })
    }

    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        Err(NodeError::Request("nobody asks a simulated node".to_owned()))
    }
}

/// Nobody waits for a tip here: the simulation says when a round is due.
struct Never;

impl futures_core::Stream for Never {
    type Item = TipSummary;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<TipSummary>> {
        std::task::Poll::Pending
    }
}

/// What the hash of a block must not exceed.
pub(crate) fn block_target() -> Target {
    // One in so many lots, and a network difficulty of exactly that.
    Target(U256::MAX / U256::from(NETWORK_DIFFICULTY) - U256::ONE)
}

fn key(algorithm: Algorithm) -> PowKey {
    match algorithm {
        Algorithm::Sha256d => PowKey::Sha256d,
        Algorithm::RandomX => PowKey::RandomX(BlockId([9; 32])),
        Algorithm::Ethash => PowKey::Ethash(0),
    }
}

pub(crate) fn output(amount: u64, key_hash: KeyHash) -> TxOut {
    TxOut { amount: Amount::from_atoms(amount).unwrap_or(Amount::MAX), key_hash }
}

fn genesis() -> Block {
    let transactions = vec![Transaction::coinbase(Height(0), vec![], vec![])];
    let header = header(BlockId::ZERO, 0, Algorithm::Sha256d);
    Block { header, seal: seal(Algorithm::Sha256d, 0), transactions }
}

fn header(parent_id: BlockId, height: u32, algorithm: Algorithm) -> Header {
    Header {
        version: 1,
        parent_id,
        tx_root: MerkleRoot::ZERO,
        witness_root: MerkleRoot::ZERO,
        time: Timestamp(1_000_000 + u64::from(height)),
        height: Height(height),
        bits: CompactTarget(0x207f_ffff),
        algorithm,
    }
}

fn seal(algorithm: Algorithm, nonce: u32) -> Seal {
    let extranonce = ExtraNonce([0; 16]);
    match algorithm {
        Algorithm::Sha256d => Seal::Sha256d { extranonce, version: 0, ntime: 0, nonce },
        Algorithm::RandomX => Seal::RandomX { extranonce, nonce },
        Algorithm::Ethash => Seal::Ethash { extranonce, nonce: nonce.into(), mix: [0; 32] },
    }
}
