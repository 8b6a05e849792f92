//! A transaction from a peer or the RPC.
#![no_main]

use bq_primitives::{BlockId, Decoder, Transaction};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(data);
    let Ok(transaction) = Transaction::decode(&mut decoder) else { return };
    let used = data.len() - decoder.remaining();
    assert_eq!(transaction.to_bytes(), data[..used], "one transaction, one encoding");
    assert_eq!(transaction.base_bytes().len(), transaction.base_len());
    let spent: Vec<_> = transaction.outputs.clone();
    let _ =
        (transaction.txid(), transaction.wtxid(), transaction.weight(), transaction.sighash(&BlockId::ZERO, &spent));
});
