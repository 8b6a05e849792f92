use std::ops::{ControlFlow, Range};

use bq_ledger::ShareWeight;
use bq_mining_message::{FrontEndId, Share, SharePay, SharePosition, ShareSequence};
use bq_primitives::{AccountId, Algorithm, KeyHash, NetworkDifficulty, ShareDifficulty};

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
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError>;

    /// Goes through the shares of a front end, oldest first. Forfeited ones are left out.
    ///
    /// # Errors
    /// As [`Shares::walk_back`].
    fn walk(
        &self,
        front_end: FrontEndId,
        range: Range<ShareSequence>,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError>;
}

/// What the books need of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarnedShare {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Whom it is credited to.
    pub account: AccountId,
    /// The part of a block that it is worth.
    pub weight: ShareWeight,
    /// Expected hashes.
    pub difficulty: ShareDifficulty,
    /// Those of a block then.
    pub network_difficulty: NetworkDifficulty,
    /// What it is paid by.
    pub pay: SharePay,
}

impl EarnedShare {
    /// As the log tells of it, whoever its key is there.
    #[must_use]
    pub fn of(share: &Share, account: AccountId) -> Self {
        let Share { algorithm, difficulty, network_difficulty, pay, .. } = *share;
        let weight = ShareWeight::of(difficulty, network_difficulty);
        Self { algorithm, account, weight, difficulty, network_difficulty, pay }
    }
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
