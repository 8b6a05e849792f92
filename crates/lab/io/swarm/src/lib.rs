//! Thousands of miners from one process against one Stratum server: what `bq swarm` does.
//!
//! A run is a row of acts, in this order: the crowd comes, rests, hears of new tips, sends shares, is disturbed by floods, and comes
//! back all at once. Each act leaves figures. The server is a process of its own, so that its memory and its processor time are its
//! alone; it is started for the run or given. Everything a miner says is what the built-in miner says ([`bq_stratum_client`]).
//!
//! Read [`Plan`] first, then [`swarm`].

mod acts;
mod board;
mod booked;
mod crowd;
mod figures;
mod finder;
mod flood;
mod forger;
mod lab;
mod metrics;
mod miner;
mod order;
mod plan;
mod quiver;
mod server_process;
mod shares;
mod wire;

pub use acts::swarm;
pub use figures::{Figure, Figures};
pub use plan::{CrowdPlan, FloodKind, FloodPlan, GivenServer, Plan, PlanError, ServerPlan, SharePlan};
