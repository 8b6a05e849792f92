use std::{
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bq_access::{Admittance, Departed, Departure, What, Who};
use bq_mining_message::{AuthorizeError, PoolApi, ShareReject};
use bq_primitives::{Algorithm, KeyHash, WorkerName, tagged_hash};
use bq_share::{
    ExtranonceAllocator, ExtranoncePrefix, Peer, Reject, SessionTicket, SessionTicketId, ShareTicket, Strike, Subnet,
    Templates, UnixMs, Verdict,
};
use bq_stratum_v1::{LoginOutcome, Parting, SessionPolicy, SessionSeed, SessionState};
use bq_stratum_v2::{ChannelOutcome, SessionPolicyV2};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    StratumConfig,
    accept_rate::AcceptRate,
    access::{Access, ConnectionNumber, Line, Login},
    clock::SteadyClock,
    conditions::Conditions,
    getwork::{Getwork, Guest},
    handover::{ConnectionState, HandedConnection},
    jobs::Listeners,
    kept_files,
    metrics::StratumMetrics,
    noise::Noise,
    places::{Full, Leave, Place, Places},
    port::Port,
    remembered::Remembered,
    strangers::Strangers,
    tls::Tls,
    turned_away,
    verify::VerifyPool,
};

/// What every connection may reach. Each lock is held for a few map operations and never across an await or a call to
/// the pool.
pub(crate) struct Shared {
    pub(crate) config: StratumConfig,
    pub(crate) pool: Arc<dyn PoolApi>,
    pub(crate) clock: SteadyClock,
    pub(crate) metrics: Arc<StratumMetrics>,
    pub(crate) verify: VerifyPool,
    pub(crate) work: [Listeners; Algorithm::COUNT],
    conditions: Arc<Conditions>,
    /// Nothing if TLS is off.
    pub(crate) tls: Option<Tls>,
    /// Nothing if V2 is off.
    pub(crate) noise: Option<Noise>,
    policies: [Arc<SessionPolicy>; Algorithm::COUNT],
    /// Who may come in.
    pub(crate) access: Arc<Access>,
    /// What they have at stake.
    pub(crate) strangers: Arc<Strangers>,
    /// Of miners that poll over HTTP.
    pub(crate) getwork: Arc<Getwork>,
    /// For each poll that is told that there is no place for it.
    turned_away: Arc<Semaphore>,
    places: Arc<Places>,
    accepts: Mutex<Accepts>,
    extranonces: Mutex<ExtranonceAllocator>,
    remembered: Mutex<Remembered>,
    /// Connections that ended and may be come back to.
    departed: Mutex<Departed>,
    sessions: AtomicU64,
    /// Set once when another process takes over: there connections leave what they have.
    leaving: OnceLock<Arc<Mutex<Leaving>>>,
}

/// What connections leave to the process that takes over.
#[derive(Default)]
pub(crate) struct Leaving {
    pub(crate) work: Templates,
    pub(crate) connections: Vec<HandedConnection>,
}

/// How fast connections are accepted.
struct Accepts {
    by_peer: AcceptRate<Peer>,
    by_subnet: AcceptRate<Subnet>,
}

/// A verdict on its way to a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) ticket: ShareTicket,
    pub(crate) verdict: Verdict,
}

/// What a connection holds while it is open; given back when dropped.
pub(crate) struct Admission {
    shared: Arc<Shared>,
    pub(crate) place: Place,
    pub(crate) seed: SessionSeed,
    /// Whom strikes count for; nobody when the address is trusted.
    pub(crate) peer: Option<Peer>,
    /// Where it connects from, or whom a proxy names.
    address: IpAddr,
    number: ConnectionNumber,
    /// Of V2.
    channels: Vec<ChannelPlace>,
}

/// Who opens a connection.
#[derive(Clone, Copy, Debug)]
struct Visitor {
    /// Whom strikes, prices and limits count for; nobody where the operator trusts the address.
    peer: Option<Peer>,
    /// Whose places it takes, if its network is allowed: no limit but that of all places holds.
    allowed: Option<Peer>,
}

/// How a socket comes in.
pub(crate) enum Entry {
    /// With a place.
    Admitted(Admission),
    /// Without one, if it polls for a session that has one.
    Guest(Guest),
    /// Not: if it polls it is told why in its own words.
    TurnedAway(&'static str, OwnedSemaphorePermit),
}

/// What a channel of V2 holds.
struct ChannelPlace {
    prefix: ExtranoncePrefix,
    /// Nothing for the one that stands in the connection's own place.
    place: Option<Place>,
}

impl Shared {
    pub(crate) fn new(
        config: StratumConfig,
        pool: Arc<dyn PoolApi>,
        metrics: Arc<StratumMetrics>,
        clock: SteadyClock,
        verify: VerifyPool,
        work: [Listeners; Algorithm::COUNT],
        (tls, conditions): (Option<Tls>, Arc<Conditions>),
    ) -> Self {
        let [first, ..] = words(&config.seed, u64::MAX);
        let places = Arc::new(Places::new(config.places));
        let access = Arc::new(Access::new(&config, clock, Arc::clone(&places), Arc::clone(&pool)));
        Self {
            noise: config.v2.as_ref().map(Noise::new),
            policies: config.sessions.clone().map(Arc::new),
            strangers: Arc::new(Strangers::new(config.allowance, clock, Arc::clone(&metrics), Arc::clone(&access))),
            access,
            getwork: Arc::default(),
            turned_away: Arc::new(Semaphore::new(config.getwork.turned_away_max)),
            places,
            accepts: Mutex::new(Accepts {
                by_peer: AcceptRate::new(config.accepts_per_second),
                by_subnet: AcceptRate::new(config.accepts_per_subnet_second),
            }),
            // A start of its own per run: together with the first job id, which is drawn too, and the template's time, what
            // the last run gave out does not come back within the life of a tip.
            extranonces: Mutex::new(ExtranonceAllocator::new(config.server_id, first)),
            remembered: Mutex::new(remembered_of(&config)),
            departed: Mutex::new(departed_of(&config, clock.now())),
            sessions: AtomicU64::new(0),
            leaving: OnceLock::new(),
            config,
            pool,
            clock,
            metrics,
            verify,
            work,
            tls,
            conditions,
        }
    }

    pub(crate) fn policy(&self, algorithm: Algorithm) -> Arc<SessionPolicy> {
        Arc::clone(&self.policies[algorithm.index()])
    }

    pub(crate) fn policy_v2(&self) -> SessionPolicyV2 {
        let channels_max = self.config.v2.as_ref().map_or(1, |v2| v2.channels_max);
        SessionPolicyV2 { common: self.policy(Algorithm::Sha256d), channels_max }
    }

    /// Lets a socket in, or names why not. Whether it polls is not known yet: if it may, it takes no place beside its session's.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, port: Port) -> Result<Entry, &'static str> {
        let polls = self.polls_on(port);
        let visitor = self.screen(address)?;
        if polls && let Some(guest) = self.getwork.guest(address) {
            return Ok(Entry::Guest(guest));
        }
        match self.admit_screened(visitor, address) {
            Ok(admission) => Ok(Entry::Admitted(admission)),
            Err(reason) if polls && turned_away::words(reason).is_some() => {
                let permit = Arc::clone(&self.turned_away).try_acquire_owned().map_err(|_| reason)?;
                Ok(Entry::TurnedAway(reason, permit))
            }
            Err(reason) => Err(reason),
        }
    }

    /// Whether HTTP getwork is answered there.
    pub(crate) fn polls_on(&self, port: Port) -> bool {
        self.config.plaintext && port == Port::V1(Algorithm::Ethash)
    }

    /// Lets a connection in, or names why not.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admission, &'static str> {
        let visitor = self.screen(address)?;
        self.admit_screened(visitor, address)
    }

    /// Whose socket it is, if he may open one now.
    fn screen(&self, address: IpAddr) -> Result<Visitor, &'static str> {
        let visitor = self.visitor(address)?;
        let peer = visitor.peer;
        if peer.is_some_and(|peer| self.strangers.is_in_debt(peer)) {
            return Err("in_debt");
        }
        if peer.is_some_and(|peer| !self.accepts.lock().allow(self.clock.now(), peer)) {
            return Err("too_fast");
        }
        Ok(visitor)
    }

    fn admit_screened(self: &Arc<Self>, visitor: Visitor, address: IpAddr) -> Result<Admission, &'static str> {
        let (place, peer) = (self.place_for(visitor)?, visitor.peer);
        let prefix = self.extranonces.lock().allocate().ok_or("no_extranonce")?;
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let seed = session_seed(&self.config, number, prefix);
        Ok(Admission { shared: Arc::clone(self), place, seed, peer, address, number, channels: Vec::new() })
    }

    /// Who comes from an address; nobody if its network is denied (SPEC 11.11, 8) or it is banned.
    fn visitor(&self, address: IpAddr) -> Result<Visitor, &'static str> {
        let is_trusted = self.config.trust_loopback && address.to_canonical().is_loopback();
        let peer = Peer::of(address);
        match self.access.admittance(address) {
            Admittance::Denied => Err("denied"),
            Admittance::Allowed | Admittance::Ordinary if is_trusted => Ok(Visitor { peer: None, allowed: None }),
            Admittance::Allowed => Ok(Visitor { peer: None, allowed: Some(peer) }),
            Admittance::Ordinary if self.is_banned(Some(peer)) => Err("banned"),
            Admittance::Ordinary => Ok(Visitor { peer: Some(peer), allowed: None }),
        }
    }

    /// Whether nobody may connect from `address`.
    pub(crate) fn is_denied(&self, address: IpAddr) -> bool {
        self.access.admittance(address) == Admittance::Denied
    }

    /// Lets in again who was let in by the process that this one replaces, or names why not (SPEC 11.13).
    pub(crate) fn admit_again(self: &Arc<Self>, state: &ConnectionState) -> Result<Admission, &'static str> {
        let visitor = self.visitor(state.address)?;
        if !state.logins.iter().all(|login| self.access.still_admits(login)) {
            return Err(Leave::Revoked.name());
        }
        let (place, peer) = (self.place_for(visitor)?, visitor.peer);
        if !self.extranonces.lock().claim(state.seed.prefix) {
            return Err("no_extranonce");
        }
        place.log_in();
        if state.is_proven {
            place.prove(self.clock.now());
        }
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let (seed, address) = (state.seed, state.address);
        for login in &state.logins {
            let (algorithm, id, seat) = (state.algorithm, seed.session_id, Arc::clone(place.seat()));
            self.access.begin(number, || Line { algorithm, id, peer, seat }, login.clone());
        }
        Ok(Admission { shared: Arc::clone(self), place, seed, peer, address, number, channels: Vec::new() })
    }

    /// From now on connections that end leave what they have to another process.
    pub(crate) fn leave(&self) -> Arc<Mutex<Leaving>> {
        Arc::clone(self.leaving.get_or_init(Arc::default))
    }

    /// Where connections leave what they have; nothing unless another process takes over.
    pub(crate) fn leaving(&self) -> Option<&Mutex<Leaving>> {
        self.leaving.get().map(Arc::as_ref)
    }

    /// A place alone, or why there is none.
    pub(crate) fn take_place(&self, peer: Option<Peer>) -> Result<Place, &'static str> {
        self.place_for(Visitor { peer, allowed: None })
    }

    fn place_for(&self, Visitor { peer, allowed }: Visitor) -> Result<Place, &'static str> {
        let now = self.clock.now();
        let taken =
            if allowed.is_some() { self.places.take_allowed(now, allowed) } else { self.places.take(now, peer) };
        taken.map_err(|full| {
            if full == Full::Server {
                self.conditions.server_full(now, self.config.places.total, self.config.server_full_shown_ms);
            }
            full.name()
        })
    }

    /// Whether a proxy connects from `address` that says for whom.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.config.proxies.iter().any(|network| network.contains(&address))
    }

    pub(crate) fn connections(&self) -> usize {
        self.places.connections()
    }

    pub(crate) fn is_banned(&self, peer: Option<Peer>) -> bool {
        self.access.ban_of(peer).is_some()
    }

    pub(crate) fn strike(&self, peer: Option<Peer>, strike: Strike) {
        if self.access.strike(peer, strike) {
            self.metrics.banned();
        }
    }

    pub(crate) fn remember(
        &self,
        algorithm: Algorithm,
        (payee, worker): (KeyHash, WorkerName),
        difficulty: bq_primitives::ShareDifficulty,
    ) {
        self.remembered.lock().put(algorithm, payee, worker, difficulty);
    }

    /// Keeps what is remembered over a restart, if it changed. Blocks on the disk.
    pub(crate) fn save(&self) {
        let Some(kept) = &self.config.kept else { return };
        let changes = self.remembered.lock().changes();
        if let Some(text) = changes {
            let _told = kept_files::save(&kept.workers, &text);
        }
        self.access.save();
    }

    /// [`Shared::save`] when every connection is gone. Who may come back is written then alone: what a process that is killed leaves was read
    /// once already, and is empty.
    pub(crate) fn save_last(&self) {
        self.save();
        let departed = self.departed.lock();
        if let Some(kept) = self.config.kept.as_ref().filter(|_| !departed.is_empty()) {
            let _told = kept_files::save(&kept.tickets, &departed.to_text());
        }
    }
}

impl Admission {
    /// Whether a login is good: asks tokens and locks, then the pool.
    pub(crate) fn authorize(
        &mut self,
        algorithm: Algorithm,
        login: &str,
        worker: &WorkerName,
        token: Option<&str>,
        channel: Option<ExtranoncePrefix>,
    ) -> LoginOutcome {
        let access = Arc::clone(&self.shared.access);
        let entry = match access.admit(login, worker, token) {
            Ok(entry) => entry,
            Err(refusal) => return LoginOutcome::Refused(refusal.to_string()),
        };
        let payee = match self.shared.pool.authorize(&entry.address) {
            Ok(payee) => payee,
            Err(error) => {
                if let AuthorizeError::Unavailable(reason) = &error {
                    tracing::error!(reason, "the pool cannot authorize miners");
                }
                return LoginOutcome::from(&error);
            }
        };
        let (seat, id) = (Arc::clone(self.place.seat()), self.seed.session_id);
        let line = || Line { algorithm, id, peer: self.peer, seat };
        let at = self.shared.clock.now();
        let begun = Login { payee, worker: worker.clone(), at, token: entry.token, channel };
        access.begin(self.number, line, begun.clone());
        // Whoever took the token back meanwhile did not see this session yet.
        if let Err(refusal) = access.admit(login, worker, token) {
            access.forget(self.number, |known| known.is_of(&begun));
            return LoginOutcome::Refused(refusal.to_string());
        }
        self.place.log_in();
        let remembered = self.shared.remembered.lock().get(algorithm, payee, worker);
        LoginOutcome::Granted { payee, remembered, trust: None }
    }

    /// Gives a miner whose login was granted what it left where it comes back from (SPEC 11.14): its place is proved as that one was.
    pub(crate) fn come_back(
        &self,
        outcome: LoginOutcome,
        worker: &WorkerName,
        ticket: Option<SessionTicket>,
    ) -> LoginOutcome {
        let (LoginOutcome::Granted { payee, remembered, .. }, Some(ticket)) = (&outcome, ticket) else {
            return outcome;
        };
        let left = self.left_by(ticket, *payee, worker);
        self.shared.metrics.came_back(left.is_some());
        let Some(left) = left else { return outcome };
        self.place.prove(left.proved);
        LoginOutcome::Granted { payee: *payee, remembered: left.difficulty.or(*remembered), trust: Some(left.trust) }
    }

    fn left_by(&self, ticket: SessionTicket, payee: KeyHash, worker: &WorkerName) -> Option<Departure> {
        let shared = &self.shared;
        shared.config.tickets.key.made(&ticket).then_some(())?;
        let left = shared.departed.lock().come_back(shared.clock.now(), ticket.id, payee, worker)?;
        // Banned since: what it earned there is not to be had elsewhere.
        (!shared.is_banned(left.peer)).then_some(left)
    }

    /// Leaves what its miner may come back to, if its place is proved and nobody wanted it.
    pub(crate) fn depart(&self, parting: Parting) {
        let Some(proved) = self.place.proved().filter(|_| self.place.is_wanted().is_none()) else { return };
        let now = self.shared.clock.now();
        let Parting { payee, worker, trust, difficulty } = parting;
        let (ticket, peer) = (self.seed.ticket.id, self.peer);
        let left = Departure { ticket, payee, worker, peer, ended: now, proved, trust, difficulty };
        self.shared.departed.lock().depart(now, left);
    }

    /// Counts a refused share, here, in the pool, and for whoever asks why.
    pub(crate) fn note_rejected(&self, algorithm: Algorithm, miner: Option<(KeyHash, WorkerName)>, reason: Reject) {
        let shared = &self.shared;
        shared.metrics.of(algorithm).rejected(api_reason(reason));
        if let Some((payee, worker)) = miner {
            shared.pool.note_rejected(payee, &worker, algorithm, api_reason(reason));
            let what = (What::Share, algorithm, Some(&worker));
            shared.access.note(self.peer, Who::Key(payee), what, reason.text());
        }
    }

    /// What another process must know of it.
    pub(crate) fn state(&self, port: Port, session: SessionState, unread: Vec<u8>) -> ConnectionState {
        let (algorithm, port_scheme) = (port.algorithm(), port.scheme());
        let logins = self.logins();
        let is_proven = self.place.proved().is_some();
        let (address, seed) = (self.address, self.seed);
        ConnectionState { algorithm, port_scheme, address, seed, logins, is_proven, session, unread }
    }

    /// Opens one more channel, if its login is good and there is room for it. The first stands in the connection's own place, each other
    /// takes one as a connection does.
    pub(crate) fn open_channel(
        &mut self,
        algorithm: Algorithm,
        login: &str,
        worker: &WorkerName,
        token: Option<&str>,
    ) -> ChannelOutcome {
        if let Err(refusal) = self.shared.access.admit(login, worker, token) {
            return ChannelOutcome::BadToken(refusal.to_string());
        }
        let Some(prefix) = self.shared.extranonces.lock().allocate() else { return ChannelOutcome::Full };
        let outcome = match self.authorize(algorithm, login, worker, token, Some(prefix)) {
            LoginOutcome::Granted { payee, remembered, .. } => {
                let now = self.shared.clock.now();
                let place = (!self.channels.is_empty()).then(|| self.place.of_channel(now)).transpose();
                if let Ok(place) = place {
                    self.channels.push(ChannelPlace { prefix, place });
                    return ChannelOutcome::Granted { prefix, payee, remembered };
                }
                ChannelOutcome::Full
            }
            LoginOutcome::Refused(reason) => ChannelOutcome::Refused(reason),
            LoginOutcome::Unavailable => ChannelOutcome::Unavailable,
        };
        self.give_back(prefix);
        outcome
    }

    /// The number of a channel that is not, or no more.
    fn give_back(&self, prefix: ExtranoncePrefix) {
        self.shared.access.forget(self.number, |login| login.channel == Some(prefix));
        self.shared.extranonces.lock().release(prefix);
    }

    /// Who is logged in here.
    pub(crate) fn logins(&self) -> Vec<Login> {
        self.shared.access.logins(self.number)
    }

    /// Logins that were taken back since the last call.
    pub(crate) fn ended_logins(&self) -> Vec<Login> {
        self.shared.access.ended(self.number)
    }

    pub(crate) fn close_channel(&mut self, prefix: ExtranoncePrefix) {
        let Some(index) = self.channels.iter().position(|open| open.prefix == prefix) else { return };
        let closed = self.channels.swap_remove(index);
        self.give_back(prefix);
        // Where it stood in the connection's own place, another one does from now on.
        if closed.place.is_none()
            && let Some(open) = self.channels.first_mut()
        {
            open.place = None;
        }
    }

    /// A share of this channel was accepted.
    pub(crate) fn prove_channel(&self, prefix: ExtranoncePrefix) {
        let open = self.channels.iter().find(|open| open.prefix == prefix);
        if let Some(place) = open.and_then(|open| open.place.as_ref()) {
            place.prove(self.shared.clock.now());
        }
    }

    /// Channels whose places are needed.
    pub(crate) fn wanted_channels(&self) -> Vec<(ExtranoncePrefix, Leave)> {
        let wanted = |open: &ChannelPlace| Some((open.prefix, open.place.as_ref()?.is_wanted()?));
        self.channels.iter().filter_map(wanted).collect()
    }

    pub(crate) const fn channels(&self) -> usize {
        self.channels.len()
    }
}

impl Accepts {
    /// Whether one more connection may come.
    fn allow(&mut self, now: UnixMs, peer: Peer) -> bool {
        self.by_peer.allow(now, peer) && self.by_subnet.allow(now, peer.subnet())
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.access.end(self.number);
        let channels = std::mem::take(&mut self.channels);
        let mut extranonces = self.shared.extranonces.lock();
        for prefix in channels.iter().map(|open| open.prefix).chain([self.seed.prefix]) {
            extranonces.release(prefix);
        }
    }
}

const fn api_reason(reason: Reject) -> ShareReject {
    match reason {
        Reject::Malformed(_) => ShareReject::Malformed,
        Reject::UnknownJob => ShareReject::UnknownJob,
        Reject::Stale => ShareReject::Stale,
        Reject::Duplicate => ShareReject::Duplicate,
        Reject::LowDifficulty => ShareReject::LowDifficulty,
        Reject::BadProof => ShareReject::BadProof,
        Reject::Unauthorized => ShareReject::Unauthorized,
        Reject::Busy => ShareReject::Busy,
    }
}

fn session_seed(config: &StratumConfig, number: ConnectionNumber, prefix: ExtranoncePrefix) -> SessionSeed {
    let [session_id, first_job_id, high, low, ..] = words(&config.seed, number);
    let ticket = config.tickets.key.ticket(SessionTicketId((u64::from(high) << 32) | u64::from(low)));
    SessionSeed { session_id, first_job_id, prefix, ticket }
}

/// Eight words that cannot be guessed without the seed.
fn words(seed: &[u8; 32], number: u64) -> [u32; 8] {
    let hash = tagged_hash("BQ/stratum-session", &[seed, &number.to_le_bytes()]);
    std::array::from_fn(|index| {
        hash.chunks_exact(4).nth(index).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
    })
}

fn remembered_of(config: &StratumConfig) -> Remembered {
    let mut remembered = Remembered::new(config.workers_remembered_max);
    if let Some(kept) = &config.kept {
        kept_files::load(&kept.workers, config.workers_remembered_max, |text| remembered.restore(text));
    }
    remembered
}

fn departed_of(config: &StratumConfig, now: UnixMs) -> Departed {
    let policy = config.tickets.departed;
    let mut departed = Departed::new(policy);
    if let Some(kept) = &config.kept {
        kept_files::load_once(&kept.tickets, policy.departures_max, |text| departed.restore(now, text));
    }
    departed
}
