//! What the chain says of a pool, read once from its first block to its last.

use std::collections::{BTreeMap, BTreeSet};

use bq_chain_api::NodeError;
use bq_pool_machine::{COMMITMENT_BYTES, LogHash, LogHead, LogNumber};
use bq_primitives::{Algorithm, Amount, Block, BlockId, Height, KeyHash, OutPoint, Transaction, TxId};

use crate::Blocks;

/// A block whose coinbase says something of a log.
#[derive(Clone, Debug)]
pub(super) struct NamingBlock {
    pub(super) id: BlockId,
    pub(super) parent: BlockId,
    pub(super) height: Height,
    pub(super) algorithm: Algorithm,
    pub(super) coinbase: Transaction,
    pub(super) head: LogHead,
    /// It pays the pool's key.
    pub(super) pays_pool: bool,
}

/// A coin of the pool's key.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChainCoin {
    pub(super) amount: Amount,
    pub(super) height: Height,
    pub(super) coinbase: bool,
    pub(super) key: KeyHash,
}

/// The best chain, as far as it concerns a pool.
#[derive(Debug, Default)]
pub(super) struct PoolChain {
    /// By height.
    pub(super) ids: Vec<BlockId>,
    /// By the event that they name.
    pub(super) naming: BTreeMap<LogNumber, Vec<NamingBlock>>,
    names: BTreeMap<BlockId, LogNumber>,
    pub(super) coins: BTreeMap<OutPoint, ChainCoin>,
    /// What spent those.
    pub(super) spent: BTreeMap<OutPoint, (TxId, Height)>,
}

impl PoolChain {
    /// Reads every block.
    pub(super) fn read(
        blocks: &dyn Blocks,
        keys: &BTreeSet<KeyHash>,
        tag: &[u8],
        mut each: impl FnMut(Height),
    ) -> Result<Self, NodeError> {
        let tip = blocks.tip_height()?;
        let mut chain = Self::default();
        for number in 0..=tip.0 {
            let height = Height(number);
            let unknown = || NodeError::Request(format!("the chain has no block of height {number}"));
            let id = blocks.id_at(height)?.ok_or_else(unknown)?;
            let block = blocks.block(&id)?.ok_or_else(unknown)?;
            if block.id() != id {
                return Err(NodeError::Request(format!(
                    "the block of height {number} has another id than it was given"
                )));
            }
            chain.ids.push(id);
            chain.take(height, id, &block, keys, tag);
            each(height);
        }
        Ok(chain)
    }

    fn take(&mut self, height: Height, id: BlockId, block: &Block, keys: &BTreeSet<KeyHash>, tag: &[u8]) {
        for (position, transaction) in block.transactions.iter().enumerate() {
            let coinbase = position == 0;
            let pays = |output: &bq_primitives::TxOut| keys.contains(&output.key_hash);
            let pays_pool = transaction.outputs.iter().any(pays);
            let spends = !coinbase && transaction.inputs.iter().any(|input| self.coins.contains_key(input));
            if coinbase && let Some(head) = named_by(&transaction.coinbase_data, tag) {
                let (parent, algorithm) = (block.header.parent_id, block.header.algorithm);
                let coinbase = transaction.clone();
                let naming = NamingBlock { id, parent, height, algorithm, coinbase, head, pays_pool };
                self.names.insert(id, head.number);
                self.naming.entry(head.number).or_default().push(naming);
            }
            if !pays_pool && !spends {
                continue;
            }
            let txid = transaction.txid();
            if !coinbase {
                for input in transaction.inputs.iter().filter(|input| self.coins.contains_key(input)) {
                    self.spent.insert(*input, (txid, height));
                }
            }
            for (index, output) in (0_u32..).zip(&transaction.outputs).filter(|(_, output)| pays(output)) {
                let coin = ChainCoin { amount: output.amount, height, coinbase, key: output.key_hash };
                self.coins.insert(OutPoint { txid, index }, coin);
            }
        }
    }

    /// The block with this id, if it names an event.
    pub(super) fn naming_block(&self, id: &BlockId) -> Option<&NamingBlock> {
        self.naming.get(self.names.get(id)?)?.iter().find(|block| block.id == *id)
    }

    /// The id of the block of a height.
    pub(super) fn id_at(&self, height: Height) -> Option<BlockId> {
        self.ids.get(usize::try_from(height.0).ok()?).copied()
    }
}

/// The head that the data of a coinbase names. The seal is only counted.
fn named_by(data: &[u8], tag: &[u8]) -> Option<LogHead> {
    let rest = data.strip_prefix(tag).filter(|rest| rest.len() == COMMITMENT_BYTES)?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let hash = rest.first_chunk::<32>()?;
    Some(LogHead { number: LogNumber(u64::from_le_bytes(*number)), hash: LogHash(*hash) })
}
