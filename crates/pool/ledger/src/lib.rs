//! Everything that decides how much each miner is owed, in integers only: what a share is worth, which shares a block
//! pays, how its reward is split, and the double-entry books that remember it.
//!
//! What this crate is not: it knows no Stratum, no SQL, no clock and no chain. It is told which block was found, matured
//! or orphaned, and answers with the transfers to append; `bq-books` keeps them, `bq-pool-machine` decides when.
//!
//! Read [`Window`] and [`Transfer`] first. Section numbers cite `docs/spec/`.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod fill;
mod sliding;
mod tides;
mod weight;
mod window;

mod accrual;
mod distribution;
mod exponential;
mod fee_average;
mod per_share;
mod reserve;
mod share_value;
mod solo;

mod cause;
mod chart;
mod transfer;

mod block_transfers;
mod loss;
mod payout;
mod pps_transfers;

mod audit;
mod books;
mod error;

#[cfg(test)]
mod tests;

pub use accrual::Accrual;
pub use audit::{AuditError, AuditReport, Auditor};
pub use block_transfers::{BlockCredit, mature, pay_in_coinbase, reverse_credit};
pub use books::Books;
pub use cause::{Cause, TransferCode};
pub use chart::{LedgerAccount, ParseAccountError, Side};
pub use distribution::{Distribution, FeeBasisPoints, FeeError, distribute};
pub use error::LedgerError;
pub use fee_average::FeeAverage;
pub use loss::lost_block;
pub use payout::{Payee, PayoutPlan};
pub use per_share::PerShare;
pub use pps_transfers::{PpsIncome, mature_income, pps_credit};
pub use reserve::{EffectiveFee, LossRate, LossRateError, ReserveNeed, RuinBound};
pub use share_value::ShareValue;
pub use sliding::SlidingWindow;
pub use solo::solo;
pub use tides::TidesFold;
pub use transfer::{ChainedTransfer, JournalHash, Transfer, TransferKey};
pub use weight::ShareWeight;
pub use window::{Head, Window, WindowFold, WindowUnits, WindowUnitsError};
