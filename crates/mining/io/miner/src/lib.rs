//! The built-in hybrid miner: threads that take turns at the three algorithms, and a small Stratum client for each dialect,
//! so that a node mines through its own pool's ports exactly as a stranger's miner would.
//!
//! It knows nothing of the chain: work and targets come from a pool, tables from the [`PowVerifier`](bq_pow::PowVerifier) it
//! is given; what a block takes and brings it may ask a [`BlockSource`]. Read [`MinerConfig`] and [`Miner`] first; [`Bench`]
//! measures hashing alone.

mod affinity;
mod auto;
mod backend;
mod bench;
mod client;
mod config;
mod controller;
mod dataset;
mod events;
mod gpu;
mod huge_pages;
mod job;
mod kernel;
mod meter;
mod metrics;
mod miner;
mod search;
mod shared;
mod speed;
mod stats;
mod tls;
mod worker;

pub use affinity::{Affinity, CpuMask, CpuMaskError};
pub use bench::{Bench, BenchError};
pub use bq_stratum_client::{ClientSettings, Endpoint, EndpointError};
pub use config::{BlockSource, MinerConfig, MinerConfigError, NextBlock, THREADS_MAX};
pub use events::MinerEvent;
pub use huge_pages::log_huge_pages;
pub use kernel::{Sha256dKernelReport, fastest_sha256d_kernel, sha256d_kernel, sha256d_kernels};
pub use miner::Miner;
pub use stats::{AlgorithmStats, Hashrates, MinerStats};
pub use tls::TlsTrust;
