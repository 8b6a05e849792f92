use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bq_primitives::{Algorithm, BlockId};
use bq_sync::{Action, Message, Moment, PeerKey, RawBlock, RequestId, SealedHeader, Verdict, proof_cost_us};
use bq_tree::ChainChange;

use super::{
    explain::{Found, cause},
    hashing::{FORGERY_MS, drawn_nodes},
    links::Links,
    measure::{Healed, NetworkRun, Reorg},
    node::Node,
    plan::{Conduct, NetworkPlan},
};
use crate::{Rng, Setup};

/// What verifying a block takes beside its proof.
const BLOCK_MS: u64 = 5;
/// Without agreement this long after the end, the run is given up.
const PATIENCE_MS: u64 = 24 * 3_600_000;

/// What happens, and to whom.
pub(super) enum Event {
    /// Something arrives on a connection.
    Arrival {
        at: usize,
        on: PeerKey,
        from: usize,
        from_key: PeerKey,
        packet: Packet,
    },
    JudgeHeaders {
        at: usize,
        peer: PeerKey,
        run: Vec<SealedHeader>,
    },
    JudgeBlock {
        at: usize,
        peer: PeerKey,
        block: RawBlock,
    },
    Timeout {
        at: usize,
    },
    Find {
        at: usize,
        mining: u64,
        algorithm: Algorithm,
    },
    Dial {
        pair: usize,
    },
    Break {
        pair: usize,
    },
    Power {
        change: usize,
    },
    Swap,
    Forge {
        at: usize,
    },
    Heal {
        partition: usize,
    },
}

pub(super) enum Packet {
    Request {
        id: RequestId,
        message: Message,
    },
    Answer {
        id: RequestId,
        message: Message,
    },
    Announce(SealedHeader),
    /// The other end of this connection is gone.
    Reset,
}

/// A network while it runs.
pub(super) struct World<'a> {
    pub(super) plan: &'a NetworkPlan,
    pub(super) setup: Setup,
    pub(super) now: Moment,
    pub(super) nodes: Vec<Node>,
    pub(super) links: Links,
    queue: BTreeMap<(Moment, u64), Event>,
    pub(super) serial: u64,
    pub(super) multiples: [f64; Algorithm::COUNT],
    pub(super) luck: Rng,
    pub(super) faults: Rng,
    pub(super) found: BTreeMap<BlockId, Found>,
    /// Position of each block in the run.
    pub(super) places: BTreeMap<BlockId, usize>,
    /// Partitions that ended and were not followed by agreement yet.
    pub(super) unsettled: Vec<usize>,
    pub(super) run: NetworkRun,
}

impl NetworkPlan {
    /// Plays it. The same seed gives the same run.
    #[must_use]
    pub fn run(&self, seed: u64) -> NetworkRun {
        let mut world = World::new(self, seed);
        world.start();
        world.play();
        world.finish()
    }
}

impl<'a> World<'a> {
    fn new(plan: &'a NetworkPlan, seed: u64) -> Self {
        let setup = Setup::steady(Algorithm::COUNT, 20);
        let params = Arc::new(setup.params.clone());
        let mut faults = Rng::seeded(seed, 13);
        let nodes = drawn_nodes(plan, &params, &mut faults);
        let healed = |partition| Healed { partition, converged_after_ms: None, lost_blocks: 0 };
        let healed = (0..plan.partitions.len()).map(healed).collect();
        Self {
            plan,
            setup,
            now: Moment(0),
            nodes,
            links: Links::drawn(plan, seed),
            queue: BTreeMap::new(),
            serial: 0,
            multiples: [1.0; Algorithm::COUNT],
            luck: Rng::seeded(seed, 14),
            faults,
            found: BTreeMap::new(),
            places: BTreeMap::new(),
            unsettled: Vec::new(),
            run: NetworkRun { honest: plan.honest, healed, ..NetworkRun::default() },
        }
    }

    fn start(&mut self) {
        for pair in 0..self.links.pairs.len() {
            self.dial_later(pair);
            self.break_later(pair);
        }
        for at in 0..self.nodes.len() {
            self.mine_later(at);
            if self.nodes[at].conduct == Conduct::Forger {
                self.later(FORGERY_MS, Event::Forge { at });
            }
        }
        for (change, power) in self.plan.powers.iter().enumerate() {
            self.later(power.at_ms, Event::Power { change });
        }
        for (partition, part) in self.plan.partitions.iter().enumerate() {
            self.later(part.to_ms, Event::Heal { partition });
        }
        self.later(self.plan.swap_ms, Event::Swap);
    }

    fn play(&mut self) {
        while let Some(((when, _), event)) = self.queue.pop_first() {
            self.now = when;
            self.run.events += 1;
            self.handle(event);
            let since_end_ms = self.now.0.saturating_sub(self.plan.length_ms);
            if since_end_ms > 0 && (self.unsettled.is_empty() && self.agree() || since_end_ms > PATIENCE_MS) {
                return;
            }
        }
    }

    fn finish(mut self) -> NetworkRun {
        let honest = &self.nodes[..self.plan.honest];
        self.run.has_converged = self.agree();
        self.run.has_one_state = honest.iter().all(|node| {
            node.chain.coins() == honest[0].chain.coins() && node.chain.best_chain() == honest[0].chain.best_chain()
        });
        let best: BTreeSet<_> = honest[0].chain.best_chain().into_iter().collect();
        for block in &mut self.run.blocks {
            block.is_stale = !best.contains(&block.id);
        }
        for (healed, part) in self.run.healed.iter_mut().zip(&self.plan.partitions) {
            let during = self.run.blocks.iter().filter(|block| (part.from_ms..part.to_ms).contains(&block.found_ms));
            healed.lost_blocks = during.filter(|block| block.is_stale).count();
        }
        self.run
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival { at, on, from, from_key, packet } => self.arrive(at, on, (from, from_key), packet),
            Event::JudgeHeaders { at, peer, run } => self.judge_headers(at, peer, &run),
            Event::JudgeBlock { at, peer, block } => self.judge_block(at, peer, &block),
            Event::Timeout { at } => {
                // Later wishes replace earlier ones, and those stay in the queue.
                if self.nodes[at].timeout == Some(self.now) {
                    self.nodes[at].timeout = None;
                    let actions = self.nodes[at].core.handle_timeout(self.now);
                    self.act(at, actions);
                }
            }
            Event::Find { at, mining, algorithm } => {
                if self.nodes[at].mining == mining {
                    self.find(at, algorithm);
                }
            }
            Event::Dial { pair } => self.dial(pair),
            Event::Break { pair } => self.break_link(pair),
            Event::Power { change } => {
                let change = self.plan.powers[change];
                self.multiples[change.algorithm.index()] = change.to;
                (0..self.nodes.len()).for_each(|at| self.mine_later(at));
            }
            Event::Swap => self.swap(),
            Event::Forge { at } => self.forge(at),
            Event::Heal { partition } => {
                self.unsettled.push(partition);
                self.settle();
            }
        }
    }

    fn arrive(&mut self, at: usize, on: PeerKey, from: (usize, PeerKey), packet: Packet) {
        if self.links.is_cut(at, from.0, self.now.0) {
            return;
        }
        let is_known = self.nodes[at].wires.contains_key(&on);
        let now = self.now;
        match packet {
            Packet::Reset => self.lose(at, on),
            // This end was closed while the other could not hear of it.
            _ if !is_known => self.send(at, on, from, Packet::Reset),
            Packet::Request { id, message } => {
                let (is_admitted, actions) = self.nodes[at].core.handle_request(now, on, &message);
                let answer = if is_admitted { self.nodes[at].answer(&message) } else { Some(Message::Busy) };
                if let Some(message) = answer {
                    self.send(at, on, from, Packet::Answer { id, message });
                }
                self.act(at, actions);
            }
            Packet::Answer { id, message } => {
                let actions = self.nodes[at].core.handle_answer(now, on, id, message);
                self.act(at, actions);
            }
            Packet::Announce(header) => {
                let actions = self.nodes[at].core.handle_announce(now, on, header);
                self.act(at, actions);
            }
        }
    }

    fn judge_headers(&mut self, at: usize, peer: PeerKey, run: &[SealedHeader]) {
        let node = &mut self.nodes[at];
        let verdict = node.chain.add_headers(run, node.clock(self.now));
        self.chain_changed(at, Vec::new());
        let last = run.last().map(SealedHeader::id).unwrap_or_default();
        let actions = self.nodes[at].core.headers_judged(self.now, peer, last, verdict);
        self.act(at, actions);
    }

    fn judge_block(&mut self, at: usize, peer: PeerKey, block: &RawBlock) {
        let verdict = self.add_block(at, block);
        let actions = self.nodes[at].core.block_judged(self.now, peer, block.id(), verdict);
        self.act(at, actions);
    }

    pub(super) fn add_block(&mut self, at: usize, block: &RawBlock) -> Verdict {
        let node = &mut self.nodes[at];
        let (verdict, changes) = node.chain.add_block(block, node.clock(self.now));
        if at < self.plan.honest
            && verdict == Verdict::Accepted
            && let Some(place) = self.places.get(&block.id())
        {
            self.run.blocks[*place].reached_ms[at].get_or_insert(self.now.0);
        }
        self.chain_changed(at, changes);
        verdict
    }

    /// Tells the state machine what the chain is now, and others about a new tip.
    fn chain_changed(&mut self, at: usize, changes: Vec<ChainChange>) {
        let view = self.nodes[at].chain.view();
        let actions = self.nodes[at].core.chain_changed(self.now, view);
        self.act(at, actions);
        if changes.is_empty() {
            return;
        }
        for change in changes.into_iter().filter(|change| !change.disconnect.is_empty() && at < self.plan.honest) {
            let cause = cause(&self.found, &self.plan.partitions, &change.disconnect, &change.connect);
            let ChainChange { disconnect: disconnected, connect: connected } = change;
            self.run.reorgs.push(Reorg { node: at, at_ms: self.now.0, disconnected, connected, cause });
        }
        self.mine_later(at);
        self.announce(at);
        self.settle();
    }

    fn announce(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let tip = node.tip();
        if node.core.is_catching_up() || node.announced == tip {
            return;
        }
        node.announced = tip;
        if let Some(header) = node.chain.header(&tip).copied() {
            self.broadcast(at, header);
        }
    }

    pub(super) fn broadcast(&mut self, at: usize, header: SealedHeader) {
        let wires: Vec<_> = self.nodes[at].wires.iter().map(|(on, to)| (*on, *to)).collect();
        for (on, to) in wires {
            self.send(at, on, to, Packet::Announce(header));
        }
    }

    pub(super) fn act(&mut self, at: usize, actions: Vec<Action>) {
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            match action {
                Action::Request { peer, id, message } => match self.nodes[at].wires.get(&peer).copied() {
                    Some(to) => self.send(at, peer, to, Packet::Request { id, message }),
                    None => queue.extend(self.nodes[at].core.request_failed(self.now, peer, id)),
                },
                Action::AddHeaders { peer, run } => {
                    let cost_ms =
                        run.iter().map(|header| proof_cost_us(header.header.algorithm)).sum::<u64>() / 1_000 + 1;
                    self.later(cost_ms, Event::JudgeHeaders { at, peer, run });
                }
                Action::SubmitBlock { peer, block } => self.later(BLOCK_MS, Event::JudgeBlock { at, peer, block }),
                Action::Disconnect { peer, reason } => self.cut_off(at, peer, reason),
                Action::SubmitTransactions { .. } => {}
            }
        }
        self.wake_later(at);
    }

    pub(super) fn send(&mut self, from: usize, from_key: PeerKey, to: (usize, PeerKey), packet: Packet) {
        if self.links.is_cut(from, to.0, self.now.0) {
            return;
        }
        let bytes = match &packet {
            Packet::Request { message, .. } | Packet::Answer { message, .. } => message_bytes(message),
            Packet::Announce(_) | Packet::Reset => 200,
        };
        let travel_ms = self.links.travel_ms(from, to.0, bytes);
        let (at, on) = to;
        self.later(travel_ms, Event::Arrival { at, on, from, from_key, packet });
    }

    fn wake_later(&mut self, at: usize) {
        let Some(wish) = self.nodes[at].core.next_timeout(self.now) else { return };
        let wish = wish.max(self.now.after_ms(1));
        let node = &mut self.nodes[at];
        if node.timeout.is_none_or(|known| wish < known || known <= self.now) {
            node.timeout = Some(wish);
            self.queue.insert((wish, self.serial), Event::Timeout { at });
            self.serial += 1;
        }
    }

    pub(super) fn later(&mut self, after_ms: u64, event: Event) {
        self.queue.insert((self.now.after_ms(after_ms), self.serial), event);
        self.serial += 1;
    }

    pub(super) fn is_partitioned(&self) -> bool {
        self.plan.partitions.iter().any(|part| (part.from_ms..part.to_ms).contains(&self.now.0))
    }

    fn agree(&self) -> bool {
        let honest = &self.nodes[..self.plan.honest];
        honest.iter().all(|node| node.tip() == honest[0].tip())
    }

    /// Notes when nobody has a better tip than others any more, after partitions that ended.
    fn settle(&mut self) {
        let honest = &self.nodes[..self.plan.honest];
        let work = |node: &Node| node.chain.tree().tip().chain_work;
        // Tips of the same work may differ until the next block: no node can tell which is better.
        let is_settled = honest.iter().all(|node| work(node) == work(&honest[0]));
        if self.unsettled.is_empty() || self.is_partitioned() || !is_settled {
            return;
        }
        for partition in std::mem::take(&mut self.unsettled) {
            let ended_ms = self.plan.partitions[partition].to_ms;
            self.run.healed[partition].converged_after_ms = Some(self.now.0 - ended_ms);
        }
    }
}

fn message_bytes(message: &Message) -> usize {
    match message {
        Message::Blocks { blocks, .. } => blocks.iter().map(|block| block.bytes().len()).sum(),
        Message::Headers(run) => 176 * run.len(),
        _ => 200,
    }
}
