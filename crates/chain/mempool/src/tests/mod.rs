mod cases;
mod model;
mod prop;

use std::sync::Arc;

use bq_primitives::{
    Amount, Height, KeyHash, OutPoint, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Transaction, TxId, TxOut, Witness,
};

use crate::Candidate;

/// The output `index` of a confirmed transaction that only tests know.
fn confirmed(index: u32) -> OutPoint {
    OutPoint { txid: TxId([0xcc; 32]), index }
}

/// A transaction with as many outputs as asked for. `salt` makes its id its own.
fn transaction(inputs: &[OutPoint], outputs: usize, salt: u64) -> Transaction {
    let output = TxOut { amount: Amount::from_atoms(salt).unwrap(), key_hash: KeyHash::ZERO };
    let witness = Witness { public_key: Box::new([0; PUBLIC_KEY_BYTES]), signature: Box::new([0; SIGNATURE_BYTES]) };
    Transaction {
        version: 1,
        inputs: inputs.to_vec(),
        outputs: vec![output; outputs],
        lock_height: Height::GENESIS,
        coinbase_data: Vec::new(),
        witnesses: vec![witness; inputs.len()],
    }
}

fn candidate(transaction: Transaction, fee: u64) -> Candidate {
    Candidate { transaction: Arc::new(transaction), fee: Amount::from_atoms(fee).unwrap(), valid_from: Height::GENESIS }
}
