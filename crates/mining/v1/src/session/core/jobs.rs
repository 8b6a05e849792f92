//! Jobs and difficulty.

use std::sync::Arc;

use bq_primitives::{Algorithm, ShareDifficulty};

use super::Core;
use crate::{
    CloseReason, JobTemplate, TimeMs,
    job::{Job, JobWork, ethash_work, extranonce_head, joined_extranonce},
};

/// Jobs of one connection that differ (SPEC 11.2): 16 bits of the id are in a SHA-256d job's work, three weeks' worth at one
/// job per 30 s. Of the others the whole count is.
const fn jobs_max(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Sha256d => 1 << 16,
        Algorithm::RandomX | Algorithm::Ethash => 1 << 32,
    }
}

/// A miner may suggest a difficulty once per this many milliseconds.
const SUGGESTION_GAP_MS: u64 = 60_000;

impl Core {
    pub(in crate::session) fn set_template(&mut self, template: Option<Arc<JobTemplate>>) {
        let template = template.filter(|template| template.algorithm() == self.algorithm);
        let seal_hash = |template: &Arc<JobTemplate>| template.seal_hash;
        let changed = template.as_ref().map(seal_hash) != self.template.as_ref().map(seal_hash);
        self.job_wanted |= changed && template.is_some();
        self.template = template;
    }

    /// A job should go out now: the first, or one for a new tip, or one that was wanted and is not too close to the last.
    pub(in crate::session) fn job_is_due(&self, now: TimeMs) -> bool {
        if self.closed || self.template.is_none() || self.miners.is_empty() {
            return false;
        }
        match self.last_job {
            None => true,
            Some(_) if self.tip_moved() => true,
            Some(last) => self.job_wanted && now.since(last) >= self.policy.job_gap_ms,
        }
    }

    /// The newest job is not for the present tip: the next one must make the miner drop it.
    pub(in crate::session) fn tip_moved(&self) -> bool {
        let parent = self.template.as_ref().map(|template| template.parent_id());
        parent.is_some() && self.jobs.newest().map(|job| job.template.parent_id()) != parent
    }

    /// Makes a job with a fresh id and fresh content, and remembers it. Ends the connection when there is no fresh content
    /// left: the miner comes back and has another number.
    pub(in crate::session) fn make_job(&mut self, now: TimeMs) -> Option<Job> {
        let template = self.template.clone()?;
        let miner = self.miners.first().cloned()?;
        let Some(number) = u32::try_from(self.jobs_made).ok().filter(|_| self.jobs_made < jobs_max(self.algorithm))
        else {
            self.close(CloseReason::WorkExhausted);
            return None;
        };
        self.vardiff.start(now);
        let id = self.seed.first_job_id.wrapping_add(number);
        let difficulty = self.effective_difficulty(&template);
        let job = Job { id, difficulty, work: self.work_of(now, &template, id), template, miner };
        self.jobs_made = self.jobs_made.saturating_add(1);
        self.last_job = Some(now);
        self.job_wanted = false;
        self.jobs.add(job.clone());
        Some(job)
    }

    /// SPEC 11.2.
    fn work_of(&self, now: TimeMs, template: &JobTemplate, id: u32) -> JobWork {
        let head = extranonce_head(self.seed.prefix, id);
        let extranonce = joined_extranonce(head, self.jobs_made.to_be_bytes());
        match self.algorithm {
            Algorithm::Sha256d => JobWork::Sha256d { head, ntime: u32::try_from(now.0 / 1000).unwrap_or(u32::MAX) },
            Algorithm::RandomX => JobWork::RandomX { extranonce },
            Algorithm::Ethash => ethash_work(template, extranonce),
        }
    }

    /// What a job on `template` would be worth now.
    fn effective_difficulty(&self, template: &JobTemplate) -> ShareDifficulty {
        let (least, most) = self.expressible;
        let wanted = self.vardiff.difficulty().hashes().clamp(least, most);
        self.policy.vardiff.clamp(ShareDifficulty::from_hashes(wanted), template.network_difficulty)
    }

    pub(super) fn want_new_difficulty(&mut self) {
        let Some(template) = &self.template else { return };
        let next = self.effective_difficulty(template);
        self.job_wanted |= self.jobs.newest().is_some_and(|job| job.difficulty != next);
    }

    /// The miner would like this difficulty. Heard once a minute; vardiff goes on from there.
    pub(in crate::session) fn suggest(&mut self, now: TimeMs, difficulty: ShareDifficulty) {
        if self.last_suggestion.is_some_and(|last| now.since(last) < SUGGESTION_GAP_MS) {
            return;
        }
        self.last_suggestion = Some(now);
        self.vardiff.suggest(now, difficulty);
        self.want_new_difficulty();
    }

    pub(in crate::session) fn settled_difficulty(&self) -> Option<ShareDifficulty> {
        self.vardiff.settled()
    }
}
