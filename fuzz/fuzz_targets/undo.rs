//! An undo record from the store.
#![no_main]

use bq_tree::BlockUndo;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(undo) = BlockUndo::from_bytes(data) else { return };
    assert_eq!(undo.to_bytes(), data, "one record, one encoding");
});
