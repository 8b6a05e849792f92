//! Proof of work for the three algorithms: what exactly is hashed, how it is hashed, and with which tables.
//!
//! [`work`](sha256d_work_header) functions rebuild from a header what miners worked on (SPEC 5.3), the schedule functions say
//! which RandomX key and Ethash epoch a height uses (SPEC 5.4), and [`PowVerifier`] owns the tables and judges proofs.
//! Miners use the same tables through [`PowVerifier::randomx_hasher`] and [`PowVerifier::ethash_hasher`], and
//! [`Sha256dWork`].
//!
//! This crate decides neither which key nor which target a block must use: callers take both from their chain, never
//! from a peer or a miner. It is the only crate with `unsafe` code: each block says why it is sound, and has a test against
//! an independent implementation. Read [`PowVerifier`] and [`PowError`] first.
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
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "tests ask for tables from several threads, and Linux for its view of them"
    )
)]

mod error;
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "Ethash is defined on wrapping 32-bit words and indices reduced modulo the length of their table"
)]
mod ethash;
#[expect(
    clippy::arithmetic_side_effects,
    reason = "rounds of SHA-256 wrap, offsets stay below the count that was asked for, and counters do not reach 2^64"
)]
mod gpu;
mod memory;
mod priority;
mod randomx;
mod resident;
mod schedule;
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "lanes and words are compile-time constants; nonces stay below 2^32 by construction"
)]
mod sha256d;
mod verifier;
mod work;

pub use error::PowError;
pub use ethash::{
    ETHASH_CHUNK_BYTES, ETHASH_EPOCH_MAX, EthashBuild, EthashBuilt, EthashCache, EthashChunkStore, EthashHasher,
    EthashProof, EthashTask, NoChunkStore, ethash_cache_bytes, ethash_dataset_bytes, ethash_epoch_of_seed,
    ethash_final, ethash_seed, keccak256, keccak512,
};
pub use gpu::{GpuCounters, GpuDevice, GpuError, GpuInfo};
pub use memory::huge_page_bytes;
pub use priority::lower_thread_priority;
pub use randomx::{
    RANDOMX_CACHE_BYTES, RANDOMX_DATASET_BYTES, RANDOMX_INTERLEAVED, RandomXDatasetOfKey, RandomXEngine, RandomXHasher,
    RandomXItemsOfKey, RandomXOfKey,
};
pub use schedule::{ETHASH_EPOCH_BLOCKS, ethash_epoch, randomx_key_height};
pub use sha256d::{Sha256dKernel, Sha256dKernelError, Sha256dWork, sha256d};
pub use verifier::{PowConfig, PowCounters, PowVerifier, RandomXMode};
pub use work::{
    CoinbaseParts, EthashWorkHash, coinbase_parts, ethash_work_hash, randomx_blob, sha256d_work_header,
    sha256d_work_root, work_coinbase, work_header,
};
