use std::{collections::BTreeSet, sync::Arc};

use bq_primitives::{Header, OutPoint, Transaction, tx_root, witness_root};

use crate::{BlockError, IndexEntry, ProvenHeader, SealedHeader, block_weight, check_transaction};

/// A block whose transactions are those of its proven header, and well-formed (SPEC 7.7, 7.8). Whether they spend what
/// exists has not been looked at. Cheap to clone: the transactions are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WellFormedBlock {
    pub(super) sealed: SealedHeader,
    pub(super) entry: IndexEntry,
    pub(super) transactions: Arc<Vec<Transaction>>,
}

impl WellFormedBlock {
    /// The header and its proof.
    #[must_use]
    pub const fn sealed(&self) -> &SealedHeader {
        &self.sealed
    }

    /// Its light index entry.
    #[must_use]
    pub const fn entry(&self) -> &IndexEntry {
        &self.entry
    }

    /// The coinbase first, then the others.
    #[must_use]
    pub const fn transactions(&self) -> &Arc<Vec<Transaction>> {
        &self.transactions
    }
}

/// SPEC 7.7 and 7.8: the transactions that belong to a proven header, without looking at any coin.
///
/// # Errors
/// The first rule that they break. Mismatching roots come first: then the block itself is not at fault.
#[expect(clippy::needless_pass_by_value, reason = "a stage uses up what the stage before it made")]
pub fn check_body(
    header: ProvenHeader,
    transactions: impl Into<Arc<Vec<Transaction>>>,
) -> Result<WellFormedBlock, BlockError> {
    let ProvenHeader { sealed, entry } = header;
    let transactions = transactions.into();
    let header = &sealed.header;
    check_tx_root(header, &transactions)?; // 7.7
    check_witness_root(header, &transactions)?;
    check_coinbase_first(&transactions)?;
    check_coinbase_alone(&transactions)?;
    check_coinbase_height(header, &transactions)?;
    check_transactions(header, &transactions)?;
    check_spent_once(&transactions)?;
    block_weight(header.algorithm, &transactions)?; // 7.8
    Ok(WellFormedBlock { sealed, entry, transactions })
}

fn check_tx_root(header: &Header, transactions: &[Transaction]) -> Result<(), BlockError> {
    let (got, expected) = (tx_root(transactions), header.tx_root);
    if got == expected { Ok(()) } else { Err(BlockError::TxRoot { got, expected }) }
}

fn check_witness_root(header: &Header, transactions: &[Transaction]) -> Result<(), BlockError> {
    let (got, expected) = (witness_root(transactions), header.witness_root);
    if got == expected { Ok(()) } else { Err(BlockError::WitnessRoot { got, expected }) }
}

fn check_coinbase_first(transactions: &[Transaction]) -> Result<(), BlockError> {
    let first = transactions.first();
    if first.is_some_and(Transaction::is_coinbase) { Ok(()) } else { Err(BlockError::NoCoinbase) }
}

fn check_coinbase_alone(transactions: &[Transaction]) -> Result<(), BlockError> {
    let mut rest = transactions.iter().enumerate().skip(1);
    match rest.find(|(_, transaction)| transaction.is_coinbase()) {
        Some((position, _)) => Err(BlockError::SecondCoinbase { position }),
        None => Ok(()),
    }
}

fn check_coinbase_height(header: &Header, transactions: &[Transaction]) -> Result<(), BlockError> {
    let expected = header.height;
    let input = transactions.first().and_then(|coinbase| coinbase.inputs.first());
    match input.ok_or(BlockError::NoCoinbase)?.index {
        got if got == expected.0 => Ok(()),
        got => Err(BlockError::CoinbaseHeight { got, expected }),
    }
}

fn check_transactions(header: &Header, transactions: &[Transaction]) -> Result<(), BlockError> {
    transactions.iter().enumerate().try_for_each(|(position, transaction)| {
        check_transaction(transaction, header.height).map_err(|error| BlockError::Transaction { position, error })
    })
}

fn check_spent_once(transactions: &[Transaction]) -> Result<(), BlockError> {
    let mut seen: BTreeSet<&OutPoint> = BTreeSet::new();
    let mut inputs = transactions.iter().skip(1).flat_map(|transaction| &transaction.inputs);
    match inputs.find(|input| !seen.insert(input)) {
        Some(outpoint) => Err(BlockError::SpentTwice { outpoint: *outpoint }),
        None => Ok(()),
    }
}
