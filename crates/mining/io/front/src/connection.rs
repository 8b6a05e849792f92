use std::{
    io,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bq_primitives::{Algorithm, ShareDifficulty};
use bq_share::{CpuTime, Reject, ShareCandidate, ShareTicket, Strike, UnixMs, Verdict};
use bq_stratum_v1::{CloseReason, LineBuffer, LineTooLong, LoginOutcome, Output, Session};
use tokio::{
    io::Interest,
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch},
    time::{Sleep, timeout},
};

use crate::{
    jobs::Work,
    outbox::Outbox,
    places::Standing,
    shared::{Admission, Answer, Shared},
    verify::Full,
    wire::Wire,
};

/// One miner: carries bytes between its socket and its session, and the session's wishes to pool and verifier.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    algorithm: Algorithm,
    wire: Wire,
    admission: Admission,
    session: Session,
    lines: LineBuffer,
    outbox: Outbox,
    /// Every line that came was handed to the session: only then more is read.
    lines_are_done: bool,
    /// A share that may be a block and waits for room at the verifier; nothing else is carried out before it.
    held: Option<Box<ShareCandidate>>,
    /// What was paid for shares in verification: few, for each is counted by the session.
    paid: Vec<(ShareTicket, CpuTime)>,
    work: watch::Receiver<Work>,
    /// Rings when the session has something to do by itself, or earlier: it is only set anew where it would ring too late, because each setting
    /// touches a list that all connections share.
    timer: Pin<Box<Sleep>>,
    /// What was remembered of its difficulty last.
    remembered: Option<ShareDifficulty>,
    /// When the template came whose job is not written yet.
    notify_since: Option<Instant>,
}

/// Why a connection ended, for the counter.
type Ended = &'static str;

/// Read at once: a line fits.
const CHUNK_BYTES: usize = 4096;
/// What is queued when a connection ends may take this long to go out: it holds its place meanwhile.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Connection {
    /// `since` is when it was accepted: its first line is awaited from then on.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        algorithm: Algorithm,
        wire: Wire,
        admission: Admission,
        since: UnixMs,
    ) -> Self {
        let policy = shared.policy(algorithm);
        shared.metrics.of(algorithm).connections.increment(1.0);
        Self {
            session: Session::new(since, algorithm, policy, admission.seed),
            work: shared.work[algorithm.index()].strangers.clone(),
            outbox: Outbox::new(shared.config.outbox_bytes_max),
            lines: LineBuffer::default(),
            shared: Arc::clone(shared),
            algorithm,
            wire,
            admission,
            lines_are_done: true,
            held: None,
            paid: Vec::new(),
            timer: Box::pin(tokio::time::sleep_until(Instant::now().into())),
            remembered: None,
            notify_since: None,
        }
    }

    /// Until either side ends it. In a box, because every call that takes it would keep room for one more copy in the task.
    pub(crate) async fn run(mut self: Box<Self>) {
        self.take_work();
        // The template may be old: its age is not how long this miner waited.
        self.notify_since = None;
        let ended = loop {
            if let Err(ended) = self.settle() {
                break ended;
            }
            if let Err(ended) = self.wait().await {
                break ended;
            }
        };
        self.finish(ended).await;
    }

    /// Hands over the lines that may be read, carries out what the session wants, and writes what the socket takes.
    fn settle(&mut self) -> Result<(), Ended> {
        let mut wanted = self.carry_out();
        while wanted.is_ok() && self.held.is_none() && self.take_line() {
            wanted = self.carry_out();
        }
        let jobs = self.outbox.write_to(&mut self.wire).map_err(|_| "peer_gone")?;
        if jobs > 0 {
            let metrics = self.shared.metrics.of(self.algorithm);
            metrics.jobs.increment(u64::try_from(jobs).unwrap_or(0));
            if let Some(since) = self.notify_since.take() {
                metrics.notified(since.elapsed());
            }
        } else if self.outbox.is_empty() {
            // No job was due: the next one goes out for another reason.
            self.notify_since = None;
        }
        wanted
    }

    /// Hands the session one line, if there is one and it takes one now.
    fn take_line(&mut self) -> bool {
        let now = self.shared.clock.now();
        if self.session.reads_at().is_none_or(|at| now < at) {
            return false;
        }
        match self.lines.next_line() {
            Ok(Some(line)) => self.session.handle_line(now, line),
            Ok(None) => {
                self.lines_are_done = true;
                return false;
            }
            Err(LineTooLong) => self.session.handle_oversize_line(),
        }
        true
    }

    /// Waits for the next thing to happen and tells the session.
    async fn wait(&mut self) -> Result<(), Ended> {
        let reads = self.lines_are_done && self.held.is_none();
        let interest = match (reads, self.outbox.is_empty() && !self.wire.has_unsent()) {
            (true, true) => Some(Interest::READABLE),
            (true, false) => Some(Interest::READABLE | Interest::WRITABLE),
            (false, true) => None,
            (false, false) => Some(Interest::WRITABLE),
        };
        let give_up_at = self.outbox.give_up_at(Duration::from_millis(self.shared.config.write_stall_ms));
        let wake_at = give_up_at.map_or(self.session_wakes_at(), |at| at.min(self.session_wakes_at()));
        if self.timer.is_elapsed() || self.timer.deadline().into_std() > wake_at {
            self.timer.as_mut().reset(wake_at.into());
        }
        let room = self.held.is_some().then(|| self.shared.verify.room(self.algorithm));
        tokio::select! {
            ready = self.wire.ready(interest.unwrap_or(Interest::READABLE)), if interest.is_some() => {
                let readable = ready.map_err(|_| "peer_gone")?.is_readable();
                if readable && reads { self.read() } else { Ok(()) }
            }
            () = self.admission.place.mailbox().rung() => {
                if self.admission.place.is_wanted() {
                    return Err("made_room");
                }
                // All go out in the same write. No more can come than are in flight: nothing is read meanwhile.
                for answer in self.admission.place.mailbox().take() {
                    self.hear(answer);
                }
                Ok(())
            }
            Ok(room) = acquired(room), if self.held.is_some() => {
                if let Some(candidate) = self.held.take() {
                    self.shared.verify.submit_with(candidate, self.admission.place.mailbox(), room);
                }
                Ok(())
            }
            Ok(()) = self.work.changed() => {
                if self.work.borrow().ends {
                    return Err("shutdown");
                }
                if self.shared.is_banned(self.admission.peer) {
                    return Err("banned");
                }
                self.take_work();
                self.remember();
                Ok(())
            }
            () = self.timer.as_mut() => {
                if give_up_at.is_some_and(|at| Instant::now() >= at) {
                    return Err("slow_reader");
                }
                self.session.handle_timeout(self.shared.clock.now());
                Ok(())
            }
        }
    }

    fn hear(&mut self, Answer { ticket, verdict, in_vain }: Answer) {
        if let Some(index) = self.paid.iter().position(|(paid, _)| *paid == ticket) {
            let (_, cost) = self.paid.swap_remove(index);
            if !in_vain {
                self.shared.pay_back(self.admission.peer, cost);
            }
        }
        if let Verdict::Accepted { .. } = verdict {
            if self.admission.place.rise(Standing::Proven) {
                // Work that was announced there meanwhile is taken at once; what is known already makes no job.
                self.work = self.shared.work[self.algorithm.index()].proven.clone();
            }
            self.shared.note_accepted(self.admission.peer);
        }
        self.session.handle_verdict(self.shared.clock.now(), ticket, verdict);
    }

    /// When the session has something to do by itself, or may be handed a line that is here.
    fn session_wakes_at(&self) -> Instant {
        let timeout = self.session.next_timeout();
        let line = if self.lines_are_done { None } else { self.session.reads_at() };
        self.shared.clock.instant(line.map_or(timeout, |at| at.min(timeout)))
    }

    /// One chunk at a time, so that what the session wants is carried out before more comes in.
    fn read(&mut self) -> Result<(), Ended> {
        let mut chunk = [0; CHUNK_BYTES];
        match self.wire.try_read(&mut chunk) {
            Ok(0) => Err("peer_closed"),
            Ok(count) => {
                self.lines.push(&chunk[..count]);
                self.lines_are_done = false;
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(()),
            Err(_) => Err("peer_gone"),
        }
    }

    fn take_work(&mut self) {
        let work = self.work.borrow_and_update().clone();
        self.notify_since = Some(work.since);
        self.session.handle_template(self.shared.clock.now(), work.template);
    }

    /// Keeps where this worker stands for its next visit, or for one after a crash.
    fn remember(&mut self) {
        let settled = self.session.settled_difficulty();
        if settled != self.remembered
            && let (Some((payee, worker)), Some(difficulty)) = (self.session.miner(), settled)
        {
            self.shared.remember(self.algorithm, (payee, worker.clone()), difficulty);
            self.remembered = settled;
        }
    }

    fn carry_out(&mut self) -> Result<(), Ended> {
        while self.held.is_none()
            && let Some(output) = self.session.poll_output()
        {
            match output {
                Output::Send(frame) => self.outbox.push(frame).map_err(|_| "slow_reader")?,
                Output::Authorize { ticket, address, worker } => {
                    let outcome = self.shared.authorize(self.algorithm, &address, &worker);
                    if matches!(outcome, LoginOutcome::Granted { .. }) {
                        self.admission.place.rise(Standing::LoggedIn);
                    }
                    self.session.handle_login(self.shared.clock.now(), ticket, outcome);
                }
                Output::Share(candidate) => self.verify(candidate),
                Output::Rejected { miner, reason, strike } => {
                    if let Some(strike) = strike {
                        self.shared.strike(self.admission.peer, strike);
                    }
                    self.shared.note_rejected(self.algorithm, miner, reason);
                }
                Output::Close(reason) => return Err(self.close(reason)),
            }
        }
        Ok(())
    }

    fn verify(&mut self, candidate: Box<ShareCandidate>) {
        let ticket = candidate.ticket;
        let Some(cost) = self.shared.charge(self.admission.peer, &candidate) else {
            return self.hear(Answer { ticket, verdict: Verdict::Rejected(Reject::Busy), in_vain: false });
        };
        if cost > CpuTime(0) {
            self.paid.push((ticket, cost));
        }
        match self.shared.verify.submit(candidate, self.admission.place.mailbox()) {
            Ok(()) => {}
            Err(Full::Wait(candidate)) => self.held = Some(candidate),
            Err(Full::Refused) => {
                self.hear(Answer { ticket, verdict: Verdict::Rejected(Reject::Busy), in_vain: false });
            }
        }
    }

    fn close(&self, reason: CloseReason) -> Ended {
        if reason.is_misbehavior() {
            self.shared.strike(self.admission.peer, Strike::Misbehaved);
        }
        reason.name()
    }

    async fn finish(mut self: Box<Self>, ended: Ended) {
        if let Some(candidate) = self.held.take() {
            // It may be a block: nobody waits for the verdict any more, but the books and the node do.
            self.shared.verify.submit_at_once(candidate, self.admission.place.mailbox());
        }
        let metrics = &self.shared.metrics;
        metrics.closed(ended);
        metrics.of(self.algorithm).connections.decrement(1.0);
        self.remembered = None;
        self.remember();
        tracing::debug!(algorithm = %self.algorithm, ended, "connection ended");
        let last_words = async {
            self.outbox.write_to(&mut self.wire)?;
            while !self.outbox.is_empty() || self.wire.has_unsent() {
                self.wire.ready(Interest::WRITABLE).await?;
                self.outbox.write_to(&mut self.wire)?;
            }
            self.wire.say_goodbye();
            Ok::<(), io::Error>(())
        };
        let _late_or_gone = timeout(LAST_WORDS, last_words).await;
    }
}

/// Room for one candidate; boxed, because hardly any connection waits for it, and all would keep a place for the wait.
async fn acquired(room: Option<Arc<Semaphore>>) -> Result<OwnedSemaphorePermit, AcquireError> {
    match room {
        Some(room) => Box::pin(room.acquire_owned()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;
    use crate::arrival::Arrival;

    fn future_bytes<F: Future>(_run: impl Fn(Arrival, Option<Admission>, watch::Receiver<bool>) -> F) -> usize {
        size_of::<F>()
    }

    /// What ten thousand idle miners cost is this: a call that takes a connection by value would double it unnoticed.
    #[test]
    fn an_idle_connection_stays_small() {
        let (task, connection) = (future_bytes(Arrival::run), size_of::<Connection>());
        assert!(task <= 1_536 && connection <= 1_408, "task {task}, connection {connection}");
    }
}
