use std::collections::BTreeMap;

use bq_primitives::BlockId;

use crate::{
    ANNOUNCES_IN_FLIGHT_MAX, Action, ChainTip, ChainView, DisconnectReason, Message, Misbehavior, Moment,
    PROTOCOL_VERSION, PeerKey, RequestId, SealedHeader, Status, Verdict,
    headers::HeaderSync,
    peer::{Ask, Peer, Pending},
    window::Window,
};

/// Times of the state machine, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// The chain's name; peers of another chain are cut off.
    pub genesis_id: BlockId,
    /// To answer a status request.
    pub status_timeout_ms: u64,
    /// To answer a request for headers or transactions.
    pub headers_timeout_ms: u64,
    /// To answer a request for blocks.
    pub blocks_timeout_ms: u64,
    /// The first block in line is asked from someone else after this, if others wait for it.
    pub stall_ms: u64,
    /// Between two looks at a peer's status.
    pub status_interval_ms: u64,
    /// Between the first two: announcements may not reach each other yet just after connecting.
    pub status_first_interval_ms: u64,
    /// Before a new peer's mempool is asked for: by then it gossips to us whatever it gets later.
    pub mempool_delay_ms: u64,
    /// Before a busy peer is asked again, and before a block that a peer lacked or the node did not take is tried again.
    pub retry_ms: u64,
}

impl SyncConfig {
    /// The times of SPEC 9.2.
    #[must_use]
    pub const fn new(genesis_id: BlockId) -> Self {
        Self {
            genesis_id,
            status_timeout_ms: 10_000,
            headers_timeout_ms: 30_000,
            blocks_timeout_ms: 60_000,
            stall_ms: 5_000,
            status_interval_ms: 30_000,
            status_first_interval_ms: 2_000,
            mempool_delay_ms: 1_000,
            retry_ms: 500,
        }
    }
}

/// Keeps one node in step with its peers. Fed with what happens and the time; returns what to do.
///
/// Headers come first, from one peer at a time: the one that claims the most work. Blocks follow in the order of the
/// best header chain, from all peers that claim more work than the node has, a bounded number ahead. The node is handed
/// one block at a time, in order.
#[derive(Debug)]
pub struct SyncCore {
    pub(crate) config: SyncConfig,
    pub(crate) chain: ChainView,
    pub(crate) peers: BTreeMap<PeerKey, Peer>,
    pub(crate) headers: Option<HeaderSync>,
    /// Announced headers that the node is judging, and who announced them.
    announced: BTreeMap<BlockId, Vec<PeerKey>>,
    pub(crate) window: Window,
    next_request: u64,
}

/// One peer, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerReport {
    /// Which.
    pub key: PeerKey,
    /// The tip it claims.
    pub tip: Option<ChainTip>,
    /// Points of misbehaviour.
    pub points: u32,
    /// Requests it has not answered.
    pub requests: usize,
}

impl SyncCore {
    /// Starts without peers.
    #[must_use]
    pub fn new(config: SyncConfig, chain: ChainView) -> Self {
        let mut window = Window::default();
        window.follow(&chain.missing);
        Self {
            config,
            chain,
            peers: BTreeMap::new(),
            headers: None,
            announced: BTreeMap::new(),
            window,
            next_request: 0,
        }
    }

    /// What to tell peers about ourselves.
    #[must_use]
    pub const fn status(&self) -> Status {
        Status { version: PROTOCOL_VERSION, genesis_id: self.config.genesis_id, tip: self.chain.tip }
    }

    /// Far behind: new blocks are not announced, and templates would be stale.
    #[must_use]
    pub const fn is_catching_up(&self) -> bool {
        self.window.len() > 2
    }

    /// Nothing is missing of what is known.
    #[must_use]
    pub const fn is_in_step(&self) -> bool {
        self.window.is_empty() && self.headers.is_none()
    }

    /// The best known header.
    #[must_use]
    pub const fn best_header(&self) -> ChainTip {
        self.chain.best_header
    }

    /// Every peer, in the order they came.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerReport> {
        let report = |(key, peer): (&PeerKey, &Peer)| PeerReport {
            key: *key,
            tip: peer.status.map(|status| status.tip),
            points: peer.points,
            requests: peer.requests.len(),
        };
        self.peers.iter().map(report).collect()
    }

    /// A connection is up.
    pub fn peer_connected(&mut self, now: Moment, peer: PeerKey) -> Vec<Action> {
        self.peers.insert(peer, Peer::new(now, self.config.mempool_delay_ms));
        self.acting(now, |core, out| core.ask_status(now, peer, out))
    }

    /// A connection is down.
    pub fn peer_disconnected(&mut self, now: Moment, peer: PeerKey) -> Vec<Action> {
        self.acting(now, |core, _| core.forget(peer))
    }

    /// The node's chain changed, or may have.
    pub fn chain_changed(&mut self, now: Moment, chain: ChainView) -> Vec<Action> {
        self.acting(now, |core, _| {
            core.window.follow(&chain.missing);
            core.chain = chain;
        })
    }

    /// A peer asks something. The first value says whether to answer it properly; otherwise answer [`Message::Busy`].
    pub fn handle_request(&mut self, now: Moment, peer: PeerKey, request: &Message) -> (bool, Vec<Action>) {
        let mut is_admitted = false;
        let actions = self.acting(now, |core, out| {
            let Some(state) = core.peers.get_mut(&peer) else { return };
            match request {
                _ if !state.pays_for(now, request) => core.punish(peer, Misbehavior::Flood, out),
                Message::Status(status) => is_admitted = core.on_status(peer, *status, out),
                Message::GetHeaders { .. } | Message::GetBlocks(_) | Message::GetMempool { .. } => is_admitted = true,
                other => core.punish(peer, Misbehavior::UnexpectedAnswer(other.kind()), out),
            }
        });
        (is_admitted, actions)
    }

    /// A peer answered a request. Answers that come too late are ignored.
    pub fn handle_answer(&mut self, now: Moment, peer: PeerKey, id: RequestId, answer: Message) -> Vec<Action> {
        self.acting(now, |core, out| {
            let Some(state) = core.peers.get_mut(&peer) else { return };
            let Some(Pending { ask, .. }) = state.requests.remove(&id) else { return };
            match (ask, answer) {
                (ask, Message::Busy) => {
                    state.busy_until = now.after_ms(core.config.retry_ms);
                    core.end_request(peer, id, &ask);
                }
                (Ask::Status, Message::Status(status)) => {
                    core.on_status(peer, status, out);
                }
                (Ask::Headers, Message::Headers(run)) => core.on_headers(peer, run, out),
                (Ask::Blocks(ids), Message::Blocks { blocks, not_found }) => {
                    core.on_blocks(now, peer, &ids, blocks, &not_found, out);
                    core.window.release(id);
                }
                (Ask::Mempool, Message::Mempool(page)) => core.on_mempool(peer, page, out),
                (_, other) => core.punish(peer, Misbehavior::UnexpectedAnswer(other.kind()), out),
            }
        })
    }

    /// A request could not be sent, or its answer could not be received.
    pub fn request_failed(&mut self, now: Moment, peer: PeerKey, id: RequestId) -> Vec<Action> {
        self.acting(now, |core, out| core.no_answer(now, peer, id, out))
    }

    /// A peer says that its chain has a new end.
    pub fn handle_announce(&mut self, now: Moment, peer: PeerKey, header: SealedHeader) -> Vec<Action> {
        self.acting(now, |core, out| {
            let id = header.id();
            let in_flight = core.announced.values().filter(|peers| peers.contains(&peer)).count();
            let Some(status) = core.peers.get_mut(&peer).and_then(|state| state.status.as_mut()) else { return };
            if id == core.chain.best_header.id {
                status.tip = core.chain.best_header;
            } else if core.chain.locator.contains(&id) || in_flight >= ANNOUNCES_IN_FLIGHT_MAX {
                // Old news, or too much of it: the next look at the peer's status finds whatever this was.
            } else if let Some(peers) = core.announced.get_mut(&id) {
                peers.push(peer);
            } else {
                core.announced.insert(id, vec![peer]);
                out.push(Action::AddHeaders { peer, run: vec![header] });
            }
        })
    }

    /// The node is done with a run of headers that ends in `last`. Report the changed chain first.
    pub fn headers_judged(&mut self, now: Moment, peer: PeerKey, last: BlockId, verdict: Verdict) -> Vec<Action> {
        self.acting(now, |core, out| {
            if core.on_run_judged(now, peer, last, verdict, out) {
                return;
            }
            for peer in core.announced.remove(&last).unwrap_or_default() {
                core.on_announce_judged(now, peer, last, verdict, out);
            }
        })
    }

    /// The node is done with a block. Report the changed chain first.
    pub fn block_judged(&mut self, now: Moment, peer: PeerKey, id: BlockId, verdict: Verdict) -> Vec<Action> {
        self.acting(now, |core, out| {
            core.window.judged(&id, now.after_ms(core.config.retry_ms));
            if let Verdict::Refused { points } = verdict {
                core.punish(peer, Misbehavior::Refused(points), out);
            }
        })
    }

    /// A peer did something that only the caller saw: undecodable bytes, a refused transaction.
    pub fn misbehaved(&mut self, now: Moment, peer: PeerKey, misbehavior: Misbehavior) -> Vec<Action> {
        self.acting(now, |core, out| core.punish(peer, misbehavior, out))
    }

    /// Call at [`SyncCore::next_timeout`] or any time.
    pub fn handle_timeout(&mut self, now: Moment) -> Vec<Action> {
        self.acting(now, |core, out| {
            let late: Vec<_> = core.late_requests(now).collect();
            for (peer, id) in late {
                core.no_answer(now, peer, id, out);
            }
            core.replace_stalling(now, out);
            let due: Vec<_> =
                core.peers.iter().filter(|(_, peer)| peer.next_status <= now).map(|(key, _)| *key).collect();
            for peer in due {
                core.ask_status(now, peer, out);
            }
        })
    }

    /// When to call [`SyncCore::handle_timeout`] next; nothing while there is nobody to wait for.
    #[must_use]
    pub fn next_timeout(&self, now: Moment) -> Option<Moment> {
        let deadlines = self.peers.values().flat_map(|peer| peer.requests.values()).map(|pending| pending.deadline);
        let pauses =
            self.peers.values().flat_map(|peer| [peer.busy_until, peer.headers_not_before, peer.mempool_not_before]);
        let statuses = self.peers.values().map(|peer| peer.next_status);
        // The window's pauses and stalls only matter while something is wanted; then a steady beat is simpler than their minimum.
        let is_busy = !self.peers.is_empty() && !self.window.is_empty();
        let beat = is_busy.then(|| now.after_ms(self.config.retry_ms));
        deadlines.chain(statuses).chain(pauses.filter(|end| *end > now)).chain(beat).min()
    }

    /// Runs one input and then plans what its consequences call for.
    fn acting(&mut self, now: Moment, input: impl FnOnce(&mut Self, &mut Vec<Action>)) -> Vec<Action> {
        let mut out = Vec::new();
        input(self, &mut out);
        self.plan_headers(now, &mut out);
        self.plan_blocks(now, &mut out);
        self.plan_mempool(now, &mut out);
        if let Some((peer, block)) = self.window.next_to_submit(now) {
            out.push(Action::SubmitBlock { peer, block });
        }
        out
    }

    /// `true` unless the peer was cut off.
    fn on_status(&mut self, peer: PeerKey, status: Status, out: &mut Vec<Action>) -> bool {
        let reason = if status.genesis_id != self.config.genesis_id {
            DisconnectReason::WrongNetwork
        } else if status.version != PROTOCOL_VERSION {
            DisconnectReason::WrongVersion { got: status.version, expected: PROTOCOL_VERSION }
        } else {
            if let Some(state) = self.peers.get_mut(&peer) {
                state.status = Some(status);
            }
            return true;
        };
        self.disconnect(peer, reason, out);
        false
    }

    fn on_announce_judged(&mut self, now: Moment, peer: PeerKey, id: BlockId, verdict: Verdict, out: &mut Vec<Action>) {
        match verdict {
            Verdict::Accepted => {
                let best = self.chain.best_header;
                let status = self.peers.get_mut(&peer).and_then(|state| state.status.as_mut());
                if let Some(status) = status.filter(|_| best.id == id) {
                    status.tip = best;
                }
            }
            // Its claim tells whether the unknown branch is worth a download.
            Verdict::UnknownParent => self.ask_status(now, peer, out),
            Verdict::Refused { points } => self.punish(peer, Misbehavior::Refused(points), out),
            Verdict::Later => {}
        }
    }

    fn ask_status(&mut self, now: Moment, peer: PeerKey, out: &mut Vec<Action>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let is_first = state.status.is_none();
        let interval_ms = if is_first { self.config.status_first_interval_ms } else { self.config.status_interval_ms };
        state.next_status = now.after_ms(interval_ms);
        state.points = state.points.saturating_sub(1);
        if !state.waits_for_status() {
            let status = self.status();
            self.ask(now, peer, Ask::Status, Message::Status(status), out);
        }
    }

    pub(crate) fn ask(
        &mut self,
        now: Moment,
        peer: PeerKey,
        ask: Ask,
        message: Message,
        out: &mut Vec<Action>,
    ) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request = self.next_request.saturating_add(1);
        let timeout_ms = match ask {
            Ask::Status => self.config.status_timeout_ms,
            Ask::Headers | Ask::Mempool => self.config.headers_timeout_ms,
            Ask::Blocks(_) => self.config.blocks_timeout_ms,
        };
        if let Some(state) = self.peers.get_mut(&peer) {
            state.requests.insert(id, Pending { ask, deadline: now.after_ms(timeout_ms) });
            out.push(Action::Request { peer, id, message });
        }
        id
    }

    fn late_requests(&self, now: Moment) -> impl Iterator<Item = (PeerKey, RequestId)> {
        self.peers.iter().flat_map(move |(key, peer)| {
            let late = peer.requests.iter().filter(move |(_, pending)| pending.deadline <= now);
            late.map(move |(id, _)| (*key, *id))
        })
    }

    fn no_answer(&mut self, now: Moment, peer: PeerKey, id: RequestId, out: &mut Vec<Action>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(Pending { ask, .. }) = state.requests.remove(&id) else { return };
        // Whoever did not answer is asked last: others get their chance first.
        state.headers_not_before = now.after_ms(self.config.status_interval_ms);
        state.busy_until = now.after_ms(self.config.retry_ms);
        self.end_request(peer, id, &ask);
        self.punish(peer, Misbehavior::NoAnswer(ask.kind()), out);
    }

    fn end_request(&mut self, peer: PeerKey, id: RequestId, ask: &Ask) {
        self.window.release(id);
        if matches!(ask, Ask::Headers) && self.headers.as_ref().is_some_and(|sync| sync.peer == peer) {
            self.headers = None;
        }
    }

    pub(crate) fn punish(&mut self, peer: PeerKey, misbehavior: Misbehavior, out: &mut Vec<Action>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.points = state.points.saturating_add(misbehavior.points());
        if state.points >= Misbehavior::POINTS_MAX {
            self.disconnect(peer, DisconnectReason::Misbehaved(misbehavior), out);
        }
    }

    fn disconnect(&mut self, peer: PeerKey, reason: DisconnectReason, out: &mut Vec<Action>) {
        self.forget(peer);
        // Requests to it that were decided in the same breath are moot.
        out.retain(|action| !matches!(action, Action::Request { peer: to, .. } if *to == peer));
        out.push(Action::Disconnect { peer, reason });
    }

    fn forget(&mut self, gone: PeerKey) {
        self.peers.remove(&gone);
        self.window.forget(gone);
        if self.headers.as_ref().is_some_and(|sync| sync.peer == gone) {
            self.headers = None;
        }
        for peers in self.announced.values_mut() {
            peers.retain(|peer| *peer != gone);
        }
    }
}
