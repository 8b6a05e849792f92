use bq_ledger::{FeeBasisPoints, WindowUnits};
use bq_mining_message::{FrontEndId, SharePosition, ShareSequence};
use bq_primitives::{Algorithm, Amount};
use serde::{Deserialize, Serialize};

use crate::{DirectTerms, LogNumber, SchemeWish};

/// What a pool promises. A change holds for shares after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// By [`Algorithm::index`].
    pub lanes: [LaneTerms; Algorithm::COUNT],
    /// When and how balances are paid out.
    pub payouts: PayoutTerms,
}

/// Terms of one algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneTerms {
    /// How rewards are shared.
    pub scheme: Scheme,
    /// What the pool keeps.
    pub fee: FeeBasisPoints,
}

/// How rewards are shared (SPEC 8.2). Each variant holds what the rule needs and nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Scheme {
    /// Each block pays the window of shares before it.
    Pplns {
        /// Length of the window.
        window: WindowUnits,
    },
    /// The same, and the coinbase pays it (SPEC 8.8).
    Direct {
        /// Length of the window.
        window: WindowUnits,
        /// Whom the coinbase pays.
        terms: DirectTerms,
    },
}

/// When and how balances are paid out (SPEC 8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutTerms {
    /// An account is due when it can be paid this much; at least one atom.
    pub payout_min: Amount,
    /// Accounts in one transaction at most; at least 1.
    pub payees_max: u32,
    /// Coins that one transaction spends at most; at least 1.
    pub inputs_max: u32,
    /// Transactions of one round at most; at least 1.
    pub round_payouts_max: u32,
    /// Pause between the starts of two rounds, in milliseconds.
    pub interval_ms: u64,
    /// Network fee in atoms per 1,000 weight units; the payees bear it.
    pub fee_rate: u64,
    /// Confirmations after which a payout is final; at least 1.
    pub final_depth: u32,
    /// Coins from strangers below this are left alone: they cost more to spend than they are worth.
    pub gift_min: Amount,
}

/// Terms that were in force from some place in the log on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsFrom {
    /// The event that set them.
    pub event: LogNumber,
    /// The first share of each front end that they hold for; the first at all for one that is not named.
    pub shares: Vec<(FrontEndId, ShareSequence)>,
    /// The terms.
    pub terms: Terms,
}

impl Terms {
    /// Terms of one algorithm.
    #[must_use]
    pub const fn lane(&self, algorithm: Algorithm) -> &LaneTerms {
        // Written out: an index could be wrong, a match cannot.
        let [sha256d, randomx, ethash] = &self.lanes;
        match algorithm {
            Algorithm::Sha256d => sha256d,
            Algorithm::RandomX => randomx,
            Algorithm::Ethash => ethash,
        }
    }

    /// Some lane's coinbase pays its miners.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.lanes.iter().any(|lane| matches!(lane.scheme, Scheme::Direct { .. }))
    }

    /// Whether accounts may choose a scheme (SPEC 8.11.3).
    #[must_use]
    pub fn offers(&self, scheme: SchemeWish) -> bool {
        match scheme {
            SchemeWish::Pool => true,
            SchemeWish::Pplns => {
                self.lanes.iter().any(|lane| matches!(lane.scheme, Scheme::Pplns { .. } | Scheme::Direct { .. }))
            }
            SchemeWish::Pps | SchemeWish::Fpps | SchemeWish::Solo | SchemeWish::Tides => false,
        }
    }

    /// The field that no pool may run with, and why.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let payouts = &self.payouts;
        let is_direct = |wrong: fn(&DirectTerms) -> bool| {
            let mut schemes = self.lanes.iter().map(|lane| lane.scheme);
            schemes.any(|scheme| matches!(scheme, Scheme::Direct { terms, .. } if wrong(&terms)))
        };
        [
            (payouts.payout_min == Amount::ZERO, "payout_min", "must be at least one atom"),
            (payouts.payees_max == 0, "payees_max", "must be at least 1"),
            (payouts.inputs_max == 0, "inputs_max", "must be at least 1"),
            (payouts.round_payouts_max == 0, "round_payouts_max", "must be at least 1"),
            (payouts.final_depth == 0, "final_depth", "must be at least 1"),
            (is_direct(|direct| direct.min == Amount::ZERO), "direct_min", "must be at least one atom"),
            (is_direct(|direct| direct.payees_max == 0), "direct_payees_max", "must be at least 1"),
        ]
        .into_iter()
        .find_map(|(wrong, field, reason)| wrong.then_some((field, reason)))
    }
}

impl TermsFrom {
    /// Whether they hold for this share.
    #[must_use]
    pub fn covers(&self, share: SharePosition) -> bool {
        let from = self.shares.iter().find(|(front_end, _)| *front_end == share.front_end);
        from.is_none_or(|(_, first)| share.sequence >= *first)
    }
}
