mod jobs;
mod logins;
mod shares;

use std::{collections::VecDeque, sync::Arc};

use bq_primitives::{Algorithm, Seal, ShareDifficulty, Target, WorkerName};

use super::{
    SessionSeed,
    rate::{LineRate, Pace},
};
use crate::{
    Claim, CloseReason, Frame, FrameKind, JobTemplate, Output, SessionPolicy, ShareKey, TimeMs, Vardiff, Verdict,
    job::{DecodedShare, Job, JobBook, Miner},
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

    /// An error that is about no share.
    fn error_reply(&self, id: &RequestId, text: &str) -> Option<Vec<u8>>;
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
    /// Accepted shares since the last forged one.
    proven: usize,
    closed: bool,
}

/// Replies that may wait behind a verdict.
const REPLIES_WAITING_MAX: usize = 256;

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
            proven: 0,
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

/// A seal as the dialects build it.
pub(super) const fn decoded(seal: Seal, claim: Claim, share_target: Target) -> DecodedShare {
    DecodedShare { seal, claim, share_target }
}
