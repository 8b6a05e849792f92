use std::{collections::BTreeMap, sync::Arc};

use bq_mining_message::SharePay;
use bq_primitives::{KeyHash, SealHash};
use serde::{Deserialize, Serialize};

use crate::{ExtranoncePrefix, ShareKey, WorkTemplate};

/// What a [`crate::Judge`] leaves to the one that goes on with its connection in another process (SPEC 11.13): without it what was
/// credited once could be credited again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeState {
    /// Jobs that still earn, oldest first.
    pub(crate) jobs: Vec<JobState>,
    /// Older ones, that earn nothing but by a block.
    pub(crate) remembered: Vec<JobState>,
    pub(crate) verified: u32,
    pub(crate) forged: u32,
    pub(crate) proven: u64,
}

/// A job by what cannot be computed from its channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobState {
    pub(crate) number: u32,
    pub(crate) template: WorkId,
    pub(crate) difficulty_hashes: u64,
    /// Of a SHA-256d job: where the time that the miner may roll begins.
    pub(crate) ntime: u32,
    /// Shares it earned by.
    pub(crate) shares: Vec<ShareKey>,
    /// Those of them that were blocks.
    pub(crate) blocks: Vec<ShareKey>,
}

/// Whose jobs they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobOwner {
    /// Of the channel.
    pub prefix: ExtranoncePrefix,
    /// Where its job ids start.
    pub first_job_id: u32,
    /// Who is credited.
    pub payee: KeyHash,
}

/// Names one piece of work: what is hashed, and what its shares are paid by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkId {
    /// Of the header.
    pub seal_hash: SealHash,
    /// Of every share.
    pub pay: SharePay,
}

/// The work that handed over jobs are on, each once.
pub type Templates = BTreeMap<WorkId, Arc<WorkTemplate>>;
