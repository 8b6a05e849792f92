//! The event loop: libp2p, the node's threads and the clock on one side, the state machine on the other.
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bq_api_types::{Announcement, SubmitTransactionError, SyncApi};
use bq_primitives::Transaction;
use bq_sync::{
    Action, ChainView, DisconnectReason, Message, Misbehavior, Moment, PeerKey, RequestId, SealedHeader, SyncConfig,
    SyncCore, TRANSACTION_BYTES_MAX, Verdict,
};
use libp2p::{
    PeerId, Swarm,
    futures::StreamExt,
    gossipsub,
    gossipsub::{MessageAcceptance, MessageId, PublishError, TopicHash},
    identify, request_response,
    request_response::{InboundRequestId, OutboundRequestId, ResponseChannel},
    swarm::{ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts},
};
use tokio::sync::{broadcast, broadcast::error::RecvError, mpsc, mpsc::error::TrySendError, watch};

use crate::{
    NetConfig, PeerAddress,
    address::ip_of,
    behaviour::{Behaviour, BehaviourEvent, Names},
    codec::Frame,
    dialer::{Dialer, Resolved},
    jobs::{BlockJob, Done, HeadersJob, Jobs, ReadJob, TransactionJob},
    metrics::{Direction, Metrics},
    peers::{PeerSnapshot, Peers},
};

/// Answers that wait in memory for slow readers; beyond it peers are told to ask later.
const ANSWERS_BYTES_MAX: usize = 96 << 20;
/// Addresses that are refused for a while. When it is full the oldest is forgiven.
const BANS_MAX: usize = 1024;
/// Own transactions that wait for a first peer. When it is full the oldest is dropped: its sender still has it.
const UNSENT_MAX: usize = 256;
/// How often the published list of peers is brought up to date.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(500);
/// A connection that held this long was worth having.
const USEFUL_AFTER: Duration = Duration::from_secs(30);

/// Which of the two request protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Exchange {
    Sync,
    Blocks,
}

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct AnswerTo {
    exchange: Exchange,
    request: InboundRequestId,
    channel: ResponseChannel<Frame>,
}

/// Finds a gossip message again.
#[derive(Debug)]
pub(crate) struct GossipToken {
    message: MessageId,
    source: PeerId,
}

pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    names: Names,
    core: SyncCore,
    api: Arc<dyn SyncApi>,
    jobs: Jobs<AnswerTo, GossipToken>,
    start: Instant,
    peers: Peers,
    requests: HashMap<(Exchange, OutboundRequestId), (PeerKey, RequestId)>,
    answers: HashMap<(Exchange, InboundRequestId), usize>,
    dialer: Dialer,
    resolved: (mpsc::Sender<Resolved>, mpsc::Receiver<Resolved>),
    bans: VecDeque<(IpAddr, Instant)>,
    ban: Duration,
    unsent: VecDeque<Arc<Transaction>>,
    published: Published,
}

/// What the handle shows of the driver.
pub(crate) struct Published {
    pub(crate) peers: watch::Sender<Vec<PeerSnapshot>>,
    pub(crate) count: watch::Sender<usize>,
}

impl Driver {
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        names: Names,
        view: ChainView,
        api: Arc<dyn SyncApi>,
        jobs: Jobs<AnswerTo, GossipToken>,
        config: &NetConfig,
        published: Published,
    ) -> Self {
        let start = Instant::now();
        let mut dialer = Dialer::default();
        for address in &config.connect {
            if !dialer.add(start, address.clone()) {
                tracing::warn!(%address, "too many addresses to connect to");
            }
        }
        Self {
            swarm,
            names,
            core: SyncCore::new(SyncConfig::new(api.genesis_id()), view),
            api,
            jobs,
            start,
            peers: Peers::default(),
            requests: HashMap::new(),
            answers: HashMap::new(),
            dialer,
            resolved: mpsc::channel(crate::dialer::TARGETS_MAX),
            bans: VecDeque::new(),
            ban: config.ban,
            unsent: VecDeque::new(),
            published,
        }
    }

    /// Runs until told to stop, then closes everything.
    pub(crate) async fn run(
        mut self,
        mut announcements: broadcast::Receiver<Announcement>,
        mut add: mpsc::Receiver<PeerAddress>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut snapshot = tokio::time::interval(SNAPSHOT_INTERVAL);
        snapshot.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake = tokio::time::Instant::from_std(self.wake_at());
            tokio::select! {
                // The handle was dropped or asks to stop: either way nobody wants us any more.
                _ = stop.changed() => break,
                event = self.swarm.select_next_some() => self.on_swarm(event),
                Some(done) = self.jobs.done.recv() => self.on_done(done),
                announcement = announcements.recv() => {
                    if !self.on_announcement(announcement) {
                        break;
                    }
                }
                Some(resolved) = self.resolved.1.recv() => self.on_resolved(resolved),
                Some(address) = add.recv() => {
                    if !self.dialer.add(Instant::now(), address) {
                        tracing::warn!("too many addresses to keep connected");
                    }
                }
                _ = snapshot.tick() => self.publish_snapshot(),
                () = tokio::time::sleep_until(wake) => {
                    let actions = self.core.handle_timeout(self.now());
                    self.act(actions);
                }
            }
            self.dial_due();
        }
        self.close().await;
    }

    async fn close(self) {
        let Self { swarm, jobs, api, .. } = self;
        drop(swarm);
        api.set_peers(0);
        Metrics::peers(0, 0);
        // Joining threads blocks; a verification may be under way.
        let _ = tokio::task::spawn_blocking(move || jobs.stop()).await;
    }

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The next moment at which the state machine or the dialer wants to be called; an hour from now if neither does.
    fn wake_at(&self) -> Instant {
        let hour = Instant::now() + Duration::from_secs(3600);
        let core = self.core.next_timeout(self.now()).map(|moment| self.start + Duration::from_millis(moment.0));
        [core, self.dialer.next_due()].into_iter().flatten().chain([hour]).min().unwrap_or(hour)
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, num_established, .. } => {
                self.dialer.connected(connection_id, peer_id);
                if num_established.get() == 1 {
                    let address = endpoint.get_remote_address().clone();
                    self.on_connected(peer_id, address, endpoint.is_listener());
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => self.on_disconnected(peer_id),
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_failed(connection_id, &error);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Sync(event)) => self.on_exchange(Exchange::Sync, event),
            SwarmEvent::Behaviour(BehaviourEvent::Blocks(event)) => self.on_exchange(Exchange::Blocks, event),
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                if let Some(peer) = self.peers.get_mut(&peer_id) {
                    // A peer chooses this text: keep what fits a line and is no control character.
                    peer.agent = info.agent_version.chars().filter(|c| !c.is_control()).take(64).collect();
                }
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, address: libp2p::Multiaddr, is_inbound: bool) {
        let now = Instant::now();
        self.bans.retain(|(_, until)| *until > now);
        if ip_of(&address).is_some_and(|ip| self.bans.iter().any(|(banned, _)| *banned == ip)) {
            tracing::debug!(%peer, %address, "refused: it misbehaved before");
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        }
        tracing::info!(%peer, %address, is_inbound, "peer connected");
        let key = self.peers.connect(peer, address, is_inbound, now);
        let actions = self.core.peer_connected(self.now(), key);
        self.act(actions);
        self.count_peers();
    }

    fn on_disconnected(&mut self, peer: PeerId) {
        let now = Instant::now();
        let Some(gone) = self.peers.disconnect(&peer) else {
            self.dialer.disconnected(now, peer, false);
            return;
        };
        tracing::info!(%peer, "peer disconnected");
        let was_useful = !gone.is_cut_off && now.saturating_duration_since(gone.since) >= USEFUL_AFTER;
        self.dialer.disconnected(now, peer, was_useful);
        self.requests.retain(|_, (key, _)| *key != gone.key);
        let actions = self.core.peer_disconnected(self.now(), gone.key);
        self.act(actions);
        self.count_peers();
    }

    fn count_peers(&self) {
        let (inbound, outbound) = self.peers.counts();
        Metrics::peers(inbound, outbound);
        self.api.set_peers(self.peers.len());
        self.publish_snapshot();
        self.published.count.send_replace(self.peers.len());
    }

    fn publish_snapshot(&self) {
        self.published.peers.send_replace(self.peers.snapshot(&self.core.peers()));
    }

    fn on_dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        tracing::debug!(%error, "dial failed");
        let is_self = matches!(error, DialError::LocalPeerId { .. });
        self.dialer.failed(Instant::now(), connection, is_self);
    }

    fn dial_due(&mut self) {
        for (target, address) in self.dialer.due(Instant::now()) {
            let resolved = self.resolved.0.clone();
            tokio::spawn(async move {
                let address = address.resolve().await;
                // The driver is gone: so is the reason to dial.
                let _ = resolved.send(Resolved { target, address }).await;
            });
        }
    }

    fn on_resolved(&mut self, Resolved { target, address }: Resolved) {
        let Some(address) = address else {
            self.dialer.not_dialed(Instant::now(), target);
            return;
        };
        let dial = DialOpts::unknown_peer_id().address(address).build();
        self.dialer.dialing(target, dial.connection_id());
        let connection = dial.connection_id();
        if let Err(error) = self.swarm.dial(dial) {
            self.on_dial_failed(connection, &error);
        }
    }

    fn on_exchange(&mut self, exchange: Exchange, event: request_response::Event<Frame, Frame>) {
        use request_response::{Event, Message as Part};
        match event {
            Event::Message { peer, message: Part::Request { request_id, request, channel }, .. } => {
                self.on_request(peer, request, AnswerTo { exchange, request: request_id, channel });
            }
            Event::Message { message: Part::Response { request_id, response }, .. } => {
                let Some((key, id)) = self.requests.remove(&(exchange, request_id)) else { return };
                let actions = match response {
                    Ok(message) => {
                        Metrics::message(message.kind(), Direction::In);
                        self.core.handle_answer(self.now(), key, id, message)
                    }
                    Err(error) => self.garbage(key, &error),
                };
                self.act(actions);
            }
            Event::OutboundFailure { request_id, error, .. } => {
                let Some((key, id)) = self.requests.remove(&(exchange, request_id)) else { return };
                tracing::debug!(peer = key.0, %error, "no answer");
                let actions = self.core.request_failed(self.now(), key, id);
                self.act(actions);
            }
            Event::InboundFailure { request_id, .. } | Event::ResponseSent { request_id, .. } => {
                self.answers.remove(&(exchange, request_id));
            }
        }
    }

    fn garbage(&mut self, peer: PeerKey, error: &bq_sync::WireError) -> Vec<Action> {
        tracing::info!(peer = peer.0, %error, "undecodable message");
        self.core.misbehaved(self.now(), peer, Misbehavior::Garbage)
    }

    fn on_request(&mut self, peer: PeerId, request: Frame, to: AnswerTo) {
        let Some(key) = self.peers.key(&peer) else { return };
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                let actions = self.garbage(key, &error);
                return self.act(actions);
            }
        };
        Metrics::message(request.kind(), Direction::In);
        let (is_admitted, actions) = self.core.handle_request(self.now(), key, &request);
        let waiting: usize = self.answers.values().sum();
        if !is_admitted || waiting > ANSWERS_BYTES_MAX {
            self.answer(to, Message::Busy);
        } else if matches!(request, Message::Status(_)) {
            let status = self.core.status();
            self.answer(to, Message::Status(status));
        } else if let Err(refused) = self.jobs.reads.try_send(ReadJob::Answer { request, channel: to }) {
            Metrics::dropped("reads");
            if let TrySendError::Full(ReadJob::Answer { channel, .. }) = refused {
                self.answer(channel, Message::Busy);
            }
        }
        self.act(actions);
    }

    fn answer(&mut self, to: AnswerTo, message: Message) {
        Metrics::message(message.kind(), Direction::Out);
        let bytes = match &message {
            Message::Blocks { blocks, .. } => blocks.iter().map(|block| block.bytes().len()).sum(),
            _ => 0,
        };
        let behaviour = self.swarm.behaviour_mut();
        let exchange = match to.exchange {
            Exchange::Sync => &mut behaviour.sync,
            Exchange::Blocks => &mut behaviour.blocks,
        };
        // An error means that the asker is gone.
        if exchange.send_response(to.channel, Ok(message)).is_ok() && bytes > 0 {
            self.answers.insert((to.exchange, to.request), bytes);
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let token = GossipToken { message: message_id, source: propagation_source };
                self.on_gossip_message(token, &message);
            }
            gossipsub::Event::Subscribed { topic, .. } if topic == self.names.transaction_topic.hash() => {
                for transaction in std::mem::take(&mut self.unsent) {
                    self.publish_transaction(transaction);
                }
            }
            _ => {}
        }
    }

    fn on_gossip_message(&mut self, token: GossipToken, message: &gossipsub::Message) {
        let Some(key) = self.peers.key(&token.source) else {
            return self.conclude(&token, MessageAcceptance::Ignore);
        };
        let decoded = Message::from_bytes(&message.data);
        if let Ok(message) = &decoded {
            Metrics::message(message.kind(), Direction::In);
        }
        match decoded {
            // Never passed on by gossip: every node announces a block itself once it holds it and can serve it.
            Ok(Message::Announce(header)) if message.topic == self.names.block_topic.hash() => {
                self.conclude(&token, MessageAcceptance::Ignore);
                let actions = self.core.handle_announce(self.now(), key, header);
                self.act(actions);
            }
            Ok(Message::Transaction(transaction)) if message.topic == self.names.transaction_topic.hash() => {
                self.submit_transaction(TransactionJob { peer: key, transaction, token: Some(token) });
            }
            Ok(_) | Err(_) => {
                self.conclude(&token, MessageAcceptance::Reject);
                let actions = self.core.misbehaved(self.now(), key, Misbehavior::Garbage);
                self.act(actions);
            }
        }
    }

    fn submit_transaction(&mut self, job: TransactionJob<GossipToken>) {
        if let Err(TrySendError::Full(job) | TrySendError::Closed(job)) = self.jobs.transactions.try_send(job) {
            Metrics::dropped("transactions");
            if let Some(token) = job.token {
                self.conclude(&token, MessageAcceptance::Ignore);
            }
        }
    }

    /// Tells gossip what to do with a message. It may have forgotten it by now, which is as good.
    fn conclude(&mut self, token: &GossipToken, acceptance: MessageAcceptance) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&token.message, &token.source, acceptance);
    }

    fn on_done(&mut self, done: Done<AnswerTo, GossipToken>) {
        match done {
            Done::Progress { view } => self.chain_changed(view),
            Done::Look { view, announce } => {
                self.chain_changed(view);
                if let Some(header) = announce.filter(|_| !self.core.is_catching_up()) {
                    self.publish(self.names.block_topic.hash(), &Message::Announce(header));
                }
            }
            Done::Headers { peer, last, verdict, view } => {
                self.chain_changed(view);
                let actions = self.core.headers_judged(self.now(), peer, last, verdict);
                self.act(actions);
            }
            Done::Block { peer, id, verdict, view } => {
                self.chain_changed(view);
                let actions = self.core.block_judged(self.now(), peer, id, verdict);
                self.act(actions);
            }
            Done::Transaction { peer, token, result } => {
                if let Some(token) = token {
                    self.on_transaction_judged(peer, &token, result);
                }
            }
            Done::Answer { answer, channel } => self.answer(channel, answer),
        }
    }

    fn on_transaction_judged(
        &mut self,
        peer: PeerKey,
        token: &GossipToken,
        result: Result<(), SubmitTransactionError>,
    ) {
        let acceptance = match &result {
            Ok(()) | Err(SubmitTransactionError::Duplicate) => MessageAcceptance::Accept,
            Err(SubmitTransactionError::Invalid(_)) => MessageAcceptance::Reject,
            Err(SubmitTransactionError::Full | SubmitTransactionError::Node(_)) => MessageAcceptance::Ignore,
        };
        self.conclude(token, acceptance);
        // A node that lacks blocks cannot tell a bad transaction from one whose inputs it has not seen.
        let is_in_step = self.core.is_in_step();
        if let Err(error) = result
            && is_in_step
            && error.misbehavior() > 0
        {
            let misbehavior = Misbehavior::Refused(error.misbehavior());
            let actions = self.core.misbehaved(self.now(), peer, misbehavior);
            self.act(actions);
        }
    }

    fn chain_changed(&mut self, view: ChainView) {
        Metrics::heights(view.tip, view.best_header);
        let actions = self.core.chain_changed(self.now(), view);
        self.act(actions);
    }

    /// `false` when the node is gone.
    fn on_announcement(&mut self, announcement: Result<Announcement, RecvError>) -> bool {
        match announcement {
            Ok(Announcement::Block(sealed)) => {
                let (header, seal) = *sealed;
                self.look(Some(SealedHeader { header, seal }));
            }
            Ok(Announcement::Transaction(transaction)) => self.publish_transaction(transaction),
            // Something was missed: peers learn of the newest tip when they next ask for our status.
            Err(RecvError::Lagged(_)) => self.look(None),
            Err(RecvError::Closed) => return false,
        }
        true
    }

    /// Looks at the chain again, on a thread. When the queue is full, what fills it will be followed by other looks.
    fn look(&self, announce: Option<SealedHeader>) {
        if self.jobs.reads.try_send(ReadJob::Look { announce }).is_err() {
            Metrics::dropped("reads");
        }
    }

    fn publish_transaction(&mut self, transaction: Arc<Transaction>) {
        let message = Message::Transaction(Box::new(transaction.as_ref().clone()));
        if self.publish(self.names.transaction_topic.hash(), &message) {
            return;
        }
        if self.unsent.len() >= UNSENT_MAX {
            self.unsent.pop_front();
        }
        self.unsent.push_back(transaction);
    }

    /// `false` when nobody was there to hear it.
    fn publish(&mut self, topic: TopicHash, message: &Message) -> bool {
        let bytes = message.to_bytes();
        if bytes.len() > TRANSACTION_BYTES_MAX {
            tracing::debug!(bytes = bytes.len(), "too large to be relayed");
            return true;
        }
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) => {
                Metrics::message(message.kind(), Direction::Out);
                true
            }
            Err(PublishError::NoPeersSubscribedToTopic) => false,
            // Duplicate: it came from a peer and is on its way already.
            Err(error) => {
                tracing::trace!(%error, "not published");
                true
            }
        }
    }

    /// Does what the state machine asks. Some of it fails at once, which may make it ask for more.
    fn act(&mut self, actions: Vec<Action>) {
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            let now = self.now();
            let more = match action {
                Action::Request { peer, id, message } => {
                    if self.request(peer, id, message) {
                        Vec::new()
                    } else {
                        self.core.request_failed(now, peer, id)
                    }
                }
                Action::Disconnect { peer, reason } => {
                    self.disconnect(peer, reason);
                    Vec::new()
                }
                Action::SubmitTransactions { peer, transactions } => {
                    for transaction in transactions {
                        self.submit_transaction(TransactionJob {
                            peer,
                            transaction: Box::new(transaction),
                            token: None,
                        });
                    }
                    Vec::new()
                }
                Action::AddHeaders { peer, run } => {
                    let last = run.last().map(SealedHeader::id).unwrap_or_default();
                    match self.jobs.headers.try_send(HeadersJob { peer, run }) {
                        Ok(()) => Vec::new(),
                        Err(_) => {
                            Metrics::dropped("headers");
                            self.core.headers_judged(now, peer, last, Verdict::Later)
                        }
                    }
                }
                Action::SubmitBlock { peer, block } => {
                    let id = block.id();
                    match self.jobs.blocks.try_send(BlockJob { peer, block }) {
                        Ok(()) => Vec::new(),
                        Err(_) => {
                            Metrics::dropped("blocks");
                            self.core.block_judged(now, peer, id, Verdict::Later)
                        }
                    }
                }
            };
            queue.extend(more);
        }
    }

    fn request(&mut self, peer: PeerKey, id: RequestId, message: Message) -> bool {
        let Some(to) = self.peers.id(peer) else { return false };
        Metrics::message(message.kind(), Direction::Out);
        let behaviour = self.swarm.behaviour_mut();
        let (exchange, sent) = if matches!(message, Message::GetBlocks(_)) {
            (Exchange::Blocks, behaviour.blocks.send_request(&to, Ok(message)))
        } else {
            (Exchange::Sync, behaviour.sync.send_request(&to, Ok(message)))
        };
        self.requests.insert((exchange, sent), (peer, id));
        true
    }

    fn disconnect(&mut self, key: PeerKey, reason: DisconnectReason) {
        let Some(id) = self.peers.id(key) else { return };
        tracing::info!(peer = %id, %reason, "closing connection");
        let label = match reason {
            DisconnectReason::WrongNetwork => "wrong_network",
            DisconnectReason::WrongVersion { .. } => "wrong_version",
            DisconnectReason::Misbehaved(_) => "misbehaved",
        };
        Metrics::disconnected(label);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.is_cut_off = true;
            let ip = ip_of(&peer.address).filter(|ip| !ip.is_loopback());
            if let (Some(ip), DisconnectReason::Misbehaved(_)) = (ip, reason) {
                if self.bans.len() >= BANS_MAX {
                    self.bans.pop_front();
                }
                self.bans.push_back((ip, Instant::now() + self.ban));
            }
        }
        let _ = self.swarm.disconnect_peer_id(id);
    }
}
