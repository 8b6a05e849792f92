use std::collections::VecDeque;

use bq_primitives::{Block, BlockId, Timestamp};

/// How many early blocks are held, and how many bytes of them. Nothing is proved about them yet, so both are small.
const BLOCKS_MAX: usize = 16;
const BYTES_MAX: usize = 16 << 20;

/// Blocks whose time is too far ahead of the local clock (SPEC 2.3): not invalid, only early. They are tried again when
/// their time comes. What would wait too long, or finds the place full, is not held; its sender may send it again later.
#[derive(Debug, Default)]
pub(crate) struct HeldBlocks {
    blocks: VecDeque<Held>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    id: BlockId,
    block: Block,
    bytes: usize,
}

impl HeldBlocks {
    /// Holds a block whose time is at most `limit`, unless it is held already or the place is full.
    pub(crate) fn hold(&mut self, id: BlockId, block: Block, limit: Timestamp) {
        let bytes = block.transactions.iter().map(|tx| tx.base_len() + tx.witnesses.len() * 5_261).sum::<usize>();
        let is_full = self.blocks.len() >= BLOCKS_MAX || self.bytes + bytes > BYTES_MAX;
        let is_soon = block.header.time <= limit;
        if is_soon && !is_full && self.blocks.iter().all(|held| held.id != id) {
            self.bytes += bytes;
            self.blocks.push_back(Held { id, block, bytes });
        }
    }

    /// Takes out the blocks whose time is at most `limit`, the earliest first.
    pub(crate) fn take_due(&mut self, limit: Timestamp) -> Vec<Block> {
        let (due, early): (Vec<_>, Vec<_>) = self.blocks.drain(..).partition(|held| held.block.header.time <= limit);
        self.bytes = early.iter().map(|held| held.bytes).sum();
        self.blocks = early.into();
        let mut due: Vec<_> = due.into_iter().map(|held| held.block).collect();
        due.sort_by_key(|block| block.header.time);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_primitives::{Algorithm, CompactTarget, ExtraNonce, Header, Height, MerkleRoot, Seal};

    fn block(time: u64) -> Block {
        let header = Header {
            version: 1,
            parent_id: BlockId::ZERO,
            tx_root: MerkleRoot::ZERO,
            witness_root: MerkleRoot::ZERO,
            time: Timestamp(time),
            height: Height(1),
            bits: CompactTarget(0x207f_ffff),
            algorithm: Algorithm::RandomX,
        };
        Block { header, seal: Seal::RandomX { extranonce: ExtraNonce::default(), nonce: 0 }, transactions: vec![] }
    }

    #[test]
    fn due_blocks_come_out_in_order_of_time_and_the_place_is_bounded() {
        let mut held = HeldBlocks::default();
        for time in (0..40).rev() {
            held.hold(block(time).id(), block(time), Timestamp(37));
            held.hold(block(time).id(), block(time), Timestamp(37));
        }
        let times = |blocks: Vec<Block>| blocks.iter().map(|block| block.header.time.0).collect::<Vec<_>>();
        assert_eq!(times(held.take_due(Timestamp(24))), [22, 23, 24]);
        assert_eq!(times(held.take_due(Timestamp(100))).len(), 13);
        assert!(held.take_due(Timestamp(100)).is_empty());
    }
}
