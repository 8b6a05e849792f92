use std::collections::BTreeMap;

use bq_consensus::{Coin, CoinView};
use bq_primitives::{Height, OutPoint, Transaction, TxId};

use crate::BlockUndo;

/// What a chain of blocks does to the set of unspent coins, kept apart from that set until the whole change is known
/// to be valid. Looks like the set after the change.
pub struct CoinOverlay<'a> {
    base: &'a dyn CoinView,
    changes: BTreeMap<OutPoint, Option<Coin>>,
}

/// Blocks, undo records and coins do not belong together: a mistake of ours or a damaged store, never a bad block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// A connected block spends what is not there.
    #[error("coin {}:{} is not there to be spent", .0.txid, .0.index)]
    NoCoin(OutPoint),
    /// An undo record does not hold one coin per input.
    #[error("undo record has {got} coins, the block spends {expected}")]
    UndoLength {
        /// Coins in the record.
        got: usize,
        /// Inputs of the block.
        expected: usize,
    },
}

impl<'a> CoinOverlay<'a> {
    /// No changes yet.
    #[must_use]
    pub const fn new(base: &'a dyn CoinView) -> Self {
        Self { base, changes: BTreeMap::new() }
    }

    /// Spends and makes the coins of a block that was checked against this view, and returns how to undo it.
    ///
    /// # Errors
    /// [`OverlayError::NoCoin`]; the overlay is then good for nothing more.
    pub fn connect(&mut self, height: Height, transactions: &[Transaction]) -> Result<BlockUndo, OverlayError> {
        let mut spent = Vec::new();
        for transaction in transactions {
            let is_coinbase = transaction.is_coinbase();
            for input in spends(transaction) {
                spent.push(self.coin(input).ok_or(OverlayError::NoCoin(*input))?);
                self.changes.insert(*input, None);
            }
            let txid = transaction.txid();
            for (outpoint, output) in outpoints(txid, transaction).zip(&transaction.outputs) {
                self.changes.insert(outpoint, Some(Coin { output: *output, height, is_coinbase }));
            }
        }
        Ok(BlockUndo { spent })
    }

    /// Takes a connected block's coins back and returns those it spent.
    ///
    /// # Errors
    /// [`OverlayError`]; the overlay is then good for nothing more.
    pub fn disconnect(&mut self, transactions: &[Transaction], undo: &BlockUndo) -> Result<(), OverlayError> {
        let expected = transactions.iter().flat_map(spends).count();
        if undo.spent.len() != expected {
            return Err(OverlayError::UndoLength { got: undo.spent.len(), expected });
        }
        let mut spent = undo.spent.iter().rev();
        for transaction in transactions.iter().rev() {
            for outpoint in outpoints(transaction.txid(), transaction) {
                self.coin(&outpoint).ok_or(OverlayError::NoCoin(outpoint))?;
                self.changes.insert(outpoint, None);
            }
            for (input, coin) in spends(transaction).iter().rev().zip(&mut spent) {
                self.changes.insert(*input, Some(*coin));
            }
        }
        Ok(())
    }

    /// Every coin that was touched, as it is after the change: nothing when it is spent or gone.
    #[must_use]
    pub fn into_changes(self) -> BTreeMap<OutPoint, Option<Coin>> {
        self.changes
    }
}

impl CoinView for CoinOverlay<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.changes.get(outpoint).map_or_else(|| self.base.coin(outpoint), |changed| *changed)
    }
}

/// The coins a transaction spends: its inputs, except a coinbase's.
fn spends(transaction: &Transaction) -> &[OutPoint] {
    if transaction.is_coinbase() { &[] } else { &transaction.inputs }
}

fn outpoints(txid: TxId, transaction: &Transaction) -> impl Iterator<Item = OutPoint> {
    (0_u32..).take(transaction.outputs.len()).map(move |index| OutPoint { txid, index })
}
