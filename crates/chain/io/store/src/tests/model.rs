//! Everything a store should answer, in plain maps; and random changes for both.

use std::{collections::HashMap, path::Path, sync::Arc};

use crate::{ChainStep, ChainStore, ChainUpdate, NewHeader, RedbStore, StoreChange, StoreIdentity};
use bq_consensus::{Coin, CoinView, IndexEntry};
use bq_primitives::{
    Algorithm, Amount, Block, BlockId, CompactTarget, ExtraNonce, Header, Height, KeyHash, MerkleRoot, Network,
    OutPoint, Seal, SealedHeader, Timestamp, Transaction, TxId, TxOut, U256, Work,
};
use bq_tree::{BlockUndo, CoinOverlay};
use proptest::prelude::*;

pub(super) fn key(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

pub(super) fn entry(block: &Block, chain_work: u64) -> IndexEntry {
    let Header { parent_id, height, time, bits, algorithm, .. } = block.header;
    IndexEntry {
        id: block.id(),
        parent_id,
        height,
        time,
        clock: Timestamp(time.0 + 1),
        algorithm: (height.0 > 0).then_some(algorithm),
        bits,
        base_bits: [Some(bits), None, Some(CompactTarget(0x1d00_ffff))],
        run: 3,
        last_of_algorithm: [None, Some(height), None],
        chain_work: Work(U256::from(chain_work)),
    }
}

pub(super) fn block(parent_id: BlockId, height: u32, salt: u8, transactions: Vec<Transaction>) -> Block {
    let header = Header {
        version: 1,
        parent_id,
        tx_root: MerkleRoot([salt; 32]),
        witness_root: MerkleRoot::ZERO,
        time: Timestamp(1_000 + u64::from(height)),
        height: Height(height),
        bits: CompactTarget(0x207f_ffff),
        algorithm: Algorithm::Sha256d,
    };
    let seal = Seal::Sha256d { extranonce: ExtraNonce([salt; 16]), version: 1, ntime: 2, nonce: 3 };
    Block { header, seal, transactions }
}

pub(super) fn sealed(block: &Block) -> SealedHeader {
    SealedHeader { header: block.header, seal: block.seal }
}

pub(super) fn identity(network: Network) -> StoreIdentity {
    let genesis = block(BlockId::ZERO, 0, 0, vec![]);
    StoreIdentity { network, genesis_entry: entry(&genesis, 0), genesis }
}

pub(super) fn open(directory: &Path) -> RedbStore {
    RedbStore::open(directory, &identity(Network::Regtest)).unwrap()
}

/// Everything the store should answer, in maps.
#[derive(Clone, Default)]
pub(super) struct Model {
    /// In order of becoming known; body, invalid.
    pub(super) blocks: Vec<(Block, IndexEntry, bool, bool)>,
    pub(super) chain: Vec<BlockId>,
    coins: HashMap<OutPoint, Coin>,
    spenders: HashMap<OutPoint, TxId>,
    heights: HashMap<TxId, u32>,
    undo: HashMap<BlockId, BlockUndo>,
}

impl CoinView for Model {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.coins.get(outpoint).copied()
    }
}

impl Model {
    pub(super) fn new() -> Self {
        let StoreIdentity { genesis, genesis_entry, .. } = identity(Network::Regtest);
        let chain = vec![genesis_entry.id];
        let undo = HashMap::from([(genesis_entry.id, BlockUndo::default())]);
        Self { blocks: vec![(genesis, genesis_entry, true, false)], chain, undo, ..Self::default() }
    }

    fn block(&self, id: &BlockId) -> &Block {
        &self.blocks.iter().find(|(_, entry, ..)| entry.id == *id).unwrap().0
    }

    pub(super) fn connect(&mut self, block: &Block) {
        let mut spent = Vec::new();
        let height = block.header.height;
        for transaction in &block.transactions {
            let txid = transaction.txid();
            let is_coinbase = transaction.is_coinbase();
            for input in transaction.inputs.iter().filter(|_| !is_coinbase) {
                spent.push(self.coins.remove(input).unwrap());
                self.spenders.insert(*input, txid);
            }
            for (index, output) in (0..).zip(&transaction.outputs) {
                self.coins.insert(OutPoint { txid, index }, Coin { output: *output, height, is_coinbase });
            }
            self.heights.insert(txid, height.0);
        }
        self.undo.insert(block.id(), BlockUndo { spent });
        self.chain.push(block.id());
    }

    /// Everything since genesis again, less the last `count` blocks: too simple to be wrong.
    pub(super) fn disconnect(&mut self, count: usize) {
        let kept: Vec<_> = self.chain[1..self.chain.len() - count].to_vec();
        let blocks = self.blocks.clone();
        *self = Self { blocks, ..Self::new() };
        for id in kept {
            let block = self.block(&id).clone();
            self.connect(&block);
        }
    }

    pub(super) fn check(&self, store: &RedbStore) {
        let index = store.index().unwrap();
        assert_eq!(index.len(), self.blocks.len());
        for (stored, (block, entry, has_body, is_invalid)) in index.iter().zip(&self.blocks) {
            assert_eq!((&stored.entry, stored.has_body, stored.is_invalid), (entry, *has_body, *is_invalid));
            assert_eq!(store.headers(&[entry.id]).unwrap(), [sealed(block)]);
            assert_eq!(store.block(&entry.id).unwrap(), has_body.then(|| block.clone()));
            assert_eq!(store.block_bytes(&entry.id).unwrap(), has_body.then(|| block.to_bytes()));
            assert_eq!(store.undo(&entry.id).unwrap(), self.undo.get(&entry.id).cloned());
            for transaction in &block.transactions {
                self.check_transaction(store, transaction);
            }
        }
        assert_eq!(store.best_chain().unwrap(), self.chain);
        for owner in 0..4 {
            let mut expected: Vec<_> =
                self.coins.iter().filter(|(_, coin)| coin.output.key_hash == key(owner)).collect();
            expected.sort_by_key(|(outpoint, coin)| (coin.height, **outpoint));
            let expected: Vec<_> = expected.into_iter().map(|(outpoint, coin)| (*outpoint, *coin)).collect();
            assert_eq!(store.coins_of(&key(owner)).unwrap(), expected);
        }
    }

    fn check_transaction(&self, store: &RedbStore, transaction: &Transaction) {
        let txid = transaction.txid();
        for index in 0..3 {
            let outpoint = OutPoint { txid, index };
            assert_eq!(store.coin(&outpoint).unwrap(), self.coins.get(&outpoint).copied());
            assert_eq!(store.spender_of(&outpoint).unwrap(), self.spenders.get(&outpoint).copied());
        }
        let confirmation = store.confirmation(&txid).unwrap();
        let got = confirmation.map(|confirmation| (confirmation.height.0, confirmation.block_id));
        let expected = self.heights.get(&txid).map(|height| (*height, self.chain[*height as usize]));
        assert_eq!(got, expected);
        if let Some(confirmation) = confirmation {
            assert_eq!(confirmation.tip_height.0 as usize, self.chain.len() - 1);
        }
    }
}

/// A block on the model's tip that spends some of what is there.
pub(super) fn next_block(model: &Model, salt: u8, picks: &[(prop::sample::Index, u8)]) -> Block {
    let height = u32::try_from(model.chain.len()).unwrap();
    let output = |owner: u8, atoms: u64| TxOut { amount: Amount::from_atoms(atoms).unwrap(), key_hash: key(owner) };
    let outputs = vec![output(salt % 4, 50), output(1, 2)];
    let mut transactions = vec![Transaction::coinbase(Height(height), outputs, vec![salt])];
    let mut free: Vec<_> = model.coins.keys().copied().collect();
    free.sort();
    for (pick, owner) in picks {
        if free.is_empty() {
            break;
        }
        let input = free.remove(pick.index(free.len()));
        let spend = Transaction {
            version: 1,
            inputs: vec![input],
            outputs: vec![output(*owner, 7), output(2, u64::from(salt))],
            lock_height: Height(0),
            coinbase_data: vec![],
            witnesses: vec![bq_primitives::Witness {
                public_key: Box::new([salt; bq_primitives::PUBLIC_KEY_BYTES]),
                signature: Box::new([*owner; bq_primitives::SIGNATURE_BYTES]),
            }],
        };
        free.push(OutPoint { txid: spend.txid(), index: 0 });
        transactions.push(spend);
    }
    block(*model.chain.last().unwrap(), height, salt, transactions)
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Disconnect some, connect some new ones.
    Chain { back: usize, blocks: Vec<Vec<(prop::sample::Index, u8)>> },
    /// A header on the tip, with or without body, perhaps found invalid.
    Side { has_body: bool, is_invalid: bool },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let picks = prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8), 0..4);
    prop_oneof![
        3 => (0..4_usize, prop::collection::vec(picks, 1..4)).prop_map(|(back, blocks)| Step::Chain { back, blocks }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(has_body, is_invalid)| Step::Side { has_body, is_invalid }),
    ]
}

/// Carries a change out on the model and returns what the store must be told.
pub(super) fn chain_change(
    model: &mut Model,
    salt: &mut u8,
    back: usize,
    picks: &[Vec<(prop::sample::Index, u8)>],
) -> StoreChange {
    let base = model.clone();
    let mut overlay = CoinOverlay::new(&base);
    let mut update = ChainUpdate::default();
    let mut change = StoreChange::default();
    let back = back.min(base.chain.len() - 1);
    for id in base.chain.iter().rev().take(back) {
        let transactions = Arc::new(base.block(id).transactions.clone());
        let sealed = sealed(base.block(id));
        let undo = base.undo[id].clone();
        overlay.disconnect(&transactions, &undo).unwrap();
        update.disconnect.push(ChainStep { id: *id, sealed, transactions, undo });
    }
    model.disconnect(back);
    for picks in picks {
        *salt += 1;
        let block = next_block(model, *salt, picks);
        let entry = entry(&block, u64::from(*salt));
        let transactions = Arc::new(block.transactions.clone());
        let undo = overlay.connect(block.header.height, &transactions).unwrap();
        change.headers.push(NewHeader { sealed: sealed(&block), entry });
        change.bodies.push((entry.id, Arc::clone(&transactions)));
        update.connect.push(ChainStep { id: entry.id, sealed: sealed(&block), transactions, undo });
        model.blocks.push((block.clone(), entry, true, false));
        model.connect(&block);
    }
    update.coins = overlay.into_changes();
    change.chain = Some(update);
    change
}

pub(super) fn side_change(model: &mut Model, salt: &mut u8, has_body: bool, is_invalid: bool) -> StoreChange {
    *salt += 1;
    let block = next_block(model, *salt, &[]);
    let entry = entry(&block, u64::from(*salt));
    let header = NewHeader { sealed: sealed(&block), entry };
    let body = has_body.then(|| (entry.id, Arc::new(block.transactions.clone())));
    let invalid = is_invalid.then_some(entry.id);
    model.blocks.push((block, entry, has_body, is_invalid));
    StoreChange {
        headers: vec![header],
        bodies: body.into_iter().collect(),
        invalid: invalid.into_iter().collect(),
        chain: None,
    }
}

impl Step {
    /// Carries the step out on the model and returns what the store must be told.
    pub(super) fn change(&self, model: &mut Model, salt: &mut u8) -> StoreChange {
        match self {
            Self::Chain { back, blocks } => chain_change(model, salt, *back, blocks),
            Self::Side { has_body, is_invalid } => side_change(model, salt, *has_body, *is_invalid),
        }
    }
}
