mod coins_model;
mod tree_model;

use bq_consensus::IndexEntry;
use bq_primitives::{BlockId, CompactTarget, Height, Timestamp, U256, Work};

/// A block id for tests.
pub(crate) fn id(number: u32) -> BlockId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    BlockId(bytes)
}

pub(crate) fn genesis() -> IndexEntry {
    IndexEntry {
        id: id(0),
        parent_id: BlockId::ZERO,
        height: Height::GENESIS,
        time: Timestamp(0),
        clock: Timestamp(0),
        algorithm: None,
        bits: CompactTarget(0x207f_ffff),
        base_bits: [None; 3],
        run: 0,
        last_of_algorithm: [None; 3],
        chain_work: Work::ZERO,
    }
}

pub(crate) fn child(parent: &IndexEntry, number: u32, weight: u64) -> IndexEntry {
    IndexEntry {
        id: id(number),
        parent_id: parent.id,
        height: parent.height.next().unwrap(),
        chain_work: Work(parent.chain_work.0 + U256::from(weight)),
        ..*parent
    }
}
