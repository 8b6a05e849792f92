//! Ethash as published (revision 23), with this chain's own epoch rule (SPEC 5.4).
//!
//! `hashimoto` is the slow model; `lockstep` (from the cache) and `full` (from the dataset) do the same for many tasks at once,
//! which hides memory latency.

mod cache;
mod dataset;
mod datasets;
mod full;
mod hasher;
mod hashimoto;
mod keccak;
mod lockstep;
mod seed;
mod sizes;

pub use cache::EthashCache;
pub(crate) use cache::Node;
pub(crate) use dataset::EthashDataset;
pub use dataset::{ETHASH_CHUNK_BYTES, EthashBuild, EthashBuilt, EthashChunkStore, NoChunkStore};
pub(crate) use datasets::EthashDatasets;
pub use hasher::EthashHasher;
pub use hashimoto::{EthashProof, ethash_final};
pub use keccak::{keccak256, keccak512};
pub use lockstep::EthashTask;
pub use seed::{ETHASH_EPOCH_MAX, ethash_epoch_of_seed, ethash_seed};
pub use sizes::{ethash_cache_bytes, ethash_dataset_bytes};
