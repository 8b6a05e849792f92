mod jobs;
mod logins;
mod shares;

use std::{collections::VecDeque, sync::Arc};

use bq_primitives::{Algorithm, ShareDifficulty, WorkerName};
use bq_share::{Judge, ShareTicket, UnixMs, Verdict};

use super::{SessionSeed, rate::LineRate};
use crate::{
    CloseReason, Frame, FrameKind, JobTemplate, Output, SessionPolicy,
    difficulty::RANDOMX_HASHES_MAX,
    job::{Miner, WireJob},
    replies::ReplyQueue,
    request::{Request, RequestId},
    vardiff::Vardiff,
};

/// One way of spelling requests, replies and jobs. It holds what only that dialect has; all else is in [`Exchange`].
pub(super) trait Dialect: Send {
    /// Carries out a request and answers it.
    fn handle(&mut self, exchange: &mut Exchange, now: UnixMs, request: &Request) -> Known;

    /// The handshake is far enough for a job.
    fn takes_jobs(&self) -> bool;

    /// Writes a fresh job.
    fn send_job(&mut self, exchange: &mut Exchange, now: UnixMs);

    /// Answers a login that was granted.
    fn login_granted(&mut self, exchange: &mut Exchange, login: &PendingLogin);

    /// Answers a login that was refused.
    fn login_refused(&mut self, exchange: &mut Exchange, login: &PendingLogin, text: &str);

    /// The reply to a submit; nothing if it has no id.
    fn share_reply(&self, id: &RequestId, verdict: Verdict) -> Option<Vec<u8>>;

    /// An error that is about no share.
    fn error_reply(&self, id: &RequestId, text: &str) -> Option<Vec<u8>>;
}

/// Whether a request is one that the dialect has: only such keep a connection open (SPEC 11.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    No,
}

/// What is said to keep a line open or to find out who is there, on every port alike: ethminer sends `mining.noop` five seconds
/// before a connection of 2.0.0 would idle, proxies pass on `ping`, `pong` and `client.get_version` from either side.
pub(super) const SMALL_TALK: [&str; 7] =
    ["mining.noop", "noop", "mining.ping", "ping", "mining.pong", "pong", "client.get_version"];

/// A login that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct PendingLogin {
    pub(super) ticket: u64,
    pub(super) id: RequestId,
    address: String,
    worker: WorkerName,
    difficulty: Option<ShareDifficulty>,
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

/// A submit that waits for its verdict.
struct Unanswered {
    ticket: ShareTicket,
    id: RequestId,
}

/// What every dialect shares: jobs, difficulty, logins, shares in flight, order of replies, limits.
pub(super) struct Exchange {
    pub(super) algorithm: Algorithm,
    pub(super) policy: Arc<SessionPolicy>,
    pub(super) seed: SessionSeed,
    /// Jobs handed out, what they earned, and what may still be in verification.
    pub(super) judge: Judge,
    newest: Option<WireJob>,
    template: Option<Arc<JobTemplate>>,
    vardiff: Vardiff,
    /// The miner cannot mine at less, it says, and was told that this is kept.
    least_wanted: Option<ShareDifficulty>,
    /// Difficulties that the dialect can express.
    pub(super) expressible: (u64, u64),
    /// Tells why the connection ends, where the dialect has a line for that.
    farewell: fn(&str) -> Option<Vec<u8>>,
    /// All of one account; the first is who jobs are for.
    miners: Vec<Arc<Miner>>,
    logins: Vec<PendingLogin>,
    unanswered: Vec<Unanswered>,
    replies: ReplyQueue,
    outputs: VecDeque<Output>,
    tickets: u64,
    jobs_made: u64,
    last_job: Option<UnixMs>,
    job_wanted: Wanted,
    opened: UnixMs,
    last_line: Option<UnixMs>,
    /// When a request came that the dialect has.
    last_progress: UnixMs,
    last_tick: UnixMs,
    last_suggestion: Option<UnixMs>,
    rate: LineRate,
    unreadable: u32,
    closed: bool,
}

/// Replies that may wait behind a verdict; above that nothing more is read.
const REPLIES_WAITING_MAX: usize = 256;

impl Exchange {
    pub(super) fn new(
        now: UnixMs,
        algorithm: Algorithm,
        policy: Arc<SessionPolicy>,
        seed: SessionSeed,
        farewell: fn(&str) -> Option<Vec<u8>>,
    ) -> Self {
        let rate = LineRate::new(now, policy.lines_per_second, policy.line_burst);
        Self {
            algorithm,
            vardiff: Vardiff::new(policy.vardiff),
            judge: Judge::new(policy.judge),
            policy,
            seed,
            newest: None,
            template: None,
            least_wanted: None,
            expressible: expressible(algorithm),
            farewell,
            miners: Vec::new(),
            logins: Vec::new(),
            unanswered: Vec::new(),
            replies: ReplyQueue::default(),
            outputs: VecDeque::new(),
            tickets: 0,
            jobs_made: 0,
            last_job: None,
            job_wanted: Wanted::No,
            opened: now,
            last_line: None,
            last_progress: now,
            last_tick: now,
            last_suggestion: None,
            rate,
            unreadable: 0,
            closed: false,
        }
    }

    /// Counts a line against the rate, also one that says nothing.
    pub(super) fn spend_line(&mut self, now: UnixMs) {
        self.rate.spend(now);
    }

    /// A line that says something came; true for the first one.
    pub(super) fn note_line(&mut self, now: UnixMs) -> bool {
        self.last_line.replace(now).is_none()
    }

    /// A request came that the dialect has: the connection is alive.
    pub(super) const fn note_progress(&mut self, now: UnixMs) {
        self.last_progress = now;
    }

    /// When the next line may be read; nothing while it has to wait for an answer of the pool.
    pub(super) fn reads_at(&self) -> Option<UnixMs> {
        let has_room = self.replies.len() < REPLIES_WAITING_MAX && self.judge.has_room();
        has_room.then(|| self.rate.ready_at())
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
            if let Some(text) = reason.text() {
                self.say_goodbye(text);
            }
            self.closed = true;
            self.outputs.push_back(Output::Close(reason));
        }
    }

    /// Nothing if the session is closed: it told then.
    pub(super) fn say_goodbye(&mut self, text: &str) {
        if let Some(line) = (self.farewell)(text) {
            self.send(FrameKind::Control, line);
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

    pub(super) fn check_deadlines(&mut self, now: UnixMs) {
        for (deadline, reason) in self.deadlines().into_iter().flatten() {
            if now >= deadline {
                self.close(reason);
            }
        }
    }

    fn deadlines(&self) -> [Option<(UnixMs, CloseReason)>; 3] {
        let policy = &self.policy;
        let first = self.last_line.is_none();
        [
            first.then(|| (self.opened.after_ms(policy.first_line_ms), CloseReason::FirstLineTimeout)),
            self.miners.is_empty().then(|| (self.opened.after_ms(policy.authorize_ms), CloseReason::AuthorizeTimeout)),
            Some((self.last_progress.after_ms(policy.idle_ms), CloseReason::IdleTimeout)),
        ]
    }

    pub(super) fn tick(&mut self, now: UnixMs) {
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

    pub(super) fn next_timeout(&self, takes_jobs: bool) -> UnixMs {
        let mut next = self.deadlines().into_iter().flatten().map(|(at, _)| at).min().unwrap_or(self.opened);
        if let (true, Some(last)) = (takes_jobs && self.template.is_some(), self.last_job) {
            let span = match self.job_wanted {
                Wanted::No => self.policy.job_refresh_ms,
                Wanted::Soon => self.policy.job_gap_ms,
                Wanted::Now => 0,
            };
            next = next.min(last.after_ms(span)).min(self.last_tick.after_ms(self.vardiff.tick_ms()));
        }
        next
    }
}

/// Difficulties, from least to most, that an algorithm's dialects can say; what only one of them cannot it says itself.
const fn expressible(algorithm: Algorithm) -> (u64, u64) {
    match algorithm {
        Algorithm::RandomX => (1, RANDOMX_HASHES_MAX),
        Algorithm::Sha256d | Algorithm::Ethash => (1, u64::MAX),
    }
}
