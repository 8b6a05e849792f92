use bq_consensus::{BlockError, TransactionError};
use bq_mempool::AdmitError;
use bq_primitives::{BlockId, DecodeError};

/// What no block gets over. The rule keeps its type, and with it its consequence, on the way to whoever sent the block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockRefusal {
    /// It breaks this rule.
    #[error(transparent)]
    Rule(Box<BlockError>),
    /// It, or an ancestor of it, broke a rule before.
    #[error("block {0} is known to be invalid")]
    KnownInvalid(BlockId),
    /// Its bytes are no block.
    #[error("not a block: {0}")]
    Encoding(#[from] DecodeError),
    /// A node at the other end of a wire says so; all that came over are its words.
    #[error("{0}")]
    Told(String),
}

impl From<BlockError> for BlockRefusal {
    fn from(rule: BlockError) -> Self {
        Self::Rule(Box::new(rule))
    }
}

impl BlockRefusal {
    /// Points against a peer that sent it; 100 is a ban.
    #[must_use]
    pub fn misbehavior(&self) -> u32 {
        match self {
            Self::Rule(error) => error.misbehavior(),
            Self::KnownInvalid(_) | Self::Encoding(_) => BlockError::MISBEHAVIOR_MAX,
            Self::Told(_) => 0,
        }
    }
}

/// Why a transaction is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionRefusal {
    /// It breaks this rule.
    #[error(transparent)]
    Rule(#[from] TransactionError),
    /// It does not fit the mempool.
    #[error(transparent)]
    Mempool(#[from] AdmitError),
    /// A node at the other end of a wire says so; all that came over are its words.
    #[error("{0}")]
    Told(String),
}

impl TransactionRefusal {
    /// Points against a peer that relayed it; 100 is a ban.
    #[must_use]
    pub const fn misbehavior(&self) -> u32 {
        match self {
            Self::Rule(error) => error.misbehavior(),
            Self::Mempool(error) => error.misbehavior(),
            Self::Told(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use bq_primitives::{Height, OutPoint, TxId};

    use super::*;

    const ID: BlockId = BlockId([1; 32]);
    const COIN: OutPoint = OutPoint { txid: TxId([2; 32]), index: 3 };

    /// The price is the one beside the rule, whichever way the refusal came about.
    #[test]
    fn a_refusal_costs_what_its_rule_says() {
        let blocks = [
            (BlockRefusal::from(BlockError::HeightEnd), 100),
            (BlockRefusal::from(BlockError::BrokenBranch), 0),
            (BlockRefusal::KnownInvalid(ID), 100),
            (BlockRefusal::Encoding(DecodeError::CountTooLarge { got: 2, max: 1 }), 100),
            (BlockRefusal::Told("a rule".to_owned()), 0),
        ];
        for (refusal, price) in blocks {
            assert_eq!(refusal.misbehavior(), price, "{refusal}");
        }
        let transactions = [
            (TransactionRefusal::Rule(TransactionError::NoOutputs), 100),
            (TransactionRefusal::Rule(TransactionError::MissingCoin { outpoint: COIN }), 5),
            (TransactionRefusal::Mempool(AdmitError::Coinbase), 100),
            (TransactionRefusal::Mempool(AdmitError::FeeTooLow { got: 1, required: 2 }), 5),
            (TransactionRefusal::Mempool(AdmitError::NotYetValid { valid_from: Height(9), next: Height(8) }), 1),
            (TransactionRefusal::Told("a rule".to_owned()), 0),
        ];
        for (refusal, price) in transactions {
            assert_eq!(refusal.misbehavior(), price, "{refusal}");
        }
    }
}
