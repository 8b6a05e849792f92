//! ML-DSA-65 (FIPS 204): the one place where signatures are made and checked (SPEC 6.2).
//!
//! Verification is consensus: two libraries that disagree about one signature split the chain. So there is one wrapper
//! around one pinned implementation (aws-lc-rs), lengths are exact by type, and the context string is always empty.
//! The tests run it against a second, independent implementation in both directions. On WebAssembly, where the first does not
//! build, that one checks signatures: there proofs of a pool are read (SPEC 8.10) and nothing is decided about blocks.
//!
//! What this crate is not: it holds no key files (`bq-wallet` does) and does not know what a message means
//! (`bq_primitives::Transaction::sighash` makes it). Read [`verify`] and [`KeyPair`] first.
//!
//! Keys are a pure function of a seed that the caller gives. Verification is pure too. Signing alone is not: the
//! implementation mixes fresh randomness into every signature ("hedged" signing, FIPS 204 section 3.4), so that a fault
//! injected while signing reveals nothing; only the shell signs.
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

#[cfg(not(target_family = "wasm"))]
mod key_pair;
mod verify;

#[cfg(not(target_family = "wasm"))]
pub use key_pair::{KeyPair, SEED_BYTES, SignatureError};
pub use verify::verify;
