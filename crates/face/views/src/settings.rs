use bq_chain_api::AtomsView;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/accounts/ADDRESS/settings`: what an account set for itself, and what a new setting must say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingsView {
    /// The account's address.
    pub address: String,
    /// Its shares are in the books; before, it can set nothing.
    pub has_account: bool,
    /// The chain's first block, which a setting names.
    pub genesis: String,
    /// The pool's own address, which a setting names.
    pub pool: Option<String>,
    /// This pool takes settings.
    pub is_taken: bool,
    /// The least number that a new setting may have.
    pub next_number: u64,
    /// The least minimum that may be chosen.
    pub minimum_least: AtomsView,
    /// The highest minimum that may be chosen.
    pub minimum_most: AtomsView,
    /// Blocks for which what lowers protection waits.
    pub delay_blocks: u32,
    /// Schemes that may be chosen.
    pub schemes: Vec<String>,
    /// What holds.
    pub current: WishesView,
    /// What will hold, if nobody cancels it.
    pub pending: Option<PendingSettingsView>,
    /// When the newest setting was taken, seconds since 1970; nothing if none ever was.
    pub changed: Option<u64>,
    /// What became of notices since the pool started.
    pub notices: NoticesView,
}

/// What an account wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WishesView {
    /// It is not paid less; nothing: the pool's minimum.
    pub minimum: Option<AtomsView>,
    /// Name of the scheme.
    pub scheme: String,
    /// Only worker tokens open the address.
    pub locked: bool,
    /// There is a webhook. Which one is nobody else's business.
    pub webhook: bool,
}

/// What an account will have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingSettingsView {
    /// It holds from the block of this height on.
    pub from_height: u32,
    /// Blocks until then.
    pub blocks_left: u32,
    /// When that is expected, seconds since 1970.
    pub about: u64,
    /// The webhook goes, or becomes another one.
    pub changes_webhook: bool,
    /// All of it.
    #[serde(flatten)]
    pub wishes: WishesView,
}

/// What became of an account's notices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoticesView {
    /// The webhook took them.
    pub sent: u64,
    /// Given up after the last try.
    pub failed: u64,
    /// Never tried: too many.
    pub left_out: u64,
    /// Why the last one failed; nothing if it did not.
    pub last_failure: Option<String>,
}
