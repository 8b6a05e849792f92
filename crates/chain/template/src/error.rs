use bq_primitives::{AmountError, Timestamp};

/// Why there is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The request can never succeed: too much free data.
    #[error("coinbase data has {got} bytes; at most {max} are allowed")]
    CoinbaseDataTooLong {
        /// Bytes asked for.
        got: usize,
        /// The most allowed (SPEC 6.6).
        max: usize,
    },
    /// The transactions do not fit: more was selected than [`crate::room_for_transactions`] allows.
    #[error("block would weigh {got}; at most {max} is allowed")]
    TooHeavy {
        /// Weight of the block, in units.
        got: u64,
        /// The most allowed (SPEC 6.5).
        max: u64,
    },
    /// The chain's times run ahead of this clock, so that any block would be refused for now. Waiting cures it.
    #[error("next block's time is at least {earliest}; this clock allows at most {latest}")]
    ClockBehind {
        /// Median time past plus one.
        earliest: Timestamp,
        /// The local clock plus the future limit (SPEC 2.3).
        latest: Timestamp,
    },
    /// No algorithm is active, so the facts are wrong.
    #[error("no algorithm is active at the next height")]
    NoAlgorithm,
    /// Subsidy and fees exceed the largest amount.
    #[error("reward: {0}")]
    Reward(#[from] AmountError),
}
