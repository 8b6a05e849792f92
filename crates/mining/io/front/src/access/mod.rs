//! Who may come in: bans, tokens, locks, and what is told to those who may not.

mod desk;
mod sessions;

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bq_access::{
    Admittance, AuthMode, Networks, Refusals, RefusalsPolicy, Registry, RegistryPolicy, TokenId, TokenKey, What, Who,
};
use bq_mining_message::PoolApi;
use bq_primitives::{Address, Algorithm, BlockId, KeyHash, Network, WorkerName, tagged_hash};
use bq_share::{Ban, Bans, ClaimTurn, Peer, Strike, UnixMs};
use parking_lot::Mutex;

use self::sessions::Sessions;
pub(crate) use self::sessions::{ConnectionNumber, Line, Login};
use crate::{
    StratumConfig,
    accept_rate::AcceptRate,
    clock::SteadyClock,
    kept_files,
    places::{Leave, Places},
};

/// Who may mine.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// Whose addresses are taken.
    pub network: Network,
    /// Tokens and locks, as they were read.
    pub registry: Registry,
    /// Where they are written; nothing: nowhere.
    pub registry_file: Option<PathBuf>,
    /// How long and how much is told of what was refused.
    pub refusals: RefusalsPolicy,
    /// Signed requests of one account per second that are verified for one peer, sustained; ten seconds' worth may come at once.
    pub requests_per_second: u32,
    /// Who may not connect at all, and who is not counted by address.
    pub networks: Networks,
}

impl Default for AccessConfig {
    /// Any address of devnet may mine; tokens are good until the process ends.
    fn default() -> Self {
        let policy = RegistryPolicy {
            mode: AuthMode::Address,
            signed_requests: true,
            request_window_ms: 600_000,
            tokens_max: 10_000,
            tokens_per_address_max: 64,
        };
        let registry = Registry::new(policy, Network::Devnet, BlockId([0; 32]), TokenKey([0; 32]));
        Self {
            network: Network::Devnet,
            registry,
            registry_file: None,
            refusals: RefusalsPolicy::default(),
            requests_per_second: 1,
            networks: Networks::default(),
        }
    }
}

/// What the ports and those who run them share about who may come in. No lock is held across another, or a call to the pool.
pub(crate) struct Access {
    network: Network,
    clock: SteadyClock,
    places: Arc<Places>,
    pool: Arc<dyn PoolApi>,
    bans: Mutex<Bans>,
    registry: Mutex<Registry>,
    /// One at a time changes the registry and its file.
    registry_file: Mutex<Option<PathBuf>>,
    refusals: Mutex<Refusals>,
    sessions: Mutex<Sessions>,
    /// By whom they come from and whose they say to be; of keys that are not known, all as one.
    requests: Mutex<AcceptRate<(Peer, Option<KeyHash>)>>,
    networks: Networks,
    /// One at a time writes what became of bans.
    bans_file: Mutex<Option<PathBuf>>,
    seed: [u8; 32],
    tokens_made: AtomicU64,
}

impl Access {
    pub(crate) fn new(config: &StratumConfig, clock: SteadyClock, places: Arc<Places>, pool: Arc<dyn PoolApi>) -> Self {
        let mut bans = Bans::new(config.bans);
        if let Some(kept) = &config.kept {
            kept_files::load(&kept.bans, config.bans.peers_max, |text| bans.restore(text));
        }
        Self {
            network: config.access.network,
            clock,
            places,
            pool,
            bans: Mutex::new(bans),
            registry: Mutex::new(config.access.registry.clone()),
            registry_file: Mutex::new(config.access.registry_file.clone()),
            refusals: Mutex::new(Refusals::new(config.access.refusals)),
            sessions: Mutex::default(),
            requests: Mutex::new(AcceptRate::new(config.access.requests_per_second)),
            networks: config.access.networks.clone(),
            bans_file: Mutex::new(config.kept.as_ref().map(|kept| kept.bans.clone())),
            seed: config.seed,
            tokens_made: AtomicU64::new(0),
        }
    }

    /// What the operator decided about an address.
    pub(crate) fn admittance(&self, address: IpAddr) -> Admittance {
        self.networks.of(address)
    }

    /// The ban that holds a peer off.
    pub(crate) fn ban_of(&self, peer: Option<Peer>) -> Option<Ban> {
        self.bans.lock().of(self.clock.now(), peer?)
    }

    /// A share of this peer was accepted.
    pub(crate) fn note_accepted(&self, peer: Option<Peer>) {
        if let Some(peer) = peer {
            self.bans.lock().accept(self.clock.now(), peer);
        }
    }

    /// Counts a strike; true if a ban begins with it.
    pub(crate) fn strike(&self, peer: Option<Peer>, strike: Strike) -> bool {
        peer.is_some_and(|peer| self.end_claim(peer, false, Some(strike)))
    }

    /// Whether a share of one of this peer's strangers may be hashed; if so, [`Access::end_claim`] follows.
    pub(crate) fn begin_claim(&self, peer: Peer) -> ClaimTurn {
        self.bans.lock().begin_claim(self.clock.now(), peer)
    }

    /// A share of this peer is decided, of one of its strangers if so; true if a ban begins with what it costs.
    pub(crate) fn end_claim(&self, peer: Peer, is_strangers: bool, strike: Option<Strike>) -> bool {
        let now = self.clock.now();
        let mut bans = self.bans.lock();
        // Under one lock: between the two one more could begin.
        if is_strangers {
            bans.end_claim(peer);
        }
        let begins = strike.is_some_and(|strike| bans.strike(now, peer, strike));
        if begins {
            tracing::warn!(%peer, ?strike, active = bans.active(now), "banned");
        }
        drop(bans);
        if begins {
            self.end_peer(peer);
        }
        begins
    }

    fn end_peer(&self, peer: Peer) {
        let seats = self.sessions.lock().seats_of_peer(peer);
        for seat in &seats {
            self.places.end(seat, Leave::Banned);
        }
    }

    /// Whether a login may go on to the pool.
    ///
    /// # Errors
    /// Why not, in words for the miner.
    pub(crate) fn admit(
        &self,
        username: &str,
        worker: &WorkerName,
        token: Option<&str>,
    ) -> Result<bq_access::Entry, bq_access::LoginRefusal> {
        let entry = self.registry.lock().admit(self.clock.now(), username, worker, token)?;
        let key = Address::parse(&entry.address, self.network).map(|address| address.key_hash);
        match key {
            Ok(key) if self.is_locked_out(key, entry.token) => Err(bq_access::LoginRefusal::Locked),
            _ => Ok(entry),
        }
    }

    /// A machine was let in by pool and registry.
    pub(crate) fn begin(&self, number: ConnectionNumber, line: impl FnOnce() -> Line, login: Login) {
        self.sessions.lock().begin(number, line, login);
    }

    /// Whether a login of a connection that is handed over would be granted again.
    pub(crate) fn still_admits(&self, login: &Login) -> bool {
        self.registry.lock().still_admits(login.payee, login.token) && !self.is_locked_out(login.payee, login.token)
    }

    /// The account's own setting keeps out whoever has no token.
    fn is_locked_out(&self, payee: KeyHash, token: Option<TokenId>) -> bool {
        token.is_none() && self.pool.is_locked(payee)
    }

    /// Who is logged in on a connection.
    pub(crate) fn logins(&self, number: ConnectionNumber) -> Vec<Login> {
        self.sessions.lock().logins(number)
    }

    /// A machine was let in too early, or its channel closed.
    pub(crate) fn forget(&self, number: ConnectionNumber, is_meant: impl Fn(&Login) -> bool) {
        self.sessions.lock().forget(number, is_meant);
    }

    /// Logins of a connection that were taken back since the last call.
    pub(crate) fn ended(&self, number: ConnectionNumber) -> Vec<Login> {
        self.sessions.lock().ended(number)
    }

    /// A connection ended.
    pub(crate) fn end(&self, number: ConnectionNumber) {
        self.sessions.lock().end(number);
    }

    /// A login was refused; told under what stands where its address should.
    pub(crate) fn note_login(
        &self,
        peer: Option<Peer>,
        login: &str,
        (algorithm, worker): (Algorithm, Option<&WorkerName>),
        reason: &str,
    ) {
        if let Some(who) = Who::of_login(login, self.network) {
            self.note(peer, who, (What::Login, algorithm, worker), reason);
        }
    }

    /// Something was refused, in the words that the miner was told.
    pub(crate) fn note(
        &self,
        peer: Option<Peer>,
        who: Who,
        what: (What, Algorithm, Option<&WorkerName>),
        reason: &str,
    ) {
        self.refusals.lock().note(self.clock.now(), (peer, who), what, reason);
    }

    /// Writes what may be lost to a crash, if it changed. Blocks on the disk.
    pub(crate) fn save(&self) {
        let _told = self.save_bans();
        let file = self.registry_file.lock();
        let uses = self.registry.lock().uses();
        if let (Some(path), Some(text)) = (file.as_ref(), uses) {
            let _told = kept_files::save(path, &text);
        }
    }

    fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// Bytes that nobody can guess who does not know the seed.
    fn random(&self) -> [u8; 24] {
        let number = self.tokens_made.fetch_add(1, Ordering::Relaxed);
        let hash = tagged_hash("BQ/new-token", &[&self.seed, &number.to_le_bytes()]);
        std::array::from_fn(|index| hash[index])
    }
}
