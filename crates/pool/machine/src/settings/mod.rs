//! What accounts want for themselves (SPEC 8.11).

mod refusal;
mod webhook;
mod wish;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};

use bq_primitives::{AccountId, Amount, Height};
use serde::{Deserialize, Serialize};

pub use refusal::SettingRefusal;
pub use webhook::{Webhook, WebhookPlace};
pub use wish::{SettingChange, SettingWish};
pub use wishes::{SchemeWish, WishChanges, Wishes};

/// An event about settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettingEvent {
    /// What accounts may set, from now on.
    Bounds(SettingBounds),
    /// What the key of an account signed.
    Signed(SignedSetting),
}

/// What accounts may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingBounds {
    /// The highest minimum of an account.
    pub minimum_max: Amount,
    /// Blocks for which what lowers protection waits; at least 1.
    pub delay_blocks: u32,
}

/// A signed request as the log keeps it: whoever replays the log checks the signature again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedSetting {
    /// The request's lines (SPEC 11.11.4).
    pub request: String,
    /// ML-DSA-65, 1,952 bytes.
    pub public_key: Vec<u8>,
    /// ML-DSA-65, 3,309 bytes.
    pub signature: Vec<u8>,
    /// When it was taken, in milliseconds since 1970; informational.
    pub time_ms: u64,
}

/// Everybody's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) bounds: Option<SettingBounds>,
    pub(crate) accounts: BTreeMap<AccountId, AccountSettings>,
    /// Whose wishes wait, in the order in which they will hold.
    pub(crate) waiting: BTreeSet<(Height, AccountId)>,
}

/// The settings of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSettings {
    /// Number of the newest request: only the next one counts.
    pub sequence: u64,
    /// When the pool took it, in milliseconds since 1970.
    pub taken_ms: u64,
    /// What holds.
    pub current: Wishes,
    /// What will hold.
    pub pending: Option<PendingWishes>,
}

/// Wishes that lower protection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingWishes {
    /// They hold from the block of this height on.
    pub from: Height,
    /// All of them.
    pub wishes: Wishes,
}

impl Settings {
    pub(crate) fn of(&self, account: AccountId) -> Option<&AccountSettings> {
        self.accounts.get(&account)
    }
}
