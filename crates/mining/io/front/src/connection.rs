use std::{
    io,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bq_access::{What, Who};
use bq_primitives::{Algorithm, WorkerName};
use bq_share::{Reject, ShareCandidate, ShareTicket, Strike, UnixMs, Verdict};
use bq_stratum_v1::{CloseReason, LoginOutcome, LoginTicket, Output};
use bq_stratum_v2::ChannelOutcome;
use tokio::{
    io::Interest,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::{Sleep, timeout},
};

use crate::{
    jobs::Work,
    outbox::Outbox,
    places::{Leave, Standing},
    port::Port,
    shared::{Admission, Answer, Shared},
    strangers::{Deposit, Entry},
    talk::{Frames, Lines, Talk},
    verify::{Full, Submitted},
    wire::Wire,
};

/// A share that may not be hashed yet.
enum Held {
    /// Others of its address are undecided (SPEC 11.6, 8).
    ForTurn(Submitted, oneshot::Receiver<Deposit>),
    /// It may be a block, and the queue is full (SPEC 11.5, 2).
    ForRoom(Submitted),
}

/// What a share that was held waited for.
enum Passed {
    ToRoom(OwnedSemaphorePermit),
    ToTurn(Deposit),
    /// Its address was banned.
    Never,
}

/// One miner, or one proxy with many: carries bytes between its socket and its session, and the session's wishes to pool and verifier.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    algorithm: Algorithm,
    wire: Wire,
    admission: Admission,
    talk: Box<dyn Talk>,
    outbox: Outbox,
    /// Every message that came was handed to the session: only then more is read.
    is_drained: bool,
    /// A share that waits; nothing else is carried out before it.
    held: Option<Held>,
    work: watch::Receiver<Work>,
    /// Rings when the session has something to do by itself, or earlier: it is only set anew where it would ring too late, because each setting
    /// touches a list that all connections share.
    timer: Pin<Box<Sleep>>,
    /// When the template came whose job is not written yet.
    notify_since: Option<Instant>,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    /// The label used in metrics and logs.
    name: &'static str,
    /// What is told to whoever asks why, and to a miner that has not been told yet.
    text: Option<&'static str>,
}

impl Ended {
    const fn silent(name: &'static str) -> Self {
        Self { name, text: None }
    }

    const fn left(why: Leave) -> Self {
        let text = match why {
            Leave::MadeRoom => "closing: the server is full, and no share of this connection was accepted yet",
            Leave::Revoked => "closing: the worker token was taken back, or the address locked",
            Leave::Banned => "closing: your network address is banned",
        };
        Self { name: why.name(), text: Some(text) }
    }
}

/// Read at once: a message fits.
const CHUNK_BYTES: usize = 4096;
/// What is queued when a connection ends may take this long to go out: it holds its place meanwhile.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Connection {
    /// `since` is when it was accepted: its first message is awaited from then on.
    pub(crate) fn new(shared: &Arc<Shared>, port: Port, wire: Wire, admission: Admission, since: UnixMs) -> Self {
        let (algorithm, seed) = (port.algorithm(), admission.seed);
        let policy = shared.policy(algorithm);
        shared.metrics.of(algorithm).connections.increment(1.0);
        let talk: Box<dyn Talk> = match port {
            Port::V1(_) => Box::new(Lines::new(since, algorithm, policy, seed)),
            Port::V2 => Box::new(Frames::new(since, shared.policy_v2(), seed_v2(seed))),
        };
        Self {
            talk,
            work: shared.work[algorithm.index()].strangers.clone(),
            outbox: Outbox::new(shared.config.outbox_bytes_max),
            shared: Arc::clone(shared),
            algorithm,
            wire,
            admission,
            is_drained: true,
            held: None,
            timer: Box::pin(tokio::time::sleep_until(Instant::now().into())),
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

    /// Hands over the messages that may be read, carries out what the session wants, and writes what the socket takes.
    fn settle(&mut self) -> Result<(), Ended> {
        let mut wanted = self.carry_out();
        while wanted.is_ok() && self.held.is_none() && self.take_message() {
            wanted = self.carry_out();
        }
        let jobs = self.outbox.write_to(&mut self.wire).map_err(|_| Ended::silent("peer_gone"))?;
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

    /// Hands the session one message, if there is one and it takes one now.
    fn take_message(&mut self) -> bool {
        let now = self.shared.clock.now();
        if self.talk.reads_at().is_none_or(|at| now < at) {
            return false;
        }
        let taken = self.talk.take_message(now);
        self.is_drained |= !taken;
        taken
    }

    /// Waits for the next thing to happen and tells the session.
    async fn wait(&mut self) -> Result<(), Ended> {
        let reads = self.is_drained && self.held.is_none();
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
        let room = |share: &Submitted| self.shared.verify.room(share);
        tokio::select! {
            ready = self.wire.ready(interest.unwrap_or(Interest::READABLE)), if interest.is_some() => {
                let readable = ready.map_err(|_| Ended::silent("peer_gone"))?.is_readable();
                if readable && reads { self.read() } else { Ok(()) }
            }
            () = self.admission.place.mailbox().rung() => {
                // All go out in the same write. No more can come than are in flight: nothing is read meanwhile.
                for answer in self.admission.place.mailbox().take() {
                    self.hear(answer);
                }
                let Some(why) = self.admission.place.is_wanted() else { return Ok(()) };
                self.carry_out()?;
                Err(Ended::left(why))
            }
            passed = passed(self.held.as_mut(), room), if self.held.is_some() => {
                match (self.held.take(), passed) {
                    (Some(Held::ForRoom(share)), Passed::ToRoom(room)) => {
                        self.shared.verify.submit_with(share, self.admission.place.mailbox(), room);
                    }
                    (Some(Held::ForTurn(share, _)), Passed::ToTurn(deposit)) => self.take_turn(share, deposit),
                    (Some(Held::ForTurn(share, _) | Held::ForRoom(share)), _) => self.refuse_busy(share.candidate.ticket),
                    (None, _) => {}
                }
                Ok(())
            }
            Ok(()) = self.work.changed() => {
                if self.work.borrow().ends {
                    return Err(Ended::silent("shutdown"));
                }
                self.take_work();
                self.remember(false);
                Ok(())
            }
            () = self.timer.as_mut() => {
                if give_up_at.is_some_and(|at| Instant::now() >= at) {
                    let text = Some("closing: nothing that was sent was read for too long");
                    return Err(Ended { name: "slow_reader", text });
                }
                self.talk.handle_timeout(self.shared.clock.now());
                Ok(())
            }
        }
    }

    fn hear(&mut self, Answer { ticket, verdict }: Answer) {
        if let Verdict::Accepted { .. } = verdict {
            if self.admission.place.rise(Standing::Proven) {
                // Work that was announced there meanwhile is taken at once; what is known already makes no job.
                self.work = self.shared.work[self.algorithm.index()].proven.clone();
            }
            self.shared.access.note_accepted(self.admission.peer);
        }
        self.talk.handle_verdict(self.shared.clock.now(), ticket, verdict);
    }

    /// When the session has something to do by itself, or may be handed a message that is here.
    fn session_wakes_at(&self) -> Instant {
        let timeout = self.talk.next_timeout();
        // Nothing is handed over while a share is held: a message that is here is no reason to wake, again and again.
        let message = if self.is_drained || self.held.is_some() { None } else { self.talk.reads_at() };
        self.shared.clock.instant(message.map_or(timeout, |at| at.min(timeout)))
    }

    /// One chunk at a time, so that what the session wants is carried out before more comes in.
    fn read(&mut self) -> Result<(), Ended> {
        let mut chunk = [0; CHUNK_BYTES];
        match self.wire.try_read(&mut chunk) {
            Ok(0) => Err(Ended::silent("peer_closed")),
            Ok(count) => {
                self.talk.push(&chunk[..count]);
                self.is_drained = false;
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(()),
            // Whoever holds the keys of this session encrypts for it.
            Err(error) if error.kind() == io::ErrorKind::InvalidData && self.wire.is_noise() => {
                Err(self.close(CloseReason::NotStratum))
            }
            Err(_) => Err(Ended::silent("peer_gone")),
        }
    }

    fn take_work(&mut self) {
        let work = self.work.borrow_and_update().clone();
        self.notify_since = Some(work.since);
        self.talk.handle_template(self.shared.clock.now(), work.template);
    }

    /// Keeps where workers stand for their next visit, or for one after a crash.
    fn remember(&mut self, again: bool) {
        for (payee, worker, difficulty) in self.talk.settled(again) {
            self.shared.remember(self.algorithm, (payee, worker), difficulty);
        }
    }

    fn carry_out(&mut self) -> Result<(), Ended> {
        while self.held.is_none()
            && let Some(output) = self.talk.poll_output()
        {
            match output {
                bq_stratum_v2::Output::Common(output) => self.carry_out_one(output)?,
                bq_stratum_v2::Output::Open { ticket, address, worker, token } => {
                    self.open_channel(ticket, &address, (&worker, token.as_deref()));
                }
                bq_stratum_v2::Output::Closed { prefix, settled } => {
                    self.admission.close_channel(prefix);
                    self.outbox.expect_readers(self.admission.channels());
                    if let Some((payee, worker, difficulty)) = settled {
                        self.shared.remember(self.algorithm, (payee, worker), difficulty);
                    }
                }
            }
        }
        Ok(())
    }

    fn carry_out_one(&mut self, output: Output) -> Result<(), Ended> {
        match output {
            Output::Send(frame) => self.outbox.push(frame).map_err(|_| Ended::silent("slow_reader"))?,
            Output::Authorize { ticket, address, worker, token } => {
                let outcome = self.admission.authorize(self.algorithm, &address, &worker, token.as_deref());
                self.talk.handle_login(self.shared.clock.now(), ticket, outcome);
            }
            Output::LoginRefused { login, worker, reason } => {
                let who = (self.algorithm, worker.as_ref());
                self.shared.access.note_login(self.admission.peer, &login, who, &reason);
            }
            Output::Share(candidate) => self.verify(candidate),
            Output::Rejected { miner, reason } => self.admission.note_rejected(self.algorithm, miner, reason),
            Output::Close(reason) => return Err(self.close(reason)),
        }
        Ok(())
    }

    fn open_channel(&mut self, ticket: LoginTicket, address: &str, (worker, token): (&WorkerName, Option<&str>)) {
        let outcome = match self.admission.authorize(self.algorithm, address, worker, token) {
            LoginOutcome::Granted { payee, remembered } => match self.admission.open_channel() {
                Some(prefix) => ChannelOutcome::Granted { prefix, payee, remembered },
                None => ChannelOutcome::Full,
            },
            LoginOutcome::Refused(reason) => ChannelOutcome::Refused(reason),
            LoginOutcome::Unavailable => ChannelOutcome::Unavailable,
        };
        if let ChannelOutcome::Granted { .. } = outcome {
            self.outbox.expect_readers(self.admission.channels());
        }
        self.talk.handle_channel(self.shared.clock.now(), ticket, outcome);
    }

    fn verify(&mut self, candidate: Box<ShareCandidate>) {
        let cost = self.shared.verify.cost(self.algorithm);
        let entry = self.shared.strangers.enter(self.admission.peer, &candidate, cost);
        let ticket = candidate.ticket;
        let share = |deposit| Submitted { candidate, received: Instant::now(), deposit };
        match entry {
            Entry::Open(deposit) => self.submit(share(deposit)),
            Entry::Waits(turn) => self.held = Some(Held::ForTurn(share(None), turn)),
            Entry::Refused => self.refuse_busy(ticket),
        }
    }

    /// A share waited until others of its address were decided.
    fn take_turn(&mut self, share: Submitted, mut deposit: Deposit) {
        if deposit.pay(&share.candidate, self.shared.verify.cost(self.algorithm)) {
            self.submit(Submitted { deposit: Some(deposit), ..share });
        } else {
            self.refuse_busy(share.candidate.ticket);
        }
    }

    fn submit(&mut self, share: Submitted) {
        let ticket = share.candidate.ticket;
        match self.shared.verify.submit(share, self.admission.place.mailbox()) {
            Ok(()) => {}
            Err(Full::Wait(share)) => self.held = Some(Held::ForRoom(share)),
            Err(Full::Refused) => self.refuse_busy(ticket),
        }
    }

    fn refuse_busy(&mut self, ticket: ShareTicket) {
        self.hear(Answer { ticket, verdict: Verdict::Rejected(Reject::Busy) });
    }

    fn close(&self, reason: CloseReason) -> Ended {
        if reason.is_misbehavior() {
            self.shared.strike(self.admission.peer, Strike::Misbehaved);
        }
        Ended { name: reason.name(), text: reason.text() }
    }

    /// Tells the miner why, if it had logged in and was not told, and whoever asks later.
    fn tell(&mut self, ended: Ended) {
        let (Some(text), Some((payee, worker))) = (ended.text, self.talk.miner()) else { return };
        let what = (What::Connection, self.algorithm, Some(&worker));
        self.shared.access.note(self.admission.peer, Who::Key(payee), what, text);
        self.talk.say_goodbye(text);
        while let Some(output) = self.talk.poll_output() {
            if let bq_stratum_v2::Output::Common(Output::Send(frame)) = output {
                // A miner with so much unread will not read this either.
                let _full = self.outbox.push(frame);
            }
        }
    }

    /// What is held may be a block: nobody waits for the verdict any more, but the books and the node do. That of an address that was banned
    /// meanwhile is not hashed.
    async fn give_up_held(&mut self) {
        let share = match self.held.take() {
            None => return,
            Some(Held::ForRoom(share)) => share,
            Some(Held::ForTurn(share, turn)) => {
                // The address's others are being hashed, so it comes; but when the server ends it is as what was not read. Boxed as in `passed`.
                let ends = self.work.wait_for(|work| work.ends);
                let turn = async {
                    tokio::select! { turn = turn => turn.ok(), _ = ends => None }
                };
                let Some(mut deposit) = Box::pin(turn).await else { return };
                if !deposit.pay(&share.candidate, self.shared.verify.cost(self.algorithm)) {
                    return;
                }
                Submitted { deposit: Some(deposit), ..share }
            }
        };
        self.shared.verify.submit_at_once(share, self.admission.place.mailbox());
    }

    async fn finish(mut self: Box<Self>, ended: Ended) {
        self.give_up_held().await;
        let metrics = &self.shared.metrics;
        metrics.closed(ended.name);
        metrics.of(self.algorithm).connections.decrement(1.0);
        self.remember(true);
        self.tell(ended);
        tracing::debug!(algorithm = %self.algorithm, ended = ended.name, "connection ended");
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

const fn seed_v2(seed: bq_stratum_v1::SessionSeed) -> bq_stratum_v2::SessionSeed {
    bq_stratum_v2::SessionSeed { first_job_id: seed.first_job_id }
}

/// Waits until what is held may go on; boxed, because hardly any connection waits, and all would keep a place for it.
async fn passed(held: Option<&mut Held>, room: impl FnOnce(&Submitted) -> Arc<Semaphore>) -> Passed {
    match held {
        Some(Held::ForRoom(share)) => Box::pin(room(share).acquire_owned()).await.map_or(Passed::Never, Passed::ToRoom),
        Some(Held::ForTurn(_, turn)) => turn.await.map_or(Passed::Never, Passed::ToTurn),
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
