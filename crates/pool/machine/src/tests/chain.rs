//! A chain as far as a pool sees it: blocks with transactions, branches, and a mempool. Slow and obvious.

use std::collections::BTreeMap;

use bq_primitives::{BlockId, Height, KeyHash, OutPoint, Transaction, TxId, TxOut, tagged_hash};

use crate::{ChainBase, ChainWay, Received, Spent, Tip};

#[derive(Clone, Debug)]
pub(super) struct ToyBlock {
    pub(super) id: BlockId,
    pub(super) height: Height,
    pub(super) parent: BlockId,
    pub(super) transactions: Vec<Transaction>,
}

#[derive(Clone, Debug)]
pub(super) struct ToyChain {
    pub(super) blocks: BTreeMap<BlockId, ToyBlock>,
    pub(super) tip: BlockId,
    pub(super) mempool: Vec<Transaction>,
    pub(super) maturity: u32,
    pub(super) made: u64,
}

impl ToyChain {
    pub(super) fn new(maturity: u32) -> Self {
        let id = BlockId([0; 32]);
        let genesis = ToyBlock { id, height: Height(0), parent: id, transactions: Vec::new() };
        Self { blocks: BTreeMap::from([(id, genesis)]), tip: id, mempool: Vec::new(), maturity, made: 0 }
    }

    pub(super) fn tip(&self) -> Tip {
        let block = &self.blocks[&self.tip];
        Tip { id: block.id, height: block.height }
    }

    /// The best chain from genesis on.
    pub(super) fn best(&self) -> Vec<&ToyBlock> {
        self.branch(self.tip)
    }

    fn branch(&self, tip: BlockId) -> Vec<&ToyBlock> {
        let mut blocks = vec![&self.blocks[&tip]];
        while blocks[blocks.len() - 1].height > Height(0) {
            blocks.push(&self.blocks[&blocks[blocks.len() - 1].parent]);
        }
        blocks.reverse();
        blocks
    }

    /// Unspent outputs of a branch: who made them, at what height, by a coinbase or not.
    pub(super) fn unspent(&self, tip: BlockId) -> BTreeMap<OutPoint, (TxOut, Height, bool)> {
        let mut coins = BTreeMap::new();
        for block in self.branch(tip) {
            for (position, transaction) in block.transactions.iter().enumerate() {
                if position > 0 {
                    for input in &transaction.inputs {
                        coins.remove(input).expect("a valid chain");
                    }
                }
                for (index, output) in (0..).zip(&transaction.outputs) {
                    let outpoint = OutPoint { txid: transaction.txid(), index };
                    coins.insert(outpoint, (*output, block.height, position == 0));
                }
            }
        }
        coins
    }

    /// The next block on `parent`, with whatever of the mempool is valid there if `takes` says so.
    pub(super) fn mine_on(&mut self, parent: BlockId, outputs: Vec<TxOut>, takes: bool) -> BlockId {
        let height = Height(self.blocks[&parent].height.0 + 1);
        self.made += 1;
        let coinbase = Transaction {
            version: 1,
            inputs: vec![OutPoint { txid: TxId::ZERO, index: height.0 }],
            outputs,
            lock_height: Height(0),
            coinbase_data: self.made.to_le_bytes().to_vec(),
            witnesses: Vec::new(),
        };
        let mut transactions = vec![coinbase];
        if takes {
            let mut coins = self.unspent(parent);
            for transaction in &self.mempool {
                let is_spendable = |input: &OutPoint| {
                    coins
                        .get(input)
                        .is_some_and(|(_, made, is_coinbase)| !is_coinbase || height.0 - made.0 >= self.maturity)
                };
                if transaction.inputs.iter().all(is_spendable) {
                    for input in &transaction.inputs {
                        coins.remove(input);
                    }
                    for (index, output) in (0..).zip(&transaction.outputs) {
                        coins.insert(OutPoint { txid: transaction.txid(), index }, (*output, height, false));
                    }
                    transactions.push(transaction.clone());
                }
            }
        }
        let id = BlockId(tagged_hash("toy-block", &[&parent.0, &self.made.to_le_bytes()]));
        self.blocks.insert(id, ToyBlock { id, height, parent, transactions });
        id
    }

    pub(super) fn send(&mut self, transaction: &Transaction) {
        let known = self.best().iter().any(|block| block.transactions.contains(transaction));
        if !known && !self.mempool.contains(transaction) {
            self.mempool.push(transaction.clone());
        }
    }

    /// The way from an old tip to the best chain's end, as far as the pool's key is concerned.
    pub(super) fn way(&self, from: BlockId, keys: &[KeyHash], joined: &[BlockId], known: &[OutPoint]) -> ChainWay {
        let best = self.best();
        let old = self.branch(from);
        let shared = old.iter().zip(&best).take_while(|(old, new)| old.id == new.id).count();
        let fork = best[shared - 1];
        let new: Vec<&ToyBlock> = best[shared..].to_vec();
        let (received, spent) = effects(&new, keys, joined, known);
        ChainWay {
            fork: Tip { id: fork.id, height: fork.height },
            tip: self.tip(),
            joined: new.iter().map(|block| block.id).filter(|id| joined.contains(id)).collect(),
            received,
            spent,
        }
    }

    /// Every output to a key on the best chain that no joined block makes, spent or not.
    pub(super) fn received(&self, keys: &[KeyHash], joined: &[BlockId]) -> Vec<Received> {
        effects(&self.best(), keys, joined, &[]).0
    }

    pub(super) fn base(&self, keys: &[KeyHash], joined: &[BlockId], known: &[OutPoint]) -> ChainBase {
        let best = self.best();
        let (_, spent) = effects(&best, keys, joined, known);
        let unspent = self.unspent(self.tip).into_iter();
        // A key that was given up is not the pool's any more, but what is known of its coins is told.
        let is_of_pool =
            |outpoint: &OutPoint, output: &TxOut| keys.contains(&output.key_hash) || known.contains(outpoint);
        let unspent = unspent.filter(|(outpoint, (output, _, _))| is_of_pool(outpoint, output));
        let received = unspent.map(|(outpoint, (output, height, coinbase))| Received {
            outpoint,
            amount: output.amount,
            height,
            coinbase,
        });
        ChainBase {
            tip: self.tip(),
            joined: best.iter().map(|block| block.id).filter(|id| joined.contains(id)).collect(),
            received: received.collect(),
            spent,
        }
    }
}

/// What these blocks do to coins of a key; `known` coins were there before.
fn effects(
    blocks: &[&ToyBlock],
    keys: &[KeyHash],
    joined: &[BlockId],
    known: &[OutPoint],
) -> (Vec<Received>, Vec<(OutPoint, Spent)>) {
    let mut known = known.to_vec();
    let (mut received, mut spent) = (Vec::new(), Vec::new());
    for block in blocks {
        for (position, transaction) in block.transactions.iter().enumerate() {
            let by = transaction.txid();
            for input in transaction.inputs.iter().filter(|input| known.contains(input)) {
                spent.push((*input, Spent { by, height: block.height, explained: false }));
            }
            for (index, output) in (0..).zip(&transaction.outputs).filter(|(_, output)| keys.contains(&output.key_hash))
            {
                let outpoint = OutPoint { txid: by, index };
                known.push(outpoint);
                let coinbase = position == 0;
                if !(coinbase && joined.contains(&block.id)) {
                    received.push(Received { outpoint, amount: output.amount, height: block.height, coinbase });
                }
            }
        }
    }
    (received, spent)
}
