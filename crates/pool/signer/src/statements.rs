use std::collections::BTreeMap;

use bq_pool_proof::{LiabilityEpoch, Statement};
use bq_primitives::SigHash;
use serde::{Deserialize, Serialize};

/// Statements that the signer has signed (SPEC 8.12.11): one of an epoch, and so many an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedStatements {
    /// What was signed of the newest epochs.
    signed: BTreeMap<LiabilityEpoch, SigHash>,
    /// When, in seconds since 1970; of the last hour.
    at: Vec<u64>,
}

/// Epochs that are remembered: a pool asks for the newest, and once more for some before it after a pause. Of older ones none is signed.
const EPOCHS_KEPT: usize = 64;
const HOUR_SECS: u64 = 3600;

impl SignedStatements {
    /// What was signed of an epoch.
    #[must_use]
    pub fn of(&self, epoch: LiabilityEpoch) -> Option<SigHash> {
        self.signed.get(&epoch).copied()
    }

    /// Nothing is signed of this epoch any more: what was is forgotten.
    #[must_use]
    pub fn is_closed(&self, epoch: LiabilityEpoch) -> bool {
        let oldest = self.signed.keys().next();
        self.signed.len() >= EPOCHS_KEPT && oldest.is_some_and(|oldest| epoch < *oldest)
    }

    /// How many were signed in the hour before `now_secs`. What a clock that went back puts into the future counts too.
    #[must_use]
    pub fn within_an_hour(&self, now_secs: u64) -> usize {
        self.at.iter().filter(|at| now_secs.saturating_sub(**at) < HOUR_SECS).count()
    }

    /// One was signed.
    pub fn note(&mut self, statement: &Statement, now_secs: u64) {
        self.at.retain(|at| now_secs.saturating_sub(*at) < HOUR_SECS);
        self.at.push(now_secs);
        self.signed.insert(statement.epoch, statement.signing_hash());
        while self.signed.len() > EPOCHS_KEPT {
            self.signed.pop_first();
        }
    }
}
