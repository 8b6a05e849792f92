use std::collections::HashMap;

use bq_mining_message::Share;
use bq_primitives::{KeyHash, WorkerName};

use crate::{
    LogOptions,
    record::{Job, RecordWriter},
    scan::Content,
};

/// Which miners and jobs the newest segment has defined.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    miners: HashMap<KeyHash, HashMap<WorkerName, u16>>,
    miner_count: u16,
    jobs: HashMap<Job, u16>,
    job_count: u16,
}

/// How many there were, to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DefinitionCounts {
    miners: u16,
    jobs: u16,
}

impl Definitions {
    pub(crate) fn of(content: &Content) -> Self {
        let mut definitions = Self::default();
        for miner in &content.miners {
            definitions.add_miner(&miner.payee, &miner.worker);
        }
        for job in &content.jobs {
            definitions.add_job(*job);
        }
        definitions
    }

    /// Whether what the share needs is defined or can be.
    pub(crate) fn take(&self, share: &Share, options: &LogOptions) -> bool {
        // A limit of 0 would let no share in.
        let (miners_max, jobs_max) = (options.segment_miners_max.max(1), options.segment_jobs_max.max(1));
        let has_miner = self.miner_count < miners_max || self.miner_of(share).is_some();
        has_miner && (self.job_count < jobs_max || self.jobs.contains_key(&job_of(share)))
    }

    /// The numbers of a share's miner and job; what is new is defined first.
    pub(crate) fn number(&mut self, share: &Share, records: &mut RecordWriter) -> (u16, u16) {
        let miner = self.miner_of(share).unwrap_or_else(|| {
            records.miner(&share.payee, &share.worker);
            self.add_miner(&share.payee, &share.worker)
        });
        let job = job_of(share);
        let job = self.jobs.get(&job).copied().unwrap_or_else(|| {
            records.job(job);
            self.add_job(job)
        });
        (miner, job)
    }

    pub(crate) const fn counts(&self) -> DefinitionCounts {
        DefinitionCounts { miners: self.miner_count, jobs: self.job_count }
    }

    /// Forgets what was defined since there were so many: it could not be written.
    pub(crate) fn roll_back(&mut self, to: DefinitionCounts) {
        if self.counts() == to {
            return;
        }
        for workers in self.miners.values_mut() {
            workers.retain(|_, miner| *miner < to.miners);
        }
        self.miners.retain(|_, workers| !workers.is_empty());
        self.jobs.retain(|_, job| *job < to.jobs);
        self.miner_count = to.miners;
        self.job_count = to.jobs;
    }

    fn miner_of(&self, share: &Share) -> Option<u16> {
        self.miners.get(&share.payee)?.get(&share.worker).copied()
    }

    fn add_miner(&mut self, payee: &KeyHash, worker: &WorkerName) -> u16 {
        let number = self.miner_count;
        self.miners.entry(*payee).or_default().insert(worker.clone(), number);
        self.miner_count = number.saturating_add(1);
        number
    }

    fn add_job(&mut self, job: Job) -> u16 {
        let number = self.job_count;
        self.jobs.insert(job, number);
        self.job_count = number.saturating_add(1);
        number
    }
}

const fn job_of(share: &Share) -> Job {
    let Share { algorithm, height, network_difficulty, pay, .. } = *share;
    Job { algorithm, height, network_difficulty, pay }
}
