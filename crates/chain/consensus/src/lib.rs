//! The rules of the chain: what a block must look like, how hard it must be, and how much it counts.
//!
//! Everything here is a pure function of its arguments. Rules see the chain as a [`Branch`] of [`IndexEntry`]s, the coins
//! as a [`CoinView`], proofs through [`ProofOfWork`] and signatures through [`SignatureVerifier`]; "now" is an argument.
//! This crate knows no store, no peer, no mining and no mempool, and decides nothing about which valid chain to follow
//! beyond the number to compare (SPEC 4.4).
//!
//! [`difficulty_reports`] and [`forecast`] explain the difficulty rule to people and run it ahead; no rule reads them.
//!
//! What the next block needs, after a history that came five times too fast:
//!
//! ```
//! use bq_consensus::{Branch as _, HEADER_VERSION, LinearBranch, Params, extend, required_bits};
//! use bq_primitives::{BlockId, Header, MerkleRoot, Timestamp};
//!
//! let params = Params::mainnet();
//! let mut branch = LinearBranch::new(params.genesis_entry());
//! let start = required_bits(&params, &branch);
//! for number in 1..=60 {
//!     let tip = *branch.tip();
//!     // The algorithms take turns, each with exactly the bits that it must carry.
//!     let required = required_bits(&params, &branch);
//!     let next = required[usize::from(number) % required.len()];
//!     let header = Header {
//!         version: HEADER_VERSION,
//!         parent_id: tip.id,
//!         tx_root: MerkleRoot::default(),
//!         witness_root: MerkleRoot::default(),
//!         time: Timestamp(tip.time.0 + 120),
//!         height: tip.height.next().ok_or("the chain ends")?,
//!         bits: next.bits,
//!         algorithm: next.algorithm,
//!     };
//!     branch.push(extend(&params, &branch, &header, BlockId([number; 32]))?);
//! }
//! for (now, then) in required_bits(&params, &branch).iter().zip(&start) {
//!     assert!(now.target < then.target, "{} is harder", now.algorithm);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read [`Params`] (one value per network) first, then the rules in the order in which a block meets them: [`check_header`],
//! [`check_proof`], [`check_body`], [`check_spends`]. Section numbers cite `docs/spec/`.
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

mod asert;
mod branch;
mod burst_guard;
mod chain_work;
mod coin;
mod difficulty;
mod entry;
mod era;
mod error;
mod exp2;
mod forecast;
mod genesis;
mod hashrate;
mod params;
mod pow;
mod report;
mod subsidy;
mod time;
mod validate;
mod weight;

pub use asert::{AsertParams, TargetBounds, UnitFraction};
pub use branch::{Branch, IndexEntry, LinearBranch};
pub use burst_guard::{BURST_FACTOR, BURST_WINDOW_BLOCKS, BurstWindow};
pub use chain_work::{RUN_FREE_BLOCKS, RUN_SHIFT_MAX, block_work, discounted_work, weighted_work};
pub use coin::{Coin, CoinView, SignatureCheck, SignatureVerifier};
pub use difficulty::{DifficultyState, RequiredBits, difficulty_states, required_bits};
pub use entry::extend;
pub use era::{Era, EraAlgorithm, Eras, StartBits};
pub use error::{BlockError, Consequence, TransactionError};
pub use exp2::{EXP2_FACTORS, exp2_fraction, mul_exp2, schedule_exponent};
pub use forecast::{FORECAST_BLOCKS_MAX, ForecastPoint, forecast};
pub use hashrate::{Hashrate, hashrates};
pub use params::{Params, ParamsError};
pub use pow::{ProofOfWork, pow_key};
pub use report::{DifficultyReport, Guard, difficulty_reports};
pub use ruint::aliases::U512;
pub use subsidy::{HALVING_BLOCKS, SUBSIDY_START, subsidy};
pub use time::{TIME_END, median_time_past, min_time};
pub use validate::{
    ContextualHeader, HEADER_VERSION, ProvenHeader, SealedHeader, SpendContext, Spends, TRANSACTION_VERSION,
    ValidBlock, WellFormedBlock, check_body, check_header, check_proof, check_spends, check_transaction,
    check_transaction_coins, check_transaction_signatures, check_transaction_spends,
};
pub use weight::block_weight;
