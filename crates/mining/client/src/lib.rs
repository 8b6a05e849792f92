//! Stratum as a miner speaks it, in all six dialects: lines of the pool in, lines and jobs out. No socket, no clock, no
//! randomness, no hashing.
//!
//! [`dialect_of`] makes one [`Dialect`] per connection. It turns what the pool says into [`Job`]s, and a [`Found`] proof into
//! the line that submits it. Read [`Dialect`] first, then [`Work`].

mod dialect;
mod difficulty;
mod ethash;
mod job;
mod randomx;
mod sha256d;

use bq_primitives::Algorithm;

pub use dialect::{Dialect, DialectError, Event, FIRST_SUBMIT_ID};
pub use ethash::EthashDialect;
pub use job::{Found, FoundShare, Job, Proof, Sha256dTemplate, Work};

/// Whom the shares are for.
#[derive(Clone, Debug)]
pub struct Login {
    /// `ADDRESS.worker`.
    pub user: String,
    /// `x`, or options of the pool.
    pub password: String,
    /// Where Ethash nonces begin. The caller draws it: two miners on one header must not search the same nonces.
    pub first_nonce: u64,
}

/// A fresh connection's dialect; `ethash` says which of the four where the algorithm is Ethash.
#[must_use]
pub fn dialect_of(algorithm: Algorithm, login: Login, ethash: EthashDialect) -> Box<dyn Dialect> {
    match algorithm {
        Algorithm::Sha256d => Box::new(sha256d::Sha256d::new(login)),
        Algorithm::RandomX => Box::new(randomx::RandomX::new(login)),
        Algorithm::Ethash => ethash::dialect_of(ethash, login),
    }
}
