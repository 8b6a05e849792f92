use std::{collections::BTreeSet, sync::Arc};

use bq_pow::ethash_work_hash;
use bq_primitives::{Algorithm, ExtraNonce, KeyHash, Seal, ShareDifficulty, Target};

use crate::{
    Claim, ExtranoncePrefix, JobOwner, Reject, Rolled, ShareKey, Templates, WorkTemplate, handed_over::JobState,
    share_target,
};

/// Unique within the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

/// What one connection was told to work on (SPEC 11.2). Difficulty and payee are frozen here, and a share is credited by these
/// whatever changed since.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// The block it would make.
    pub template: Arc<WorkTemplate>,
    /// Who is credited.
    pub payee: KeyHash,
    /// What a share is worth.
    pub difficulty: ShareDifficulty,
    /// What no other job has.
    pub work: JobWork,
}

/// The part of a job's content that no other job has (SPEC 11.2): whatever a miner rolls, a hash found for one job is of no
/// use for another, so that no difficulty can be chosen after hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobWork {
    /// The first half of X is the job's own; the miner rolls the second.
    Sha256d {
        /// Front end, job, connection.
        head: [u8; 8],
        /// Where the time that the miner may roll begins.
        ntime: u32,
    },
    /// All of X is the job's.
    RandomX {
        /// X.
        extranonce: ExtraNonce,
    },
    /// All of X is the job's.
    Ethash {
        /// X.
        extranonce: ExtraNonce,
        /// What miners call the header hash.
        work_hash: [u8; 32],
    },
}

impl JobWork {
    /// The work of a connection's job `id`, of which it had `number` before (SPEC 11.2).
    #[must_use]
    pub fn new(template: &WorkTemplate, prefix: ExtranoncePrefix, id: JobId, number: u32, ntime: u32) -> Self {
        let head = joined(prefix.of_job(id), prefix.extranonce1());
        let extranonce = ExtraNonce(joined(head, u64::from(number).to_be_bytes()));
        match template.algorithm() {
            Algorithm::Sha256d => Self::Sha256d { head, ntime },
            Algorithm::RandomX => Self::RandomX { extranonce },
            Algorithm::Ethash => {
                Self::Ethash { extranonce, work_hash: ethash_work_hash(&template.seal_hash, &extranonce).0 }
            }
        }
    }

    /// How many jobs of one connection differ: of a SHA-256d job's id 16 bits are in its work, of the others the whole count.
    #[must_use]
    pub const fn jobs_max(algorithm: Algorithm) -> u64 {
        match algorithm {
            Algorithm::Sha256d => 1 << 16,
            Algorithm::RandomX | Algorithm::Ethash => 1 << 32,
        }
    }
}

impl Job {
    /// The seal that rolled fields make on this job.
    ///
    /// # Errors
    /// They are another algorithm's, or the time lies outside what may be rolled.
    pub(crate) fn seal(&self, rolled: Rolled, claim: Claim, ntime_ahead_max: u32) -> Result<Seal, Reject> {
        match (self.work, rolled) {
            (JobWork::Sha256d { head, ntime: first }, Rolled::Sha256d { extranonce2, version, ntime, nonce }) => {
                if ntime < first || ntime.saturating_sub(first) > ntime_ahead_max {
                    return Err(Reject::Malformed("ntime out of range"));
                }
                Ok(Seal::Sha256d { extranonce: ExtraNonce(joined(head, extranonce2)), version, ntime, nonce })
            }
            (JobWork::RandomX { extranonce }, Rolled::RandomX { nonce }) => Ok(Seal::RandomX { extranonce, nonce }),
            (JobWork::Ethash { extranonce, .. }, Rolled::Ethash { nonce }) => {
                let mix = if let Claim::EthashMix(mix) = claim { mix } else { [0; 32] };
                Ok(Seal::Ethash { extranonce, nonce, mix })
            }
            _ => Err(Reject::UnknownJob),
        }
    }

    /// What a value must not exceed to be a share.
    #[must_use]
    pub fn share_target(&self) -> Target {
        share_target(self.template.algorithm(), self.difficulty)
    }
}

/// A job that may still earn something, and the shares it earned by.
#[derive(Debug)]
pub(crate) struct OpenJob {
    pub(crate) job: Job,
    /// Nothing until it earned: most jobs never do, and ten thousand connections have eight and more of them each.
    earned: Option<Box<Earned>>,
}

/// Of proven shares alone: what costs nothing to make must not cost memory.
#[derive(Debug, Default)]
struct Earned {
    shares: BTreeSet<ShareKey>,
    /// Those of them that were blocks.
    blocks: BTreeSet<ShareKey>,
}

impl OpenJob {
    pub(crate) const fn new(job: Job) -> Self {
        Self { job, earned: None }
    }

    pub(crate) fn credit(&mut self, key: ShareKey, is_block: bool) {
        let earned = self.earned.get_or_insert_default();
        if is_block {
            earned.blocks.insert(key);
        }
        earned.shares.insert(key);
    }

    /// It earned by this share already.
    pub(crate) fn has_credited(&self, key: &ShareKey) -> bool {
        self.earned.as_ref().is_some_and(|earned| earned.shares.contains(key))
    }

    /// Shares that it earned by.
    pub(crate) fn credits(&self) -> usize {
        self.earned.as_ref().map_or(0, |earned| earned.shares.len())
    }

    /// What is left to whoever goes on with it, in a channel whose job ids start at `first_job_id`.
    pub(crate) fn state(&self, first_job_id: u32) -> JobState {
        let keys = |keys: &BTreeSet<ShareKey>| keys.iter().copied().collect();
        let earned = self.earned.as_ref();
        let ntime = if let JobWork::Sha256d { ntime, .. } = self.job.work { ntime } else { 0 };
        JobState {
            number: self.job.id.0.wrapping_sub(first_job_id),
            template: self.job.template.id(),
            difficulty_hashes: self.job.difficulty.hashes(),
            ntime,
            shares: earned.map_or_else(Vec::new, |earned| keys(&earned.shares)),
            blocks: earned.map_or_else(Vec::new, |earned| keys(&earned.blocks)),
        }
    }

    /// The job that [`OpenJob::state`] tells of; nothing if its work is not known any more.
    pub(crate) fn resumed(state: JobState, owner: &JobOwner, templates: &Templates) -> Option<Self> {
        let template = Arc::clone(templates.get(&state.template)?);
        let id = JobId(owner.first_job_id.wrapping_add(state.number));
        let work = JobWork::new(&template, owner.prefix, id, state.number, state.ntime);
        let difficulty = ShareDifficulty::from_hashes(state.difficulty_hashes);
        let earned = Earned { shares: state.shares.into_iter().collect(), blocks: state.blocks.into_iter().collect() };
        let earned = (!earned.shares.is_empty()).then(|| Box::new(earned));
        Some(Self { job: Job { id, template, payee: owner.payee, difficulty, work }, earned })
    }

    /// The same once it earns nothing but by a block.
    pub(crate) fn for_blocks(self) -> Self {
        let blocks = self.earned.map(|earned| earned.blocks).filter(|blocks| !blocks.is_empty());
        let earned = blocks.map(|blocks| Box::new(Earned { shares: blocks.clone(), blocks }));
        Self { job: self.job, earned }
    }
}

fn joined<const N: usize, const M: usize>(head: [u8; N], rest: [u8; N]) -> [u8; M] {
    let mut bytes = [0; M];
    for (byte, value) in bytes.iter_mut().zip(head.into_iter().chain(rest)) {
        *byte = value;
    }
    bytes
}
