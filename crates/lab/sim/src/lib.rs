//! A simulator of chains: miners with hash rates and habits, mining under the real rules.
//!
//! Every simulated block gets its bits from [`bq_consensus::required_bits`] and its place in the chain from
//! [`bq_consensus::check_header`]; only the lottery of mining is simulated. No formula of the rules is repeated here. What
//! is not simulated there: proofs, transactions, the network between miners (a block is known to all at once). The network is
//! what [`NetworkPlan`] is about: whole nodes, their links, and what keeps them apart.
//!
//! One run is a function of its scenario and seed: single-threaded, no clock, no entropy, and the same figures on every
//! machine as far as `f64` logarithms agree. Floating point is fine here, because nothing here is consensus.
//!
//! Read [`Scenario`] (what can be run) and [`World`] (how miners and a chain make blocks) first.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "simulated times and figures for people: small, not negative, and never fed back into a rule unrounded"
)]

mod chain;
mod lottery;
mod measure;
mod miner;
mod network;
mod race;
mod report;
mod rule;
mod scenario;
mod setup;
mod world;

pub use bq_random::Rng;
pub use chain::Chain;
pub use lottery::{Draw, Lottery};
pub use measure::{Measure, Summary, most_in_any_hour, recovery_blocks};
pub use miner::{Miner, Power, Stamps};
pub use network::{
    Cause, Conduct, CutOff, Healed, NetworkBlock, NetworkPlan, NetworkRun, Partition, PowerChange, Reorg,
};
pub use race::{Race, RacePoint, RaceResult};
pub use report::{chart, csv, table};
pub use rule::{Consensus, Rule, View};
pub use scenario::{ChainPlan, Outcome, Plan, Scenario, Trace};
pub use setup::{Setup, log2};
pub use world::{BlockRecord, Run, Until, World};
