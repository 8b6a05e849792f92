//! A block from a peer or the store: canonical, or refused.
#![no_main]

use bq_primitives::Block;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(block) = Block::from_bytes(data) else { return };
    assert_eq!(block.to_bytes(), data, "one block, one encoding");
    let _ = (block.id(), block.tx_root(), block.witness_root(), block.weight());
});
