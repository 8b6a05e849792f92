//! The quantities and records every other crate speaks in: hashes, heights, times, targets, work,
//! amounts, headers, seals, transactions and blocks, with their one bounded binary encoding.
//!
//! This crate holds shapes, not rules: whether a header is *allowed* is decided in `bq-consensus`.
//! It reads no clock, no file and no socket. Read [`Header`] and [`Transaction`] first.
//! Section numbers cite `docs/spec/`.
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

mod account;
mod address;
mod algorithm;
mod amount;
mod block;
mod body;
mod codec;
mod hash;
mod header;
mod height;
mod merkle;
mod network;
mod pow_key;
mod pow_value;
mod seal;
mod sealed_header;
mod share;
mod target;
mod time;
mod transaction;
mod weight;
mod work;

pub use account::{AccountId, WorkerName, WorkerNameError};
pub use address::{Address, AddressError};
pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use amount::{Amount, AmountError};
pub use block::{Block, block_weight, tx_root, witness_root};
pub use body::{CoinbasePaths, UnsealedBody};
pub use codec::{DecodeError, Decoder, put_compact_size};
pub use hash::{
    BlockId, KeyHash, MerkleRoot, ParseHashError, PowHash, SealHash, SigHash, TaggedHasher, TxId, WtxId,
    account_request_hash, double_sha256, key_hash, tagged_hash,
};
pub use header::{HEADER_BYTES, Header};
pub use height::Height;
pub use merkle::{merkle_path_of_first, merkle_root, merkle_root_of_first};
pub use network::{Network, UnknownNetwork};
pub use pow_key::PowKey;
pub use pow_value::PowValue;
pub use ruint::aliases::U256;
pub use seal::{ExtraNonce, Seal};
pub use sealed_header::{NamedHeader, SealedHeader};
pub use share::{NetworkDifficulty, ShareDifficulty};
pub use target::{CompactError, CompactParts, CompactTarget, ParseTargetError, Target};
pub use time::Timestamp;
pub use transaction::{
    COINBASE_DATA_BYTES_MAX, OutPoint, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Transaction, TxOut, Witness,
};
pub use weight::{BlockWeight, WeightError};
pub use work::Work;
