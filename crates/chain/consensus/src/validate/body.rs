use std::collections::BTreeSet;

use bq_primitives::{Block, OutPoint, Transaction};

use crate::{BlockError, IndexEntry, ProvenHeader, SealedHeader, block_weight, check_transaction};

/// A block whose transactions are those of its proven header, and well-formed (SPEC 7.7, 7.8). Whether they spend what
/// exists has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WellFormedBlock {
    pub(super) block: Block,
    pub(super) entry: IndexEntry,
}

impl WellFormedBlock {
    /// The block.
    #[must_use]
    pub const fn block(&self) -> &Block {
        &self.block
    }

    /// Its light index entry.
    #[must_use]
    pub const fn entry(&self) -> &IndexEntry {
        &self.entry
    }

    /// The block, given back.
    #[must_use]
    pub fn into_block(self) -> Block {
        self.block
    }
}

/// SPEC 7.7 and 7.8: the transactions that belong to a proven header, without looking at any coin.
///
/// # Errors
/// The first rule that they break. Mismatching roots come first: then the block itself is not at fault.
#[expect(clippy::needless_pass_by_value, reason = "a stage uses up what the stage before it made")]
pub fn check_body(header: ProvenHeader, transactions: Vec<Transaction>) -> Result<WellFormedBlock, BlockError> {
    let ProvenHeader { sealed: SealedHeader { header, seal }, entry } = header;
    let block = Block { header, seal, transactions };
    check_tx_root(&block)?; // 7.7
    check_witness_root(&block)?;
    check_coinbase_first(&block)?;
    check_coinbase_alone(&block)?;
    check_coinbase_height(&block)?;
    check_transactions(&block)?;
    check_spent_once(&block)?;
    block_weight(&block)?; // 7.8
    Ok(WellFormedBlock { block, entry })
}

fn check_tx_root(block: &Block) -> Result<(), BlockError> {
    let (got, expected) = (block.tx_root(), block.header.tx_root);
    if got == expected { Ok(()) } else { Err(BlockError::TxRoot { got, expected }) }
}

fn check_witness_root(block: &Block) -> Result<(), BlockError> {
    let (got, expected) = (block.witness_root(), block.header.witness_root);
    if got == expected { Ok(()) } else { Err(BlockError::WitnessRoot { got, expected }) }
}

fn check_coinbase_first(block: &Block) -> Result<(), BlockError> {
    let first = block.transactions.first();
    if first.is_some_and(Transaction::is_coinbase) { Ok(()) } else { Err(BlockError::NoCoinbase) }
}

fn check_coinbase_alone(block: &Block) -> Result<(), BlockError> {
    let mut rest = block.transactions.iter().enumerate().skip(1);
    match rest.find(|(_, transaction)| transaction.is_coinbase()) {
        Some((position, _)) => Err(BlockError::SecondCoinbase { position }),
        None => Ok(()),
    }
}

fn check_coinbase_height(block: &Block) -> Result<(), BlockError> {
    let expected = block.header.height;
    let input = block.transactions.first().and_then(|coinbase| coinbase.inputs.first());
    match input.ok_or(BlockError::NoCoinbase)?.index {
        got if got == expected.0 => Ok(()),
        got => Err(BlockError::CoinbaseHeight { got, expected }),
    }
}

fn check_transactions(block: &Block) -> Result<(), BlockError> {
    block.transactions.iter().enumerate().try_for_each(|(position, transaction)| {
        check_transaction(transaction, block.header.height).map_err(|error| BlockError::Transaction { position, error })
    })
}

fn check_spent_once(block: &Block) -> Result<(), BlockError> {
    let mut seen: BTreeSet<&OutPoint> = BTreeSet::new();
    let mut inputs = block.transactions.iter().skip(1).flat_map(|transaction| &transaction.inputs);
    match inputs.find(|input| !seen.insert(input)) {
        Some(outpoint) => Err(BlockError::SpentTwice { outpoint: *outpoint }),
        None => Ok(()),
    }
}
