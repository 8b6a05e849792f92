use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bq_primitives::{Algorithm, WorkerName};
use bq_stratum_v1::{
    CloseReason, LineBuffer, LineTooLong, LoginOutcome, LoginTicket, Output, Reject, Session, Verdict,
};
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    bans::Strike,
    jobs::Work,
    outbox::Outbox,
    shared::{Admission, Event, Shared},
};

/// One miner: carries bytes between its socket and its session, and the session's wishes to pool and verifier.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    algorithm: Algorithm,
    stream: TcpStream,
    admission: Admission,
    session: Session,
    lines: LineBuffer,
    outbox: Outbox,
    answers: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    work: watch::Receiver<Work>,
    /// When the template came whose job is not written yet.
    notify_since: Option<Instant>,
}

/// Why a connection ended, for the counter.
type Ended = &'static str;

const CHUNK_BYTES: usize = 4096;
/// What is queued when a connection ends may take this long to go out.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Room for logins beside the shares in flight.
const LOGIN_EVENTS: usize = 8;

impl Connection {
    pub(crate) fn new(shared: &Arc<Shared>, algorithm: Algorithm, stream: TcpStream, admission: Admission) -> Self {
        let policy = shared.policy(algorithm);
        let (answers, events) = mpsc::channel(policy.shares_in_flight_max + LOGIN_EVENTS);
        shared.metrics.of(algorithm).connections.increment(1.0);
        Self {
            session: Session::new(shared.clock.now(), algorithm, policy, admission.seed),
            work: shared.work[algorithm.index()].clone(),
            outbox: Outbox::new(shared.config.outbox_bytes_max),
            lines: LineBuffer::default(),
            shared: Arc::clone(shared),
            algorithm,
            stream,
            admission,
            answers,
            events,
            notify_since: None,
        }
    }

    /// Until either side ends it.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.take_work();
        // The template may be old: its age is not how long this miner waited.
        self.notify_since = None;
        let ended = loop {
            if let Err(ended) = self.settle() {
                break ended;
            }
            if let Err(ended) = self.wait(&mut stop).await {
                break ended;
            }
        };
        self.finish(ended).await;
    }

    /// Carries out what the session wants and writes what the socket takes.
    fn settle(&mut self) -> Result<(), Ended> {
        let wanted = self.carry_out();
        let jobs = self.outbox.write_to(&self.stream).map_err(|_| "peer_gone")?;
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

    /// Waits for the next thing to happen and tells the session.
    async fn wait(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Ended> {
        let interest =
            if self.outbox.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let give_up_at = self.outbox.give_up_at(Duration::from_millis(self.shared.config.write_stall_ms));
        let timeout_at = self.shared.clock.instant(self.session.next_timeout());
        let wake_at = give_up_at.map_or(timeout_at, |at| at.min(timeout_at));
        tokio::select! {
            ready = self.stream.ready(interest) => {
                let readable = ready.map_err(|_| "peer_gone")?.is_readable();
                if readable { self.read() } else { Ok(()) }
            }
            Some(event) = self.events.recv() => {
                self.take_event(event);
                Ok(())
            }
            Ok(()) = self.work.changed() => {
                if self.shared.is_banned(self.admission.peer) {
                    return Err("banned");
                }
                self.take_work();
                Ok(())
            }
            () = tokio::time::sleep_until(wake_at.into()) => {
                if give_up_at.is_some_and(|at| Instant::now() >= at) {
                    return Err("slow_reader");
                }
                self.session.handle_timeout(self.shared.clock.now());
                Ok(())
            }
            _ = stop.changed() => Err("shutdown"),
        }
    }

    /// One chunk at a time, so that what the session wants is carried out before more comes in.
    fn read(&mut self) -> Result<(), Ended> {
        let mut chunk = [0; CHUNK_BYTES];
        match self.stream.try_read(&mut chunk) {
            Ok(0) => return Err("peer_closed"),
            Ok(count) => self.lines.push(&chunk[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(_) => return Err("peer_gone"),
        }
        let now = self.shared.clock.now();
        loop {
            match self.lines.next_line() {
                Ok(Some(line)) => self.session.handle_line(now, line),
                Ok(None) => return Ok(()),
                Err(LineTooLong) => {
                    self.session.handle_oversize_line();
                    return Ok(());
                }
            }
        }
    }

    fn take_work(&mut self) {
        let work = self.work.borrow_and_update().clone();
        self.notify_since = Some(work.since);
        self.session.handle_template(self.shared.clock.now(), work.template);
    }

    fn take_event(&mut self, event: Event) {
        let now = self.shared.clock.now();
        match event {
            Event::Login(ticket, outcome) => self.session.handle_login(now, ticket, outcome),
            Event::Verdict(ticket, verdict) => {
                if verdict == Verdict::Rejected(Reject::BadProof) {
                    self.shared.strike(self.admission.peer, Strike::ForgedShare);
                }
                self.session.handle_verdict(now, ticket, verdict);
            }
        }
    }

    fn carry_out(&mut self) -> Result<(), Ended> {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(frame) => self.outbox.push(frame).map_err(|_| "slow_reader")?,
                Output::Authorize { ticket, address, worker } => self.authorize(ticket, address, worker),
                Output::Share(candidate) => {
                    let ticket = candidate.ticket;
                    if let Err(reason) = self.shared.verify.submit(candidate, &self.answers) {
                        let now = self.shared.clock.now();
                        self.session.handle_verdict(now, ticket, Verdict::Rejected(reason));
                    }
                }
                Output::Rejected { miner, reason } => self.shared.note_rejected(self.algorithm, miner, reason),
                Output::Close(reason) => return Err(self.close(reason)),
            }
        }
        Ok(())
    }

    /// The pool's answer may wait for a disk, so it is asked on a blocking thread.
    fn authorize(&self, ticket: LoginTicket, address: String, worker: WorkerName) {
        let (shared, algorithm, answers) = (Arc::clone(&self.shared), self.algorithm, self.answers.clone());
        tokio::spawn(async move {
            // A whole farm logs in at once after a power cut: a few at a time is faster than hundreds of threads.
            let Ok(_turn) = Arc::clone(&shared.logins).acquire_owned().await else { return };
            let asked = tokio::task::spawn_blocking(move || shared.authorize(algorithm, &address, &worker));
            let outcome = asked.await.unwrap_or(LoginOutcome::Unavailable);
            let _gone = answers.try_send(Event::Login(ticket, outcome));
        });
    }

    fn close(&self, reason: CloseReason) -> Ended {
        if reason.is_misbehavior() {
            self.shared.strike(self.admission.peer, Strike::Misbehaved);
        }
        reason.name()
    }

    async fn finish(mut self, ended: Ended) {
        let metrics = &self.shared.metrics;
        metrics.closed(ended);
        metrics.of(self.algorithm).connections.decrement(1.0);
        if let (Some((account, worker)), Some(difficulty)) = (self.session.miner(), self.session.settled_difficulty()) {
            self.shared.remember(self.algorithm, (account, worker.clone()), difficulty);
        }
        tracing::debug!(algorithm = %self.algorithm, ended, "connection ended");
        let last_words = async {
            while !self.outbox.is_empty() {
                self.stream.writable().await?;
                self.outbox.write_to(&self.stream)?;
            }
            Ok::<(), io::Error>(())
        };
        let _late_or_gone = timeout(LAST_WORDS, last_words).await;
    }
}
