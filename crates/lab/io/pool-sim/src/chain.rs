//! One node's view of a chain: blocks by rules as slow and obvious as a pool can tell apart, and a mempool. The longest chain
//! wins, the first seen among equals.

use std::collections::{BTreeMap, HashMap};

use bq_chain_api::{ChainSteps, Coin, Route, SubmitTransactionError, TransactionRefusal};
use bq_primitives::{Amount, Block, BlockId, Height, OutPoint, Transaction, TxId};

/// Depth at which a coinbase may be spent.
pub(crate) const MATURITY: u32 = 10;

#[derive(Clone, Debug)]
pub(crate) struct Chain {
    blocks: HashMap<BlockId, Block>,
    /// By height.
    best: Vec<BlockId>,
    heights: HashMap<BlockId, u32>,
    pub(crate) mempool: Vec<Transaction>,
    coins: BTreeMap<OutPoint, Coin>,
    spenders: HashMap<OutPoint, TxId>,
    confirmed: HashMap<TxId, BlockId>,
}

impl Chain {
    pub(crate) fn new(genesis: Block) -> Self {
        let id = genesis.id();
        let mut chain = Self {
            blocks: HashMap::from([(id, genesis)]),
            best: Vec::new(),
            heights: HashMap::new(),
            mempool: Vec::new(),
            coins: BTreeMap::new(),
            spenders: HashMap::new(),
            confirmed: HashMap::new(),
        };
        chain.connect(id);
        chain
    }

    pub(crate) fn tip(&self) -> &Block {
        // Genesis never leaves.
        &self.blocks[self.best.last().unwrap_or(&BlockId::ZERO)]
    }

    pub(crate) fn block(&self, id: &BlockId) -> Option<&Block> {
        self.blocks.get(id)
    }

    pub(crate) fn best(&self) -> &[BlockId] {
        &self.best
    }

    pub(crate) fn height_on_best(&self, id: &BlockId) -> Option<u32> {
        self.heights.get(id).copied()
    }

    pub(crate) fn coins(&self) -> &BTreeMap<OutPoint, Coin> {
        &self.coins
    }

    pub(crate) fn block_of(&self, txid: &TxId) -> Option<&Block> {
        self.confirmed.get(txid).and_then(|id| self.blocks.get(id))
    }

    pub(crate) fn spender_of(&self, outpoint: &OutPoint) -> Option<TxId> {
        let waiting = self.mempool.iter().find(|transaction| transaction.inputs.contains(outpoint));
        self.spenders.get(outpoint).copied().or_else(|| waiting.map(Transaction::txid))
    }

    /// Transactions of the best chain, coinbases too.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.best.iter().flat_map(|id| &self.blocks[id].transactions)
    }

    /// Takes a block whose parent is known. Whether it was new.
    pub(crate) fn add(&mut self, block: Block) -> bool {
        let (id, height) = (block.id(), block.header.height);
        if self.blocks.contains_key(&id) || !self.blocks.contains_key(&block.header.parent_id) {
            return false;
        }
        self.blocks.insert(id, block);
        if height > self.tip().header.height {
            self.make_best(id);
        }
        true
    }

    fn make_best(&mut self, tip: BlockId) {
        let mut path = vec![tip];
        while let Some(parent) = path.last().map(|id| self.blocks[id].header.parent_id)
            && !self.heights.contains_key(&parent)
        {
            path.push(parent);
        }
        let fork = path.last().and_then(|id| self.heights.get(&self.blocks[id].header.parent_id)).copied().unwrap_or(0);
        let mut returning = Vec::new();
        if self.best.len() > fork as usize + 1 {
            let gone = self.best.split_off(fork as usize + 1);
            returning.extend(gone.iter().flat_map(|id| self.blocks[id].transactions.iter().skip(1).cloned()));
            let kept = std::mem::take(&mut self.best);
            self.heights.clear();
            self.coins.clear();
            self.spenders.clear();
            self.confirmed.clear();
            kept.into_iter().for_each(|id| self.connect(id));
        }
        path.into_iter().rev().for_each(|id| self.connect(id));
        let waiting: Vec<_> = returning.into_iter().chain(std::mem::take(&mut self.mempool)).collect();
        for transaction in waiting {
            // What does not fit any more is gone.
            let _ = self.offer(transaction);
        }
    }

    fn connect(&mut self, id: BlockId) {
        let block = &self.blocks[&id];
        let height = block.header.height;
        for (position, transaction) in block.transactions.iter().enumerate() {
            let txid = transaction.txid();
            for input in transaction.inputs.iter().filter(|_| position > 0) {
                self.coins.remove(input);
                self.spenders.insert(*input, txid);
            }
            for (index, output) in (0..).zip(&transaction.outputs) {
                let outpoint = OutPoint { txid, index };
                let coin = Coin { outpoint, output: *output, height, is_coinbase: position == 0 };
                self.coins.insert(outpoint, coin);
            }
            self.confirmed.insert(txid, id);
        }
        self.heights.insert(id, height.0);
        self.best.push(id);
    }

    /// Takes a transaction into the mempool.
    pub(crate) fn offer(&mut self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        let txid = transaction.txid();
        if self.confirmed.contains_key(&txid) || self.mempool.iter().any(|other| other.txid() == txid) {
            return Err(SubmitTransactionError::Duplicate);
        }
        let refused = |reason: &str| Err(SubmitTransactionError::Invalid(TransactionRefusal::Told(reason.to_owned())));
        let mut worth = 0;
        for input in &transaction.inputs {
            let Some(coin) = self.coins.get(input) else { return refused("an input does not exist or is spent") };
            if coin.is_coinbase && self.tip().header.height.0 - coin.height.0 + 1 < MATURITY {
                return refused("an input is immature");
            }
            if self.mempool.iter().any(|other| other.inputs.contains(input)) {
                return refused("an input is spent in the mempool");
            }
            worth += coin.output.amount.atoms();
        }
        let paid: u64 = transaction.outputs.iter().map(|output| output.amount.atoms()).sum();
        if paid > worth || transaction.outputs.iter().any(|output| output.amount == Amount::ZERO) {
            return refused("outputs are wrong");
        }
        self.mempool.push(transaction);
        Ok(txid)
    }

    /// What the transactions that wait leave over.
    pub(crate) fn fees(&self) -> u64 {
        let fee = |transaction: &Transaction| {
            let coins = transaction.inputs.iter().filter_map(|input| self.coins.get(input));
            let worth: u64 = coins.map(|coin| coin.output.amount.atoms()).sum();
            worth - transaction.outputs.iter().map(|output| output.amount.atoms()).sum::<u64>()
        };
        self.mempool.iter().map(fee).sum()
    }

    /// A transaction in the next block could spend it.
    pub(crate) fn is_spendable(&self, coin: &Coin) -> bool {
        let depth = self.tip().header.height.0 + 1 - coin.height.0;
        (!coin.is_coinbase || depth >= MATURITY)
            && !self.mempool.iter().any(|other| other.inputs.contains(&coin.outpoint))
    }

    pub(crate) fn route(&self, from: &BlockId, blocks_max: usize) -> Route {
        let Some(mut at) = self.blocks.get(from) else { return Route::Unknown };
        while !self.heights.contains_key(&at.id()) {
            at = &self.blocks[&at.header.parent_id];
        }
        let above = &self.best[at.header.height.0 as usize + 1..];
        let connected = above.iter().take(blocks_max).map(|id| (Height(self.heights[id]), *id)).collect();
        let reaches_tip = above.len() <= blocks_max;
        Route::Steps(ChainSteps { fork: at.id(), fork_height: at.header.height, connected, reaches_tip })
    }
}
