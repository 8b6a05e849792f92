use std::collections::BTreeMap;

use bq_primitives::BlockId;

use crate::{
    ANNOUNCES_IN_FLIGHT_MAX, Action, ChainTip, ChainView, DisconnectReason, Message, Misbehavior, Moment,
    PROTOCOL_VERSION, PeerKey, RequestId, SealedHeader, Status, Verdict,
    headers::HeaderSync,
    patience::Patience,
    peer::{Ask, Link, Peer, Pending},
    proof_budget::{Charge, StrangerBudget},
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
    /// Headers are asked from someone else after this, if there is someone.
    pub headers_stall_ms: u64,
    /// The first block in line is asked from someone else after this, if later ones are here; after four times this
    /// otherwise. It adapts to the line, between this and the next.
    pub stall_ms: u64,
    /// The longest that [`SyncConfig::stall_ms`] grows to.
    pub stall_ms_max: u64,
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
            headers_stall_ms: 5_000,
            stall_ms: 2_000,
            stall_ms_max: 64_000,
            status_interval_ms: 30_000,
            status_first_interval_ms: 2_000,
            mempool_delay_ms: 1_000,
            retry_ms: 500,
        }
    }
}

/// Keeps one node in step with its peers. Fed with what happens and the time; returns what to do.
///
/// Headers come first, from one peer of each kind at a time: the one that claims the most work. How many of their proofs
/// are verified is bounded by what the peer has shown before. Blocks follow in the order of the best header chain, from
/// all peers that claim more work than the node has, a bounded number ahead, and beside them those of branches that
/// compete with it. The node is handed one block at a time, in order.
#[derive(Debug)]
pub struct SyncCore {
    pub(crate) config: SyncConfig,
    pub(crate) chain: ChainView,
    pub(crate) peers: BTreeMap<PeerKey, Peer>,
    pub(crate) headers: BTreeMap<PeerKey, HeaderSync>,
    /// Announced headers that the node is judging.
    announced: BTreeMap<BlockId, Announced>,
    pub(crate) window: Window,
    pub(crate) patience: Patience,
    pub(crate) strangers: Strangers,
    pub(crate) proofs_put_off: u64,
    next_request: u64,
}

/// An announced header: who announced it, and what the first of them paid for its proof.
#[derive(Debug)]
struct Announced {
    peers: Vec<PeerKey>,
    charge: Charge,
}

/// The verification time that strangers share, by who opened the connection.
#[derive(Debug)]
pub(crate) struct Strangers {
    inbound: StrangerBudget,
    outbound: StrangerBudget,
}

impl Strangers {
    pub(crate) const fn of(&mut self, link: Link) -> &mut StrangerBudget {
        match link {
            Link::Inbound => &mut self.inbound,
            Link::Outbound => &mut self.outbound,
        }
    }
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
    /// It has shown a valid header that was new.
    pub has_shown_work: bool,
}

impl SyncCore {
    /// Starts without peers.
    #[must_use]
    pub fn new(config: SyncConfig, chain: ChainView) -> Self {
        let mut window = Window::default();
        window.follow(&chain);
        let strangers = StrangerBudget::new(Moment(0));
        Self {
            config,
            chain,
            peers: BTreeMap::new(),
            headers: BTreeMap::new(),
            announced: BTreeMap::new(),
            window,
            patience: Patience::new(config.stall_ms, config.stall_ms_max),
            strangers: Strangers { inbound: strangers, outbound: strangers },
            proofs_put_off: 0,
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
    pub fn is_in_step(&self) -> bool {
        self.window.is_empty() && self.headers.is_empty()
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
            has_shown_work: !peer.proofs.is_stranger(),
        };
        self.peers.iter().map(report).collect()
    }

    /// How often headers had to wait, or were dropped, because their sender's budget did not cover their proofs. Only grows.
    #[must_use]
    pub const fn proofs_put_off(&self) -> u64 {
        self.proofs_put_off
    }

    /// Somebody connected to us.
    pub fn peer_connected(&mut self, now: Moment, peer: PeerKey) -> Vec<Action> {
        self.greet(now, peer, Link::Inbound)
    }

    /// We connected to somebody.
    pub fn peer_dialed(&mut self, now: Moment, peer: PeerKey) -> Vec<Action> {
        self.greet(now, peer, Link::Outbound)
    }

    fn greet(&mut self, now: Moment, peer: PeerKey, link: Link) -> Vec<Action> {
        self.peers.insert(peer, Peer::new(now, link, self.config.mempool_delay_ms));
        self.acting(now, |core, out| core.ask_status(now, peer, out))
    }

    /// A connection is down.
    pub fn peer_disconnected(&mut self, now: Moment, peer: PeerKey) -> Vec<Action> {
        self.acting(now, |core, _| core.forget(peer))
    }

    /// The node's chain changed, or may have.
    pub fn chain_changed(&mut self, now: Moment, chain: ChainView) -> Vec<Action> {
        self.acting(now, |core, _| {
            core.window.follow(&chain);
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
                Message::GetHeaders { .. }
                | Message::GetBlocks(_)
                | Message::GetMempool { .. }
                | Message::GetAddresses { .. } => is_admitted = true,
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
                (Ask::Headers, Message::Headers(run)) => core.on_headers(now, peer, run, out),
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
            let in_flight = core.announced.values().filter(|announced| announced.peers.contains(&peer)).count();
            let Some(state) = core.peers.get_mut(&peer) else { return };
            let Some(status) = state.status.as_mut() else { return };
            if id == core.chain.best_header.id {
                status.tip = core.chain.best_header;
            } else if core.chain.locator.contains(&id) || in_flight >= ANNOUNCES_IN_FLIGHT_MAX {
                // Old news, or too much of it: the next look at the peer's status finds whatever this was.
            } else if let Some(announced) = core.announced.get_mut(&id) {
                if !announced.peers.contains(&peer) {
                    announced.peers.push(peer);
                }
            } else if let Some(charge) = state.pays_for_header(now, core.strangers.of(state.link), &header) {
                core.announced.insert(id, Announced { peers: vec![peer], charge });
                out.push(Action::AddHeaders { peer, run: vec![header] });
            } else {
                core.proofs_put_off = core.proofs_put_off.saturating_add(1);
            }
        })
    }

    /// The node is done with a run of headers that ends in `last`. Report the changed chain first.
    pub fn headers_judged(&mut self, now: Moment, peer: PeerKey, last: BlockId, verdict: Verdict) -> Vec<Action> {
        self.acting(now, |core, out| {
            if core.on_run_judged(now, peer, last, verdict, out) {
                return;
            }
            let Some(Announced { peers, charge }) = core.announced.remove(&last) else { return };
            core.settle(peer, charge, verdict);
            for peer in peers {
                core.on_announce_judged(now, peer, last, verdict, out);
            }
        })
    }

    /// The node is done with a block. Report the changed chain first.
    pub fn block_judged(&mut self, now: Moment, peer: PeerKey, id: BlockId, verdict: Verdict) -> Vec<Action> {
        self.acting(now, |core, out| {
            core.window.judged(&id, now.after_ms(core.config.retry_ms));
            if verdict == Verdict::Accepted {
                core.patience.was_enough();
            }
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
            core.replace_slow_headers(now);
            core.replace_stalling(now, out);
            let due: Vec<_> =
                core.peers.iter().filter(|(_, peer)| peer.next_status <= now).map(|(key, _)| *key).collect();
            for peer in due {
                core.forgive(peer);
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
        // The window's pauses and stalls, and budgets, only matter while something waits for them; then a steady beat is simpler than their minimum.
        let is_waiting = !self.window.is_empty() || self.headers.values().any(HeaderSync::is_waiting);
        let beat = (is_waiting && !self.peers.is_empty()).then(|| now.after_ms(self.config.retry_ms));
        let pauses = pauses.chain(self.headers_deadlines()).filter(|end| *end > now);
        deadlines.chain(statuses).chain(pauses).chain(beat).min()
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
            Verdict::Accepted | Verdict::Known => {
                let best = self.chain.best_header;
                let status = self.peers.get_mut(&peer).and_then(|state| state.status.as_mut());
                match status {
                    Some(status) if best.id == id => status.tip = best,
                    // How much work its branch has, only it can say.
                    _ => self.ask_status(now, peer, out),
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
        if !state.waits_for_status() {
            let status = self.status();
            self.ask(now, peer, Ask::Status, Message::Status(status), out);
        }
    }

    /// Time heals a little. Only time: a peer must not be able to hurry it.
    fn forgive(&mut self, peer: PeerKey) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.points = state.points.saturating_sub(1);
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
        let is_asked = |sync: &HeaderSync| sync.asked().is_some();
        if matches!(ask, Ask::Headers) && self.headers.get(&peer).is_some_and(is_asked) {
            self.headers.remove(&peer);
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
        self.headers.remove(&gone);
        for announced in self.announced.values_mut() {
            announced.peers.retain(|peer| *peer != gone);
        }
    }
}
