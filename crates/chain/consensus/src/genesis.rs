use bq_primitives::{Algorithm, Block, BlockId, CompactTarget, Header, Height, MerkleRoot, Seal, Transaction, Work};

use crate::{IndexEntry, Params};

/// Bits of every genesis header. They bind nothing: a genesis block is given, not mined (SPEC 1.2).
const GENESIS_BITS: CompactTarget = CompactTarget(0x207f_ffff);

impl Params {
    /// The first block of this network's chain (SPEC 1.2): no proof, no coins, and a coinbase that names the network.
    #[must_use]
    pub fn genesis_block(&self) -> Block {
        let data = format!("bq {} genesis", self.network).into_bytes();
        let header = Header {
            version: crate::HEADER_VERSION,
            parent_id: BlockId::ZERO,
            tx_root: MerkleRoot::ZERO,
            witness_root: MerkleRoot::ZERO,
            time: self.genesis_time,
            height: Height::GENESIS,
            bits: GENESIS_BITS,
            algorithm: Algorithm::Sha256d,
        };
        let seal = Seal::blank(header.algorithm);
        let transactions = vec![Transaction::coinbase(Height::GENESIS, Vec::new(), data)];
        let mut block = Block { header, seal, transactions };
        block.header.tx_root = block.tx_root();
        block.header.witness_root = block.witness_root();
        block
    }

    /// The name of [`Params::genesis_block`], which every signature on this network commits to.
    #[must_use]
    pub fn genesis_id(&self) -> BlockId {
        self.genesis_block().id()
    }

    /// The light index of [`Params::genesis_block`]: where every branch starts.
    #[must_use]
    pub fn genesis_entry(&self) -> IndexEntry {
        IndexEntry {
            id: self.genesis_id(),
            parent_id: BlockId::ZERO,
            height: Height::GENESIS,
            time: self.genesis_time,
            clock: self.genesis_time,
            algorithm: None,
            bits: GENESIS_BITS,
            base_bits: [None; Algorithm::COUNT],
            run: 0,
            last_of_algorithm: [None; Algorithm::COUNT],
            chain_work: Work::ZERO,
        }
    }
}
