mod ethash;
mod exchange;
mod randomx;
mod sha256d;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bq_primitives::{Algorithm, KeyHash, ShareDifficulty, WorkerName};
use bq_share::{ExtranoncePrefix, SessionTicket, ShareTicket, Templates, Trust, UnixMs, Verdict, WorkTemplate};

use self::exchange::{Dialect, Exchange, ExchangeState, Known};
use crate::{
    CloseReason, JobTemplate, LoginOutcome, LoginTicket, Output, SessionPolicy,
    request::{Request, RequestId, Unreadable},
};

/// What makes one session different from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SessionSeed {
    /// Named in replies; random, so that it cannot be guessed from another's.
    pub session_id: u32,
    /// Where job ids start; random for the same reason.
    pub first_job_id: u32,
    /// Owned by this connection until it ends.
    pub prefix: ExtranoncePrefix,
    /// What its miner may show to come back to it, where its dialect has a field for that.
    pub ticket: SessionTicket,
}

/// What a miner may come back to when its connection ended (SPEC 11.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// Who was credited.
    pub payee: KeyHash,
    /// Which machine logged in first.
    pub worker: WorkerName,
    /// What was shown.
    pub trust: Trust,
    /// Where its difficulty settled, if it did.
    pub difficulty: Option<ShareDifficulty>,
}

/// What a [`Session`] leaves to the one that goes on with it in another process (SPEC 11.13).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SessionState {
    dialect: DialectState,
    exchange: ExchangeState,
}

/// What only one dialect has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum DialectState {
    Sha256d(sha256d::Sha256d),
    RandomX,
    Ethash(ethash::EthashState),
}

/// One miner's connection. Feed it lines, templates, answers and time; then carry out what [`Session::poll_output`] gives,
/// in order, until it gives nothing.
///
/// Nothing is sent before the first request is answered, replies leave in request order, and every job has an id and
/// content that no other job of any connection has.
pub struct Session {
    exchange: Exchange,
    dialect: Box<dyn Dialect>,
}

impl Session {
    /// A connection that was opened at `now`.
    #[must_use]
    pub fn new(now: UnixMs, algorithm: Algorithm, policy: Arc<SessionPolicy>, seed: SessionSeed) -> Self {
        let dialect: Box<dyn Dialect> = match algorithm {
            Algorithm::Sha256d => Box::new(sha256d::Sha256d::default()),
            Algorithm::RandomX => Box::new(randomx::RandomX::default()),
            Algorithm::Ethash => Box::new(ethash::Ethash::default()),
        };
        Self { exchange: Exchange::new(now, algorithm, policy, seed, farewell_of(algorithm)), dialect }
    }

    /// What is left to whoever goes on with this connection in another process (SPEC 11.13); nothing while nobody is logged in, or
    /// something waits: an answer of the pool, a line to be sent, the end.
    #[must_use]
    pub fn state(&self) -> Option<SessionState> {
        let exchange = self.exchange.state()?;
        Some(SessionState { dialect: self.dialect.state()?, exchange })
    }

    /// The work of every job that is known, for [`Session::resume`].
    pub fn templates(&self) -> impl Iterator<Item = &Arc<WorkTemplate>> {
        self.exchange.channel.judge().templates()
    }

    /// Goes on at `now` where [`Session::state`] was taken. The miner sees nothing but its next job; those whose work is among
    /// `templates` count on.
    #[must_use]
    pub fn resume(
        now: UnixMs,
        algorithm: Algorithm,
        policy: Arc<SessionPolicy>,
        (seed, state): (SessionSeed, SessionState),
        templates: &Templates,
    ) -> Option<Self> {
        let dialect: Box<dyn Dialect> = match (state.dialect, algorithm) {
            (DialectState::Sha256d(state), Algorithm::Sha256d) => Box::new(state),
            (DialectState::RandomX, Algorithm::RandomX) => Box::new(randomx::RandomX::resume()),
            (DialectState::Ethash(state), Algorithm::Ethash) => Box::new(ethash::Ethash::resume(state)),
            _ => return None,
        };
        let fresh = Exchange::new(now, algorithm, policy, seed, farewell_of(algorithm));
        Some(Self { exchange: fresh.resume(now, algorithm, state.exchange, templates), dialect })
    }

    /// When the next line may be handed in: later than now for a miner that sends too many, and nothing while it has as much in
    /// verification as it may. Until then it waits unread, so that no share is lost for a limit (SPEC 11.5).
    #[must_use]
    pub fn reads_at(&self) -> Option<UnixMs> {
        self.exchange.reads_at()
    }

    /// A line from the miner, without its end.
    pub fn handle_line(&mut self, now: UnixMs, line: &[u8]) {
        if self.exchange.is_closed() {
            return;
        }
        self.exchange.presence.spend_line(now);
        if line.is_empty() {
            return;
        }
        let first = self.exchange.presence.note_line(now);
        match Request::parse(line) {
            Ok(request) => {
                if self.dialect.handle(&mut self.exchange, now, &request) == Known::Yes {
                    self.exchange.presence.note_progress(now);
                }
            }
            Err(Unreadable::Response) => {}
            Err(unreadable) => {
                self.complain(unreadable.text());
                if first {
                    self.exchange.close(CloseReason::UnknownProtocol);
                } else if self.exchange.presence.note_unreadable() {
                    self.exchange.close(CloseReason::Malformed);
                }
            }
        }
        self.push_wanted_job(now);
    }

    /// The miner's line is longer than any may be: says so and ends the connection, since where the next line starts is
    /// anyone's guess.
    pub fn handle_oversize_line(&mut self) {
        self.complain("Line is too long");
        let is_first = self.exchange.presence.has_said_nothing();
        self.exchange.close(if is_first { CloseReason::UnknownProtocol } else { CloseReason::Malformed });
    }

    /// The caller ends the connection: tells why, where the dialect has a line for that and the session has not told yet.
    pub fn say_goodbye(&mut self, text: &str) {
        self.exchange.say_goodbye(text);
    }

    fn complain(&mut self, text: &str) {
        self.exchange.reply(self.dialect.error_reply(&RequestId::of_unreadable(), text));
    }

    /// The newest template of this algorithm, or nothing while it may not seal blocks. Gives out a job at once if the tip
    /// moved, and soon if only the body changed.
    pub fn handle_template(&mut self, now: UnixMs, template: Option<Arc<JobTemplate>>) {
        self.exchange.set_template(now, template);
        self.push_wanted_job(now);
    }

    /// The answer to [`Output::Authorize`].
    pub fn handle_login(&mut self, now: UnixMs, ticket: LoginTicket, outcome: LoginOutcome) {
        let Some((login, refusal)) = self.exchange.finish_login(now, ticket, outcome) else { return };
        match refusal {
            None => self.dialect.login_granted(&mut self.exchange, &login),
            Some(text) => self.dialect.login_refused(&mut self.exchange, &login, &text),
        }
        self.push_wanted_job(now);
    }

    /// A machine's login was taken back: its shares are refused until it logs in again. False, and nothing happens, if no other is logged in:
    /// then the connection should end.
    pub fn end_login(&mut self, payee: KeyHash, worker: &WorkerName) -> bool {
        self.exchange.end_login(payee, worker)
    }

    /// The answer to [`Output::Share`].
    pub fn handle_verdict(&mut self, now: UnixMs, ticket: ShareTicket, verdict: Verdict) {
        let dialect = self.dialect.as_ref();
        self.exchange.finish_share(now, ticket, verdict, |id| dialect.share_reply(id, verdict));
        self.push_wanted_job(now);
    }

    /// Time passed; call when [`Session::next_timeout`] is reached. Calling early does nothing.
    pub fn handle_timeout(&mut self, now: UnixMs) {
        self.exchange.check_deadlines(now);
        self.exchange.channel.tick(now);
        self.push_wanted_job(now);
    }

    /// When [`Session::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> UnixMs {
        self.exchange.next_timeout(self.dialect.takes_jobs())
    }

    /// The next thing to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.exchange.poll_output()
    }

    /// Who is credited for jobs of this connection, once it has logged in.
    #[must_use]
    pub fn miner(&self) -> Option<(KeyHash, &WorkerName)> {
        self.exchange.first_miner().map(|miner| (miner.payee, &miner.worker))
    }

    /// What a share of the newest job is worth.
    #[must_use]
    pub fn newest_difficulty(&self) -> Option<ShareDifficulty> {
        self.exchange.newest_job().map(|job| job.job.difficulty)
    }

    /// The difficulty worth remembering for this worker's next visit.
    #[must_use]
    pub fn settled_difficulty(&self) -> Option<ShareDifficulty> {
        self.exchange.channel.settled_difficulty()
    }

    /// What there is to come back to if the connection ends now; nothing unless its miner logged in and was told the ticket for it.
    #[must_use]
    pub fn parting(&self) -> Option<Parting> {
        let (payee, worker) = self.miner().filter(|_| self.dialect.told_ticket())?;
        let trust = self.exchange.channel.judge().trust();
        Some(Parting { payee, worker: worker.clone(), trust, difficulty: self.settled_difficulty() })
    }

    fn push_wanted_job(&mut self, now: UnixMs) {
        if self.dialect.takes_jobs() && self.exchange.job_is_due(now) {
            self.dialect.send_job(&mut self.exchange, now);
        }
    }
}

/// Miners of the other two have no line that is no answer and no job.
fn farewell_of(algorithm: Algorithm) -> fn(&str) -> Option<Vec<u8>> {
    if algorithm == Algorithm::Sha256d { sha256d::show_message } else { |_| None }
}
