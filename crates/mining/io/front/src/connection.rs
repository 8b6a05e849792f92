use std::{
    io,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bq_access::{What, Who};
use bq_mining_message::AccountScheme;
use bq_primitives::{Algorithm, KeyHash, WorkerName};
use bq_share::{
    ExtranoncePrefix, Reject, SessionTicket, ShareCandidate, ShareTicket, Strike, Templates, UnixMs, Verdict,
};
use bq_stratum_v1::{CloseReason, LoginOutcome, LoginTicket, Output};
use bq_stratum_v2::ChannelOutcome;
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::{Sleep, timeout},
};

use crate::{
    access::Login,
    handover::{ConnectionState, HandedConnection},
    jobs::Work,
    outbox::Outbox,
    places::Leave,
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
    /// How everybody at its port is paid; nothing where accounts choose.
    port_scheme: Option<AccountScheme>,
    /// How all that log in here are paid, once somebody has (SPEC 8.9.12).
    scheme: Option<AccountScheme>,
    /// The pool's count when that was looked at.
    schemes_version: u64,
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
    /// Another process takes over: until then what is under way may be finished.
    leaves_at: Option<Instant>,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    /// The label used in metrics and logs.
    name: &'static str,
    /// What is told to whoever asks why, and to a miner that has not been told yet.
    text: Option<&'static str>,
    /// Its miner did what nobody may come back to.
    forfeits: bool,
}

impl Ended {
    const fn silent(name: &'static str) -> Self {
        Self { name, text: None, forfeits: false }
    }

    const fn left(why: Leave) -> Self {
        let text = match why {
            Leave::MadeRoom => "closing: the server is full, and no share was accepted from here yet, or none lately",
            Leave::Revoked => "closing: the worker token was taken back, or the address locked",
            Leave::Banned => "closing: your network address is banned",
            Leave::OtherScheme => OTHER_SCHEME,
        };
        Self { name: why.name(), text: Some(text), forfeits: true }
    }
}

/// The channels of a connection have one job.
const OTHER_SCHEME: &str =
    "this address is paid by another scheme than the first of this connection: use a connection of its own";
/// Another process goes on with it.
const HANDED_OVER: &str = "handed_over";
/// Read at once: a message fits.
const CHUNK_BYTES: usize = 4096;
/// A server that goes on with another's connections has work long before.
const WORK_WAIT: Duration = Duration::from_secs(10);
/// What is queued when a connection ends may take this long to go out: it holds its place meanwhile.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Connection {
    /// `since` is when it was accepted: its first message is awaited from then on.
    pub(crate) fn new(shared: &Arc<Shared>, port: Port, wire: Wire, admission: Admission, since: UnixMs) -> Self {
        let (algorithm, seed) = (port.algorithm(), admission.seed);
        let policy = shared.policy(algorithm);
        shared.metrics.of(algorithm).connections.increment(1.0);
        let talk: Box<dyn Talk> = match port {
            Port::V1(_) | Port::Scheme(..) => Box::new(Lines::new(since, algorithm, policy, seed)),
            Port::V2 => Box::new(Frames::new(since, shared.policy_v2(), seed_v2(seed))),
        };
        Self {
            talk,
            work: shared.work[algorithm.index()].strangers.clone(),
            outbox: Outbox::new(shared.config.outbox_bytes_max),
            shared: Arc::clone(shared),
            algorithm,
            port_scheme: port.scheme(),
            scheme: port.scheme(),
            schemes_version: shared.pool.schemes_version(),
            wire,
            admission,
            is_drained: true,
            held: None,
            timer: Box::pin(tokio::time::sleep_until(Instant::now().into())),
            notify_since: None,
            leaves_at: None,
        }
    }

    /// Goes on with a connection of the process that this one replaces (SPEC 11.13).
    pub(crate) fn resume(
        shared: &Arc<Shared>,
        stream: TcpStream,
        admission: Admission,
        state: ConnectionState,
        work: &Templates,
    ) -> Option<Self> {
        let ConnectionState { algorithm, port_scheme, seed, session, unread, is_proven, .. } = state;
        let (now, policy) = (shared.clock.now(), shared.policy(algorithm));
        let session = bq_stratum_v1::Session::resume(now, algorithm, policy, (seed, session), work)?;
        let of_account = || session.miner().map(|(payee, _)| shared.pool.scheme_of(payee));
        let scheme = port_scheme.or_else(of_account);
        let port = Port::of_lines(algorithm, port_scheme);
        let mut talk = Lines::resumed(session);
        talk.push(&unread);
        let mut connection = Self::new(shared, port, Wire::Clear(stream), admission, now);
        if is_proven {
            connection.work = shared.work[algorithm.index()].proven.clone();
        }
        Some(Self { talk: Box::new(talk), scheme, is_drained: false, ..connection })
    }

    /// A share that is judged before there is work would be stale.
    pub(crate) async fn await_work(&mut self) {
        let has_work = |work: &Work| work.lane.is_some() || work.ends;
        let _late_or_over = timeout(WORK_WAIT, self.work.wait_for(has_work)).await;
    }

    /// Until either side ends it. In a box, because every call that takes it would keep room for one more copy in the task.
    pub(crate) async fn run(mut self: Box<Self>) {
        if let Err(ended) = self.begin() {
            return self.finish(ended).await;
        }
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

    /// Takes the work that is there, which may be old: its age is not how long this miner waited.
    fn begin(&mut self) -> Result<(), Ended> {
        let ends = self.work.borrow().ends;
        self.take_work();
        self.notify_since = None;
        if ends { self.leave() } else { Ok(()) }
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
        wanted?;
        if self.leaves_at.is_some() && self.is_quiet() {
            return Err(Ended::silent(HANDED_OVER));
        }
        Ok(())
    }

    /// Nothing is under way that another process could not go on with.
    fn is_quiet(&self) -> bool {
        self.held.is_none() && self.outbox.is_empty() && !self.wire.has_unsent() && self.talk.state().is_some()
    }

    /// Another process takes over and nothing more is read; but who is about to log in may do so first.
    fn reads_no_more(&self) -> bool {
        self.leaves_at.is_some() && self.talk.miner().is_some()
    }

    /// Hands the session one message, if there is one and it takes one now.
    fn take_message(&mut self) -> bool {
        let now = self.shared.clock.now();
        if self.reads_no_more() || self.talk.reads_at().is_none_or(|at| now < at) {
            return false;
        }
        let taken = self.talk.take_message(now);
        self.is_drained |= !taken;
        taken
    }

    /// Waits for the next thing to happen and tells the session.
    async fn wait(&mut self) -> Result<(), Ended> {
        let reads = self.is_drained && self.held.is_none() && !self.reads_no_more();
        let interest = match (reads, self.outbox.is_empty() && !self.wire.has_unsent()) {
            (true, true) => Some(Interest::READABLE),
            (true, false) => Some(Interest::READABLE | Interest::WRITABLE),
            (false, true) => None,
            (false, false) => Some(Interest::WRITABLE),
        };
        let give_up_at = self.outbox.give_up_at(Duration::from_millis(self.shared.config.write_stall_ms));
        let wake_at = [give_up_at, self.leaves_at].into_iter().flatten().fold(self.session_wakes_at(), Instant::min);
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
                if self.admission.place.has_news() {
                    self.end_parts()?;
                }
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
                    return self.leave();
                }
                self.take_work();
                self.remember(false);
                Ok(())
            }
            () = self.timer.as_mut() => {
                if give_up_at.is_some_and(|at| Instant::now() >= at) {
                    let text = Some("closing: nothing that was sent was read for too long");
                    return Err(Ended { name: "slow_reader", text, forfeits: false });
                }
                if self.leaves_at.is_some_and(|at| Instant::now() >= at) {
                    return Err(Ended::silent("shutdown"));
                }
                self.talk.handle_timeout(self.shared.clock.now());
                Ok(())
            }
        }
    }

    /// The server ends: so does this, unless another process goes on with it.
    fn leave(&mut self) -> Result<(), Ended> {
        if self.shared.leaving().is_none() || !self.wire.is_clear() {
            return Err(Ended::silent("shutdown"));
        }
        self.leaves_at = Some(Instant::now() + Duration::from_millis(self.shared.config.handover_ms));
        Ok(())
    }

    fn hear(&mut self, Answer { ticket, verdict }: Answer) {
        if let Verdict::Accepted { .. } = verdict {
            if self.admission.place.prove(self.shared.clock.now()) {
                // Work that was announced there meanwhile is taken at once; what is known already makes no job.
                self.work = self.shared.work[self.algorithm.index()].proven.clone();
            }
            self.shared.access.note_accepted(self.admission.peer);
        }
        self.talk.handle_verdict(self.shared.clock.now(), ticket, verdict);
    }

    /// Closes the channels that have to leave and ends the logins that were taken back, and goes on with the others (SPEC 11.11.7, 11.12.4).
    fn end_parts(&mut self) -> Result<(), Ended> {
        for (prefix, why) in self.admission.wanted_channels() {
            self.end_channel(prefix, why);
        }
        for Login { payee, worker, channel, .. } in self.admission.ended_logins() {
            match channel {
                Some(prefix) => self.end_channel(prefix, Leave::Revoked),
                None if self.talk.end_login(payee, &worker) => self.note_ended(payee, &worker, Leave::Revoked),
                None => return Err(Ended::left(Leave::Revoked)),
            }
        }
        Ok(())
    }

    fn note_ended(&self, payee: KeyHash, worker: &WorkerName, why: Leave) {
        if let Some(text) = Ended::left(why).text {
            let what = (What::Connection, self.algorithm, Some(worker));
            self.shared.access.note(self.admission.peer, Who::Key(payee), what, text);
        }
    }

    fn end_channel(&mut self, prefix: ExtranoncePrefix, why: Leave) {
        let Some((payee, worker)) = self.talk.end_channel(prefix, why.name()) else { return };
        self.shared.metrics.channel_closed(why.name());
        self.note_ended(payee, &worker, why);
    }

    /// When the session has something to do by itself, or may be handed a message that is here.
    fn session_wakes_at(&self) -> Instant {
        let timeout = self.talk.next_timeout();
        // Nothing is handed over while a share is held: a message that is here is no reason to wake, again and again.
        let waits = self.is_drained || self.held.is_some() || self.reads_no_more();
        let message = if waits { None } else { self.talk.reads_at() };
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
                // What is no handshake looks like one too: only who encrypted something before is a client.
                let reason = if self.talk.has_begun() { CloseReason::NotStratum } else { CloseReason::UnknownProtocol };
                Err(self.close(reason))
            }
            Err(_) => Err(Ended::silent("peer_gone")),
        }
    }

    fn take_work(&mut self) {
        let work = self.work.borrow_and_update().clone();
        self.notify_since = Some(work.since);
        self.follow_schemes();
        self.talk.handle_template(self.shared.clock.now(), work.of(self.scheme));
    }

    /// Whoever chose another scheme has it from this work on (SPEC 8.9.12): the connection follows its first login, and channels of others who
    /// are paid otherwise then have to open on a connection of their own.
    fn follow_schemes(&mut self) {
        let version = self.shared.pool.schemes_version();
        let is_known = std::mem::replace(&mut self.schemes_version, version) == version;
        let Some((first, _)) = self.talk.miner().filter(|_| !is_known && self.port_scheme.is_none()) else { return };
        let scheme = self.shared.pool.scheme_of(first);
        self.scheme = Some(scheme);
        for Login { payee, channel, .. } in self.admission.logins() {
            if let Some(prefix) = channel.filter(|_| self.shared.pool.scheme_of(payee) != scheme) {
                self.end_channel(prefix, Leave::OtherScheme);
            }
        }
    }

    /// The port, or whoever logs in first, decides how shares of this connection are paid: there is one job for all. False for one who is
    /// paid otherwise.
    fn takes_scheme_of(&mut self, payee: KeyHash) -> bool {
        let scheme = self.port_scheme.unwrap_or_else(|| self.shared.pool.scheme_of(payee));
        if *self.scheme.get_or_insert(scheme) != scheme {
            return false;
        }
        if scheme != AccountScheme::default() {
            let template = self.work.borrow().of(self.scheme);
            self.talk.handle_template(self.shared.clock.now(), template);
        }
        true
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
                bq_stratum_v2::Output::Accepted { prefix } => self.admission.prove_channel(prefix),
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
            Output::Authorize { ticket, address, worker, token, comes_back } => {
                let outcome = self.admission.authorize(self.algorithm, &address, &worker, token.as_deref(), None);
                let outcome = self.come_back(outcome, &worker, comes_back);
                if let LoginOutcome::Granted { payee, .. } = outcome {
                    // All of a connection are of one account (SPEC 11.3).
                    self.takes_scheme_of(payee);
                }
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

    /// Who logs in first on a connection may come back to one that ended.
    fn come_back(&mut self, outcome: LoginOutcome, worker: &WorkerName, ticket: Option<SessionTicket>) -> LoginOutcome {
        let ticket = ticket.filter(|_| self.talk.miner().is_none());
        let outcome = self.admission.come_back(outcome, worker, ticket);
        if let LoginOutcome::Granted { trust: Some(_), .. } = outcome {
            self.work = self.shared.work[self.algorithm.index()].proven.clone();
        }
        outcome
    }

    fn open_channel(&mut self, ticket: LoginTicket, address: &str, (worker, token): (&WorkerName, Option<&str>)) {
        let mut outcome = self.admission.open_channel(self.algorithm, address, worker, token);
        if let ChannelOutcome::Granted { prefix, payee, .. } = outcome {
            if self.takes_scheme_of(payee) {
                self.outbox.expect_readers(self.admission.channels());
            } else {
                self.admission.close_channel(prefix);
                outcome = ChannelOutcome::Refused(OTHER_SCHEME.to_owned());
            }
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
        Ended { name: reason.name(), text: reason.text(), forfeits: reason.is_misbehavior() }
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

    /// Leaves socket and session to the process that takes over.
    fn hand_over(self: Box<Self>) {
        let Self { shared, algorithm, port_scheme, wire, admission, talk, .. } = *self;
        let (Some(leaving), Some((session, unread)), Wire::Clear(stream)) = (shared.leaving(), talk.state(), wire)
        else {
            return;
        };
        let port = Port::of_lines(algorithm, port_scheme);
        let state = admission.state(port, session, unread);
        match HandedConnection::new(stream, &state) {
            Ok(connection) => {
                let mut leaving = leaving.lock();
                leaving.work.extend(talk.templates().into_iter().map(|work| (work.id(), work)));
                leaving.connections.push(connection);
            }
            Err(error) => tracing::warn!(%error, "a connection cannot be handed over"),
        }
    }

    async fn finish(mut self: Box<Self>, ended: Ended) {
        self.give_up_held().await;
        let metrics = &self.shared.metrics;
        metrics.closed(ended.name);
        metrics.of(self.algorithm).connections.decrement(1.0);
        self.remember(true);
        if ended.name == HANDED_OVER {
            return self.hand_over();
        }
        if let Some(parting) = self.talk.parting().filter(|_| !ended.forfeits) {
            self.admission.depart(parting);
        }
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
    use crate::{arrival::Arrival, shared::Entry};

    fn future_bytes<F: Future>(_run: impl Fn(Arrival, Option<Entry>, watch::Receiver<bool>) -> F) -> usize {
        size_of::<F>()
    }

    /// What ten thousand idle miners cost is this: a call that takes a connection by value would double it unnoticed.
    #[test]
    fn an_idle_connection_stays_small() {
        let (task, connection) = (future_bytes(Arrival::run), size_of::<Connection>());
        assert!(task <= 1_536 && connection <= 1_408, "task {task}, connection {connection}");
    }
}
