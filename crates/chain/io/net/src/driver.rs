//! The event loop: libp2p, the node's threads and the clock on one side, the state machine on the other.
mod addresses;
mod connections;
mod exchange;
mod gossip;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use addresses::Known;
use bq_chain_api::{Announcement, BoxStream, PeerKind, SyncApi};
use bq_sync::{
    Action, ChainView, DialRole, Message, Moment, PeerKey, RequestId, SealedHeader, SyncConfig, SyncCore, Verdict,
};
use libp2p::{
    PeerId, Swarm,
    futures::StreamExt,
    gossipsub::MessageId,
    identify,
    request_response::{InboundRequestId, OutboundRequestId, ResponseChannel},
    swarm::SwarmEvent,
};
use tokio::sync::{mpsc, watch};

use crate::{
    NetConfig, PeerAddress,
    behaviour::{Behaviour, BehaviourEvent, Names},
    clock::Uptime,
    codec::Frame,
    dialer::{Dialer, Resolved},
    jobs::{BlockJob, Done, HeadersJob, Jobs, ReadJob, TransactionJob},
    metrics::Metrics,
    peers::{PeerSnapshot, Peers},
};

/// How often the published list of peers is brought up to date.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(500);

/// Which of the request protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Exchange {
    Sync,
    Blocks,
    Addresses,
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
    uptime: Uptime,
    peers: Peers,
    requests: HashMap<(Exchange, OutboundRequestId), (PeerKey, RequestId)>,
    answers: HashMap<(Exchange, InboundRequestId), usize>,
    dialer: Dialer,
    resolved: (mpsc::Sender<Resolved>, mpsc::Receiver<Resolved>),
    known: Known,
    ban: Duration,
    published: Published,
}

/// What the handle shows of the driver.
pub(crate) struct Published {
    pub(crate) peers: watch::Sender<Vec<PeerSnapshot>>,
    pub(crate) count: watch::Sender<usize>,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "the parts that the handle has put together, each once")]
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        names: Names,
        view: ChainView,
        api: Arc<dyn SyncApi>,
        jobs: Jobs<AnswerTo, GossipToken>,
        config: &NetConfig,
        known: Known,
        published: Published,
    ) -> Self {
        let now = Instant::now();
        let mut dialer = Dialer::default();
        for address in &config.connect {
            if !dialer.add(now, address.clone()) {
                tracing::warn!(%address, "too many addresses to connect to");
            }
        }
        Self {
            swarm,
            names,
            core: SyncCore::new(SyncConfig::new(api.genesis_id()), view),
            api,
            jobs,
            uptime: Uptime::begin(),
            peers: Peers::default(),
            requests: HashMap::new(),
            answers: HashMap::new(),
            dialer,
            resolved: mpsc::channel(crate::dialer::TARGETS_MAX),
            known,
            ban: config.ban,
            published,
        }
    }

    /// Runs until told to stop, then closes everything.
    pub(crate) async fn run(
        mut self,
        mut announcements: BoxStream<'static, Announcement>,
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
                announcement = announcements.next() => {
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
                _ = snapshot.tick() => {
                    self.publish_snapshot();
                    self.remember_now_and_then();
                }
                () = tokio::time::sleep_until(wake) => {
                    let actions = self.core.handle_timeout(self.now());
                    self.act(actions);
                }
            }
            self.dial_due();
            self.dial_from_book();
        }
        self.close().await;
    }

    async fn close(self) {
        let (file, memory) = (self.known.file.clone(), self.memory());
        let Self { swarm, jobs, api, .. } = self;
        drop(swarm);
        api.set_peers(0);
        Metrics::peers(0, 0);
        // Both block; a verification may be under way.
        let _ = tokio::task::spawn_blocking(move || {
            file.save(&memory);
            jobs.stop();
        })
        .await;
    }

    fn now(&self) -> Moment {
        self.uptime.now()
    }

    /// The next moment at which the state machine or the dialer wants to be called; an hour from now if neither does.
    fn wake_at(&self) -> Instant {
        let hour = Instant::now() + Duration::from_secs(3600);
        let core = self.core.next_timeout(self.now()).map(|moment| self.uptime.instant(moment));
        let outbound = self.uptime.instant(self.known.outbound.next_due());
        [core, self.dialer.next_due()].into_iter().flatten().chain([outbound, hour]).min().unwrap_or(hour)
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, num_established, .. } => {
                self.dialer.connected(connection_id, peer_id);
                let role = self.book_dial_connected(connection_id);
                if num_established.get() == 1 {
                    let address = endpoint.get_remote_address().clone();
                    let kind = match role {
                        _ if endpoint.is_listener() => PeerKind::Inbound,
                        Some(DialRole::Keep) => PeerKind::Automatic,
                        Some(DialRole::Probe) => PeerKind::Probe,
                        None => PeerKind::Manual,
                    };
                    self.on_connected(peer_id, address, kind);
                } else if role.is_some() {
                    // Connected already, from the other side or by another address: nothing more to learn here.
                    self.swarm.close_connection(connection_id);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.book_dial_closed(connection_id);
                if num_established == 0 {
                    self.on_disconnected(peer_id);
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_failed(connection_id, &error);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Sync(event)) => self.on_exchange(Exchange::Sync, event),
            SwarmEvent::Behaviour(BehaviourEvent::Blocks(event)) => self.on_exchange(Exchange::Blocks, event),
            SwarmEvent::Behaviour(BehaviourEvent::Addresses(event)) => self.on_exchange(Exchange::Addresses, event),
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

    fn on_done(&mut self, done: Done<AnswerTo, GossipToken>) {
        match done {
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

    fn chain_changed(&mut self, view: ChainView) {
        Metrics::heights(view.tip, view.best_header);
        let actions = self.core.chain_changed(self.now(), view);
        self.act(actions);
    }

    /// `false` when the node is gone.
    fn on_announcement(&mut self, announcement: Option<Announcement>) -> bool {
        match announcement {
            Some(Announcement::Block(sealed)) => self.look(Some(*sealed)),
            Some(Announcement::Transaction(transaction)) => self.publish_transaction(&transaction),
            // Something was missed: peers learn of the newest tip when they next ask for our status.
            Some(Announcement::Missed(_)) => self.look(None),
            None => return false,
        }
        true
    }

    /// Looks at the chain again, on a thread. When the queue is full, what fills it will be followed by other looks.
    fn look(&self, announce: Option<SealedHeader>) {
        if self.jobs.reads.try_send(ReadJob::Look { announce }).is_err() {
            Metrics::dropped("reads");
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
                    let source = self.source_of(peer);
                    match self.jobs.headers.try_send(HeadersJob { peer, source, run }) {
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
}
