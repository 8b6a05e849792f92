use bq_mining_message::AccountScheme;
use bq_primitives::Amount;
use serde::{Deserialize, Serialize};

use crate::Webhook;

/// All that an account may want for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// It is not paid less than this; nothing: the pool's minimum.
    pub minimum: Option<Amount>,
    /// How its rewards are shared.
    pub scheme: SchemeWish,
    /// Only worker tokens open its address (SPEC 11.11.3).
    pub locked: bool,
    /// Whom to tell what happens to it.
    pub webhook: Option<Webhook>,
}

/// What of an account's wishes changes; nothing of one: it stays as it holds.
///
/// Whoever signs tells what he wants and no more. Were a setting to repeat what holds, whoever stands between the pool and the
/// signer could have him sign what he never saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WishChanges {
    /// See [`Wishes::minimum`].
    pub minimum: Option<Option<Amount>>,
    /// See [`Wishes::scheme`].
    pub scheme: Option<SchemeWish>,
    /// See [`Wishes::locked`].
    pub locked: Option<bool>,
    /// See [`Wishes::webhook`].
    pub webhook: Option<Option<Webhook>>,
}

impl WishChanges {
    /// All that is wanted where `held` holds.
    #[must_use]
    pub fn of(&self, held: &Wishes) -> Wishes {
        Wishes {
            minimum: self.minimum.unwrap_or(held.minimum),
            scheme: self.scheme.unwrap_or(held.scheme),
            locked: self.locked.unwrap_or(held.locked),
            webhook: self.webhook.clone().unwrap_or_else(|| held.webhook.clone()),
        }
    }
}

impl From<Wishes> for WishChanges {
    /// All four, whatever holds.
    fn from(wishes: Wishes) -> Self {
        let Wishes { minimum, scheme, locked, webhook } = wishes;
        Self { minimum: Some(minimum), scheme: Some(scheme), locked: Some(locked), webhook: Some(webhook) }
    }
}

/// How an account's rewards are to be shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SchemeWish {
    /// As the pool does where nobody says anything.
    #[default]
    Pool,
    /// Blocks pay the window of shares before them.
    Pplns,
    /// Each share is paid for a block's subsidy.
    Pps,
    /// Each share is paid for a block's subsidy and fees.
    Fpps,
    /// A block pays who found it.
    Solo,
    /// As PPLNS, by difficulties.
    Tides,
}

impl SchemeWish {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Pool, Self::Pplns, Self::Pps, Self::Fpps, Self::Solo, Self::Tides];

    /// As it is signed and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pool => "default",
            Self::Pplns => AccountScheme::Pplns.name(),
            Self::Pps => AccountScheme::Pps.name(),
            Self::Fpps => AccountScheme::Fpps.name(),
            Self::Solo => AccountScheme::Solo.name(),
            Self::Tides => AccountScheme::Tides.name(),
        }
    }

    /// What it comes to; nothing for [`SchemeWish::Pool`].
    #[must_use]
    pub const fn chosen(self) -> Option<AccountScheme> {
        match self {
            Self::Pool => None,
            Self::Pplns => Some(AccountScheme::Pplns),
            Self::Pps => Some(AccountScheme::Pps),
            Self::Fpps => Some(AccountScheme::Fpps),
            Self::Solo => Some(AccountScheme::Solo),
            Self::Tides => Some(AccountScheme::Tides),
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }
}

impl Wishes {
    /// What of these holds at once where `self` held: all that does not lower protection (SPEC 8.11.5).
    #[must_use]
    pub fn raised_to(&self, wishes: &Self) -> Self {
        Self {
            // Nothing is the pool's minimum, which is the lowest.
            minimum: self.minimum.max(wishes.minimum),
            scheme: wishes.scheme,
            locked: self.locked || wishes.locked,
            webhook: self.webhook.clone().or_else(|| wishes.webhook.clone()),
        }
    }
}
