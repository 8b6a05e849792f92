use std::sync::atomic::{AtomicU64, Ordering};

use bq_primitives::{PowHash, PowValue, Target, Work as BlockWork};
pub(crate) use bq_stratum_client::{Found, Proof, Sha256dTemplate, Work};

/// One piece of work from a pool. Threads share it and take turns at its nonces.
#[derive(Debug)]
pub(crate) struct Job {
    /// The pool's name for it.
    pub(crate) id: String,
    /// What a share must meet.
    pub(crate) target: Target,
    /// Work on older jobs of the lane is worthless: the pool says so, or its block has another height.
    pub(crate) is_clean: bool,
    /// The pool may tell the height of its block.
    pub(crate) height: Option<u64>,
    /// What to hash.
    pub(crate) work: Work,
    /// Grows with each job that makes older ones worthless, and with each connection: see [`crate::shared::Lane`].
    pub(crate) generation: u64,
    /// Units of work handed out so far; their size depends on the algorithm. See [`Job::take`].
    pub(crate) taken: AtomicU64,
}

impl Job {
    /// A job that makes all older ones worthless.
    pub(crate) const fn new(id: String, target: Target, work: Work) -> Self {
        Self { id, target, is_clean: true, height: None, work, generation: 0, taken: AtomicU64::new(0) }
    }

    /// Expected hashes of a share.
    pub(crate) fn share_hashes(&self) -> f64 {
        f64::from(BlockWork::of_target(self.target).0)
    }

    /// Takes the next `count` units; returns the first.
    pub(crate) fn take(&self, count: u64) -> u64 {
        self.taken.fetch_add(count, Ordering::Relaxed)
    }

    /// A hash meets the share target.
    pub(crate) fn is_share(&self, value: &PowHash) -> bool {
        PowValue::of(self.work.algorithm(), value).meets(&self.target)
    }
}

impl From<bq_stratum_client::Job> for Job {
    fn from(told: bq_stratum_client::Job) -> Self {
        let bq_stratum_client::Job { id, target, is_clean, height, work } = told;
        Self { id, target, is_clean, height, work, generation: 0, taken: AtomicU64::new(0) }
    }
}
