//! The line between a pool and the signer of its payouts (SPEC 8.12): [`RemoteSigner`] is the pool's end, [`SignerServer`] the process
//! that holds the key.
//!
//! What this crate is not: it decides nothing (`bq-signer` does) and knows no key file: the server is given a
//! [`bq_pool::PayoutSigner`] that has one. Read [`RemoteSigner`] and [`SignerServer`] first.

mod connections;
mod line;
mod peer;

mod server;
mod store;

mod client;
mod identity;

#[cfg(test)]
mod tests;

pub use client::{RemoteConfig, RemoteSigner};
pub use identity::{IDENTITY_FILE, known_key};
pub use server::{ServerConfig, ServerError, SignerServer};
