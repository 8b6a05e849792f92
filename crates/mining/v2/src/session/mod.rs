mod channels;
mod jobs;
mod shares;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bq_channel::{CloseReason, Frame, FrameKind, LoginTicket, Presence, SessionPolicy};
use bq_primitives::{KeyHash, ShareDifficulty, WorkerName};
use bq_share::{ExtranoncePrefix, ShareTicket, UnixMs, Verdict, WorkTemplate};
use common_messages_sv2::{
    ERROR_CODE_SETUP_CONNECTION_PROTOCOL_VERSION_MISMATCH, ERROR_CODE_SETUP_CONNECTION_UNSUPPORTED_FEATURE_FLAGS,
    ERROR_CODE_SETUP_CONNECTION_UNSUPPORTED_PROTOCOL, Protocol, SetupConnection,
};
use mining_sv2::ERROR_CODE_SET_CUSTOM_MINING_JOB_JD_NOT_SUPPORTED;

use self::{channels::Opening, shares::Unanswered};
use crate::{
    open_channel::{ChannelId, OpenChannel},
    reply::{self, PROTOCOL_VERSION},
    request::{Request, Unreadable},
};

/// What the operator decides about every session of V2 beside what holds for V1 too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPolicyV2 {
    /// What holds for every session of SHA-256d.
    pub common: Arc<SessionPolicy>,
    /// Channels that may be open on one connection, as a proxy's are: each costs as much memory as a connection of V1.
    pub channels_max: usize,
}

/// What makes one session different from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSeed {
    /// Where job ids start; random, so that they cannot be guessed.
    pub first_job_id: u32,
}

/// What a session wants done. Carry it out in order.
#[derive(Debug)]
pub enum Output {
    /// As for V1.
    Common(bq_channel::Output),
    /// Find out whether this address may mine, and have a number for its channel: answer with [`Session::handle_channel`].
    Open {
        /// For the answer.
        ticket: LoginTicket,
        /// The address as the miner wrote it.
        address: String,
        /// The machine.
        worker: WorkerName,
        /// The worker token behind the name, as written.
        token: Option<String>,
    },
    /// A share of a channel was accepted.
    Accepted {
        /// Whose number it is.
        prefix: ExtranoncePrefix,
    },
    /// A channel is no more: its number is free, and this is where its worker stood, if it settled.
    Closed {
        /// Whose number it was.
        prefix: ExtranoncePrefix,
        /// Account, machine, difficulty.
        settled: Option<(KeyHash, WorkerName, ShareDifficulty)>,
    },
}

/// The caller's answer to [`Output::Open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelOutcome {
    /// It may mine.
    Granted {
        /// The channel's, until [`Output::Closed`] or the end of the connection.
        prefix: ExtranoncePrefix,
        /// Who is credited.
        payee: KeyHash,
        /// Where this worker's difficulty stood when it was last here.
        remembered: Option<ShareDifficulty>,
    },
    /// It may not; the text says why.
    Refused(String),
    /// Nor with this token, or without one; the text says why.
    BadToken(String),
    /// There is no room for another.
    Full,
    /// The pool cannot tell now: the connection is closed, so that the miner comes back.
    Unavailable,
}

/// One connection of SHA-256d miners that speak V2. Feed it frames, templates, answers and time; then carry out what
/// [`Session::poll_output`] gives, in order, until it gives nothing.
pub struct Session {
    policy: SessionPolicyV2,
    seed: SessionSeed,
    presence: Presence,
    /// Nothing before `SetupConnection`.
    setup: Option<Setup>,
    channels: BTreeMap<ChannelId, OpenChannel>,
    opening: Vec<Opening>,
    last_channel: u32,
    template: Option<Arc<WorkTemplate>>,
    unanswered: Vec<Unanswered>,
    outputs: VecDeque<Output>,
    tickets: u64,
    closed: bool,
}

/// What was agreed at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setup {
    /// The client makes no work of extended jobs: each of its channels gets its own.
    wants_standard_jobs: bool,
}

/// All channels of a connection that take extended jobs.
const GROUP: ChannelId = ChannelId(1);

/// Bits of `SetupConnection.flags`.
const REQUIRES_STANDARD_JOBS: u32 = 1;
const REQUIRES_VERSION_ROLLING: u32 = 1 << 2;

impl Session {
    /// A connection that was opened at `now`.
    #[must_use]
    pub fn new(now: UnixMs, policy: SessionPolicyV2, seed: SessionSeed) -> Self {
        Self {
            presence: Presence::new(now, Arc::clone(&policy.common)),
            policy,
            seed,
            setup: None,
            channels: BTreeMap::new(),
            opening: Vec::new(),
            last_channel: GROUP.0,
            template: None,
            unanswered: Vec::new(),
            outputs: VecDeque::new(),
            tickets: 0,
            closed: false,
        }
    }

    /// When the next frame may be handed in: later than now for a client that sends too many, and nothing while it has as much in
    /// verification as it may (SPEC 11.5).
    #[must_use]
    pub fn reads_at(&self) -> Option<UnixMs> {
        let has_room = self.unanswered.len() < self.policy.common.judge.shares_in_flight_max.max(1);
        has_room.then(|| self.presence.reads_at())
    }

    /// A whole frame from the client, header and payload.
    pub fn handle_frame(&mut self, now: UnixMs, frame: &mut [u8]) {
        if self.closed {
            return;
        }
        self.presence.spend_line(now);
        self.presence.note_line(now);
        match (Request::parse(frame), self.setup) {
            (Ok(Request::Setup(setup)), None) => self.set_up(&setup),
            (Err(Unreadable::UnknownProtocol), None) => {
                self.refuse_setup(0, ERROR_CODE_SETUP_CONNECTION_UNSUPPORTED_PROTOCOL);
            }
            // Whatever it is, it does not begin as V2 does.
            (_, None) => self.close(CloseReason::NotStratum),
            (Ok(request), Some(setup)) => {
                if !matches!(request, Request::Setup(_)) {
                    self.presence.note_progress(now);
                }
                self.handle_request(now, setup, &request);
            }
            (Err(Unreadable::Unknown), Some(_)) => {}
            (Err(Unreadable::Malformed | Unreadable::UnknownProtocol), Some(_)) => self.complain(),
        }
    }

    fn handle_request(&mut self, now: UnixMs, setup: Setup, request: &Request<'_>) {
        match request {
            // It was agreed on already.
            Request::Setup(_) => self.complain(),
            Request::OpenStandard(open) => self.open_standard(open),
            Request::OpenExtended(open) => self.open_extended(setup, open),
            Request::Update(update) => self.update_channel(now, update),
            Request::Close(close) => self.close_channels(ChannelId(close.channel_id)),
            Request::SubmitStandard(submit) => self.submit_standard(now, submit),
            Request::SubmitExtended(submit) => self.submit_extended(now, submit),
            Request::CustomJob(job) => {
                let code = ERROR_CODE_SET_CUSTOM_MINING_JOB_JD_NOT_SUPPORTED;
                self.reply(reply::custom_job_error(job.channel_id, job.request_id, code));
            }
        }
    }

    fn set_up(&mut self, setup: &SetupConnection<'_>) {
        let unknown = setup.flags & !(REQUIRES_STANDARD_JOBS | REQUIRES_VERSION_ROLLING);
        if setup.protocol != Protocol::MiningProtocol {
            self.refuse_setup(0, ERROR_CODE_SETUP_CONNECTION_UNSUPPORTED_PROTOCOL);
        } else if setup.get_version(PROTOCOL_VERSION, PROTOCOL_VERSION).is_none() {
            self.refuse_setup(0, ERROR_CODE_SETUP_CONNECTION_PROTOCOL_VERSION_MISMATCH);
        } else if unknown != 0 {
            self.refuse_setup(unknown, ERROR_CODE_SETUP_CONNECTION_UNSUPPORTED_FEATURE_FLAGS);
        } else {
            self.setup = Some(Setup { wants_standard_jobs: setup.flags & REQUIRES_STANDARD_JOBS != 0 });
            self.reply(reply::setup_success());
        }
    }

    fn refuse_setup(&mut self, flags: u32, code: &str) {
        self.reply(reply::setup_error(flags, code));
        self.close(CloseReason::Refused);
    }

    /// Something came that cannot be read.
    fn complain(&mut self) {
        if self.presence.note_unreadable() {
            self.close(CloseReason::Malformed);
        }
    }

    /// The client announced a frame longer than any may be: the connection ends.
    pub fn handle_oversize_frame(&mut self) {
        self.close(CloseReason::Malformed);
    }

    /// The newest work, or nothing while SHA-256d may not seal blocks.
    pub fn handle_template(&mut self, now: UnixMs, template: Option<Arc<WorkTemplate>>) {
        for open in self.channels.values_mut() {
            open.channel.set_template(now, template.clone());
        }
        self.template = template;
        self.push_jobs(now);
    }

    /// Time passed; call when [`Session::next_timeout`] is reached. Calling early does nothing.
    pub fn handle_timeout(&mut self, now: UnixMs) {
        for (deadline, reason) in self.presence.deadlines(self.has_logged_in()).into_iter().flatten() {
            if now >= deadline {
                self.close(reason);
            }
        }
        for open in self.channels.values_mut() {
            open.channel.tick(now);
        }
        self.push_jobs(now);
    }

    /// When [`Session::handle_timeout`] has something to do. Where there are several channels their turns come together, or a thousand
    /// of them would look at each other a thousand times a second.
    #[must_use]
    pub fn next_timeout(&self) -> UnixMs {
        let deadline = self.presence.next_deadline(self.has_logged_in());
        let of_channels = self.channels.values().filter_map(|open| open.channel.next_timeout()).min();
        let together = |at: UnixMs| UnixMs(at.0.checked_next_multiple_of(TURN_MS).unwrap_or(at.0));
        let turn = of_channels.map(|at| if self.channels.len() > 1 { together(at) } else { at });
        turn.map_or(deadline, |at| at.min(deadline))
    }

    /// The client began as the protocol wants.
    #[must_use]
    pub const fn is_set_up(&self) -> bool {
        self.setup.is_some()
    }

    /// A channel was opened at some time: one that closed its last may open another as long as it is not idle.
    const fn has_logged_in(&self) -> bool {
        self.last_channel > GROUP.0
    }

    /// The next thing to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.acknowledge_shares();
        }
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 16 {
            self.outputs.shrink_to(4);
        }
        output
    }

    /// Channels that are open or about to be.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.len().saturating_add(self.opening.len())
    }

    /// Where workers stand, of those whose place changed since the last time; of all with `again`.
    pub fn settled(&mut self, again: bool) -> Vec<(KeyHash, WorkerName, ShareDifficulty)> {
        let news = self.channels.values_mut().filter_map(|open| {
            let settled = open.settled();
            let difficulty = settled.as_ref().map(|(.., difficulty)| *difficulty);
            let before = std::mem::replace(&mut open.remembered, difficulty);
            settled.filter(|_| again || before != difficulty)
        });
        news.collect()
    }

    /// Account and machine of the first channel that is open.
    #[must_use]
    pub fn miner(&self) -> Option<(KeyHash, &WorkerName)> {
        self.channels.values().next().map(|open| (open.payee, &open.worker))
    }

    /// The answer to a share.
    pub fn handle_verdict(&mut self, now: UnixMs, ticket: ShareTicket, verdict: Verdict) {
        if let Some(channel) = self.finish_share(now, ticket, verdict) {
            self.push_job(now, channel);
        }
    }

    fn reply(&mut self, frame: Option<Vec<u8>>) {
        self.send(FrameKind::Reply, frame);
    }

    fn send(&mut self, kind: FrameKind, frame: Option<Vec<u8>>) {
        if let Some(bytes) = frame.filter(|_| !self.closed) {
            self.common(bq_channel::Output::Send(Frame { bytes, kind }));
        }
    }

    fn common(&mut self, output: bq_channel::Output) {
        self.outputs.push_back(Output::Common(output));
    }

    fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.acknowledge_shares();
            self.closed = true;
            self.common(bq_channel::Output::Close(reason));
        }
    }

    fn next_ticket(&mut self) -> u64 {
        self.tickets = self.tickets.saturating_add(1);
        self.tickets
    }
}

/// Turns of several channels are so far apart, in milliseconds.
const TURN_MS: u64 = 250;
