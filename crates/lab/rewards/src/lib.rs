//! What strategies earn in a pool: luck is drawn, everything between a share and its credit is the ledger's own integer code.
//!
//! What this crate is not: it knows no chain, no miner's program and no database; `bq-pool-sim` tells the days of a whole pool. Floating point is for the
//! statistics of what was paid, never for a payment. One run is a function of its [`Plan`]: how many batches, how long and from which seed is
//! fixed before, so that nobody stops where the figures look good.
//!
//! Read [`Plan`] (what is run) and [`Pool`] (who is paid for what) first. Section numbers cite `docs/spec/`.
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "drawn counts and bounds, far below 2^53")]

mod estimate;
mod pool;
mod scheme;

mod difficulty;
mod strategy;

mod hopping;
mod ruin;
mod share_size;
mod split;
mod withholding;
mod young;

mod plan;
mod table;

#[cfg(test)]
mod tests;

pub use difficulty::Difficulties;
pub use estimate::{Estimate, Z_95, Z_OF_FOUR};
pub use hopping::{Hopping, hopping};
pub use plan::{Plan, Row, Section};
pub use pool::{Paid, Pool, SimJob, SimShare};
pub use ruin::{Ruin, RuinCase, ruin};
pub use scheme::Scheme;
pub use share_size::{HeadRule, SizeBias, share_size_bias};
pub use split::{SplitCost, splitting};
pub use strategy::{Outlook, Strategy};
pub use table::table;
pub use withholding::{Loss, withholding};
pub use young::{Start, early_gain};
