use serde::{Deserialize, Serialize};

use bq_chain_api::AtomsView;

use crate::BlockView;

/// Something that just happened, as the live feed tells it (`GET /api/v1/events`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The best chain has a new end.
    Tip {
        /// Its height.
        height: u32,
        /// Its id.
        id: String,
        /// Name of the algorithm that sealed it.
        algorithm: String,
        /// Its time, seconds since 1970.
        time: u64,
    },
    /// The pool found a block, or one of its blocks changed state.
    Block(BlockView),
    /// A payout changed state.
    Payout {
        /// The transaction.
        txid: String,
        /// Sum of its payments.
        amount: AtomsView,
        /// How many accounts it pays.
        payees: usize,
        /// As in `PayoutView`.
        state: String,
    },
}
