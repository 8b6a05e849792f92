use std::sync::Arc;

use bq_primitives::{
    Algorithm, Amount, Block, BlockId, BlockWeight, CoinbasePaths, Header, Height, KeyHash, PowKey, Seal, Target,
    Transaction, TxOut, UnsealedBody,
};

/// What the miner chooses about a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRequest {
    /// The key that the coinbase pays.
    pub payout: KeyHash,
    /// Free data for the coinbase, at most 96 bytes.
    pub coinbase_data: Vec<u8>,
    /// How many outputs [`Template::set_coinbase`] may give the coinbase later; their weight is kept free. At least 1.
    pub outputs_max: u32,
}

impl TemplateRequest {
    /// For a coinbase that stays as it is: one output.
    #[must_use]
    pub const fn new(payout: KeyHash, coinbase_data: Vec<u8>) -> Self {
        Self { payout, coinbase_data, outputs_max: 1 }
    }
}

/// An unsealed block: one body, and one candidate header for each algorithm that may seal it.
#[derive(Clone, Debug)]
pub struct Template {
    /// The tip it builds on.
    pub parent_id: BlockId,
    /// Height of the block to be.
    pub height: Height,
    /// Subsidy and fees together: the sum of the coinbase's outputs.
    pub reward: Amount,
    /// Fees alone.
    pub fees: Amount,
    /// What a coinbase may weigh at most: as asked for.
    pub coinbase_weight_max: BlockWeight,
    /// What the roots of a header need beside its coinbase.
    pub paths: CoinbasePaths,
    /// One per active algorithm, in increasing id.
    pub works: Vec<TemplateWork>,
}

/// A template's header for one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateWork {
    /// The header to be sealed.
    pub header: Header,
    /// What its bits decode to.
    pub target: Target,
    /// Which table the algorithm uses at this height.
    pub key: PowKey,
    /// What it commits to. All works share the transactions behind the coinbase.
    pub body: UnsealedBody,
}

/// A coinbase that a template cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoinbaseError {
    /// No block of this algorithm is possible at this height.
    #[error("{0} is not active")]
    Inactive(Algorithm),
    /// It would pay other than subsidy and fees.
    #[error("outputs of {got} atoms, the reward is {reward}")]
    Sum {
        /// What the outputs sum to.
        got: u128,
        /// Subsidy and fees.
        reward: Amount,
    },
    /// There was no room kept free for so much.
    #[error("a coinbase of weight {got}, {max} is kept free")]
    TooHeavy {
        /// Its weight units.
        got: u64,
        /// The most.
        max: u64,
    },
}

impl Template {
    /// The candidate header of `algorithm`, if it is active at this height.
    #[must_use]
    pub fn work(&self, algorithm: Algorithm) -> Option<&TemplateWork> {
        self.works.iter().find(|work| work.header.algorithm == algorithm)
    }

    /// The block that a seal completes; nothing if the seal's algorithm is not active.
    #[must_use]
    pub fn seal(&self, seal: Seal) -> Option<Block> {
        let TemplateWork { header, body, .. } = self.work(seal.algorithm())?;
        Some(Block { header: *header, seal, transactions: body.to_transactions() })
    }

    /// Gives the block of one algorithm another coinbase. It stays valid: whom a coinbase pays is free, as long as it pays
    /// no more than subsidy and fees (SPEC 6.6); less would be lost for good, and is refused here.
    ///
    /// # Errors
    /// [`CoinbaseError`]; the template is as it was then.
    pub fn set_coinbase(
        &mut self,
        algorithm: Algorithm,
        outputs: Vec<TxOut>,
        data: Vec<u8>,
    ) -> Result<(), CoinbaseError> {
        let sum = outputs.iter().fold(0, |sum: u128, output| sum.saturating_add(u128::from(output.amount.atoms())));
        if sum != u128::from(self.reward.atoms()) {
            return Err(CoinbaseError::Sum { got: sum, reward: self.reward });
        }
        let coinbase = Transaction::coinbase(self.height, outputs, data);
        let (got, max) = (coinbase.weight().map_or(u64::MAX, BlockWeight::units), self.coinbase_weight_max.units());
        if got > max {
            return Err(CoinbaseError::TooHeavy { got, max });
        }
        let work = self.works.iter_mut().find(|work| work.header.algorithm == algorithm);
        let work = work.ok_or(CoinbaseError::Inactive(algorithm))?;
        (work.header.tx_root, work.header.witness_root) = self.paths.roots(&coinbase);
        work.body.coinbase = Arc::new(coinbase);
        Ok(())
    }
}
