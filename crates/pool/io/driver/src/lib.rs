//! Drives the pool's machine: takes shares and blocks from the Stratum server, tells the log what happened, and carries out what
//! the machine says.
//!
//! [`Pool`] implements [`bq_mining_message::PoolApi`] and [`bq_views::PoolViews`]. Three threads work for it: one keeps the block
//! template fresh, one hands found blocks to the node, one keeps the books. What this crate is not: it decides nothing about
//! money (`bq-pool-machine` does), it speaks no Stratum and hashes nothing, it reaches the chain only through
//! [`bq_chain_api::NodeApi`], and it holds no key: a [`PayoutSigner`] does. Read [`Pool`] and [`PoolConfig`] first; [`DrivenPool`] is the same pool without
//! threads, for whoever owns the clock.

mod clock;
mod coinbase_views;
mod config;
mod direct;
mod driven;
mod error;
mod operator;
mod per_share;
mod pool;
mod signer;

mod keeper;
mod migrate;
mod open;

mod audit;
mod backup;
mod exports;
mod replay;
mod restore;
mod stopped;

mod adopt;
mod carry_out;
mod evidence;
mod finders;
mod follow;
mod frames;
mod log_reader;
mod retention;
mod rounds;
mod scan;
mod signing;
mod stated;
mod trouble;
mod unsigned;

mod intake;
mod rules;
mod source;
mod submitter;
mod templates;

mod history;
mod history_views;
mod metrics;
mod miner_views;
mod notices;
mod rows;
mod settings;
mod stats;
mod views;
mod withholding;

#[cfg(test)]
mod tests;

pub use audit::Findings;
pub use bq_notices::NoticePolicy;
pub use bq_pool_machine::{Decision, DecisionError, PoolOperator, Reason, Upkeep};
pub use clock::{Clock, SystemClock};
pub use config::{PayoutMode, PoolConfig};
pub use driven::{DrivenPool, Surroundings};
pub use error::{BackupError, PoolError, Refusal, StoppedError};
pub use evidence::{Blocks, NodeBlocks, Wanted};
pub use exports::PoolFiles;
pub use pool::Pool;
pub use replay::{ExportOwner, ReplayError, ReplayStep, Replayed, replay_export};
pub use rules::Rules;
pub use signer::{LogReader, LoggedEvent, PayoutSigner, PayoutToSign, SignerError};
pub use stopped::StoppedPool;
