//! Stratum as a miner speaks it, in all six dialects: lines of the pool in, lines and jobs out. And whom a miner speaks to:
//! which pool is tried when, what is put up with, what becomes of each share. No socket, no clock, no randomness, no hashing.
//!
//! [`dialect_of`] makes one [`Dialect`] per connection. It turns what the pool says into [`Job`]s, and a [`Found`] proof into
//! the line that submits it. [`Outbox`] holds the shares of a connection, [`Progress`] says when its patience ends, and [`Pools`] which one comes
//! next. Read [`Dialect`] first, then [`Work`] and [`Progress`].

mod dialect;
mod difficulty;
mod endpoint;
mod ethash;
mod job;
mod lines;
mod outbox;
mod pools;
mod progress;
mod randomx;
mod settings;
mod sha256d;

use bq_primitives::Algorithm;

pub use dialect::{Dialect, DialectError, Event, FIRST_SUBMIT_ID, is_busy, name_answer, printable};
pub use endpoint::{Endpoint, EndpointError};
pub use ethash::EthashDialect;
pub use job::{Found, FoundShare, Job, Proof, Sha256dTemplate, Work};
pub use lines::{LineTooLong, Lines};
pub use outbox::{Outbox, Sent};
pub use pools::{Outcome, Pools};
pub use progress::{Disappointment, Outlook, Progress, Stage};
pub use settings::ClientSettings;

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
