//! RandomX v1 (`rx/0`): its reference library in an own safe wrapper, and faster ways of our own to compute dataset items
//! ([`items`]) and to run programs ([`vm`]).
//!
//! A cache (256 MiB, from a key) is enough to hash in light mode; a dataset (2,080 MiB, from a cache) hashes six to ten
//! times as fast. Both give the same values.

#[expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "at most 64 bytes of 64 are given out")]
mod blake_generator;
mod cache;
mod dataset;
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod elsewhere;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod executable;
mod ffi;
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "registers and lanes are numbered by constants, lines by a masked index; words wrap by definition"
)]
mod items;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(clippy::indexing_slicing, reason = "as many machines are borrowed as the largest group of inputs has")]
mod light;
mod published;
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "eight registers numbered below eight; counts and cycles stay below a thousand"
)]
mod superscalar;
mod tables;
#[cfg(test)]
mod tests;
mod vm;

pub use cache::RANDOMX_CACHE_BYTES;
pub use dataset::RANDOMX_DATASET_BYTES;
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(crate) use elsewhere::LightHashers;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) use light::LightHashers;
pub use published::{RandomXDatasetOfKey, RandomXItemsOfKey, RandomXOfKey};
pub use tables::RandomXHasher;
pub(crate) use tables::{DatasetSlot, KeyTables};
pub use vm::{RANDOMX_INTERLEAVED, RandomXEngine};
