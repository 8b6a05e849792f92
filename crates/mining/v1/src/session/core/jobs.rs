//! Jobs and difficulty.

use std::sync::Arc;

use bq_primitives::{Algorithm, ShareDifficulty};

use super::Core;
use crate::{
    JobTemplate, TimeMs,
    job::{Job, JobWork, counted_extranonce, ethash_work},
};

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

    /// Makes a job with a fresh id and fresh content, and remembers it.
    pub(in crate::session) fn make_job(&mut self, now: TimeMs) -> Option<Job> {
        let template = self.template.clone()?;
        let miner = self.miners.first().cloned()?;
        self.vardiff.start(now);
        let work = self.fresh_work(now, &template);
        let job = Job {
            id: self.seed.first_job_id.wrapping_add(u32::try_from(self.jobs_made & u64::from(u32::MAX)).unwrap_or(0)),
            difficulty: self.effective_difficulty(&template),
            template,
            miner,
            work,
        };
        self.jobs_made = self.jobs_made.saturating_add(1);
        self.last_job = Some(now);
        self.job_wanted = false;
        self.jobs.add(job.clone());
        Some(job)
    }

    fn fresh_work(&mut self, now: TimeMs, template: &JobTemplate) -> JobWork {
        let extranonce = counted_extranonce(self.seed.prefix.0, self.jobs_made);
        match self.algorithm {
            Algorithm::Sha256d => {
                // Miners restart their extranonce with every job, so the starting time must differ between two jobs on
                // one template. Consensus gives it no meaning.
                let seconds = u32::try_from(now.0 / 1000).unwrap_or(u32::MAX);
                self.last_ntime = seconds.max(self.last_ntime.saturating_add(1));
                JobWork::Sha256d { ntime: self.last_ntime }
            }
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
