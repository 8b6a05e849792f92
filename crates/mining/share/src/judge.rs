use std::{collections::VecDeque, sync::Arc};

use bq_primitives::{BlockId, KeyHash, ShareDifficulty, WorkerName};

use crate::{
    Claimed, Job, JobId, JobOwner, JobWork, JudgeState, Reject, ShareCandidate, ShareKey, ShareTicket, Strike, Submit,
    Templates, Trust, Verdict, WorkTemplate, handed_over::JobState, job::OpenJob,
};

/// How much a connection may have open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgePolicy {
    /// Jobs that still earn, the newest ones. More: late shares are paid for longer, and more memory per connection.
    pub jobs_kept: usize,
    /// Older jobs on the newest tip that a block may still come for: its line may have waited unread meanwhile. Some hundred bytes
    /// each, and their templates stay in memory.
    pub jobs_remembered: usize,
    /// Shares that one job may earn by before a fresh one must come. 12 bytes each.
    pub shares_per_job_max: usize,
    /// Shares in verification at a time. A claimed share above it is "busy"; what cannot be told from a block waits unread.
    pub shares_in_flight_max: usize,
    /// Of these, how many a connection has that proved nothing yet; each accepted share adds one. What a stranger can make a
    /// costly verifier do for nothing.
    pub unproven_in_flight_max: usize,
    /// Claimed blocks in verification at a time, above all other limits; more wait unread.
    pub block_claims_in_flight_max: usize,
    /// Forged claims before the connection is closed.
    pub forged_shares_max: u32,
    /// Accepted shares that forgive one of them.
    pub shares_per_pardon: u32,
    /// Accepted shares, none forged, after which a connection is served before strangers.
    pub trusted_after: u32,
    /// How far a SHA-256d miner may roll time ahead of its job, in seconds. Means nothing to consensus.
    pub ntime_ahead_secs_max: u32,
}

impl Default for JudgePolicy {
    fn default() -> Self {
        Self {
            jobs_kept: 8,
            jobs_remembered: 64,
            shares_per_job_max: 1024,
            shares_in_flight_max: 32,
            unproven_in_flight_max: 32,
            block_claims_in_flight_max: 2,
            forged_shares_max: 3,
            shares_per_pardon: 64,
            trusted_after: 20,
            ntime_ahead_secs_max: 7_200,
        }
    }
}

/// Decides about the shares of one connection: every reason that needs no hashing, once, in one order (SPEC 11.4).
///
/// Because no two jobs share work (SPEC 11.2), a proof is a share of one job of one connection at most. So what was credited is
/// remembered with the job and forgotten with it: no set is shared between connections, none can be filled by somebody else.
#[derive(Debug)]
pub struct Judge {
    policy: JudgePolicy,
    /// Oldest first.
    jobs: VecDeque<OpenJob>,
    /// Older ones, that earn nothing but by a block.
    remembered: VecDeque<OpenJob>,
    in_flight: Vec<InFlight>,
    verified: u32,
    forged: u32,
    /// Accepted shares since the last forged one.
    proven: usize,
}

#[derive(Debug)]
struct InFlight {
    candidate: ShareCandidate,
    job: JobId,
    key: ShareKey,
}

/// What a verdict means for the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What the share is or would have been worth.
    pub difficulty: ShareDifficulty,
    /// Whose it is.
    pub payee: KeyHash,
    /// Which machine's.
    pub worker: WorkerName,
    /// What it costs the sender.
    pub strike: Option<Strike>,
    /// The connection has forged too much and must end.
    pub is_forger: bool,
    /// The newest job has credited half of what it may: the miner needs a fresh one, before the shares that it finds until that
    /// arrives are refused as busy.
    pub job_is_worked_out: bool,
}

impl Judge {
    /// For a new connection.
    #[must_use]
    pub const fn new(policy: JudgePolicy) -> Self {
        Self {
            policy,
            jobs: VecDeque::new(),
            remembered: VecDeque::new(),
            in_flight: Vec::new(),
            verified: 0,
            forged: 0,
            proven: 0,
        }
    }

    /// What is left to the judge that goes on with this connection elsewhere; nothing while a share is in verification.
    #[must_use]
    pub fn state(&self, first_job_id: u32) -> Option<JudgeState> {
        let of = |jobs: &VecDeque<OpenJob>| jobs.iter().map(|open| open.state(first_job_id)).collect();
        self.in_flight.is_empty().then(|| JudgeState {
            jobs: of(&self.jobs),
            remembered: of(&self.remembered),
            verified: self.verified,
            forged: self.forged,
            proven: u64::try_from(self.proven).unwrap_or(u64::MAX),
        })
    }

    /// Goes on where [`Judge::state`] was taken. Jobs whose work is not among `templates` are forgotten.
    #[must_use]
    pub fn resume(policy: JudgePolicy, state: JudgeState, owner: &JobOwner, templates: &Templates) -> Self {
        let JudgeState { jobs, remembered, verified, forged, proven } = state;
        let known = |state: JobState| OpenJob::resumed(state, owner, templates);
        let remembered = remembered.into_iter().filter_map(known).collect();
        let proven = usize::try_from(proven).unwrap_or(usize::MAX);
        let mut judge = Self { verified, forged, proven, remembered, ..Self::new(policy) };
        for open in jobs.into_iter().filter_map(known) {
            judge.enter(open);
        }
        judge
    }

    /// What was shown so far.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let proven = u64::try_from(self.proven).unwrap_or(u64::MAX);
        Trust { verified: self.verified, forged: self.forged, proven }
    }

    /// Its miner showed this on a connection that ended, and nothing here yet (SPEC 11.14).
    pub fn resume_trust(&mut self, Trust { verified, forged, proven }: Trust) {
        (self.verified, self.forged) = (verified, forged);
        self.proven = usize::try_from(proven).unwrap_or(usize::MAX);
    }

    /// The work of every job that is known.
    pub fn templates(&self) -> impl Iterator<Item = &Arc<WorkTemplate>> {
        self.known().map(|open| &open.job.template)
    }

    /// A job was handed out; the oldest may be forgotten for it.
    pub fn open(&mut self, job: Job) {
        self.enter(OpenJob::new(job));
    }

    fn enter(&mut self, open: OpenJob) {
        while self.jobs.len() >= self.policy.jobs_kept.max(1) {
            self.remember_oldest();
        }
        let parent = open.job.template.parent_id();
        self.remembered.retain(|old| old.job.template.parent_id() == parent);
        while self.remembered.len() > self.policy.jobs_remembered {
            self.remembered.pop_front();
        }
        if self.remembered.is_empty() {
            self.remembered.shrink_to_fit();
        }
        if self.jobs.capacity() == 0 {
            // As many as there will be, and not twice as many.
            self.jobs.reserve_exact(self.policy.jobs_kept.clamp(1, 16));
        }
        self.jobs.push_back(open);
    }

    /// The job handed out last.
    #[must_use]
    pub fn newest(&self) -> Option<&Job> {
        self.jobs.back().map(|open| &open.job)
    }

    /// The job with this id.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.known().map(|open| &open.job).find(|job| job.id == id)
    }

    /// The Ethash job with this work hash.
    #[must_use]
    pub fn job_of_work(&self, hash: &[u8; 32]) -> Option<&Job> {
        let is_it = |job: &&Job| matches!(&job.work, JobWork::Ethash { work_hash, .. } if work_hash == hash);
        self.known().map(|open| &open.job).find(is_it)
    }

    /// Another submit may be read: what comes above the limits and might be a block is left waiting, not refused (SPEC 11.5).
    #[must_use]
    pub fn has_room(&self) -> bool {
        let claims = self.in_flight.iter().filter(|share| share.candidate.claimed == Claimed::Block).count();
        self.in_flight.len() < self.policy.shares_in_flight_max.max(1)
            && claims < self.policy.block_claims_in_flight_max.max(1)
    }

    /// Takes a submit through everything but the hashing, in the order of SPEC 11.4. `tip` is the parent of the newest work
    /// that the connection has heard of. What comes out awaits a verdict under `ticket`.
    ///
    /// # Errors
    /// Why it earns nothing.
    pub fn admit(
        &mut self,
        tip: Option<BlockId>,
        ticket: ShareTicket,
        submit: Submit,
    ) -> Result<ShareCandidate, Reject> {
        let named = |open: &&OpenJob| open.job.id == submit.job;
        let earning = self.jobs.iter().find(named);
        let known = earning.or_else(|| self.remembered.iter().find(named)).ok_or(Reject::UnknownJob)?;
        let (job, earns) = (&known.job, earning.is_some());
        let seal = job.seal(submit.rolled, submit.claim, self.policy.ntime_ahead_secs_max);
        let seal = seal.map_err(|reason| if earns { reason } else { Reject::UnknownJob })?;
        let key = ShareKey::of(&job.template, &seal);
        if known.has_credited(&key) || self.in_flight.iter().any(|share| share.key == key && share.job == job.id) {
            return Err(Reject::Duplicate);
        }
        let share_target = job.share_target();
        let claimed = submit.claim.about(&job.template, &seal, &share_target);
        let is_late = tip != Some(job.template.parent_id());
        let unless_block = if !earns {
            Some(Reject::UnknownJob)
        } else if is_late {
            Some(Reject::Stale)
        } else if claimed == Claimed::Nothing {
            return Err(Reject::LowDifficulty);
        } else {
            self.is_full(known).then_some(Reject::Busy)
        };
        match (unless_block, claimed) {
            (Some(reason), Claimed::Nothing | Claimed::Share) => return Err(reason),
            (Some(_), Claimed::Unknown | Claimed::Block) | (None, _) => {}
        }
        let candidate = ShareCandidate {
            ticket,
            template: Arc::clone(&job.template),
            seal,
            claim: submit.claim,
            claimed,
            share_target,
            difficulty: job.difficulty,
            payee: job.payee,
            worker: submit.worker,
            unless_block,
            is_trusted: self.forged == 0 && self.verified >= self.policy.trusted_after,
        };
        self.in_flight.push(InFlight { candidate: candidate.clone(), job: submit.job, key });
        Ok(candidate)
    }

    /// Takes in the verdict on a candidate; nothing if none waits under this ticket.
    pub fn finish(&mut self, ticket: ShareTicket, verdict: Verdict) -> Option<Judged> {
        let index = self.in_flight.iter().position(|share| share.candidate.ticket == ticket)?;
        let InFlight { candidate, job, key } = self.in_flight.swap_remove(index);
        let shares_max = self.policy.shares_per_job_max;
        let mut judged = Judged {
            difficulty: candidate.difficulty,
            payee: candidate.payee,
            worker: candidate.worker.clone(),
            strike: None,
            is_forger: false,
            job_is_worked_out: false,
        };
        match verdict {
            Verdict::Accepted { block } => {
                self.verified = self.verified.saturating_add(1);
                self.proven = self.proven.saturating_add(1);
                let newest = self.jobs.back().map(|open| open.job.id);
                if let Some(open) = self.jobs.iter_mut().chain(&mut self.remembered).find(|open| open.job.id == job) {
                    open.credit(key, block);
                    judged.job_is_worked_out = newest == Some(job) && open.credits().saturating_mul(2) >= shares_max;
                }
            }
            Verdict::Rejected(reason) => {
                judged.strike = candidate.strike(reason);
                if judged.strike.is_some() {
                    self.proven = 0;
                    self.forged = self.forged.saturating_add(1);
                }
                let pardoned = self.verified.checked_div(self.policy.shares_per_pardon).unwrap_or(0);
                judged.is_forger = self.forged >= self.policy.forged_shares_max.saturating_add(pardoned);
            }
        }
        Some(judged)
    }

    fn remember_oldest(&mut self) {
        if self.remembered.len() == self.remembered.capacity() {
            // Doubling would keep room for twice as many as there may be, in each of ten thousand connections.
            self.remembered.reserve_exact(8);
        }
        self.remembered.extend(self.jobs.pop_front().map(OpenJob::for_blocks));
    }

    fn known(&self) -> impl Iterator<Item = &OpenJob> {
        self.jobs.iter().chain(&self.remembered)
    }

    /// There is no room for another share: of its job, of a connection, or of a stranger.
    fn is_full(&self, open: &OpenJob) -> bool {
        let of_job = self.in_flight.iter().filter(|share| share.job == open.job.id).count();
        let trusted_with = self.policy.unproven_in_flight_max.saturating_add(self.proven);
        open.credits().saturating_add(of_job) >= self.policy.shares_per_job_max
            || self.in_flight.len() >= trusted_with.min(self.policy.shares_in_flight_max)
    }
}

#[cfg(test)]
mod tests;
