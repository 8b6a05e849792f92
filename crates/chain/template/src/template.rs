use std::sync::Arc;

use bq_primitives::{
    Algorithm, Amount, Block, BlockId, BlockWeight, CoinbasePaths, Header, Height, PowKey, Seal, Target, Transaction,
};

/// An unsealed block: one body, one header for each algorithm that may seal it.
#[derive(Clone, Debug)]
pub struct BlockTemplate {
    /// The tip it builds on.
    pub parent_id: BlockId,
    /// Height of the block to be.
    pub height: Height,
    /// Subsidy and fees together: the sum of the coinbase's outputs.
    pub reward: Amount,
    /// Fees alone.
    pub fees: Amount,
    /// Weight of the block with the longest seal among its algorithms.
    pub weight: BlockWeight,
    /// Of that, what is kept free for the coinbase.
    pub coinbase_weight_max: BlockWeight,
    /// What the roots of a header need beside the coinbase.
    pub paths: CoinbasePaths,
    /// The coinbase first, then parents before children.
    pub transactions: Arc<Vec<Transaction>>,
    /// One per active algorithm, in increasing id.
    pub candidates: Vec<CandidateHeader>,
}

/// A header that waits for its seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandidateHeader {
    /// The header to be sealed.
    pub header: Header,
    /// What its bits decode to.
    pub target: Target,
    /// Which table the algorithm uses at this height.
    pub key: PowKey,
}

impl BlockTemplate {
    /// The candidate of `algorithm`, if it is active at this height.
    #[must_use]
    pub fn candidate(&self, algorithm: Algorithm) -> Option<&CandidateHeader> {
        self.candidates.iter().find(|candidate| candidate.header.algorithm == algorithm)
    }

    /// The block that a seal completes; nothing if the seal's algorithm is not active.
    #[must_use]
    pub fn seal(&self, seal: Seal) -> Option<Block> {
        let header = self.candidate(seal.algorithm())?.header;
        Some(Block { header, seal, transactions: self.transactions.as_ref().clone() })
    }
}
