//! What the signer of a pool's payouts decides (SPEC 8.12): whether the log explains a payout, whether it was signed before, and whether
//! more would leave than may. And the messages between the two.
//!
//! What this crate is not: it holds no key, opens no socket, writes no file and has no clock; `bq-signer-link` does. Read [`Signer`] and
//! [`Question`] first.
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

mod message;

mod signer;

mod copy;
mod record;
mod shares;
mod statements;

mod refusal;

mod signed;

#[cfg(test)]
mod tests;

pub use copy::{CopiedStatement, KeptCopy, LogCopy};
pub use message::{
    Adoption, Answer, Asked, AskedStatement, Follow, Hello, MESSAGE_BYTES_MAX, MessageError, Question, Standing, Told,
    read_message, write_message,
};
pub use record::{Record, RecordError, SignedPayout};
pub use refusal::Refusal;
pub use signed::{SignedError, check_signed, check_stated};
pub use signer::{Identity, Limits, Signer, ToSign, Verdict};
pub use statements::SignedStatements;
