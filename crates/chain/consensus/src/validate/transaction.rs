use std::collections::BTreeSet;

use bq_primitives::{Amount, COINBASE_DATA_BYTES_MAX, Height, Transaction, TxId};

use crate::TransactionError;

/// The only transaction version there is (SPEC 6.1).
pub const TRANSACTION_VERSION: u32 = 1;

/// The rules that need nothing but the transaction and the height of the block that would hold it (SPEC 6.1, 6.3, 6.6). A
/// coinbase is measured as one; whether it may stand where it stands is for the block to say.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_transaction(transaction: &Transaction, height: Height) -> Result<(), TransactionError> {
    check_version(transaction)?;
    check_witness_count(transaction)?;
    check_coinbase_data(transaction)?;
    check_output_sum(transaction)?;
    if transaction.is_coinbase() {
        return check_coinbase_lock(transaction);
    }
    check_counts(transaction)?;
    check_null_inputs(transaction)?;
    check_distinct_inputs(transaction)?;
    check_lock(transaction, height)
}

const fn check_version(transaction: &Transaction) -> Result<(), TransactionError> {
    match transaction.version {
        TRANSACTION_VERSION => Ok(()),
        got => Err(TransactionError::Version { got, expected: TRANSACTION_VERSION }),
    }
}

fn check_witness_count(transaction: &Transaction) -> Result<(), TransactionError> {
    let expected = if transaction.is_coinbase() { 0 } else { transaction.inputs.len() };
    let got = transaction.witnesses.len();
    if got == expected { Ok(()) } else { Err(TransactionError::WitnessCount { got, expected }) }
}

fn check_coinbase_data(transaction: &Transaction) -> Result<(), TransactionError> {
    let max = if transaction.is_coinbase() { COINBASE_DATA_BYTES_MAX } else { 0 };
    let got = transaction.coinbase_data.len();
    if got <= max { Ok(()) } else { Err(TransactionError::CoinbaseData { got, max }) }
}

fn check_output_sum(transaction: &Transaction) -> Result<(), TransactionError> {
    let amounts = transaction.outputs.iter().map(|output| output.amount);
    Amount::sum(amounts).map(|_| ()).map_err(TransactionError::Sum)
}

fn check_coinbase_lock(transaction: &Transaction) -> Result<(), TransactionError> {
    match transaction.lock_height {
        Height::GENESIS => Ok(()),
        got => Err(TransactionError::CoinbaseLock { got }),
    }
}

const fn check_counts(transaction: &Transaction) -> Result<(), TransactionError> {
    if transaction.inputs.is_empty() {
        Err(TransactionError::NoInputs)
    } else if transaction.outputs.is_empty() {
        Err(TransactionError::NoOutputs)
    } else {
        Ok(())
    }
}

fn check_null_inputs(transaction: &Transaction) -> Result<(), TransactionError> {
    match transaction.inputs.iter().position(|input| input.txid == TxId::ZERO) {
        Some(position) => Err(TransactionError::NullInput { position }),
        None => Ok(()),
    }
}

fn check_distinct_inputs(transaction: &Transaction) -> Result<(), TransactionError> {
    let mut seen = BTreeSet::new();
    match transaction.inputs.iter().find(|input| !seen.insert(**input)) {
        Some(outpoint) => Err(TransactionError::SpentTwice { outpoint: *outpoint }),
        None => Ok(()),
    }
}

fn check_lock(transaction: &Transaction, height: Height) -> Result<(), TransactionError> {
    let lock_height = transaction.lock_height;
    if lock_height <= height { Ok(()) } else { Err(TransactionError::Locked { lock_height, height }) }
}
