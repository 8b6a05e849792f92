//! RandomX v1 (`rx/0`) by its reference library, in an own safe wrapper.
//!
//! A cache (256 MiB, from a key) is enough to hash in light mode; a dataset (2,080 MiB, from a cache) hashes six to ten
//! times as fast. Both give the same values.

mod cache;
mod dataset;
mod ffi;
mod published;
mod tables;
#[cfg(test)]
mod tests;
mod vm;

pub use cache::RANDOMX_CACHE_BYTES;
pub use dataset::RANDOMX_DATASET_BYTES;
pub use published::RandomXOfKey;
pub use tables::RandomXHasher;
pub(crate) use tables::{DatasetSlot, KeyTables};
