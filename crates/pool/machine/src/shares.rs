use std::ops::ControlFlow;

use bq_ledger::ShareWeight;
use bq_mining_message::{SharePosition, ShareSequence};
use bq_primitives::{AccountId, Algorithm, KeyHash};

use crate::Accounts;

/// The shares behind the frames of the log. What it gives is bound by their digests, so a function of log and shares is a
/// function of the log.
pub trait Shares {
    /// Goes through the shares of `algorithm` in the order of the log, newest first, from `from` on (itself included, of
    /// whatever algorithm it is), until `each` breaks or there are no more.
    ///
    /// # Errors
    /// [`SharesError`]: a share could not be read, or its key has no account.
    fn walk_back(
        &self,
        algorithm: Algorithm,
        from: SharePosition,
        accounts: &Accounts,
        each: &mut dyn FnMut(AccountId, ShareWeight) -> ControlFlow<()>,
    ) -> Result<(), SharesError>;
}

/// Shares could not be read. Nothing may be booked on their account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharesError {
    /// They are missing or damaged; the text names the file.
    #[error("{0}")]
    Unreadable(String),
    /// A share is credited to a key that no event gave a number.
    #[error("a share of key {0}, which has no account")]
    UnknownKey(KeyHash),
    /// The log had them when the event was written, and they were given up only later: what the event came to is not known.
    #[error("it paid shares {first} to {end} or older ones, which were given up later")]
    GivenUp {
        /// The first of them.
        first: ShareSequence,
        /// After the last.
        end: ShareSequence,
    },
}
