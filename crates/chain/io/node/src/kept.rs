use std::collections::VecDeque;

use bq_consensus::WellFormedBlock;
use bq_primitives::{Block, BlockId, PUBLIC_KEY_BYTES, SIGNATURE_BYTES};

use crate::StoreSettings;

/// Blocks with good proofs that the store could not take: they wait in memory until it can, and are served to peers
/// meanwhile. Bounded, because a full disk can last: what finds no room here is refused, and has to be handed in again.
#[derive(Debug, Default)]
pub(crate) struct KeptBlocks {
    blocks: VecDeque<WellFormedBlock>,
    bytes: usize,
}

impl KeptBlocks {
    /// Keeps a block; `false` when there is no room. One that is kept already stays where it is.
    pub(crate) fn keep(&mut self, block: WellFormedBlock, limits: &StoreSettings) -> bool {
        if self.get(&block.entry().id).is_some() {
            return true;
        }
        let bytes = self.bytes.saturating_add(memory(&block));
        if self.blocks.len() >= limits.kept_blocks_max || bytes > limits.kept_bytes_max {
            return false;
        }
        self.bytes = bytes;
        self.blocks.push_back(block);
        true
    }

    pub(crate) fn get(&self, id: &BlockId) -> Option<&WellFormedBlock> {
        self.blocks.iter().find(|block| block.entry().id == *id)
    }

    /// A copy of a kept block as peers want it.
    pub(crate) fn block(&self, id: &BlockId) -> Option<Block> {
        self.get(id).map(|block| Block {
            header: block.sealed().header,
            seal: block.sealed().seal,
            transactions: block.transactions().as_ref().clone(),
        })
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.blocks.iter().map(|block| block.entry().id)
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Takes all of them out, in the order in which they came.
    pub(crate) fn take(&mut self) -> VecDeque<WellFormedBlock> {
        std::mem::take(self).blocks
    }
}

/// About the memory that a block takes.
fn memory(block: &WellFormedBlock) -> usize {
    let witness = PUBLIC_KEY_BYTES + SIGNATURE_BYTES;
    block.transactions().iter().map(|tx| tx.base_len().saturating_add(tx.witnesses.len().saturating_mul(witness))).sum()
}

#[cfg(test)]
mod tests {
    use bq_consensus::{Params, ProvenHeader, SealedHeader, check_body};
    use bq_primitives::{ExtraNonce, Seal};

    use super::*;

    fn block(number: u32) -> WellFormedBlock {
        let params = Params::regtest();
        let Block { mut header, transactions, .. } = params.genesis_block();
        header.height.0 = 0;
        let sealed = SealedHeader { header, seal: Seal::RandomX { extranonce: ExtraNonce::default(), nonce: number } };
        let entry = bq_consensus::IndexEntry { id: sealed.id(), ..params.genesis_entry() };
        check_body(ProvenHeader::assume(sealed, entry), transactions).unwrap()
    }

    #[test]
    fn blocks_come_out_in_order_once_and_neither_limit_is_passed() {
        let bytes = memory(&block(0));
        let limits =
            |blocks, bytes| StoreSettings { kept_blocks_max: blocks, kept_bytes_max: bytes, ..Default::default() };
        for limits in [limits(3, usize::MAX), limits(10, 3 * bytes)] {
            let mut kept = KeptBlocks::default();
            let taken: Vec<_> = (0..5).map(|number| kept.keep(block(number), &limits)).collect();
            assert_eq!(taken, [true, true, true, false, false]);
            assert!(kept.keep(block(1), &limits), "it is there");
            let ids: Vec<_> = kept.take().iter().map(|block| block.entry().id).collect();
            assert_eq!(ids, [0, 1, 2].map(|number| block(number).entry().id));
            assert!(kept.keep(block(4), &limits), "room again");
        }
    }
}
