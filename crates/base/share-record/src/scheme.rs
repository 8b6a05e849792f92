use std::{fmt, str::FromStr};

use bq_primitives::Algorithm;
use serde::{Deserialize, Serialize};

use crate::SharePay;

/// How an account is paid for what it mines (SPEC 8.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AccountScheme {
    /// As the lane's own terms say: by windows of shares, out of coinbases or by payouts.
    #[default]
    Pplns,
    /// Each share for itself, for subsidies.
    Pps,
    /// Each share for itself, for subsidies and the average of fees.
    Fpps,
    /// By the blocks that it finds itself.
    Solo,
    /// By windows that are measured in hashes.
    Tides,
}

/// A text that names no scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scheme {0:?}: pplns, pps, fpps, solo or tides")]
pub struct ParseSchemeError(pub String);

/// What shares are paid by that are sent on one template, by scheme and lane. Whoever's scheme is not offered, or not now, is paid by
/// windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemePays([[SharePay; Algorithm::COUNT]; AccountScheme::ALL.len()]);

impl AccountScheme {
    /// Every scheme.
    pub const ALL: [Self; 5] = [Self::Pplns, Self::Pps, Self::Fpps, Self::Solo, Self::Tides];

    /// The name in settings, messages and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pplns => "pplns",
            Self::Pps => "pps",
            Self::Fpps => "fpps",
            Self::Solo => "solo",
            Self::Tides => "tides",
        }
    }

    /// Its place in [`AccountScheme::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl SchemePays {
    /// What a scheme comes to on a lane.
    #[must_use]
    pub fn of(&self, scheme: AccountScheme, lane: Algorithm) -> SharePay {
        self.0.get(scheme.index()).and_then(|lanes| lanes.get(lane.index())).copied().unwrap_or_default()
    }

    /// What it comes to from now on.
    pub fn set(&mut self, scheme: AccountScheme, lane: Algorithm, pay: SharePay) {
        if let Some(place) = self.0.get_mut(scheme.index()).and_then(|lanes| lanes.get_mut(lane.index())) {
            *place = pay;
        }
    }

    /// Some scheme is offered beside the lanes' own.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.0.iter().flatten().any(|pay| *pay != SharePay::Window)
    }
}

impl fmt::Display for AccountScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AccountScheme {
    type Err = ParseSchemeError;

    fn from_str(text: &str) -> Result<Self, ParseSchemeError> {
        let found = Self::ALL.into_iter().find(|scheme| scheme.name() == text);
        found.ok_or_else(|| ParseSchemeError(text.to_owned()))
    }
}
