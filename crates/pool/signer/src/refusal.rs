use bq_mining_message::BootEpoch;
use bq_pool_machine::{Fault, LogNumber, PayoutId};
use bq_primitives::{Amount, KeyHash, TxId};

/// Why the signer does not do what it is asked (SPEC 8.12.5 to 8.12.7). Nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are what was got and what was expected")]
pub enum Refusal {
    #[error("the signer is of another chain")]
    OtherChain,
    #[error("the log belongs to key {log}, the signer holds {signer}")]
    OtherKey { log: KeyHash, signer: KeyHash },
    #[error("event {0} of the pool's log is another one than the signer knows: the log was changed or restored")]
    OtherLog(LogNumber),
    #[error("the pool's log ends at event {got}, the signer signed at event {signed}: the log lost its end")]
    LogBehind { got: LogNumber, signed: LogNumber },
    #[error("the pool's log ends at event {got}, the signer was told {told}")]
    NotFollowed { got: LogNumber, told: LogNumber },
    #[error("event {number}: {fault}")]
    EventRefused { number: LogNumber, fault: Fault },
    #[error("event {0}: the shares told are not those of the frame")]
    OtherShares(LogNumber),
    #[error("event {0} needs shares that the pool does not have any more")]
    SharesMissing(LogNumber),
    #[error("nobody allowed the signer to adopt a state: start it once with --adopt")]
    NotAllowed,
    #[error("start {} of the pool asks, start {} has asked before", .got.0, .newest.0)]
    StaleEpoch { got: BootEpoch, newest: BootEpoch },
    #[error("payout {0} is not open in the log")]
    NotPlanned(PayoutId),
    #[error("payout {0} is closed")]
    Closed(PayoutId),
    #[error("payout {payout} was signed as transaction {signed}, {got} is asked for")]
    SignedOtherwise { payout: PayoutId, got: TxId, signed: TxId },
    #[error("payout {0} is another one in the log")]
    OtherContent(PayoutId),
    #[error("the books do not balance: {0}")]
    BooksUnsound(Fault),
    #[error("{amount} coins would leave with payout {payout}, at most {max} may")]
    PayoutCap { payout: PayoutId, amount: Amount, max: Amount },
    #[error("{amount} coins would leave with payout {payout}, and {left} left within 24 hours: at most {max} may")]
    DayCap { payout: PayoutId, amount: Amount, left: Amount, max: Amount },
    #[error("the log states no such thing at event {0}")]
    NotStated(LogNumber),
    #[error("what is owed is another sum, or to others, in the signer's own books than statement {0} says")]
    OtherFigures(u64),
    #[error("another statement of epoch {0} was signed")]
    StatedOtherwise(u64),
    #[error("{signed} statements were signed within an hour, at most {max} may be")]
    StatementRate { signed: usize, max: u32 },
    #[error("the signer cannot store what it signs: {0}")]
    NotStored(String),
    #[error("the signer's key does not sign: {0}")]
    KeyFails(String),
}

impl Refusal {
    /// The name in answers, logs and conditions.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OtherChain => "other_chain",
            Self::OtherKey { .. } => "other_key",
            Self::OtherLog(_) => "other_log",
            Self::LogBehind { .. } => "log_behind",
            Self::NotFollowed { .. } => "not_followed",
            Self::EventRefused { .. } => "event_refused",
            Self::OtherShares(_) => "other_shares",
            Self::SharesMissing(_) => "shares_missing",
            Self::NotAllowed => "not_allowed",
            Self::StaleEpoch { .. } => "stale_epoch",
            Self::NotPlanned(_) => "not_planned",
            Self::Closed(_) => "closed",
            Self::SignedOtherwise { .. } => "signed_otherwise",
            Self::OtherContent(_) => "other_content",
            Self::BooksUnsound(_) => "books_unsound",
            Self::PayoutCap { .. } => "payout_cap",
            Self::DayCap { .. } => "day_cap",
            Self::NotStated(_) => "not_stated",
            Self::OtherFigures(_) => "other_figures",
            Self::StatedOtherwise(_) => "stated_otherwise",
            Self::StatementRate { .. } => "statement_rate",
            Self::NotStored(_) => "not_stored",
            Self::KeyFails(_) => "key_fails",
        }
    }

    /// Whether the copy of the log may be half changed and must be read anew.
    #[must_use]
    pub const fn tears_copy(&self) -> bool {
        matches!(self, Self::EventRefused { .. } | Self::OtherShares(_) | Self::SharesMissing(_) | Self::OtherLog(_))
    }
}
