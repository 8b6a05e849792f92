use std::{collections::VecDeque, sync::Arc};

use bq_primitives::{Algorithm, Seal, ShareDifficulty, WorkerName};

use super::{
    SessionSeed,
    rate::{LineRate, Pace},
};
use crate::{
    Claim, CloseReason, Frame, FrameKind, JobTemplate, Login, LoginOutcome, LoginTicket, Output, Reject,
    SessionPolicy, ShareCandidate, ShareKey, ShareTicket, TimeMs, Vardiff, Verdict,
    job::{DecodedShare, Job, JobBook, JobWork, Miner, counted_extranonce, ethash_work},
    replies::ReplyQueue,
    request::{Request, RequestId},
};

/// One way of spelling requests, replies and jobs. It holds what only that dialect has; all else is in [`Core`].
pub(super) trait Dialect: Send {
    /// Carries out a request and answers it.
    fn handle(&mut self, core: &mut Core, now: TimeMs, request: &Request);

    /// The handshake is far enough for a job.
    fn takes_jobs(&self) -> bool;

    /// Writes a fresh job.
    fn send_job(&mut self, core: &mut Core, now: TimeMs);

    /// Answers a login that was granted.
    fn login_granted(&mut self, core: &mut Core, login: &PendingLogin);

    /// Answers a login that was refused.
    fn login_refused(&mut self, core: &mut Core, login: &PendingLogin, text: &str);

    /// The reply to a submit; nothing if it has no id.
    fn share_reply(&self, id: &RequestId, verdict: Verdict) -> Option<Vec<u8>>;
}

/// A login that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct PendingLogin {
    pub(super) ticket: u64,
    pub(super) id: RequestId,
    address: String,
    worker: WorkerName,
    difficulty: Option<ShareDifficulty>,
}

/// A submit that was decoded and whose job was found.
pub(super) struct Submit {
    pub(super) job: Job,
    pub(super) share: DecodedShare,
    pub(super) miner: Arc<Miner>,
}

struct InFlight {
    ticket: u64,
    id: RequestId,
    key: ShareKey,
    difficulty: ShareDifficulty,
    miner: Arc<Miner>,
}

/// What every dialect shares: jobs, difficulty, logins, shares in flight, order of replies, limits.
pub(super) struct Core {
    pub(super) algorithm: Algorithm,
    pub(super) policy: Arc<SessionPolicy>,
    pub(super) seed: SessionSeed,
    pub(super) jobs: JobBook,
    template: Option<Arc<JobTemplate>>,
    vardiff: Vardiff,
    /// Difficulties that the dialect can express.
    pub(super) expressible: (u64, u64),
    /// All of one account; the first is who jobs are for.
    miners: Vec<Arc<Miner>>,
    logins: Vec<PendingLogin>,
    in_flight: Vec<InFlight>,
    replies: ReplyQueue,
    outputs: VecDeque<Output>,
    tickets: u64,
    jobs_made: u64,
    last_ntime: u32,
    last_job: Option<TimeMs>,
    /// Something about the job changed.
    job_wanted: bool,
    opened: TimeMs,
    last_line: Option<TimeMs>,
    last_tick: TimeMs,
    last_suggestion: Option<TimeMs>,
    rate: LineRate,
    over_rate: bool,
    unreadable: u32,
    forged: u32,
    closed: bool,
}

/// Replies that may wait behind a verdict.
const REPLIES_WAITING_MAX: usize = 256;
/// Logins of one connection that may wait for an answer.
const LOGINS_PENDING_MAX: usize = 4;
/// Machines that may share one connection (a proxy).
const MINERS_MAX: usize = 32;
/// A miner may suggest a difficulty once per this many milliseconds.
const SUGGESTION_GAP_MS: u64 = 60_000;

// Lines, outputs and time.
impl Core {
    pub(super) fn new(now: TimeMs, algorithm: Algorithm, policy: Arc<SessionPolicy>, seed: SessionSeed) -> Self {
        let rate = LineRate::new(now, policy.lines_per_second, policy.line_burst);
        Self {
            algorithm,
            vardiff: Vardiff::new(policy.vardiff),
            policy,
            seed,
            jobs: JobBook::default(),
            template: None,
            expressible: (1, u64::MAX),
            miners: Vec::new(),
            logins: Vec::new(),
            in_flight: Vec::new(),
            replies: ReplyQueue::default(),
            outputs: VecDeque::new(),
            tickets: 0,
            jobs_made: 0,
            last_ntime: 0,
            last_job: None,
            job_wanted: false,
            opened: now,
            last_line: None,
            last_tick: now,
            last_suggestion: None,
            rate,
            over_rate: false,
            unreadable: 0,
            forged: 0,
            closed: false,
        }
    }

    /// Counts a line against the rate; true for the first one.
    pub(super) fn note_line(&mut self, now: TimeMs) -> bool {
        let pace = self.rate.spend(now);
        self.over_rate = pace != Pace::Fine;
        if pace == Pace::Flood || self.replies.len() > REPLIES_WAITING_MAX {
            self.close(CloseReason::Flood);
        }
        self.last_line.replace(now).is_none()
    }

    pub(super) fn note_unreadable(&mut self) -> u32 {
        self.unreadable = self.unreadable.saturating_add(1);
        self.unreadable
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.outputs.push_back(Output::Close(reason));
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 16 {
            self.outputs.shrink_to(4);
        }
        output
    }

    /// Answers the request that is being handled.
    pub(super) fn reply(&mut self, line: Option<Vec<u8>>) {
        self.replies.push(line);
        self.flush();
    }

    /// Sends a line that is no reply.
    pub(super) fn send(&mut self, kind: FrameKind, bytes: Vec<u8>) {
        if !self.closed {
            self.outputs.push_back(Output::Send(Frame { bytes, kind }));
        }
    }

    /// Answers the request that waits under `ticket`.
    pub(super) fn resolve(&mut self, ticket: u64, line: Option<Vec<u8>>) {
        self.replies.resolve(ticket, line);
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(bytes) = self.replies.pop() {
            self.send(FrameKind::Reply, bytes);
        }
    }

    pub(super) fn check_deadlines(&mut self, now: TimeMs) {
        for (deadline, reason) in self.deadlines().into_iter().flatten() {
            if now >= deadline {
                self.close(reason);
            }
        }
    }

    fn deadlines(&self) -> [Option<(TimeMs, CloseReason)>; 3] {
        let policy = &self.policy;
        let first = self.last_line.is_none();
        let idle_since = self.last_line.unwrap_or(self.opened);
        [
            first.then(|| (self.opened.after(policy.first_line_ms), CloseReason::FirstLineTimeout)),
            self.miners.is_empty().then(|| (self.opened.after(policy.authorize_ms), CloseReason::AuthorizeTimeout)),
            Some((idle_since.after(policy.idle_ms), CloseReason::IdleTimeout)),
        ]
    }

    pub(super) fn tick(&mut self, now: TimeMs) {
        if now.since(self.last_tick) >= self.vardiff.tick_ms() {
            self.last_tick = now;
            if self.vardiff.on_tick(now) {
                self.want_new_difficulty();
            }
        }
        let refresh = self.last_job.is_some_and(|last| now.since(last) >= self.policy.job_refresh_ms);
        self.job_wanted |= refresh;
    }

    pub(super) fn next_timeout(&self, takes_jobs: bool) -> TimeMs {
        let mut next = self.deadlines().into_iter().flatten().map(|(at, _)| at).min().unwrap_or(self.opened);
        if let (true, Some(last)) = (takes_jobs && self.template.is_some(), self.last_job) {
            let span = if self.job_wanted { self.policy.job_gap_ms } else { self.policy.job_refresh_ms };
            next = next.min(last.after(span)).min(self.last_tick.after(self.vardiff.tick_ms()));
        }
        next
    }
}

// Jobs and difficulty.
impl Core {
    pub(super) fn set_template(&mut self, template: Option<Arc<JobTemplate>>) {
        let template = template.filter(|template| template.algorithm() == self.algorithm);
        let seal_hash = |template: &Arc<JobTemplate>| template.seal_hash;
        let changed = template.as_ref().map(seal_hash) != self.template.as_ref().map(seal_hash);
        self.job_wanted |= changed && template.is_some();
        self.template = template;
    }

    /// A job should go out now: the first, or one for a new tip, or one that was wanted and is not too close to the last.
    pub(super) fn job_is_due(&self, now: TimeMs) -> bool {
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
    pub(super) fn tip_moved(&self) -> bool {
        let parent = self.template.as_ref().map(|template| template.parent_id());
        parent.is_some() && self.jobs.newest().map(|job| job.template.parent_id()) != parent
    }

    /// Makes a job with a fresh id and fresh content, and remembers it.
    pub(super) fn make_job(&mut self, now: TimeMs) -> Option<Job> {
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

    fn want_new_difficulty(&mut self) {
        let Some(template) = &self.template else { return };
        let next = self.effective_difficulty(template);
        self.job_wanted |= self.jobs.newest().is_some_and(|job| job.difficulty != next);
    }

    /// The miner would like this difficulty. Heard once a minute; vardiff goes on from there.
    pub(super) fn suggest(&mut self, now: TimeMs, difficulty: ShareDifficulty) {
        if self.last_suggestion.is_some_and(|last| now.since(last) < SUGGESTION_GAP_MS) {
            return;
        }
        self.last_suggestion = Some(now);
        self.vardiff.suggest(now, difficulty);
        self.want_new_difficulty();
    }

    pub(super) fn settled_difficulty(&self) -> Option<ShareDifficulty> {
        self.vardiff.settled()
    }
}

// Logins.
impl Core {
    /// Reads a login and asks for it to be checked.
    ///
    /// # Errors
    /// What is wrong with it; the request is not answered yet.
    pub(super) fn login(
        &mut self,
        id: &RequestId,
        text: &str,
        worker: Option<&str>,
        difficulty: impl Fn(&Login) -> Option<ShareDifficulty>,
    ) -> Result<(), String> {
        if self.logins.len() >= LOGINS_PENDING_MAX || self.miners.len() >= MINERS_MAX {
            return Err("too many logins on this connection".to_owned());
        }
        let login = Login::parse(text).map_err(|error| error.to_string())?;
        let named = || worker.and_then(|name| WorkerName::new(name).ok());
        let ticket = self.next_ticket();
        let pending = PendingLogin {
            ticket,
            id: id.clone(),
            difficulty: difficulty(&login),
            worker: login.worker.or_else(named).unwrap_or_default(),
            address: login.address,
        };
        self.replies.wait(ticket);
        self.outputs.push_back(Output::Authorize {
            ticket: LoginTicket(ticket),
            address: pending.address.clone(),
            worker: pending.worker.clone(),
        });
        self.logins.push(pending);
        Ok(())
    }

    /// Takes in the answer to a login: the login, and why it was refused after all.
    pub(super) fn finish_login(
        &mut self,
        now: TimeMs,
        ticket: LoginTicket,
        outcome: LoginOutcome,
    ) -> Option<(PendingLogin, Option<String>)> {
        let index = self.logins.iter().position(|login| login.ticket == ticket.0)?;
        let login = self.logins.remove(index);
        match outcome {
            LoginOutcome::Unavailable => {
                self.close(CloseReason::Unavailable);
                None
            }
            LoginOutcome::Refused(text) => Some((login, Some(text))),
            LoginOutcome::Granted { account, remembered } => {
                if self.miners.first().is_some_and(|first| first.account != account) {
                    return Some((login, Some("one account per connection".to_owned())));
                }
                if self.miners.is_empty() {
                    match (login.difficulty, remembered) {
                        (Some(difficulty), _) => self.vardiff.pin(difficulty),
                        (None, Some(difficulty)) => self.vardiff.remember(now, difficulty),
                        (None, None) => {}
                    }
                }
                let miner = Miner { account, address: login.address.clone(), worker: login.worker.clone() };
                if !self.miners.iter().any(|known| **known == miner) {
                    self.miners.push(Arc::new(miner));
                }
                Some((login, None))
            }
        }
    }

    pub(super) fn first_miner(&self) -> Option<&Arc<Miner>> {
        self.miners.first()
    }

    /// The logged-in machine that a submit names. A submit that names none, or none that is known under its address, is
    /// the first machine's, if `strict` does not forbid it.
    pub(super) fn miner_named(&self, login: &str, worker: Option<&str>, strict: bool) -> Option<Arc<Miner>> {
        let login = Login::parse(login).ok()?;
        let worker = login.worker.as_ref().map(WorkerName::as_str).or(worker);
        let of_address = || self.miners.iter().filter(|miner| miner.address == login.address);
        let exact = of_address().find(|miner| miner.worker.as_str() == worker.unwrap_or("default"));
        let lenient = || if strict { None } else { of_address().next() };
        exact.or_else(lenient).cloned()
    }

    fn next_ticket(&mut self) -> u64 {
        self.tickets = self.tickets.saturating_add(1);
        self.tickets
    }
}

// Shares.
impl Core {
    /// Takes a submit through the checks that cost nothing and hands it on for verification, or refuses it.
    pub(super) fn submit(
        &mut self,
        now: TimeMs,
        id: &RequestId,
        submit: Result<Submit, Reject>,
        reply: impl Fn(&RequestId, Verdict) -> Option<Vec<u8>>,
    ) {
        match submit.and_then(|submit| self.check(submit)) {
            Ok((submit, key)) => self.emit(id, submit, key),
            Err(reason) => {
                self.reply(reply(id, Verdict::Rejected(reason)));
                let miner = self.miners.first().cloned();
                self.note_rejected(now, miner.as_deref(), reason);
            }
        }
    }

    /// Job, duplicate, cheap target, room: in this order.
    fn check(&self, submit: Submit) -> Result<(Submit, ShareKey), Reject> {
        let template = &submit.job.template;
        let parent = self.template.as_ref().map(|template| template.parent_id());
        if parent != Some(template.parent_id()) {
            return Err(Reject::Stale);
        }
        if self.over_rate {
            return Err(Reject::Busy);
        }
        let key = ShareKey::of(template, &submit.share.seal);
        if self.in_flight.iter().any(|share| share.key == key) {
            return Err(Reject::Duplicate);
        }
        if let Claim::RandomX(result) = submit.share.claim
            && !submit.share.share_target.is_met_by_le(&bq_primitives::PowHash(result))
        {
            return Err(Reject::LowDifficulty);
        }
        if self.in_flight.len() >= self.policy.shares_in_flight_max {
            return Err(Reject::Busy);
        }
        Ok((submit, key))
    }

    fn emit(&mut self, id: &RequestId, submit: Submit, key: ShareKey) {
        let Submit { job, share, miner } = submit;
        let ticket = self.next_ticket();
        self.replies.wait(ticket);
        self.in_flight.push(InFlight {
            ticket,
            id: id.clone(),
            key,
            difficulty: job.difficulty,
            miner: Arc::clone(&miner),
        });
        self.outputs.push_back(Output::Share(Box::new(ShareCandidate {
            ticket: ShareTicket(ticket),
            template: job.template,
            seal: share.seal,
            claim: share.claim,
            share_target: share.share_target,
            difficulty: job.difficulty,
            account: job.miner.account,
            worker: miner.worker.clone(),
            key,
        })));
    }

    /// Takes in a verdict and answers the submit it is for.
    pub(super) fn finish_share(
        &mut self,
        now: TimeMs,
        ticket: ShareTicket,
        verdict: Verdict,
        reply: impl Fn(&RequestId) -> Option<Vec<u8>>,
    ) {
        let Some(index) = self.in_flight.iter().position(|share| share.ticket == ticket.0) else { return };
        let share = self.in_flight.swap_remove(index);
        self.resolve(ticket.0, reply(&share.id));
        match verdict {
            Verdict::Accepted { .. } => {
                if self.vardiff.on_share(now, share.difficulty) {
                    self.want_new_difficulty();
                }
            }
            Verdict::Rejected(reason) => self.note_rejected(now, Some(&share.miner), reason),
        }
    }

    fn note_rejected(&mut self, now: TimeMs, miner: Option<&Miner>, reason: Reject) {
        let miner = miner.map(|miner| (miner.account, miner.worker.clone()));
        self.outputs.push_back(Output::Rejected { miner, reason });
        match reason {
            Reject::Busy if self.vardiff.on_busy(now) => self.want_new_difficulty(),
            Reject::BadProof => {
                self.forged = self.forged.saturating_add(1);
                if self.forged >= self.policy.forged_shares_max {
                    self.close(CloseReason::ForgedShares);
                }
            }
            _ => {}
        }
    }
}

/// A seal as the dialects build it.
pub(super) const fn decoded(seal: Seal, claim: Claim, share_target: bq_primitives::Target) -> DecodedShare {
    DecodedShare { seal, claim, share_target }
}
