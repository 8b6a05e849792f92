use bq_primitives::{Amount, BlockId, Height, TxId};
use serde::{Deserialize, Serialize};

use crate::PayoutId;

/// A coin of the pool's key on the best chain, spent or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolCoin {
    /// Its worth.
    pub amount: Amount,
    /// Height of the block that made it.
    pub height: Height,
    /// Where it comes from.
    pub origin: Origin,
    /// The payout whose input it is, while that may still spend it or has.
    pub payout: Option<PayoutId>,
    /// What spent it on the best chain.
    pub spent: Option<Spent>,
    /// It existed when the log was restored: a payout that the log does not know may spend it.
    pub suspect: bool,
}

/// Where a coin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A pool block pays it; it may be spent once the block matured.
    Block(BlockId),
    /// What a payout left over; it may be spent once the payout is final.
    Change(PayoutId),
    /// Somebody sent it.
    Stranger {
        /// A coinbase made it.
        coinbase: bool,
        /// It is buried and in the books as a gift.
        booked: bool,
        /// A person said that it makes good for missing coins: miners may be paid with it.
        trusted: bool,
    },
}

/// A spend on the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The transaction.
    pub by: TxId,
    /// Height of its block.
    pub height: Height,
    /// A person said what it was; always false in an event.
    pub explained: bool,
}
