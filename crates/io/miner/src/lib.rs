//! The built-in hybrid miner: threads that take turns at the three algorithms, and a small Stratum client for each dialect,
//! so that a node mines through its own pool's ports exactly as a stranger's miner would.
//!
//! It knows nothing of the chain: work and targets come from a pool, tables from the [`PowVerifier`](bq_pow::PowVerifier) it
//! is given. Read [`MinerConfig`] and [`Miner`] first; [`Bench`] measures hashing alone.

mod bench;
mod client;
mod config;
mod job;
mod kernel;
mod metrics;
mod miner;
mod search;
mod shared;
mod stats;
mod worker;

pub use bench::{Bench, BenchError};
pub use config::{Endpoint, EndpointError, MinerConfig, MinerConfigError, THREADS_MAX, TargetSource};
pub use kernel::{Sha256dKernelReport, fastest_sha256d_kernel, sha256d_kernels};
pub use miner::Miner;
pub use stats::{AlgorithmStats, MinerStats};
