use std::sync::Arc;

use bq_primitives::{Algorithm, BlockId, KeyHash, ShareDifficulty};
use bq_share::{
    ExtranoncePrefix, Job, JobId, JobOwner, JobWork, Judge, JudgeState, Judged, Reject, ShareCandidate, ShareTicket,
    Submit, Templates, Trust, UnixMs, Verdict, WorkTemplate,
};
use serde::{Deserialize, Serialize};

use crate::{
    CloseReason, SessionPolicy,
    agent::floor_of,
    difficulty::RANDOMX_HASHES_MAX,
    vardiff::{Vardiff, VardiffState},
};

/// What one account mines on: its jobs, its difficulty, its shares. A connection of V1 has one channel, one of V2 many.
#[derive(Debug)]
pub struct Channel {
    algorithm: Algorithm,
    policy: Arc<SessionPolicy>,
    seed: ChannelSeed,
    /// Jobs handed out, what they earned, and what may still be in verification.
    judge: Judge,
    template: Option<Arc<WorkTemplate>>,
    vardiff: Vardiff,
    /// Who is credited; nobody before a login was granted.
    payee: Option<KeyHash>,
    /// The miner cannot mine at less, it says, and was told that this is kept.
    least_wanted: Option<ShareDifficulty>,
    /// Its client's kind gets no easier job, where vardiff chooses and the bounds of the network allow.
    agent_floor: Option<ShareDifficulty>,
    /// Difficulties that the dialect can express, from least to most.
    expressible: (u64, u64),
    /// The number of the next job: one more than the last.
    next_number: u64,
    last_job: Option<UnixMs>,
    job_wanted: Wanted,
    last_tick: UnixMs,
    last_suggestion: Option<UnixMs>,
}

/// What makes the work of one channel different from that of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelSeed {
    /// Owned by this channel until it ends.
    pub prefix: ExtranoncePrefix,
    /// Where job ids start; random, so that they cannot be guessed.
    pub first_job_id: u32,
}

/// What a login that was granted brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stake {
    /// Who is credited.
    pub payee: KeyHash,
    /// A difficulty that the miner asked to be kept.
    pub pinned: Option<ShareDifficulty>,
    /// Where this worker's difficulty stood when it was last here.
    pub remembered: Option<ShareDifficulty>,
    /// What it showed on a connection that ended, if it came back to that.
    pub trust: Option<Trust>,
}

/// What a [`Channel`] leaves to the one that goes on with it in another process (SPEC 11.13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    payee: KeyHash,
    least_wanted: Option<u64>,
    agent_floor: Option<u64>,
    expressible: (u64, u64),
    next_number: u64,
    vardiff: VardiffState,
    judge: JudgeState,
}

/// How much a fresh job is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    No,
    /// Something about it changed: once it is far enough from the last.
    Soon,
    /// The last one is of no more use: far too easy, or nearly worked out.
    Now,
}

/// A job that is this many times too easy does not wait to be replaced (SPEC 11.8): its shares would be a flood.
const LEAP: u64 = 4;
/// A miner may suggest a difficulty once per this many milliseconds.
const SUGGESTION_GAP_MS: u64 = 60_000;

impl Channel {
    /// A channel that nobody mines on yet.
    #[must_use]
    pub fn new(now: UnixMs, algorithm: Algorithm, policy: Arc<SessionPolicy>, seed: ChannelSeed) -> Self {
        Self {
            algorithm,
            vardiff: Vardiff::new(policy.vardiff),
            judge: Judge::new(policy.judge),
            policy,
            seed,
            template: None,
            payee: None,
            least_wanted: None,
            agent_floor: None,
            expressible: expressible(algorithm),
            next_number: 0,
            last_job: None,
            job_wanted: Wanted::No,
            last_tick: now,
            last_suggestion: None,
        }
    }

    /// What is left to whoever goes on with it; nothing while nobody mines on it, or a share is in verification.
    #[must_use]
    pub fn state(&self) -> Option<ChannelState> {
        Some(ChannelState {
            payee: self.payee?,
            least_wanted: self.least_wanted.map(ShareDifficulty::hashes),
            agent_floor: self.agent_floor.map(ShareDifficulty::hashes),
            expressible: self.expressible,
            next_number: self.next_number,
            vardiff: self.vardiff.state(),
            judge: self.judge.state(self.seed.first_job_id)?,
        })
    }

    /// Goes on where [`Channel::state`] was taken. Jobs whose work is not among `templates` are forgotten; a fresh one is due with the
    /// first work.
    #[must_use]
    pub fn resume(
        now: UnixMs,
        algorithm: Algorithm,
        policy: Arc<SessionPolicy>,
        (seed, state): (ChannelSeed, ChannelState),
        templates: &Templates,
    ) -> Self {
        let ChannelState { payee, least_wanted, agent_floor, expressible, next_number, vardiff, judge } = state;
        let owner = JobOwner { prefix: seed.prefix, first_job_id: seed.first_job_id, payee };
        Self {
            vardiff: Vardiff::of_state(policy.vardiff, now, vardiff),
            judge: Judge::resume(policy.judge, judge, &owner, templates),
            payee: Some(payee),
            least_wanted: least_wanted.map(ShareDifficulty::from_hashes),
            agent_floor: agent_floor.map(ShareDifficulty::from_hashes),
            expressible,
            next_number,
            ..Self::new(now, algorithm, policy, seed)
        }
    }

    /// The jobs that are known.
    #[must_use]
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    /// What no other live channel has.
    #[must_use]
    pub const fn prefix(&self) -> ExtranoncePrefix {
        self.seed.prefix
    }

    /// The dialect can say no less and no more than this.
    pub const fn express_only(&mut self, least: u64, most: u64) {
        self.expressible = (least, most);
    }

    /// What the client calls itself.
    pub fn note_agent(&mut self, agent: &str) {
        self.agent_floor = floor_of(&self.policy.agent_floors, agent);
        self.want_new_difficulty();
    }

    /// Somebody logged in: jobs are for him from now on.
    pub fn grant(&mut self, now: UnixMs, stake: Stake) {
        self.payee = Some(stake.payee);
        if let Some(trust) = stake.trust {
            self.judge.resume_trust(trust);
        }
        match (stake.pinned, stake.remembered) {
            (Some(difficulty), _) => self.vardiff.pin(difficulty),
            (None, Some(difficulty)) => self.vardiff.remember(now, difficulty),
            (None, None) => {}
        }
    }

    /// Who is credited.
    #[must_use]
    pub const fn payee(&self) -> Option<KeyHash> {
        self.payee
    }

    /// The newest work, or nothing while the algorithm may not seal blocks.
    pub fn set_template(&mut self, now: UnixMs, template: Option<Arc<WorkTemplate>>) {
        let template = template.filter(|template| template.algorithm() == self.algorithm);
        let id = |template: &Arc<WorkTemplate>| template.id();
        let changed = template.as_ref().map(id) != self.template.as_ref().map(id);
        if changed && template.is_some() {
            self.want_job(Wanted::Soon);
        }
        if template.is_none() {
            self.vardiff.pause(now);
        }
        self.template = template;
    }

    /// There is something to work on.
    #[must_use]
    pub const fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// A fresh job should go out.
    fn want_job(&mut self, wanted: Wanted) {
        self.job_wanted = self.job_wanted.max(wanted);
    }

    /// A job should go out now: the first, or one for a new tip, or one that was wanted and is not too close to the last.
    #[must_use]
    pub fn job_is_due(&self, now: UnixMs) -> bool {
        if self.template.is_none() || self.payee.is_none() {
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
    #[must_use]
    pub fn tip_moved(&self) -> bool {
        let parent = self.tip();
        parent.is_some() && self.judge.newest().map(|job| job.template.parent_id()) != parent
    }

    fn tip(&self) -> Option<BlockId> {
        self.template.as_ref().map(|template| template.parent_id())
    }

    /// Makes a job with a fresh id and fresh content, and remembers it; nothing while there is no work or nobody to do it.
    ///
    /// # Errors
    /// The channel has to end: there is no fresh content left (the miner comes back and has another number), or its dialect has no
    /// word for the difficulty (SPEC 11.2).
    pub fn make_job(&mut self, now: UnixMs) -> Result<Option<Job>, CloseReason> {
        self.make_job_at(now, self.next_number)
    }

    /// [`Channel::make_job`] with a number that several channels of a connection agree on, as the jobs of a group need (SPEC 11.10).
    /// One that was used already becomes the next that was not.
    ///
    /// # Errors
    /// As [`Channel::make_job`].
    pub fn make_job_at(&mut self, now: UnixMs, number: u64) -> Result<Option<Job>, CloseReason> {
        let (Some(template), Some(payee)) = (self.template.clone(), self.payee) else { return Ok(None) };
        let number = self.job_number(number).ok_or(CloseReason::WorkExhausted)?;
        let difficulty = self.effective_difficulty(&template).ok_or(CloseReason::Inexpressible)?;
        self.vardiff.issue(now, difficulty);
        let id = JobId(self.seed.first_job_id.wrapping_add(number));
        let ntime = u32::try_from(now.timestamp().0).unwrap_or(u32::MAX);
        let work = JobWork::new(&template, self.seed.prefix, id, number, ntime);
        let job = Job { id, difficulty, work, template, payee };
        self.next_number = u64::from(number).saturating_add(1);
        self.last_job = Some(now);
        self.job_wanted = Wanted::No;
        self.judge.open(job.clone());
        Ok(Some(job))
    }

    /// The least number of the next job.
    #[must_use]
    pub const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// A number that no job had, `wanted` or above; nothing once no other job would differ from all of them.
    fn job_number(&self, wanted: u64) -> Option<u32> {
        let number = wanted.max(self.next_number);
        u32::try_from(number).ok().filter(|_| number < JobWork::jobs_max(self.algorithm))
    }

    /// The dialect has a word for what a job would be worth now, as far as is known.
    #[must_use]
    pub fn expresses_difficulty(&self) -> bool {
        self.template.as_ref().is_none_or(|template| self.effective_difficulty(template).is_some())
    }

    /// What the next job would be worth, as far as is known: without work, what vardiff has in mind.
    #[must_use]
    pub fn next_difficulty(&self) -> Option<ShareDifficulty> {
        match &self.template {
            Some(template) => self.effective_difficulty(template),
            None => Some(self.wanted_difficulty()),
        }
    }

    /// What [`Channel::want_at_least`] promised.
    #[must_use]
    pub const fn least_wanted(&self) -> Option<ShareDifficulty> {
        self.least_wanted
    }

    /// The miner cannot mine at less. True if that is kept as long as there is a job: where it cannot be, the answer is no, and
    /// where it can be no longer, the connection ends (SPEC 11.7).
    pub fn want_at_least(&mut self, difficulty: Option<ShareDifficulty>) -> bool {
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
    fn effective_difficulty(&self, template: &WorkTemplate) -> Option<ShareDifficulty> {
        let (least, most) = self.expressible;
        let least = least.max(self.least_wanted.map_or(1, ShareDifficulty::hashes));
        if least > most {
            return None;
        }
        let clamp =
            |hashes| self.policy.vardiff.clamp(ShareDifficulty::from_hashes(hashes), template.network_difficulty);
        let wanted = clamp(self.wanted_difficulty().hashes()).hashes().clamp(least, most);
        let allowed = clamp(wanted);
        (allowed.hashes() >= least).then(|| ShareDifficulty::from_hashes(allowed.hashes().min(most)))
    }

    /// What the miner asked for, else what vardiff has in mind for it, but no less than its client's kind gets.
    fn wanted_difficulty(&self) -> ShareDifficulty {
        let floor = self.agent_floor.filter(|_| !self.vardiff.is_pinned());
        self.vardiff.difficulty().max(floor.unwrap_or(ShareDifficulty::MIN))
    }

    fn want_new_difficulty(&mut self) {
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
    pub fn suggest(&mut self, now: UnixMs, difficulty: ShareDifficulty) {
        if self.last_suggestion.is_some_and(|last| now.ms_since(last) < SUGGESTION_GAP_MS) {
            return;
        }
        self.last_suggestion = Some(now);
        self.vardiff.suggest(now, difficulty);
        self.want_new_difficulty();
    }

    /// The difficulty worth remembering for this worker's next visit.
    #[must_use]
    pub fn settled_difficulty(&self) -> Option<ShareDifficulty> {
        self.vardiff.settled()
    }

    /// Takes a submit to the judge; what comes out awaits a verdict under `ticket`.
    ///
    /// # Errors
    /// Why it earns nothing; tell [`Channel::refused`].
    pub fn admit(&mut self, ticket: ShareTicket, submit: Submit) -> Result<ShareCandidate, Reject> {
        self.judge.admit(self.tip(), ticket, submit)
    }

    /// Takes in the verdict on a candidate; nothing if none waits under this ticket.
    pub fn finish(&mut self, now: UnixMs, ticket: ShareTicket, verdict: Verdict) -> Option<Judged> {
        let judged = self.judge.finish(ticket, verdict)?;
        match verdict {
            Verdict::Accepted { .. } => {
                if judged.job_is_worked_out {
                    self.want_job(Wanted::Now);
                }
                if self.vardiff.on_share(now, judged.difficulty) {
                    self.want_new_difficulty();
                }
            }
            Verdict::Rejected(reason) => self.refused(now, reason),
        }
        Some(judged)
    }

    /// A share was refused.
    pub fn refused(&mut self, now: UnixMs, reason: Reject) {
        if reason == Reject::Busy && self.vardiff.on_busy(now) {
            self.want_new_difficulty();
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: UnixMs) {
        if now.ms_since(self.last_tick) >= self.vardiff.tick_ms() {
            self.last_tick = now;
            if self.vardiff.on_tick(now) {
                self.want_new_difficulty();
            }
        }
        let refresh = self.last_job.is_some_and(|last| now.ms_since(last) >= self.policy.job_refresh_ms);
        if refresh {
            self.want_job(Wanted::Soon);
        }
    }

    /// When [`Channel::tick`] or [`Channel::job_is_due`] has something new to say; nothing while nothing is mined.
    #[must_use]
    pub fn next_timeout(&self) -> Option<UnixMs> {
        let last = self.last_job.filter(|_| self.template.is_some())?;
        let span = match self.job_wanted {
            Wanted::No => self.policy.job_refresh_ms,
            Wanted::Soon => self.policy.job_gap_ms,
            Wanted::Now => 0,
        };
        Some(last.after_ms(span).min(self.last_tick.after_ms(self.vardiff.tick_ms())))
    }
}

/// Difficulties, from least to most, that an algorithm's dialects can say; what only one of them cannot it says itself.
const fn expressible(algorithm: Algorithm) -> (u64, u64) {
    match algorithm {
        Algorithm::RandomX => (1, RANDOMX_HASHES_MAX),
        Algorithm::Sha256d | Algorithm::Ethash => (1, u64::MAX),
    }
}
