//! A chain in memory that does what a test says: every answer is folded from the blocks of the best chain.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bq_chain_api::{
    BlockSummary, BoxStream, ChainSteps, Coin, MiningInfo, NodeApi, NodeError, Route, SubmitBlockError,
    SubmitTransactionError, Template, TemplateRequest, TemplateWork, TipSummary, TransactionStatus,
};
use bq_primitives::{
    Algorithm, Amount, Block, BlockId, BlockWeight, CoinbasePaths, CompactTarget, ExtraNonce, Header, Height, KeyHash,
    MerkleRoot, Network, OutPoint, PowKey, Seal, Target, Timestamp, Transaction, TxId, TxOut, U256, UnsealedBody, Work,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{NETWORK, atoms};

pub(crate) const MATURITY: u32 = 3;
pub(crate) const SUBSIDY: u64 = 5_000_000_000;

pub(crate) struct FakeNode {
    chain: Mutex<Chain>,
    tip: watch::Sender<TipSummary>,
    genesis: BlockId,
    network: Network,
}

struct Chain {
    blocks: HashMap<BlockId, Block>,
    /// By height.
    best: Vec<BlockId>,
    mempool: Vec<Transaction>,
    sealed: u32,
}

impl FakeNode {
    pub(crate) fn new() -> Arc<Self> {
        let genesis = sealed(
            header(BlockId::ZERO, 0, Algorithm::Sha256d),
            0,
            vec![Transaction::coinbase(Height(0), vec![], vec![])],
        );
        let id = genesis.id();
        let chain = Chain { blocks: HashMap::from([(id, genesis)]), best: vec![id], mempool: Vec::new(), sealed: 0 };
        let tip = watch::Sender::new(chain.tip());
        Arc::new(Self { chain: Mutex::new(chain), tip, genesis: id, network: NETWORK })
    }

    /// A node that says it follows another chain.
    pub(crate) fn of(network: Network, genesis: BlockId) -> Arc<Self> {
        let node = Arc::into_inner(Self::new());
        Arc::new(Self { genesis, network, ..node.expect("nobody else has it") })
    }

    /// A block of somebody else on the tip.
    pub(crate) fn mine(&self) -> BlockId {
        let parent = self.tip().id;
        self.mine_on(parent)
    }

    /// A block of somebody else, with what waits in the mempool if it continues the best chain.
    pub(crate) fn mine_on(&self, parent: BlockId) -> BlockId {
        let mut chain = self.chain.lock();
        let height = chain.blocks[&parent].header.height.0 + 1;
        let mut transactions = vec![Transaction::coinbase(
            Height(height),
            vec![TxOut { amount: atoms(SUBSIDY), key_hash: KeyHash([0xee; 32]) }],
            vec![],
        )];
        if chain.best.last() == Some(&parent) {
            transactions.append(&mut chain.mempool.clone());
        }
        chain.sealed += 1;
        let block = sealed(header(parent, height, Algorithm::Sha256d), chain.sealed, transactions);
        let id = block.id();
        chain.add(block);
        self.announce(&chain);
        id
    }

    pub(crate) fn mine_many(&self, count: u32) {
        for _ in 0..count {
            self.mine();
        }
    }

    /// Nothing is answered as long as this is kept.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        self.chain.lock()
    }

    /// What waits for a block is lost, as when the node starts anew.
    pub(crate) fn forget_mempool(&self) {
        self.chain.lock().mempool.clear();
    }

    /// Makes the chain that ends in `tip` the best, however long it is.
    pub(crate) fn reorganise_to(&self, tip: BlockId) {
        let mut chain = self.chain.lock();
        chain.make_best(tip);
        self.announce(&chain);
    }

    /// Forgets the newest blocks of the best chain, as a node does whose last writes a power cut took.
    pub(crate) fn forget_blocks(&self, count: usize) -> Vec<Block> {
        let mut chain = self.chain.lock();
        let kept = chain.best.len() - count;
        let gone = chain.best.split_off(kept);
        let gone = gone.iter().map(|id| chain.blocks.remove(id).expect("it was there")).collect();
        self.announce(&chain);
        gone
    }

    /// The node has this block on its best chain, whatever it stands on.
    pub(crate) fn has_synced(&self, block: Block) {
        let mut chain = self.chain.lock();
        let id = block.id();
        chain.blocks.insert(id, block);
        chain.best.push(id);
        self.announce(&chain);
    }

    /// A block sealed from a template, as a miner finds it.
    pub(crate) fn seal(&self, template: &Template, algorithm: Algorithm) -> Block {
        let mut chain = self.chain.lock();
        chain.sealed += 1;
        template.seal(seal(algorithm, chain.sealed)).expect("the algorithm is active")
    }

    /// Sends coins out of the blue: the next block pays them.
    pub(crate) fn donate(&self, key_hash: KeyHash, amount: u64) {
        let mut chain = self.chain.lock();
        let coin = chain.coins().into_iter().find(|(_, coin)| coin.output.key_hash == KeyHash([0xee; 32]));
        let (outpoint, coin) = coin.expect("somebody has coins");
        let change = TxOut { amount: atoms(coin.output.amount.atoms() - amount), ..coin.output };
        chain.mempool.push(Transaction {
            version: 1,
            inputs: vec![outpoint],
            outputs: vec![TxOut { amount: atoms(amount), key_hash }, change],
            lock_height: Height(0),
            coinbase_data: vec![],
            witnesses: vec![],
        });
    }

    /// The first transaction that is no coinbase and pays a key, on the best chain.
    pub(crate) fn first_payment_to(&self, key_hash: KeyHash) -> TxId {
        let chain = self.chain.lock();
        let pays = |transaction: &&Transaction| {
            !transaction.is_coinbase() && transaction.outputs.iter().any(|output| output.key_hash == key_hash)
        };
        let found = chain.on_best().map(|(_, transaction)| transaction).find(pays).map(Transaction::txid);
        found.expect("there is one")
    }

    /// What coinbases of the best chain pay a key.
    pub(crate) fn mined_to(&self, key_hash: KeyHash) -> u64 {
        let chain = self.chain.lock();
        let coinbases = chain.best.iter().filter_map(|id| chain.blocks[id].transactions.first());
        let outputs = coinbases.flat_map(|coinbase| &coinbase.outputs).filter(|output| output.key_hash == key_hash);
        outputs.map(|output| output.amount.atoms()).sum()
    }

    /// Everything ever paid to a key by other than coinbases, on the best chain.
    pub(crate) fn received(&self, key_hash: KeyHash) -> u64 {
        let chain = self.chain.lock();
        let blocks = chain.best.iter().map(|id| &chain.blocks[id]);
        blocks
            .flat_map(|block| &block.transactions)
            .filter(|transaction| !transaction.is_coinbase())
            .flat_map(|transaction| &transaction.outputs)
            .filter(|output| output.key_hash == key_hash)
            .map(|output| output.amount.atoms())
            .sum()
    }

    fn announce(&self, chain: &Chain) {
        self.tip.send_replace(chain.tip());
    }
}

impl Chain {
    fn tip(&self) -> TipSummary {
        let id = *self.best.last().expect("genesis is always there");
        let header = self.blocks[&id].header;
        TipSummary {
            id,
            height: header.height,
            time: header.time,
            chain_work: Work(U256::from(header.height.0)),
            next_bits: Algorithm::ALL.into_iter().map(|algorithm| (algorithm, CompactTarget(0x207f_ffff))).collect(),
        }
    }

    fn add(&mut self, block: Block) {
        let (id, height) = (block.id(), block.header.height);
        self.blocks.insert(id, block);
        if height > self.tip().height {
            self.make_best(id);
        }
    }

    fn make_best(&mut self, tip: BlockId) {
        let mut path = vec![tip];
        while let Some(parent) = path.last().map(|id| self.blocks[id].header.parent_id)
            && self.blocks.contains_key(&parent)
        {
            path.push(parent);
        }
        path.reverse();
        let left = std::mem::replace(&mut self.best, path);
        let gone = left.iter().filter(|id| !self.best.contains(id));
        let returning: Vec<_> = gone.flat_map(|id| self.blocks[id].transactions.iter().skip(1).cloned()).collect();
        let waiting: Vec<_> = returning.into_iter().chain(std::mem::take(&mut self.mempool)).collect();
        for transaction in waiting {
            if self.check(&transaction).is_ok() {
                self.mempool.push(transaction);
            }
        }
    }

    fn route(&self, from: &BlockId, blocks_max: usize) -> Route {
        let Some(mut at) = self.blocks.get(from) else { return Route::Unknown };
        while !self.best.contains(&at.id()) {
            at = &self.blocks[&at.header.parent_id];
        }
        let above = self.best.iter().skip_while(|id| **id != at.id()).skip(1);
        let connected: Vec<_> = above.map(|id| (self.blocks[id].header.height, *id)).collect();
        let reaches_tip = connected.len() <= blocks_max;
        Route::Steps(ChainSteps {
            fork: at.id(),
            fork_height: at.header.height,
            connected: connected.into_iter().take(blocks_max).collect(),
            reaches_tip,
        })
    }

    fn on_best(&self) -> impl Iterator<Item = (&Block, &Transaction)> {
        let blocks = self.best.iter().map(|id| &self.blocks[id]);
        blocks.flat_map(|block| block.transactions.iter().map(move |transaction| (block, transaction)))
    }

    fn coins(&self) -> BTreeMap<OutPoint, Coin> {
        let mut coins = BTreeMap::new();
        for (block, transaction) in self.on_best() {
            for input in &transaction.inputs {
                coins.remove(input);
            }
            let txid = transaction.txid();
            for (output, index) in transaction.outputs.iter().zip(0..) {
                let outpoint = OutPoint { txid, index };
                let is_coinbase = transaction.is_coinbase();
                coins.insert(outpoint, Coin { outpoint, output: *output, height: block.header.height, is_coinbase });
            }
        }
        coins
    }

    /// The rules that a payout could break.
    fn check(&self, transaction: &Transaction) -> Result<(), SubmitTransactionError> {
        let txid = transaction.txid();
        let is_known = |other: &Transaction| other.txid() == txid;
        if self.mempool.iter().any(is_known) || self.on_best().any(|(_, other)| is_known(other)) {
            return Err(SubmitTransactionError::Duplicate);
        }
        let invalid = |reason: &str| {
            Err(SubmitTransactionError::Invalid(bq_chain_api::TransactionRefusal::Told(reason.to_owned())))
        };
        let coins = self.coins();
        let mut worth = 0;
        for input in &transaction.inputs {
            let Some(coin) = coins.get(input) else { return invalid("an input does not exist or is spent") };
            let confirmations = self.tip().height.0 - coin.height.0 + 1;
            if coin.is_coinbase && confirmations < MATURITY {
                return invalid("an input is immature");
            }
            if self.mempool.iter().any(|other| other.inputs.contains(input)) {
                return invalid("an input is spent in the mempool");
            }
            worth += coin.output.amount.atoms();
        }
        let paid: u64 = transaction.outputs.iter().map(|output| output.amount.atoms()).sum();
        if paid > worth || transaction.outputs.iter().any(|output| output.amount == Amount::ZERO) {
            return invalid("outputs are wrong");
        }
        Ok(())
    }
}

impl NodeApi for FakeNode {
    fn network(&self) -> Network {
        self.network
    }

    fn genesis_id(&self) -> BlockId {
        self.genesis
    }

    fn coinbase_maturity(&self) -> u32 {
        MATURITY
    }

    fn tip(&self) -> TipSummary {
        self.tip.borrow().clone()
    }

    fn tip_changes(&self) -> BoxStream<'static, TipSummary> {
        Box::pin(tokio_stream::wrappers::WatchStream::from_changes(self.tip.subscribe()))
    }

    fn template(&self, request: &TemplateRequest) -> Result<Template, NodeError> {
        let chain = self.chain.lock();
        let tip = chain.tip();
        let height = tip.height.0 + 1;
        let output = TxOut { amount: atoms(SUBSIDY), key_hash: request.payout };
        let coinbase = Transaction::coinbase(Height(height), vec![output], request.coinbase_data.clone());
        let others = chain.mempool.clone();
        let paths = CoinbasePaths::of(others.iter().map(|other| (other.txid(), other.wtxid())));
        let body = UnsealedBody { coinbase: Arc::new(coinbase), others: Arc::new(others) };
        let works = Algorithm::ALL.map(|algorithm| TemplateWork {
            header: header(tip.id, height, algorithm),
            target: Target::MAX,
            key: PowKey::Sha256d,
            body: body.clone(),
        });
        Ok(Template {
            parent_id: tip.id,
            height: Height(height),
            reward: atoms(SUBSIDY),
            fees: Amount::ZERO,
            coinbase_weight_max: BlockWeight::MAX,
            paths,
            works: works.to_vec(),
        })
    }

    fn submit_block(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        let mut chain = self.chain.lock();
        let id = block.id();
        if chain.blocks.contains_key(&id) {
            return Err(SubmitBlockError::Duplicate);
        }
        if !chain.blocks.contains_key(&block.header.parent_id) {
            return Err(SubmitBlockError::UnknownParent(block.header.parent_id));
        }
        if block.header.version == 0 {
            return Err(SubmitBlockError::Invalid(bq_chain_api::BlockRefusal::Told("version 0".to_owned())));
        }
        let confirmed: Vec<TxId> = block.transactions.iter().map(Transaction::txid).collect();
        chain.add(block);
        chain.mempool.retain(|transaction| !confirmed.contains(&transaction.txid()));
        self.announce(&chain);
        Ok(id)
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        Ok(self.chain.lock().blocks.get(id).cloned())
    }

    fn block_summary(&self, id: &BlockId) -> Result<Option<BlockSummary>, NodeError> {
        let chain = self.chain.lock();
        Ok(chain.blocks.get(id).map(|block| BlockSummary {
            id: *id,
            header: block.header,
            seal: block.seal,
            chain_work: Work(U256::from(block.header.height.0)),
            confirmations: chain.best.contains(id).then(|| chain.tip().height.0 - block.header.height.0 + 1),
        }))
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        Ok(usize::try_from(height.0).ok().and_then(|height| self.chain.lock().best.get(height).copied()))
    }

    fn route(&self, from: &BlockId, blocks_max: usize) -> Result<Route, NodeError> {
        Ok(self.chain.lock().route(from, blocks_max))
    }

    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        let coins = self.chain.lock().coins();
        Ok(coins.into_values().filter(|coin| coin.output.key_hash == *key_hash).collect())
    }

    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, NodeError> {
        let chain = self.chain.lock();
        let mut all = chain.on_best().map(|(_, transaction)| transaction).chain(&chain.mempool);
        Ok(all.find(|transaction| transaction.inputs.contains(outpoint)).map(Transaction::txid))
    }

    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        let mut chain = self.chain.lock();
        chain.check(&transaction)?;
        let txid = transaction.txid();
        chain.mempool.push(transaction);
        Ok(txid)
    }

    fn transaction_status(&self, txid: &TxId) -> Result<TransactionStatus, NodeError> {
        let chain = self.chain.lock();
        let confirmed = chain.on_best().find(|(_, transaction)| transaction.txid() == *txid);
        Ok(match confirmed {
            Some((block, _)) => TransactionStatus::Confirmed {
                block_id: block.id(),
                height: block.header.height,
                confirmations: chain.tip().height.0 - block.header.height.0 + 1,
            },
            None if chain.mempool.iter().any(|transaction| transaction.txid() == *txid) => TransactionStatus::InMempool,
            None => TransactionStatus::Unknown,
        })
    }

    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        Ok(MiningInfo {
            tip: self.tip(),
            network_hashrate: vec![(Algorithm::Sha256d, 1000.0)],
            mempool_transactions: 0,
            mempool_weight: 0,
            peers: 0,
        })
    }
}

fn header(parent_id: BlockId, height: u32, algorithm: Algorithm) -> Header {
    Header {
        version: 1,
        parent_id,
        tx_root: MerkleRoot::ZERO,
        witness_root: MerkleRoot::ZERO,
        time: Timestamp(1_800_000_000 + u64::from(height)),
        height: Height(height),
        bits: CompactTarget(0x207f_ffff),
        algorithm,
    }
}

fn sealed(header: Header, number: u32, transactions: Vec<Transaction>) -> Block {
    Block { header, seal: seal(header.algorithm, number), transactions }
}

fn seal(algorithm: Algorithm, nonce: u32) -> Seal {
    let extranonce = ExtraNonce([0; 16]);
    match algorithm {
        Algorithm::Sha256d => Seal::Sha256d { extranonce, version: 0, ntime: 0, nonce },
        Algorithm::RandomX => Seal::RandomX { extranonce, nonce },
        Algorithm::Ethash => Seal::Ethash { extranonce, nonce: nonce.into(), mix: [0; 32] },
    }
}
