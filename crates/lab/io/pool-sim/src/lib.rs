//! A simulator of a pool's days: the real books and their driver on a simulated disk, key, chain and clock, with faults drawn
//! from one seed, and checks that know nothing of the books' own rules.
//!
//! One run is a function of its plan and seed: one thread, one clock, and the same story on every machine. Miners speak Stratum
//! to the real sessions and the real judge; proof of work is a lottery behind the trait that the hashing verifier implements. What
//! is not simulated here: the rules of blocks beyond what a pool can tell apart, and signatures. Read [`PoolPlan`] (what can
//! happen) and [`run`] first.
#![expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "simulated sizes are small; a wrong index is a wrong simulator and must stop it"
)]

mod chain;
mod clock;
mod death;
mod disk;
mod node;
mod signer;
mod store;

mod desk;
mod front;
mod lottery;
mod machine;
mod proofs;
mod queue;
mod schemes;

mod events;
mod hostile;
mod mining;
mod operator;
mod world;

mod checks;
mod fairness;
mod model;
mod slow;

mod plan;
mod planted;
mod run;

pub use plan::{Planted, PoolPlan};
pub use run::{Broken, PoolStory, run};
