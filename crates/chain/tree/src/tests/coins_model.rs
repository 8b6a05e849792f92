//! The overlay against a map of coins that is copied before every block.

use std::collections::HashMap;

use bq_consensus::{Coin, CoinView};
use bq_primitives::{Amount, Height, KeyHash, OutPoint, Transaction, TxOut};
use proptest::prelude::*;

use crate::{BlockUndo, CoinOverlay, OverlayError};

#[derive(Clone, Debug, Default, PartialEq)]
struct Coins(HashMap<OutPoint, Coin>);

impl CoinView for Coins {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.0.get(outpoint).copied()
    }
}

impl Coins {
    /// One spend after the other, as the rule reads.
    fn connect(&mut self, height: Height, transactions: &[Transaction]) {
        for transaction in transactions {
            let is_coinbase = transaction.is_coinbase();
            for input in transaction.inputs.iter().filter(|_| !is_coinbase) {
                self.0.remove(input).unwrap();
            }
            for (index, output) in (0..).zip(&transaction.outputs) {
                let outpoint = OutPoint { txid: transaction.txid(), index };
                self.0.insert(outpoint, Coin { output: *output, height, is_coinbase });
            }
        }
    }

    fn apply(&mut self, overlay: CoinOverlay<'_>) {
        for (outpoint, coin) in overlay.into_changes() {
            match coin {
                Some(coin) => self.0.insert(outpoint, coin),
                None => self.0.remove(&outpoint),
            };
        }
    }
}

fn output(atoms: u64) -> TxOut {
    TxOut { amount: Amount::from_atoms(atoms).unwrap(), key_hash: KeyHash([7; 32]) }
}

/// A block whose transactions spend what is there, outputs of the same block included.
fn block(coins: &Coins, height: Height, picks: &[(prop::sample::Index, u8)]) -> Vec<Transaction> {
    let mut now = coins.clone();
    let mut transactions = vec![Transaction::coinbase(height, vec![output(50), output(1)], vec![])];
    now.connect(height, &transactions);
    for (pick, outputs) in picks {
        let mut known: Vec<_> = now.0.keys().copied().collect();
        known.sort();
        if known.is_empty() {
            break;
        }
        let spend = Transaction {
            version: 1,
            inputs: vec![*pick.get(&known)],
            outputs: (0..*outputs).map(|n| output(u64::from(n))).collect(),
            lock_height: Height(0),
            coinbase_data: vec![],
            witnesses: vec![],
        };
        now.connect(height, std::slice::from_ref(&spend));
        transactions.push(spend);
    }
    transactions
}

type Picks = Vec<Vec<(prop::sample::Index, u8)>>;

fn picks() -> impl Strategy<Value = Picks> {
    prop::collection::vec(prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8), 0..5), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn connecting_equals_the_model_and_disconnecting_takes_it_back(picks in picks(), back in 0..8_usize) {
        let mut history = vec![Coins::default()];
        let mut blocks = Vec::new();
        for (height, picks) in (1_u32..).zip(&picks) {
            let before = history.last().unwrap().clone();
            let transactions = block(&before, Height(height), picks);
            let mut expected = before.clone();
            expected.connect(Height(height), &transactions);
            let mut overlay = CoinOverlay::new(&before);
            let undo = overlay.connect(Height(height), &transactions).unwrap();
            let mut got = before.clone();
            got.apply(overlay);
            prop_assert_eq!(&got, &expected);
            prop_assert_eq!(BlockUndo::from_bytes(&undo.to_bytes()).unwrap(), undo.clone());
            history.push(expected);
            blocks.push((transactions, undo));
        }
        // A change over several blocks: some off, and the same on again.
        let back = back.min(blocks.len());
        let base = history.last().unwrap();
        let mut overlay = CoinOverlay::new(base);
        for (transactions, undo) in blocks.iter().rev().take(back) {
            overlay.disconnect(transactions, undo).unwrap();
        }
        let kept = blocks.len() - back;
        for outpoint in base.0.keys().chain(history[kept].0.keys()) {
            prop_assert_eq!(overlay.coin(outpoint), history[kept].coin(outpoint));
        }
        for (height, (transactions, undo)) in (1_u32..).zip(&blocks).skip(kept) {
            prop_assert_eq!(&overlay.connect(Height(height), transactions).unwrap(), undo);
        }
        let mut again = base.clone();
        again.apply(overlay);
        prop_assert_eq!(&again, base);
    }

    #[test]
    fn undo_records_of_any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(undo) = BlockUndo::from_bytes(&bytes) {
            prop_assert_eq!(undo.to_bytes(), bytes);
        }
    }
}

#[test]
fn an_undo_record_of_another_block_is_refused() {
    let coins = Coins::default();
    let transactions = block(&coins, Height(1), &[]);
    let mut overlay = CoinOverlay::new(&coins);
    overlay.connect(Height(1), &transactions).unwrap();
    let undo = BlockUndo { spent: vec![Coin { output: output(1), height: Height(0), is_coinbase: false }] };
    assert_eq!(overlay.disconnect(&transactions, &undo), Err(OverlayError::UndoLength { got: 1, expected: 0 }));
}

#[test]
fn spending_what_is_not_there_is_an_error() {
    let missing = OutPoint { txid: bq_primitives::TxId([3; 32]), index: 0 };
    let mut spend = Transaction::coinbase(Height(1), vec![], vec![]);
    spend.inputs = vec![missing];
    let coins = Coins::default();
    let mut overlay = CoinOverlay::new(&coins);
    assert_eq!(overlay.connect(Height(1), &[spend]), Err(OverlayError::NoCoin(missing)));
}
