//! A simulator of a pool's days: the real books and their driver on a simulated disk, key, chain and clock, with faults drawn
//! from one seed, and checks that know nothing of the books' own rules.
//!
//! One run is a function of its plan and seed: one thread, one clock, and the same story on every machine. What is not simulated
//! here: Stratum sessions (shares come as a front end hands them on), the rules of blocks beyond what a pool can tell apart, and
//! signatures. Read [`PoolPlan`] (what can happen) and [`run`] first.
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

mod events;
mod operator;
mod world;

mod checks;
mod model;

mod plan;
mod run;

pub use plan::{Planted, PoolPlan};
pub use run::{Broken, PoolStory, run};
