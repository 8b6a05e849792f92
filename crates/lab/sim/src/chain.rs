use bq_consensus::{Branch, HEADER_VERSION, IndexEntry, LinearBranch, Params, RequiredBits, SealedHeader, min_time};
use bq_primitives::{Algorithm, Header, Height, MerkleRoot, Seal, Timestamp, U256};

use crate::{Rule, View};

/// One chain and the rule it lives under. A clone is a fork.
#[derive(Clone)]
pub struct Chain<'a> {
    params: &'a Params,
    rule: &'a dyn Rule,
    branch: LinearBranch,
    found: [u32; Algorithm::COUNT],
    required: Vec<RequiredBits>,
}

impl<'a> Chain<'a> {
    /// Genesis alone.
    #[must_use]
    pub fn new(params: &'a Params, rule: &'a dyn Rule) -> Self {
        let branch = LinearBranch::new(params.genesis_entry());
        let found = [0; Algorithm::COUNT];
        let required = rule.required(&View { params, branch: &branch, found: &found });
        Self { params, rule, branch, found, required }
    }

    /// The constants it was made with.
    #[must_use]
    pub const fn params(&self) -> &'a Params {
        self.params
    }

    /// Its blocks.
    #[must_use]
    pub const fn branch(&self) -> &LinearBranch {
        &self.branch
    }

    /// Its last block.
    #[must_use]
    pub fn tip(&self) -> &IndexEntry {
        self.branch.tip()
    }

    /// Blocks above genesis.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        self.tip().height.0
    }

    /// What the next block needs, for each algorithm that is active.
    #[must_use]
    pub fn required(&self) -> &[RequiredBits] {
        &self.required
    }

    /// Blocks of an algorithm.
    #[must_use]
    pub const fn found(&self, algorithm: Algorithm) -> u32 {
        self.found[algorithm.index()]
    }

    /// Expected hashes of the next block, by [`Algorithm::index`]; infinite where the algorithm is not active.
    #[must_use]
    pub fn work(&self) -> [f64; Algorithm::COUNT] {
        let mut works = [f64::INFINITY; Algorithm::COUNT];
        for required in &self.required {
            works[required.algorithm.index()] = crate::setup::work(required.target);
        }
        works
    }

    /// The earliest time that the next block may state.
    #[must_use]
    pub fn earliest(&self) -> Timestamp {
        min_time(self.params, &self.branch)
    }

    /// Puts a block on top, whose miner found a proof at `now` by its own clock.
    ///
    /// # Panics
    /// When the algorithm is not active, or the rule refuses the block.
    pub fn mine(&mut self, algorithm: Algorithm, time: Timestamp, now: Timestamp) -> &IndexEntry {
        let bits = self.required.iter().find(|required| required.algorithm == algorithm);
        let bits = bits.unwrap_or_else(|| panic!("{algorithm} is not active")).bits;
        let tip = self.tip();
        let header = Header {
            version: HEADER_VERSION,
            parent_id: tip.id,
            tx_root: MerkleRoot::ZERO,
            witness_root: MerkleRoot::ZERO,
            time,
            height: Height(tip.height.0 + 1),
            bits,
            algorithm,
        };
        let view = View { params: self.params, branch: &self.branch, found: &self.found };
        let entry = self.rule.entry(&view, SealedHeader { header, seal: Seal::blank(algorithm) }, now);
        self.branch.push(entry);
        self.found[algorithm.index()] += 1;
        self.required = self.rule.required(&View { params: self.params, branch: &self.branch, found: &self.found });
        self.tip()
    }

    /// What the last block added to chain work.
    #[must_use]
    pub fn last_weight(&self) -> U256 {
        let tip = self.tip();
        let below = tip.height.previous().and_then(|height| self.branch.entry(height));
        below.map_or(U256::ZERO, |below| tip.chain_work.0.saturating_sub(below.chain_work.0))
    }
}
