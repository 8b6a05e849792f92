//! A network of whole nodes in virtual time: the real peer-to-peer state machine (`bq-sync`), block tree and coins
//! (`bq-tree`) and rules (`bq-consensus`), with links that are slow, break, and fall apart into parts.
//!
//! What stands in: a proof of work is a ticket that only the lottery of mining hands out, a signature is its message, and
//! the shell (`bq-net`, `bq-node`) is a short model of itself: links, dialing, refusals, times for verification. Read
//! [`NetworkPlan`] and [`NetworkRun`] first.

mod chain;
mod connections;
mod explain;
mod hashing;
mod links;
mod measure;
mod mining;
mod node;
mod plan;
mod stand_in;
mod world;

pub use explain::Cause;
pub use measure::{CutOff, Healed, NetworkBlock, NetworkRun, Reorg};
pub use plan::{Conduct, NetworkPlan, Partition, PowerChange};
