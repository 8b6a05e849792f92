//! Other nodes' addresses: whom to dial by our own choice, what to ask and to tell, what to remember.
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

use bq_chain_api::HeaderSource;
use bq_primitives::Timestamp;
use bq_sync::{
    ADDRESSES_MAX, ANCHORS_MAX, AddressBook, Dial, DialRole, Endpoint, Message, Moment, NetGroup, Outbound, PeerKey,
    PeerMemory,
};
use libp2p::{
    PeerId,
    swarm::{ConnectionId, dial_opts::DialOpts},
};
use tokio::task::JoinHandle;

use super::Driver;
use crate::{
    NetConfig,
    address::{endpoint_of, ip_of, multiaddr_of},
    clock::{draw, wall},
    codec::Frame,
    metrics::{Direction, Metrics},
    peers_file::PeersFile,
};

/// How often peers are written down, and how soon after somebody was shut out.
const SAVE_EVERY: Duration = Duration::from_secs(300);
const SAVE_SOON: Duration = Duration::from_secs(5);
/// Everybody who asks within this time is told the same: asking often or from many addresses tells nothing more.
const SAMPLE_LASTS: Duration = Duration::from_secs(3600);
/// A sample taken while so few addresses were known is taken again for the next who asks.
const SAMPLE_SMALL: usize = 64;
/// Between two questions for addresses to one peer, while places of our own choice are free.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(600);
/// Our own addresses that were dialled by mistake and are remembered. More are dialled again some day.
const OWN_MAX: usize = 16;

/// What is known of other nodes, and who of them was dialled because of it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(super) book: AddressBook,
    pub(super) outbound: Outbound,
    pub(super) file: PeersFile,
    dials: HashMap<ConnectionId, Endpoint>,
    own: BTreeSet<Endpoint>,
    exempt_loopback: bool,
    /// Where we take connections; 0 for nowhere.
    port: u16,
    sample: Option<(Instant, Vec<Endpoint>)>,
    save_at: Instant,
    saving: Option<JoinHandle<()>>,
}

impl Known {
    pub(crate) fn new(memory: PeerMemory, file: PeersFile, port: u16, config: &NetConfig) -> Self {
        Self {
            book: memory.book,
            outbound: Outbound::new(Moment(0), config.outbound, memory.anchors),
            file,
            dials: HashMap::new(),
            own: BTreeSet::new(),
            exempt_loopback: config.inbound.exempt_loopback,
            port,
            sample: None,
            save_at: Instant::now() + SAVE_EVERY,
            saving: None,
        }
    }
}

impl Driver {
    /// Dials the next address from the book, if one is due.
    pub(super) fn dial_from_book(&mut self) {
        let (now, wall) = (self.now(), wall());
        if self.known.outbound.next_due() > now {
            return;
        }
        let bans = self.swarm.behaviour().gate.bans();
        let Known { book, outbound, own, exempt_loopback, .. } = &mut self.known;
        let ours: Vec<_> =
            self.peers.iter().filter(|peer| !peer.is_inbound).filter_map(|peer| endpoint_of(&peer.address)).collect();
        // Of those who connected to us only the address itself: who crowds in must not keep us from a whole group.
        let theirs: Vec<_> = self.peers.iter().filter_map(|peer| peer.told).collect();
        let is_usable = |endpoint: &Endpoint| {
            let group = endpoint.group();
            let is_exempt = *exempt_loopback && group == NetGroup::Loopback;
            let is_near = |other: &Endpoint| other == endpoint || (!is_exempt && other.group() == group);
            !own.contains(endpoint)
                && !theirs.contains(endpoint)
                && !bans.holds(wall, endpoint.ip())
                && !ours.iter().any(is_near)
        };
        let Some(Dial { endpoint, role }) = outbound.next(now, wall, draw(), book, is_usable) else { return };
        Metrics::dialed(match role {
            DialRole::Keep => "keep",
            DialRole::Probe => "probe",
        });
        let dial = DialOpts::unknown_peer_id().address(multiaddr_of(&endpoint)).build();
        let connection = dial.connection_id();
        self.known.dials.insert(connection, endpoint);
        if let Err(error) = self.swarm.dial(dial) {
            self.on_dial_failed(connection, &error);
        }
    }

    /// A connection is up; what it was dialled for, if it came from the book.
    pub(super) fn book_dial_connected(&mut self, connection: ConnectionId) -> Option<DialRole> {
        let now = self.now();
        let endpoint = self.known.dials.get(&connection)?;
        self.known.outbound.connected(now, endpoint)
    }

    pub(super) fn book_dial_closed(&mut self, connection: ConnectionId) {
        if let Some(endpoint) = self.known.dials.remove(&connection) {
            self.known.outbound.closed(&endpoint);
        }
    }

    pub(super) fn book_dial_failed(&mut self, connection: ConnectionId, is_self: bool) {
        let Some(endpoint) = self.known.dials.remove(&connection) else { return };
        self.known.outbound.closed(&endpoint);
        if is_self {
            self.known.book.forget(&endpoint);
            if self.known.own.len() < OWN_MAX {
                self.known.own.insert(endpoint);
            }
        }
    }

    /// A peer has said which chain it follows. If it still is connected, that is ours: an address that we dialled is worth
    /// remembering, a probe is done, and who is to stay is asked for more addresses, again only while they are wanted.
    pub(super) fn on_status_seen(&mut self, id: &PeerId) {
        let now = Instant::now();
        let is_short = self.known.outbound.is_short();
        let Some(peer) = self.peers.get_mut(id).filter(|peer| !peer.is_inbound && !peer.is_cut_off) else { return };
        let is_due = |asked: Instant| is_short && now.saturating_duration_since(asked) >= ASK_AGAIN_AFTER;
        if !peer.asked_addresses.is_none_or(is_due) {
            return;
        }
        peer.asked_addresses = Some(now);
        let Some(endpoint) = endpoint_of(&peer.address) else { return };
        self.known.book.good(wall(), endpoint);
        if self.known.outbound.role(&endpoint) == Some(DialRole::Probe) {
            let _ = self.swarm.disconnect_peer_id(*id);
            return;
        }
        let request = Message::GetAddresses { port: self.known.port };
        Metrics::message(request.kind(), Direction::Out);
        self.swarm.behaviour_mut().addresses.send_request(id, Ok(request));
    }

    /// Only somebody that we chose to dial is ever asked, so only such a peer can tell us addresses; the book bounds what one
    /// network group gets in.
    pub(super) fn on_addresses(&mut self, id: &PeerId, answer: Frame) {
        let Some(key) = self.peers.key(id) else { return };
        match answer {
            Ok(Message::Addresses(endpoints)) => {
                let Some(source) = self.group_of(key) else { return };
                for endpoint in endpoints.into_iter().filter(|endpoint| !self.known.own.contains(endpoint)) {
                    self.known.book.learn(source, endpoint);
                }
                let now = self.now();
                self.known.outbound.addresses_came(now);
            }
            Ok(_) => {}
            Err(error) => {
                let actions = self.garbage(key, &error);
                self.act(actions);
            }
        }
    }

    /// What to tell a peer that asks. We ask whom we dial; who is dialled by us and asks as well is told nothing. Who asks
    /// may tell its own port: it becomes known as an address that its own group told of.
    pub(super) fn addresses_for(&mut self, key: PeerKey, port: u16) -> Vec<Endpoint> {
        let id = self.peers.id(key);
        let peer = id.and_then(|id| self.peers.get_mut(&id)).filter(|peer| peer.is_inbound);
        let Some(peer) = peer else { return Vec::new() };
        let told = ip_of(&peer.address).and_then(|ip| Endpoint::new(ip, port));
        peer.told = told;
        if let Some(endpoint) = told {
            self.known.book.learn(endpoint.group(), endpoint);
        }
        let now = Instant::now();
        let is_current = |(taken, sample): &(Instant, Vec<Endpoint>)| {
            sample.len() >= SAMPLE_SMALL && now.saturating_duration_since(*taken) < SAMPLE_LASTS
        };
        if !self.known.sample.as_ref().is_some_and(is_current) {
            self.known.sample = Some((now, self.known.book.sample(draw(), ADDRESSES_MAX)));
        }
        let sample = self.known.sample.as_ref().map(|(_, sample)| sample.as_slice()).unwrap_or_default();
        sample.iter().copied().filter(|endpoint| Some(*endpoint) != told).collect()
    }

    /// The node holds all peers of one network group to one budget.
    pub(super) fn source_of(&self, key: PeerKey) -> HeaderSource {
        let group = self.group_of(key).unwrap_or(NetGroup::Loopback);
        let [a, b, c, d, e] = group.to_bytes();
        HeaderSource(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }

    fn group_of(&self, key: PeerKey) -> Option<NetGroup> {
        ip_of(&self.peers.get(key)?.address).map(NetGroup::of)
    }

    pub(super) fn is_banned(&self, ip: IpAddr) -> bool {
        self.swarm.behaviour().gate.bans().holds(wall(), ip)
    }

    pub(super) fn ban(&mut self, ip: IpAddr) {
        let until = Timestamp(wall().0.saturating_add(self.ban.as_secs()));
        let gate = &mut self.swarm.behaviour_mut().gate;
        if gate.ban(ip, until) {
            Metrics::bans(gate.bans().len());
            self.known.save_at = self.known.save_at.min(Instant::now() + SAVE_SOON);
        }
    }

    /// A node of another chain, or of another version.
    pub(super) fn forget_address(&mut self, id: &PeerId) {
        let address = self.peers.get_mut(id).filter(|peer| !peer.is_inbound).map(|peer| peer.address.clone());
        if let Some(endpoint) = address.as_ref().and_then(endpoint_of) {
            self.known.book.forget(&endpoint);
        }
    }

    /// Writes down what is known, when it is time and the last time is over.
    pub(super) fn remember_now_and_then(&mut self) {
        let now = Instant::now();
        Metrics::proofs_put_off(self.core.proofs_put_off());
        if now < self.known.save_at || self.known.saving.as_ref().is_some_and(|saving| !saving.is_finished()) {
            return;
        }
        self.known.save_at = now + SAVE_EVERY;
        let gate = &mut self.swarm.behaviour_mut().gate;
        gate.expire_bans(wall());
        Metrics::bans(gate.bans().len());
        Metrics::addresses(self.known.book.counts());
        let (file, memory) = (self.known.file.clone(), self.memory());
        self.known.saving = Some(tokio::task::spawn_blocking(move || file.save(&memory)));
    }

    pub(super) fn memory(&self) -> PeerMemory {
        PeerMemory {
            book: self.known.book.clone(),
            anchors: self.known.outbound.anchors(ANCHORS_MAX),
            bans: self.swarm.behaviour().gate.bans().clone(),
        }
    }
}
