//! What the owner of an address asks of a pool, signed with the key that the address is the hash of (SPEC 11.11.4): one form,
//! whatever is asked. Who carries a request out reads its last line, the wish.
//!
//! What this crate is not: it knows no wish, no clock and nothing of who asked what before. Read [`Request`] first.
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

mod request;
mod signed;

#[cfg(test)]
mod tests;

pub use request::{Request, RequestError};
pub use signed::SignedRequest;
