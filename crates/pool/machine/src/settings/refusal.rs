use bq_primitives::{AccountId, Amount, KeyHash};
use bq_request::RequestError;

/// Why a setting is refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it; fields are what was got and what was expected")]
pub enum SettingRefusal {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("request: {0}")]
    Wish(&'static str),
    #[error("request: {0:?} is no scheme")]
    UnknownScheme(String),
    #[error("webhook: {0}")]
    Webhook(&'static str),
    #[error("this pool takes no settings")]
    NotTaken,
    #[error("settings: {field} {reason}")]
    Bounds { field: &'static str, reason: &'static str },
    #[error("it is for the pool of key {got}, this one's is {expected}")]
    OtherPool { got: KeyHash, expected: KeyHash },
    #[error("no share of this address is in the books: mine first")]
    UnknownAccount,
    #[error("number {got} was taken already")]
    Replayed { got: u64 },
    #[error("number {got} is older than the newest, {newest}")]
    Older { got: u64, newest: u64 },
    #[error("number {got} is not the next, {next}")]
    Skipped { got: u64, next: u64 },
    #[error("a minimum of {got}, at least {least} here")]
    MinimumBelow { got: Amount, least: Amount },
    #[error("a minimum of {got}, at most {most} here")]
    MinimumAbove { got: Amount, most: Amount },
    #[error("the scheme {0} is not offered here")]
    SchemeNotOffered(&'static str),
    #[error("account {0} waits for nothing that could be cancelled")]
    NothingToCancel(AccountId),
}

impl SettingRefusal {
    /// Its name in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Request(RequestError::Oversized(_)) => "oversized",
            Self::Request(RequestError::Text(_)) | Self::Wish(_) => "malformed",
            Self::Request(RequestError::Address(_)) => "not_an_address",
            Self::Request(RequestError::OtherChain) => "other_chain",
            Self::Request(RequestError::Signature(_)) => "other_key",
            Self::UnknownScheme(_) => "unknown_scheme",
            Self::Webhook(_) => "bad_webhook",
            Self::NotTaken => "settings_off",
            Self::Bounds { .. } => "bad_bounds",
            Self::OtherPool { .. } => "other_pool",
            Self::UnknownAccount => "unknown_account",
            Self::Replayed { .. } => "replayed",
            Self::Older { .. } => "older",
            Self::Skipped { .. } => "skipped",
            Self::MinimumBelow { .. } => "minimum_too_low",
            Self::MinimumAbove { .. } => "minimum_too_high",
            Self::SchemeNotOffered(_) => "scheme_not_offered",
            Self::NothingToCancel(_) => "nothing_to_cancel",
        }
    }
}
