//! Jobs and difficulty.

use std::sync::Arc;

use bq_primitives::ShareDifficulty;
use bq_share::{Job, JobId, JobWork, UnixMs};

use super::{Exchange, Wanted};
use crate::{CloseReason, JobTemplate, job::WireJob};

/// A job that is this many times too easy does not wait to be replaced (SPEC 11.8): its shares would be a flood.
const LEAP: u64 = 4;
/// A miner may suggest a difficulty once per this many milliseconds.
const SUGGESTION_GAP_MS: u64 = 60_000;

impl Exchange {
    pub(in crate::session) fn set_template(&mut self, now: UnixMs, template: Option<Arc<JobTemplate>>) {
        let template = template.filter(|template| template.algorithm() == self.algorithm);
        let seal_hash = |template: &Arc<JobTemplate>| template.work.seal_hash;
        let changed = template.as_ref().map(seal_hash) != self.template.as_ref().map(seal_hash);
        if changed && template.is_some() {
            self.want_job(Wanted::Soon);
        }
        if template.is_none() {
            self.vardiff.pause(now);
        }
        self.template = template;
    }

    /// A fresh job should go out.
    pub(super) fn want_job(&mut self, wanted: Wanted) {
        self.job_wanted = self.job_wanted.max(wanted);
    }

    /// A job should go out now: the first, or one for a new tip, or one that was wanted and is not too close to the last.
    pub(in crate::session) fn job_is_due(&self, now: UnixMs) -> bool {
        if self.closed || self.template.is_none() || self.miners.is_empty() {
            return false;
        }
        match self.last_job {
            None => true,
            Some(_) if self.tip_moved() => true,
            Some(last) => match self.job_wanted {
                Wanted::No => false,
                Wanted::Soon => now.ms_since(last) >= self.policy.job_gap_ms,
                Wanted::Now => true,
            },
        }
    }

    /// The newest job is not for the present tip: the next one must make the miner drop it.
    pub(in crate::session) fn tip_moved(&self) -> bool {
        let parent = self.template.as_ref().map(|template| template.parent_id());
        parent.is_some() && self.judge.newest().map(|job| job.template.parent_id()) != parent
    }

    /// Makes a job with a fresh id and fresh content, and remembers it. Ends the connection when there is no fresh content
    /// left (the miner comes back and has another number), or when its dialect has no word for the difficulty (SPEC 11.2).
    pub(in crate::session) fn make_job(&mut self, now: UnixMs) -> Option<WireJob> {
        let template = self.template.clone()?;
        let payee = self.miners.first()?.payee;
        let Some(number) = self.next_job_number() else {
            self.close(CloseReason::WorkExhausted);
            return None;
        };
        let Some(difficulty) = self.effective_difficulty(&template) else {
            self.close(CloseReason::Inexpressible);
            return None;
        };
        self.vardiff.issue(now, difficulty);
        let id = JobId(self.seed.first_job_id.wrapping_add(number));
        let ntime = u32::try_from(now.timestamp().0).unwrap_or(u32::MAX);
        let work = JobWork::new(&template.work, self.seed.prefix, id, number, ntime);
        let job = Job { id, difficulty, work, template: Arc::clone(&template.work), payee };
        self.jobs_made = self.jobs_made.saturating_add(1);
        self.last_job = Some(now);
        self.job_wanted = Wanted::No;
        self.judge.open(job.clone());
        let job = WireJob { job, template };
        self.newest = Some(job.clone());
        Some(job)
    }

    /// The job that was made last.
    pub(in crate::session) fn newest_job(&self) -> Option<&WireJob> {
        self.newest.as_ref()
    }

    /// How many jobs there were before; nothing once no other would differ from all of them.
    fn next_job_number(&self) -> Option<u32> {
        let number = u32::try_from(self.jobs_made).ok()?;
        (self.jobs_made < JobWork::jobs_max(self.algorithm)).then_some(number)
    }

    /// The dialect has a word for what a job would be worth now, as far as is known.
    pub(in crate::session) fn expresses_difficulty(&self) -> bool {
        self.template.as_ref().is_none_or(|template| self.effective_difficulty(template).is_some())
    }

    /// The miner cannot mine at less. True if that is kept as long as there is a job: where it cannot be, the answer is no, and
    /// where it can be no longer, the connection ends (SPEC 11.7).
    pub(in crate::session) fn want_at_least(&mut self, difficulty: Option<ShareDifficulty>) -> bool {
        self.least_wanted = difficulty;
        let is_kept = difficulty.is_some() && self.expresses_difficulty();
        if !is_kept {
            self.least_wanted = None;
        }
        self.want_new_difficulty();
        is_kept
    }

    /// What a job on `template` would be worth now; nothing if the dialect cannot say so small a number, or the miner was promised
    /// a greater one. The bounds of the network win over the miner's wish, and what the dialect can express over the floor.
    fn effective_difficulty(&self, template: &JobTemplate) -> Option<ShareDifficulty> {
        let (least, most) = self.expressible;
        let least = least.max(self.least_wanted.map_or(1, ShareDifficulty::hashes));
        if least > most {
            return None;
        }
        let clamp =
            |hashes| self.policy.vardiff.clamp(ShareDifficulty::from_hashes(hashes), template.work.network_difficulty);
        let wanted = clamp(self.vardiff.difficulty().hashes()).hashes().clamp(least, most);
        let allowed = clamp(wanted);
        (allowed.hashes() >= least).then(|| ShareDifficulty::from_hashes(allowed.hashes().min(most)))
    }

    pub(super) fn want_new_difficulty(&mut self) {
        let Some(template) = &self.template else { return };
        let Some(present) = self.judge.newest().map(|job| job.difficulty) else { return };
        let Some(next) = self.effective_difficulty(template) else { return self.want_job(Wanted::Soon) };
        if next.hashes() / LEAP >= present.hashes() {
            self.want_job(Wanted::Now);
        } else if next != present {
            self.want_job(Wanted::Soon);
        }
    }

    /// The miner would like this difficulty. Heard once a minute; vardiff goes on from there.
    pub(in crate::session) fn suggest(&mut self, now: UnixMs, difficulty: ShareDifficulty) {
        if self.last_suggestion.is_some_and(|last| now.ms_since(last) < SUGGESTION_GAP_MS) {
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
