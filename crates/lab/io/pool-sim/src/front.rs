//! The front end of one life of the pool: the real sessions and the real judge behind wires of bytes, driven as the driver of
//! `bq-front` drives them, with a queue of proofs where that has threads.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use bq_mining_message::{AccountScheme, AuthorizeError, PoolTemplate};
use bq_primitives::{Algorithm, KeyHash, ShareDifficulty, WorkerName, tagged_hash};
use bq_share::{
    BanPolicy, Bans, ExtranonceAllocator, ExtranoncePrefix, JudgePolicy, Peer, Reject, SessionTicket, SessionTicketId,
    ShareCandidate, Strike, UnixMs, Verdict, WithoutRoom,
};
use bq_stratum_v1::{
    JobTemplate, LineBuffer, LineTooLong, LoginOutcome, Output, Session, SessionPolicy, SessionSeed, VardiffPolicy,
};

use crate::queue::{Queue, Waiting};

/// Names a connection within one life of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// Asks the pool who a miner is, and how he is paid.
pub(crate) type Authorize<'a> = &'a dyn Fn(&str) -> Result<(KeyHash, AccountScheme), AuthorizeError>;

/// One algorithm's work by scheme.
type LaneWork = [Option<Arc<JobTemplate>>; AccountScheme::ALL.len()];

pub(crate) struct Front {
    policy: Arc<SessionPolicy>,
    seed: [u8; 32],
    opened: u64,
    allocator: ExtranonceAllocator,
    bans: Bans,
    connections: BTreeMap<ConnectionId, Connection>,
    work: [LaneWork; Algorithm::COUNT],
    /// Proofs that wait to be looked at.
    queues: [Queue; Algorithm::COUNT],
    remembered: BTreeMap<(Algorithm, KeyHash, WorkerName), ShareDifficulty>,
    pub(crate) counts: Counts,
    /// Every connection is given the same work: a planted bug.
    pub(crate) is_forgetful: bool,
    /// What has to wait for room is refused: a planted bug.
    pub(crate) refuses_unseen: bool,
}

/// Figures of a front end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) admitted: u64,
    pub(crate) turned_away: u64,
    pub(crate) closed: u64,
    pub(crate) refused: u64,
    /// Shares that waited for room.
    pub(crate) waited: u64,
    /// Shares that were refused for want of room.
    pub(crate) busy: u64,
}

impl Counts {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            admitted: self.admitted + other.admitted,
            turned_away: self.turned_away + other.turned_away,
            closed: self.closed + other.closed,
            refused: self.refused + other.refused,
            waited: self.waited + other.waited,
            busy: self.busy + other.busy,
        }
    }
}

struct Connection {
    session: Session,
    lines: LineBuffer,
    algorithm: Algorithm,
    /// As its port says, or whoever logged in first.
    scheme: Option<AccountScheme>,
    peer: Peer,
    prefix: ExtranoncePrefix,
    /// Bytes for the client.
    out: Vec<u8>,
    is_closed: bool,
    /// A share that may be a block and waits for room; nothing else is carried out before it.
    held: Option<Box<ShareCandidate>>,
}

/// A session may be idle for long: shares are hours apart here.
const IDLE_MS: u64 = 6 * 3_600_000;
/// A fresh job goes out this often at least.
const REFRESH_MS: u64 = 600_000;

impl Front {
    /// A front end that was started just now, for the `boot`th time.
    pub(crate) fn new(boot: u64) -> Self {
        let seed = tagged_hash("BQ/lottery/front", &[&boot.to_le_bytes()]);
        let vardiff = VardiffPolicy {
            start: ShareDifficulty::from_hashes(50),
            // A share may be as hard as a block here: miners choose what they like.
            cap_divisor: 1,
            ..VardiffPolicy::default()
        };
        let judge = JudgePolicy::default();
        let policy =
            SessionPolicy { vardiff, judge, idle_ms: IDLE_MS, job_refresh_ms: REFRESH_MS, ..SessionPolicy::default() };
        Self {
            policy: Arc::new(policy),
            seed,
            opened: 0,
            allocator: ExtranonceAllocator::new(1, words(&seed, u64::MAX)[0]),
            bans: Bans::new(BanPolicy::default()),
            connections: BTreeMap::new(),
            work: Default::default(),
            queues: Default::default(),
            remembered: BTreeMap::new(),
            counts: Counts::default(),
            is_forgetful: false,
            refuses_unseen: false,
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        self.work.iter().flatten().any(Option::is_some)
    }

    /// Lets a client in, at a port that says how it is paid or leaves it to the account.
    pub(crate) fn admit(
        &mut self,
        now: UnixMs,
        (algorithm, scheme): (Algorithm, Option<AccountScheme>),
        address: IpAddr,
    ) -> Option<ConnectionId> {
        let peer = Peer::of(address);
        if self.bans.is_banned(now, peer) {
            self.counts.turned_away += 1;
            return None;
        }
        let prefix = self.allocator.allocate()?;
        self.opened += 1;
        self.counts.admitted += 1;
        let id = ConnectionId(self.opened);
        let mut session = Session::new(now, algorithm, Arc::clone(&self.policy), self.session_seed(prefix));
        session.handle_template(now, work_of(&self.work, algorithm, scheme));
        let lines = LineBuffer::default();
        let (out, is_closed, held) = (Vec::new(), false, None);
        let connection = Connection { session, lines, algorithm, scheme, peer, prefix, out, is_closed, held };
        self.connections.insert(id, connection);
        Some(id)
    }

    fn session_seed(&self, prefix: ExtranoncePrefix) -> SessionSeed {
        // Nobody comes back with it here.
        let ticket = SessionTicket { id: SessionTicketId(0), tag: [0; 16] };
        if self.is_forgetful {
            let prefix = ExtranoncePrefix { connection: 1, ..prefix };
            return SessionSeed { session_id: 1, first_job_id: 1, prefix, ticket };
        }
        let [session_id, first_job_id, ..] = words(&self.seed, self.opened);
        SessionSeed { session_id, first_job_id, prefix, ticket }
    }

    /// The newest template reaches every connection.
    pub(crate) fn hand_out(&mut self, now: UnixMs, template: &PoolTemplate) {
        for algorithm in Algorithm::ALL {
            let of = |scheme| {
                let work = template.work(scheme, algorithm);
                work.and_then(|(work, pay)| JobTemplate::of_block(work, pay)).map(Arc::new)
            };
            let shared = of(AccountScheme::default());
            let pay = |scheme| template.work(scheme, algorithm).map(|(_, pay)| pay);
            let is_alike = |scheme| pay(scheme) == pay(AccountScheme::default());
            self.work[algorithm.index()] =
                AccountScheme::ALL.map(|scheme| if is_alike(scheme) { shared.clone() } else { of(scheme) });
        }
        for connection in self.connections.values_mut() {
            let work = work_of(&self.work, connection.algorithm, connection.scheme);
            connection.session.handle_template(now, work);
        }
    }

    /// Time passed for everybody.
    pub(crate) fn tick(&mut self, now: UnixMs) {
        let due = |connection: &&mut Connection| now >= connection.session.next_timeout();
        self.connections.values_mut().filter(due).for_each(|connection| connection.session.handle_timeout(now));
    }

    /// Bytes came from the client: whole lines go to its session, as many as it takes now.
    pub(crate) fn read(&mut self, now: UnixMs, id: ConnectionId, bytes: &[u8], authorize: Authorize<'_>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.lines.push(bytes);
        self.carry_out(now, id, authorize);
        while self.take_line(now, id) {
            self.carry_out(now, id, authorize);
        }
    }

    /// Hands the session one line, if there is one and it takes one now.
    fn take_line(&mut self, now: UnixMs, id: ConnectionId) -> bool {
        let Some(Connection { session, lines, is_closed: false, held: None, .. }) = self.connections.get_mut(&id)
        else {
            return false;
        };
        if session.reads_at().is_none_or(|at| now < at) {
            return false;
        }
        match lines.next_line() {
            Ok(Some(line)) => session.handle_line(now, line),
            Ok(None) => return false,
            Err(LineTooLong) => session.handle_oversize_line(),
        }
        true
    }

    /// Carries out what a session wants.
    pub(crate) fn carry_out(&mut self, now: UnixMs, id: ConnectionId, authorize: Authorize<'_>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        while connection.held.is_none()
            && let Some(output) = connection.session.poll_output()
        {
            match output {
                Output::Send(frame) => connection.out.extend(frame.bytes),
                Output::Authorize { ticket, address, worker, .. } => {
                    let outcome = match authorize(&address) {
                        Ok((payee, scheme)) => {
                            if *connection.scheme.get_or_insert(scheme) != AccountScheme::default() {
                                let work = work_of(&self.work, connection.algorithm, connection.scheme);
                                connection.session.handle_template(now, work);
                            }
                            let remembered = self.remembered.get(&(connection.algorithm, payee, worker)).copied();
                            LoginOutcome::Granted { payee, remembered, trust: None }
                        }
                        Err(error) => LoginOutcome::from(&error),
                    };
                    connection.session.handle_login(now, ticket, outcome);
                }
                Output::Share(candidate) => {
                    let ticket = candidate.ticket;
                    let waiting = Waiting { connection: id, candidate };
                    match self.queues[connection.algorithm.index()].push(waiting) {
                        Ok(()) => {}
                        Err((WithoutRoom::Waits, waiting)) if !self.refuses_unseen => {
                            self.counts.waited += 1;
                            connection.held = Some(waiting.candidate);
                        }
                        Err(_) => {
                            self.counts.busy += 1;
                            connection.session.handle_verdict(now, ticket, Verdict::Rejected(Reject::Busy));
                        }
                    }
                }
                Output::LoginRefused { .. } => {}
                Output::Rejected { .. } => self.counts.refused += 1,
                Output::Close(reason) => {
                    connection.is_closed = true;
                    self.counts.closed += 1;
                    if reason.is_misbehavior() {
                        self.bans.strike(now, connection.peer, Strike::Misbehaved);
                    }
                    return;
                }
            }
        }
    }

    /// Nothing waits to be looked at.
    pub(crate) fn is_idle(&self) -> bool {
        self.queues.iter().all(|queue| queue.len() == 0)
    }

    /// There is work of an algorithm.
    pub(crate) fn has_work_for(&self, algorithm: Algorithm) -> bool {
        self.work[algorithm.index()].iter().any(Option::is_some)
    }

    /// The next proof to be looked at. Its connection may be gone by now: it counts all the same.
    pub(crate) fn next_proof(&mut self) -> Option<Waiting> {
        let index = self.queues.iter().position(|queue| queue.len() > 0)?;
        let next = self.queues[index].next();
        let held = self.connections.iter_mut().filter(|(_, connection)| connection.algorithm.index() == index);
        for (id, connection) in held {
            if let Some(candidate) = connection.held.take()
                && let Err((_, waiting)) = self.queues[index].push(Waiting { connection: *id, candidate })
            {
                connection.held = Some(waiting.candidate);
            }
        }
        next
    }

    /// What the newest job of a connection is worth.
    pub(crate) fn newest_difficulty(&self, id: ConnectionId) -> Option<ShareDifficulty> {
        self.connections.get(&id).and_then(|connection| connection.session.newest_difficulty())
    }

    /// The verdict on a proof reaches its session.
    pub(crate) fn answer(&mut self, now: UnixMs, id: ConnectionId, candidate: &ShareCandidate, verdict: Verdict) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Verdict::Accepted { .. } = verdict {
            self.bans.accept(now, connection.peer);
        }
        if let Some(strike) = candidate.strike_of(verdict) {
            self.bans.strike(now, connection.peer, strike);
        }
        connection.session.handle_verdict(now, candidate.ticket, verdict);
    }

    /// Bytes for the client, and whether the connection ends with them.
    pub(crate) fn take_bytes(&mut self, id: ConnectionId) -> (Vec<u8>, bool) {
        match self.connections.get_mut(&id) {
            Some(connection) => (std::mem::take(&mut connection.out), connection.is_closed),
            None => (Vec::new(), true),
        }
    }

    /// The connection is gone.
    pub(crate) fn hang_up(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        let Connection { session, algorithm, prefix, held, .. } = connection;
        if let Some(candidate) = held {
            // It may be a block: nobody waits for the verdict any more, but the books and the node do.
            self.queues[algorithm.index()].enter(Waiting { connection: id, candidate });
        }
        self.allocator.release(prefix);
        if let (Some((payee, worker)), Some(difficulty)) = (session.miner(), session.settled_difficulty()) {
            self.remembered.insert((algorithm, payee, worker.clone()), difficulty);
        }
    }
}

fn work_of(
    work: &[LaneWork; Algorithm::COUNT],
    algorithm: Algorithm,
    scheme: Option<AccountScheme>,
) -> Option<Arc<JobTemplate>> {
    work[algorithm.index()][scheme.unwrap_or_default().index()].clone()
}

/// Words that cannot be guessed without the seed.
fn words(seed: &[u8; 32], number: u64) -> [u32; 8] {
    let hash = tagged_hash("BQ/lottery/session", &[seed, &number.to_le_bytes()]);
    std::array::from_fn(|index| u32::from_le_bytes([0, 1, 2, 3].map(|byte| hash[4 * index + byte])))
}
