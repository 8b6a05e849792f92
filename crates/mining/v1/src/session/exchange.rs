mod logins;
mod shares;

use std::{collections::VecDeque, sync::Arc};

use bq_channel::{Channel, ChannelSeed, ChannelState, Presence};
use bq_primitives::{Algorithm, ShareDifficulty, WorkerName};
use bq_share::{SessionTicket, ShareTicket, Templates, UnixMs, Verdict};

use super::{DialectState, SessionSeed};
use crate::{
    CloseReason, Frame, FrameKind, JobTemplate, Output, SessionPolicy,
    job::{Miner, WireJob},
    replies::ReplyQueue,
    request::{Request, RequestId},
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

    /// Whether the miner was told a ticket to come back with.
    fn told_ticket(&self) -> bool {
        false
    }

    /// What is left to whoever goes on with it; nothing while something waits.
    fn state(&self) -> Option<DialectState>;

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

/// What an [`Exchange`] leaves to the one that goes on with it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct ExchangeState {
    channel: ChannelState,
    miners: Vec<Miner>,
}

/// A submit that waits for its verdict.
struct Unanswered {
    ticket: ShareTicket,
    id: RequestId,
}

/// What every dialect shares: its one channel, logins, shares in flight, order of replies, limits.
pub(super) struct Exchange {
    pub(super) policy: Arc<SessionPolicy>,
    pub(super) seed: SessionSeed,
    /// Jobs, difficulty and shares.
    pub(super) channel: Channel,
    pub(super) presence: Presence,
    newest: Option<WireJob>,
    template: Option<Arc<JobTemplate>>,
    /// Tells why the connection ends, where the dialect has a line for that.
    farewell: fn(&str) -> Option<Vec<u8>>,
    /// All of one account; the first is who jobs are for.
    miners: Vec<Arc<Miner>>,
    /// Machines whose login was taken back.
    gone: Vec<Arc<Miner>>,
    /// The ticket that the miner showed, until somebody is logged in.
    offered: Option<SessionTicket>,
    logins: Vec<PendingLogin>,
    unanswered: Vec<Unanswered>,
    replies: ReplyQueue,
    outputs: VecDeque<Output>,
    tickets: u64,
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
        let own = ChannelSeed { prefix: seed.prefix, first_job_id: seed.first_job_id };
        Self {
            channel: Channel::new(now, algorithm, Arc::clone(&policy), own),
            presence: Presence::new(now, Arc::clone(&policy)),
            policy,
            seed,
            newest: None,
            template: None,
            farewell,
            miners: Vec::new(),
            gone: Vec::new(),
            offered: None,
            logins: Vec::new(),
            unanswered: Vec::new(),
            replies: ReplyQueue::default(),
            outputs: VecDeque::new(),
            tickets: 0,
            closed: false,
        }
    }

    /// What is left to whoever goes on with it; nothing while something waits, or nobody is logged in.
    pub(super) fn state(&self) -> Option<ExchangeState> {
        let is_quiet = !self.closed
            && self.logins.is_empty()
            && self.unanswered.is_empty()
            && self.replies.len() == 0
            && self.outputs.is_empty();
        if !is_quiet {
            return None;
        }
        let miners = self.miners.iter().map(|miner| Miner::clone(miner)).collect();
        Some(ExchangeState { channel: self.channel.state()?, miners })
    }

    /// The same as this one, but with the past of another.
    pub(super) fn resume(
        self,
        now: UnixMs,
        algorithm: Algorithm,
        ExchangeState { channel, miners }: ExchangeState,
        templates: &Templates,
    ) -> Self {
        let seed = ChannelSeed { prefix: self.seed.prefix, first_job_id: self.seed.first_job_id };
        let policy = Arc::clone(&self.policy);
        Self {
            channel: Channel::resume(now, algorithm, Arc::clone(&policy), (seed, channel), templates),
            presence: Presence::resumed(now, policy),
            miners: miners.into_iter().map(Arc::new).collect(),
            ..self
        }
    }

    /// When the next line may be read; nothing while it has to wait for an answer of the pool.
    pub(super) fn reads_at(&self) -> Option<UnixMs> {
        let has_room = self.replies.len() < REPLIES_WAITING_MAX && self.channel.judge().has_room();
        has_room.then(|| self.presence.reads_at())
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
        for (deadline, reason) in self.presence.deadlines(self.has_logged_in()).into_iter().flatten() {
            if now >= deadline {
                self.close(reason);
            }
        }
    }

    pub(super) fn next_timeout(&self, takes_jobs: bool) -> UnixMs {
        let next = self.presence.next_deadline(self.has_logged_in());
        let of_channel = self.channel.next_timeout().filter(|_| takes_jobs);
        of_channel.map_or(next, |at| at.min(next))
    }

    const fn has_logged_in(&self) -> bool {
        !self.miners.is_empty()
    }

    /// What the client calls itself, if it says.
    pub(super) fn note_agent(&mut self, agent: Option<&str>) {
        if let Some(agent) = agent {
            self.channel.note_agent(agent);
        }
    }

    pub(super) fn set_template(&mut self, now: UnixMs, template: Option<Arc<JobTemplate>>) {
        self.channel.set_template(now, template.as_ref().map(|template| Arc::clone(&template.work)));
        self.template = template.filter(|_| self.channel.has_template());
    }

    /// A job should go out now.
    pub(super) fn job_is_due(&self, now: UnixMs) -> bool {
        !self.closed && self.channel.job_is_due(now)
    }

    /// A fresh job, or the end of the connection if it can have none.
    pub(super) fn make_job(&mut self, now: UnixMs) -> Option<WireJob> {
        match self.channel.make_job(now) {
            Ok(job) => {
                let job = WireJob { job: job?, template: self.template.clone()? };
                self.newest = Some(job.clone());
                Some(job)
            }
            Err(reason) => {
                self.close(reason);
                None
            }
        }
    }

    /// The job that was made last.
    pub(super) const fn newest_job(&self) -> Option<&WireJob> {
        self.newest.as_ref()
    }
}
