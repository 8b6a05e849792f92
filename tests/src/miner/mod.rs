//! Small miners, one per Stratum dialect, each on a thread of its own.

mod client;
pub mod ethash;
mod light_ethash;
pub mod randomx;
mod run;
pub mod sha256d;

pub use client::LineClient;
pub use ethash::EthashMode;
pub use light_ethash::LightEthash;
pub use run::{Dialect, Miner, MinerReport, Submission};
