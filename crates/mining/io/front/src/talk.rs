//! What a connection speaks, apart from how it travels: bytes in, wishes out.

use std::sync::Arc;

use bq_primitives::{Algorithm, KeyHash, ShareDifficulty, WorkerName};
use bq_share::{ExtranoncePrefix, ShareTicket, UnixMs, Verdict, WorkTemplate};
use bq_stratum_v1::{
    JobTemplate, LineBuffer, LineTooLong, LoginOutcome, LoginTicket, Parting, SessionPolicy, SessionState,
};
use bq_stratum_v2::{ChannelOutcome, FrameBuffer, FrameTooLong, Output, SessionPolicyV2};

/// A session with the buffer that cuts its messages out of a stream.
pub(crate) trait Talk: Send {
    /// Adds what the transport gave.
    fn push(&mut self, bytes: &[u8]);

    /// Hands the session one message; false if there is no whole one.
    fn take_message(&mut self, now: UnixMs) -> bool;

    /// When the next message may be handed in; nothing while there is as much in verification as may be.
    fn reads_at(&self) -> Option<UnixMs>;

    fn handle_template(&mut self, now: UnixMs, template: Option<Arc<JobTemplate>>);

    fn handle_login(&mut self, now: UnixMs, ticket: LoginTicket, outcome: LoginOutcome);

    fn handle_channel(&mut self, now: UnixMs, ticket: LoginTicket, outcome: ChannelOutcome);

    fn handle_verdict(&mut self, now: UnixMs, ticket: ShareTicket, verdict: Verdict);

    fn handle_timeout(&mut self, now: UnixMs);

    fn next_timeout(&self) -> UnixMs;

    fn poll_output(&mut self) -> Option<Output>;

    /// The client said something that was understood.
    fn has_begun(&self) -> bool;

    /// The first who logged in.
    fn miner(&self) -> Option<(KeyHash, WorkerName)>;

    /// The caller ends the connection: tells why, where there are words for that.
    fn say_goodbye(&mut self, text: &str);

    /// What is left to whoever goes on with this connection, and the bytes that were not taken out yet; nothing while something
    /// waits, or if nobody can go on with it.
    fn state(&self) -> Option<(SessionState, Vec<u8>)> {
        None
    }

    /// The work of every job that is known.
    fn templates(&self) -> Vec<Arc<WorkTemplate>> {
        Vec::new()
    }

    /// What its miner may come back to if the connection ends now; nothing where it was told no ticket for that.
    fn parting(&self) -> Option<Parting> {
        None
    }

    /// A machine has to log in again before its next share. False, and nothing happens, if no other is logged in.
    fn end_login(&mut self, payee: KeyHash, worker: &WorkerName) -> bool;

    /// A channel has to be closed, and its client to be told why: tells whose it was. Nothing if there is none of this number.
    fn end_channel(&mut self, prefix: ExtranoncePrefix, why: &str) -> Option<(KeyHash, WorkerName)>;

    /// Where workers stand, of those whose place changed since the last time; of all with `again`.
    fn settled(&mut self, again: bool) -> Vec<(KeyHash, WorkerName, ShareDifficulty)>;
}

/// V1: lines.
pub(crate) struct Lines {
    session: bq_stratum_v1::Session,
    lines: LineBuffer,
    /// What was remembered of its difficulty last.
    remembered: Option<ShareDifficulty>,
}

/// V2: frames.
pub(crate) struct Frames {
    session: bq_stratum_v2::Session,
    frames: FrameBuffer,
}

impl Lines {
    pub(crate) fn new(
        since: UnixMs,
        algorithm: Algorithm,
        policy: Arc<SessionPolicy>,
        seed: bq_stratum_v1::SessionSeed,
    ) -> Self {
        let session = bq_stratum_v1::Session::new(since, algorithm, policy, seed);
        Self { session, lines: LineBuffer::default(), remembered: None }
    }

    /// Goes on with a session.
    pub(crate) fn resumed(session: bq_stratum_v1::Session) -> Self {
        Self { session, lines: LineBuffer::default(), remembered: None }
    }
}

impl Frames {
    pub(crate) fn new(since: UnixMs, policy: SessionPolicyV2, seed: bq_stratum_v2::SessionSeed) -> Self {
        Self { session: bq_stratum_v2::Session::new(since, policy, seed), frames: FrameBuffer::default() }
    }
}

impl Talk for Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.lines.push(bytes);
    }

    fn take_message(&mut self, now: UnixMs) -> bool {
        match self.lines.next_line() {
            Ok(Some(line)) => self.session.handle_line(now, line),
            Ok(None) => return false,
            Err(LineTooLong) => self.session.handle_oversize_line(),
        }
        true
    }

    fn reads_at(&self) -> Option<UnixMs> {
        self.session.reads_at()
    }

    fn handle_template(&mut self, now: UnixMs, template: Option<Arc<JobTemplate>>) {
        self.session.handle_template(now, template);
    }

    fn handle_login(&mut self, now: UnixMs, ticket: LoginTicket, outcome: LoginOutcome) {
        self.session.handle_login(now, ticket, outcome);
    }

    /// Its one channel comes with the connection.
    fn handle_channel(&mut self, _: UnixMs, _: LoginTicket, _: ChannelOutcome) {}

    fn handle_verdict(&mut self, now: UnixMs, ticket: ShareTicket, verdict: Verdict) {
        self.session.handle_verdict(now, ticket, verdict);
    }

    fn handle_timeout(&mut self, now: UnixMs) {
        self.session.handle_timeout(now);
    }

    fn next_timeout(&self) -> UnixMs {
        self.session.next_timeout()
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.session.poll_output().map(Output::Common)
    }

    /// Its lines come over what shows by itself who is a client.
    fn has_begun(&self) -> bool {
        true
    }

    fn miner(&self) -> Option<(KeyHash, WorkerName)> {
        self.session.miner().map(|(payee, worker)| (payee, worker.clone()))
    }

    fn say_goodbye(&mut self, text: &str) {
        self.session.say_goodbye(text);
    }

    fn state(&self) -> Option<(SessionState, Vec<u8>)> {
        Some((self.session.state()?, self.lines.unread().to_vec()))
    }

    fn templates(&self) -> Vec<Arc<WorkTemplate>> {
        self.session.templates().cloned().collect()
    }

    fn parting(&self) -> Option<Parting> {
        self.session.parting()
    }

    fn end_login(&mut self, payee: KeyHash, worker: &WorkerName) -> bool {
        self.session.end_login(payee, worker)
    }

    /// Its one channel leaves with the connection.
    fn end_channel(&mut self, _: ExtranoncePrefix, _: &str) -> Option<(KeyHash, WorkerName)> {
        None
    }

    fn settled(&mut self, again: bool) -> Vec<(KeyHash, WorkerName, ShareDifficulty)> {
        let settled = self.session.settled_difficulty();
        let before = std::mem::replace(&mut self.remembered, settled);
        let (Some((payee, worker)), Some(difficulty)) = (self.session.miner(), settled) else { return Vec::new() };
        if again || before != settled { vec![(payee, worker.clone(), difficulty)] } else { Vec::new() }
    }
}

impl Talk for Frames {
    fn push(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    fn take_message(&mut self, now: UnixMs) -> bool {
        match self.frames.next_frame() {
            Ok(Some(frame)) => self.session.handle_frame(now, frame),
            Ok(None) => return false,
            Err(FrameTooLong) => self.session.handle_oversize_frame(),
        }
        true
    }

    fn reads_at(&self) -> Option<UnixMs> {
        self.session.reads_at()
    }

    fn handle_template(&mut self, now: UnixMs, template: Option<Arc<JobTemplate>>) {
        self.session.handle_template(now, template.map(|template| Arc::clone(&template.work)));
    }

    /// Who logs in does so by opening a channel.
    fn handle_login(&mut self, _: UnixMs, _: LoginTicket, _: LoginOutcome) {}

    fn handle_channel(&mut self, now: UnixMs, ticket: LoginTicket, outcome: ChannelOutcome) {
        self.session.handle_channel(now, ticket, outcome);
    }

    fn handle_verdict(&mut self, now: UnixMs, ticket: ShareTicket, verdict: Verdict) {
        self.session.handle_verdict(now, ticket, verdict);
    }

    fn handle_timeout(&mut self, now: UnixMs) {
        self.session.handle_timeout(now);
    }

    fn next_timeout(&self) -> UnixMs {
        self.session.next_timeout()
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.session.poll_output()
    }

    fn has_begun(&self) -> bool {
        self.session.is_set_up()
    }

    fn miner(&self) -> Option<(KeyHash, WorkerName)> {
        self.session.miner().map(|(payee, worker)| (payee, worker.clone()))
    }

    /// A login is a channel there.
    fn end_login(&mut self, _: KeyHash, _: &WorkerName) -> bool {
        true
    }

    fn end_channel(&mut self, prefix: ExtranoncePrefix, why: &str) -> Option<(KeyHash, WorkerName)> {
        self.session.end_channel_of(prefix, why)
    }

    /// V2 has no message for people.
    fn say_goodbye(&mut self, _: &str) {}

    fn settled(&mut self, again: bool) -> Vec<(KeyHash, WorkerName, ShareDifficulty)> {
        self.session.settled(again)
    }
}
