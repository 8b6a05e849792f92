//! A node without rules or proofs: every block weighs one. It only keeps a tree and tells about it.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, mpsc},
};

use bq_chain_api::{
    AddHeadersError, Announcement, BlockRefusal, BlockSummary, BoxStream, Coin, HeaderTip, HeadersAdded, MiningInfo,
    NodeApi, NodeError, Route, SubmitBlockError, SubmitTransactionError, SyncApi, Template, TemplateRequest,
    TipSummary, TransactionStatus,
};
use bq_primitives::{
    Algorithm, Amount, Block, BlockId, CompactTarget, ExtraNonce, Header, Height, KeyHash, MerkleRoot, Network,
    OutPoint, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Seal, SealedHeader, Timestamp, Transaction, TxId, TxOut, U256,
    Witness, Work,
};
use tokio::sync::{broadcast, watch};
use tokio_stream::{
    StreamExt as _,
    wrappers::{BroadcastStream, WatchStream},
};

pub(crate) struct FakeNode {
    tree: Mutex<Tree>,
    /// While it holds something, headers are not judged until that says so.
    gate: Mutex<Option<mpsc::Receiver<()>>>,
    /// While it holds something, blocks are not served until that says so.
    store: Mutex<Option<mpsc::Receiver<()>>>,
    tips: watch::Sender<TipSummary>,
    news: broadcast::Sender<Announcement>,
    waiting: Mutex<BTreeMap<TxId, Arc<Transaction>>>,
    pub(crate) pool: watch::Sender<Vec<TxId>>,
    pub(crate) peers: watch::Sender<usize>,
}

struct Tree {
    headers: BTreeMap<BlockId, (Header, Seal)>,
    bodies: BTreeMap<BlockId, Block>,
    bad: BTreeSet<BlockId>,
    best_header: BlockId,
    tip: BlockId,
}

pub(crate) fn genesis() -> Block {
    block(BlockId::ZERO, 0, 0)
}

pub(crate) fn block(parent_id: BlockId, height: u32, salt: u32) -> Block {
    let coinbase = Transaction::coinbase(Height(height), Vec::new(), salt.to_le_bytes().to_vec());
    let header = Header {
        version: 1,
        parent_id,
        tx_root: MerkleRoot::ZERO,
        witness_root: MerkleRoot::ZERO,
        time: Timestamp(u64::from(height)),
        height: Height(height),
        bits: CompactTarget(0x207f_ffff),
        algorithm: Algorithm::Sha256d,
    };
    let seal = Seal::Sha256d { extranonce: ExtraNonce::default(), version: 0, ntime: 0, nonce: salt };
    Block { header, seal, transactions: vec![coinbase] }
}

pub(crate) fn transaction(salt: u8) -> Transaction {
    let witness =
        Witness { public_key: Box::new([salt; PUBLIC_KEY_BYTES]), signature: Box::new([salt; SIGNATURE_BYTES]) };
    Transaction {
        version: 1,
        inputs: vec![OutPoint { txid: TxId([salt; 32]), index: 0 }],
        outputs: vec![TxOut { amount: Amount::from_atoms(1).unwrap(), key_hash: KeyHash::ZERO }],
        lock_height: Height(0),
        coinbase_data: Vec::new(),
        witnesses: vec![witness],
    }
}

impl FakeNode {
    pub(crate) fn new() -> Arc<Self> {
        let genesis = genesis();
        let id = genesis.id();
        let tree = Tree {
            headers: BTreeMap::from([(id, (genesis.header, genesis.seal))]),
            bodies: BTreeMap::from([(id, genesis)]),
            bad: BTreeSet::new(),
            best_header: id,
            tip: id,
        };
        Arc::new(Self {
            tips: watch::Sender::new(tree.summary()),
            tree: Mutex::new(tree),
            gate: Mutex::new(None),
            store: Mutex::new(None),
            news: broadcast::Sender::new(64),
            waiting: Mutex::new(BTreeMap::new()),
            pool: watch::Sender::new(Vec::new()),
            peers: watch::Sender::new(0),
        })
    }

    /// Finds `count` blocks above `from`, one after the other.
    pub(crate) fn mine(&self, from: BlockId, count: u32, salt: u32) -> BlockId {
        let mut parent = from;
        for _ in 0..count {
            let height = self.tree().headers[&parent].0.height.0 + 1;
            parent = self.submit_block(block(parent, height, salt)).unwrap();
        }
        parent
    }

    pub(crate) fn forbid(&self, id: BlockId) {
        self.tree().bad.insert(id);
    }

    /// The next verification lasts until something is sent.
    pub(crate) fn verify_nothing(&self) -> mpsc::Sender<()> {
        let (open, gate) = mpsc::channel();
        *self.gate.lock().unwrap() = Some(gate);
        open
    }

    /// The next block that is asked for is not found before the sender is dropped, and nothing else is read meanwhile.
    pub(crate) fn serve_nothing(&self) -> mpsc::Sender<()> {
        let (open, store) = mpsc::channel();
        *self.store.lock().unwrap() = Some(store);
        open
    }

    pub(crate) async fn reaches(&self, tip: BlockId) {
        self.tips.subscribe().wait_for(|now| now.id == tip).await.unwrap();
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap()
    }
}

impl Tree {
    fn work(&self, id: &BlockId) -> Work {
        Work(U256::from(self.headers[id].0.height.0 + 1))
    }

    fn summary(&self) -> TipSummary {
        let (header, _) = self.headers[&self.tip];
        TipSummary {
            id: self.tip,
            height: header.height,
            time: header.time,
            chain_work: self.work(&self.tip),
            next_bits: Vec::new(),
        }
    }

    fn branch(&self, from: BlockId) -> impl Iterator<Item = (BlockId, &(Header, Seal))> {
        let mut next = from;
        std::iter::from_fn(move || {
            let id = next;
            let sealed = self.headers.get(&id)?;
            next = sealed.0.parent_id;
            Some((id, sealed))
        })
    }

    fn add_header(&mut self, header: &Header, seal: &Seal) -> Result<usize, AddHeadersError> {
        let id = header.block_id(seal);
        if self.bad.contains(&id) {
            return Err(AddHeadersError::Invalid { id, reason: BlockRefusal::KnownInvalid(id) });
        }
        if !self.headers.contains_key(&header.parent_id) {
            return Err(AddHeadersError::UnknownParent(header.parent_id));
        }
        let is_new = self.headers.insert(id, (*header, *seal)).is_none();
        if self.work(&id) > self.work(&self.best_header) {
            self.best_header = id;
        }
        Ok(usize::from(is_new))
    }
}

impl SyncApi for FakeNode {
    fn best_header(&self) -> HeaderTip {
        let tree = self.tree();
        let id = tree.best_header;
        HeaderTip { id, height: tree.headers[&id].0.height, chain_work: tree.work(&id) }
    }

    fn has_header(&self, id: &BlockId) -> bool {
        self.tree().headers.contains_key(id)
    }

    fn locator(&self) -> Vec<BlockId> {
        let tree = self.tree();
        let ids: Vec<_> = tree.branch(tree.best_header).map(|(id, _)| id).collect();
        ids.iter().take(10).chain(ids.iter().skip(10).step_by(20)).chain(ids.last()).copied().collect()
    }

    fn headers_after(&self, locator: &[BlockId], max: usize) -> Result<Vec<SealedHeader>, NodeError> {
        let tree = self.tree();
        let above = tree.branch(tree.tip).take_while(|(id, _)| !locator.contains(id));
        let mut run: Vec<_> = above.map(|(_, (header, seal))| SealedHeader { header: *header, seal: *seal }).collect();
        run.reverse();
        run.truncate(max);
        Ok(run)
    }

    fn add_headers(&self, headers: &[SealedHeader]) -> Result<HeadersAdded, AddHeadersError> {
        if let Some(gate) = self.gate.lock().unwrap().take() {
            gate.recv().unwrap();
        }
        let mut new = 0;
        for SealedHeader { header, seal } in headers {
            new += self.tree().add_header(header, seal)?;
        }
        Ok(HeadersAdded { new, best: self.best_header() })
    }

    fn missing_bodies(&self, max: usize) -> Vec<BlockId> {
        let tree = self.tree();
        let missing = tree.branch(tree.best_header).take_while(|(id, _)| !tree.bodies.contains_key(id));
        let mut missing: Vec<_> = missing.map(|(id, _)| id).collect();
        missing.reverse();
        missing.truncate(max);
        missing
    }

    fn mempool_transaction(&self, txid: &TxId) -> Option<Arc<Transaction>> {
        self.waiting.lock().unwrap().get(txid).cloned()
    }

    fn mempool_page(&self, after: &TxId, each_max: usize, bytes_max: usize) -> Vec<Arc<Transaction>> {
        let mut txids = self.pool.borrow().clone();
        txids.retain(|txid| txid > after);
        txids.sort_unstable();
        let waiting = txids.iter().filter_map(|txid| self.mempool_transaction(txid));
        let mut room = bytes_max;
        let fit = waiting.filter(|waiting| waiting.to_bytes().len() <= each_max).map_while(|waiting| {
            room = room.checked_sub(waiting.to_bytes().len())?;
            Some(waiting)
        });
        fit.collect()
    }

    fn mempool_txids(&self, max: usize) -> Vec<TxId> {
        self.pool.borrow().iter().take(max).copied().collect()
    }

    fn announcements(&self) -> BoxStream<'static, Announcement> {
        Box::pin(BroadcastStream::new(self.news.subscribe()).filter_map(Result::ok))
    }

    fn set_peers(&self, peers: usize) {
        self.peers.send_replace(peers);
    }
}

impl NodeApi for FakeNode {
    fn network(&self) -> Network {
        Network::Regtest
    }

    fn genesis_id(&self) -> BlockId {
        genesis().id()
    }

    fn coinbase_maturity(&self) -> u32 {
        10
    }

    fn tip(&self) -> TipSummary {
        self.tree().summary()
    }

    fn tip_changes(&self) -> BoxStream<'static, TipSummary> {
        Box::pin(WatchStream::from_changes(self.tips.subscribe()))
    }

    fn template(&self, _: &TemplateRequest) -> Result<Template, NodeError> {
        Err(NodeError::Closed)
    }

    fn submit_block(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        let mut tree = self.tree();
        let id = block.id();
        if tree.bodies.contains_key(&id) {
            return Err(SubmitBlockError::Duplicate);
        }
        let (header, seal, parent) = (block.header, block.seal, block.header.parent_id);
        if !tree.bodies.contains_key(&parent) {
            return Err(SubmitBlockError::UnknownParent(parent));
        }
        tree.add_header(&header, &seal)
            .map_err(|error| SubmitBlockError::Invalid(BlockRefusal::Told(error.to_string())))?;
        tree.bodies.insert(id, block);
        if tree.work(&id) > tree.work(&tree.tip) {
            tree.tip = id;
            let summary = tree.summary();
            drop(tree);
            self.tips.send_replace(summary);
            let _ = self.news.send(Announcement::Block(Box::new(SealedHeader { header, seal })));
        }
        Ok(id)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        let store = self.store.lock().unwrap().take();
        if let Some(store) = store {
            let _ = store.recv();
        }
        Ok(self.tree().bodies.get(id).cloned())
    }

    fn block_summary(&self, _: &BlockId) -> Result<Option<BlockSummary>, NodeError> {
        Err(NodeError::Closed)
    }

    fn block_id_at(&self, _: Height) -> Result<Option<BlockId>, NodeError> {
        Err(NodeError::Closed)
    }

    fn route(&self, _: &BlockId, _: usize) -> Result<Route, NodeError> {
        Err(NodeError::Closed)
    }

    fn coins_of(&self, _: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        Err(NodeError::Closed)
    }

    fn spender_of(&self, _: &OutPoint) -> Result<Option<TxId>, NodeError> {
        Err(NodeError::Closed)
    }

    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        let txid = transaction.txid();
        if self.pool.borrow().contains(&txid) {
            return Err(SubmitTransactionError::Duplicate);
        }
        let transaction = Arc::new(transaction);
        self.waiting.lock().unwrap().insert(txid, Arc::clone(&transaction));
        self.pool.send_modify(|pool| pool.push(txid));
        let _ = self.news.send(Announcement::Transaction(transaction));
        Ok(txid)
    }

    fn transaction_status(&self, _: &TxId) -> Result<TransactionStatus, NodeError> {
        Err(NodeError::Closed)
    }

    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        Err(NodeError::Closed)
    }
}
