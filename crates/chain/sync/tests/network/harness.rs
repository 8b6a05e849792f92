//! Nodes, links with latency, and an event queue in virtual time.
use std::collections::BTreeMap;

use bq_primitives::{BlockId, Transaction};
use bq_sync::{
    Action, ChainTip, DisconnectReason, HEADERS_MAX, Message, Moment, PeerKey, RawBlock, RequestId, SealedHeader,
    Status, SyncConfig, SyncCore, Verdict,
};

use crate::chain::{ModelChain, body, extend, genesis};

const LATENCY_MS: u64 = 20;
const JUDGE_MS: u64 = 5;

/// How a node treats the questions of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    Honest,
    SilentOnBlocks,
    SilentOnHeaders,
    BrokenHeaders,
    InvalidHeaders,
    WrongAnswers,
    OtherBlocks,
    InvalidBlocks,
    ClaimsTooMuch,
    /// One header per answer.
    TricklesHeaders,
    /// Shows headers and says that it has no bodies.
    KeepsBodies,
}

pub(crate) struct Node {
    pub(crate) core: SyncCore,
    pub(crate) chain: ModelChain,
    pub(crate) conduct: Conduct,
    pub(crate) judged_runs: Vec<usize>,
    pub(crate) blocks_served: usize,
    pub(crate) most_blocks_ahead: usize,
    pub(crate) answers_blocks_after_ms: u64,
    pub(crate) mempool: Vec<Transaction>,
    /// Our key of a link -> the node at its other end and its key of the link.
    links: BTreeMap<PeerKey, (usize, PeerKey)>,
    announced: BlockId,
    claims: u8,
}

enum Event {
    Request { at: usize, from: PeerKey, id: RequestId, message: Message },
    Answer { at: usize, from: PeerKey, id: RequestId, message: Message },
    Announce { at: usize, from: PeerKey, header: SealedHeader },
    JudgeHeaders { at: usize, from: PeerKey, run: Vec<SealedHeader> },
    JudgeBlock { at: usize, from: PeerKey, block: RawBlock },
}

pub(crate) struct Network {
    pub(crate) now: Moment,
    nodes: Vec<Node>,
    queue: BTreeMap<(Moment, u64), Event>,
    serial: u64,
    /// Who cut off whom, and why.
    pub(crate) cut_off: Vec<(usize, usize, DisconnectReason)>,
}

impl Node {
    fn new() -> Self {
        let chain = ModelChain::new();
        let core = SyncCore::new(SyncConfig::new(genesis().id()), chain.view());
        Self {
            core,
            announced: chain.tip(),
            chain,
            conduct: Conduct::Honest,
            judged_runs: Vec::new(),
            blocks_served: 0,
            most_blocks_ahead: 0,
            answers_blocks_after_ms: 0,
            mempool: Vec::new(),
            links: BTreeMap::new(),
            claims: 0,
        }
    }

    pub(crate) fn set_chain(&mut self, chain: ModelChain) {
        self.chain = chain;
        self.reset_core(genesis().id());
    }

    pub(crate) fn reset_core(&mut self, genesis_id: BlockId) {
        self.core = SyncCore::new(SyncConfig::new(genesis_id), self.chain.view());
        self.announced = self.chain.tip();
    }

    /// What this node answers; nothing when it stays silent.
    fn answer(&mut self, message: &Message) -> Option<Message> {
        match message {
            Message::Status(_) => Some(Message::Status(self.status())),
            Message::GetHeaders { locator } => self.answer_headers(locator),
            Message::GetBlocks(ids) => self.answer_blocks(ids),
            Message::GetMempool { after } => {
                let mut page = self.mempool.clone();
                page.retain(|transaction| transaction.txid() > *after);
                page.sort_by_key(Transaction::txid);
                page.truncate(3);
                Some(Message::Mempool(page))
            }
            _ => None,
        }
    }

    fn status(&mut self) -> Status {
        let status = self.core.status();
        if self.conduct != Conduct::ClaimsTooMuch {
            return status;
        }
        self.claims += 1;
        let tip = ChainTip {
            id: BlockId([self.claims; 32]),
            work: bq_primitives::Work(bq_primitives::U256::MAX),
            ..status.tip
        };
        Status { tip, ..status }
    }

    fn answer_headers(&self, locator: &[BlockId]) -> Option<Message> {
        let mut run = self.chain.headers_after(locator, HEADERS_MAX);
        match self.conduct {
            Conduct::SilentOnHeaders => return None,
            Conduct::BrokenHeaders => run.swap(3, 4),
            Conduct::WrongAnswers => return Some(Message::GetBlocks(Vec::new())),
            Conduct::ClaimsTooMuch => run.clear(),
            Conduct::TricklesHeaders => run.truncate(1),
            _ => {}
        }
        Some(Message::Headers(run))
    }

    fn answer_blocks(&mut self, ids: &[BlockId]) -> Option<Message> {
        match self.conduct {
            Conduct::SilentOnBlocks => return None,
            Conduct::OtherBlocks => return Some(Message::Blocks { blocks: vec![body(&genesis())], not_found: vec![] }),
            Conduct::KeepsBodies => return Some(Message::Blocks { blocks: vec![], not_found: ids.to_vec() }),
            _ => {}
        }
        let (have, not_found): (Vec<_>, Vec<_>) = ids.iter().copied().partition(|id| self.chain.has_body(id));
        // At most five fit into an answer, so that the rest has to be asked for again.
        let blocks: Vec<_> = have.iter().take(5).filter_map(|id| self.chain.header(id)).map(body).collect();
        self.blocks_served += blocks.len();
        Some(Message::Blocks { blocks, not_found })
    }
}

impl Network {
    pub(crate) fn new(count: usize) -> Self {
        let nodes = (0..count).map(|_| Node::new()).collect();
        Self { now: Moment(0), nodes, queue: BTreeMap::new(), serial: 0, cut_off: Vec::new() }
    }

    pub(crate) fn node(&mut self, at: usize) -> &mut Node {
        &mut self.nodes[at]
    }

    /// `a` dials `b`.
    pub(crate) fn connect(&mut self, a: usize, b: usize) {
        self.refresh_views();
        let (at_a, at_b) = (PeerKey(self.serial), PeerKey(self.serial + 1));
        self.serial += 2;
        self.nodes[a].links.insert(at_a, (b, at_b));
        self.nodes[b].links.insert(at_b, (a, at_a));
        let actions = self.nodes[a].core.peer_dialed(self.now, at_a);
        self.act(a, actions);
        let actions = self.nodes[b].core.peer_connected(self.now, at_b);
        self.act(b, actions);
    }

    /// Tells every core about blocks that a test put into its chain directly.
    pub(crate) fn refresh_views(&mut self) {
        for at in 0..self.nodes.len() {
            self.chain_changed(at);
        }
    }

    pub(crate) fn mine(&mut self, at: usize, salt: u32) -> BlockId {
        let tip = self.nodes[at].chain.tip();
        let child = self.nodes[at].chain.grow(tip, 1, salt);
        self.chain_changed(at);
        child
    }

    pub(crate) fn announce(&mut self, at: usize, header: SealedHeader) {
        let links: Vec<_> = self.nodes[at].links.values().copied().collect();
        for (to, from) in links {
            self.send(LATENCY_MS, Event::Announce { at: to, from, header });
        }
    }

    pub(crate) fn run_for(&mut self, ms: u64) {
        let end = self.now.after_ms(ms);
        while self.step(end) {}
        self.now = end;
    }

    pub(crate) fn run_until(&mut self, ms: u64, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now.after_ms(ms);
        while !done(self) {
            assert!(self.step(end), "not done after {ms} ms");
        }
    }

    /// The next event or timeout before `end`.
    fn step(&mut self, end: Moment) -> bool {
        let timeout =
            (0..self.nodes.len()).filter_map(|at| Some((self.nodes[at].core.next_timeout(self.now)?, at))).min();
        let event = self.queue.first_key_value().map(|((when, _), _)| *when);
        match (event, timeout) {
            (Some(when), timeout) if timeout.is_none_or(|(timeout, _)| when <= timeout) && when <= end => {
                self.now = self.now.max(when);
                let (_, event) = self.queue.pop_first().unwrap();
                self.handle(event);
                true
            }
            (_, Some((when, at))) if when <= end => {
                self.now = self.now.max(when);
                let actions = self.nodes[at].core.handle_timeout(self.now);
                self.act(at, actions);
                true
            }
            _ => false,
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        let (at, actions) = match event {
            Event::Request { at, from, id, message } => {
                let (is_admitted, actions) = self.nodes[at].core.handle_request(now, from, &message);
                let answer = if is_admitted { self.nodes[at].answer(&message) } else { Some(Message::Busy) };
                if let (Some(message), Some((to, from))) = (answer, self.nodes[at].links.get(&from).copied()) {
                    let message = Message::from_bytes(&message.to_bytes()).unwrap();
                    let is_blocks = matches!(message, Message::Blocks { .. });
                    let delay = if is_blocks { self.nodes[at].answers_blocks_after_ms } else { 0 };
                    self.send(LATENCY_MS + delay, Event::Answer { at: to, from, id, message });
                }
                (at, actions)
            }
            Event::Answer { at, from, id, message } => (at, self.nodes[at].core.handle_answer(now, from, id, message)),
            Event::Announce { at, from, header } => (at, self.nodes[at].core.handle_announce(now, from, header)),
            Event::JudgeHeaders { at, from, run } => {
                let is_forgery = self.conduct_behind(at, from) == Some(Conduct::InvalidHeaders);
                let last = run.last().unwrap().id();
                // Only a header of its own: what it passes on of others is good.
                if is_forgery
                    && self.nodes[at].links.get(&from).is_some_and(|(other, _)| self.nodes[*other].chain.tip() == last)
                {
                    self.nodes[at].chain.forbid(last);
                }
                let is_news = run.iter().any(|header| self.nodes[at].chain.header(&header.id()).is_none());
                let verdict = match self.nodes[at].chain.add_headers(&run) {
                    Verdict::Accepted if !is_news => Verdict::Known,
                    verdict => verdict,
                };
                self.nodes[at].judged_runs.push(run.len());
                self.chain_changed(at);
                (at, self.nodes[at].core.headers_judged(now, from, last, verdict))
            }
            Event::JudgeBlock { at, from, block } => {
                let is_forgery = self.conduct_behind(at, from) == Some(Conduct::InvalidBlocks);
                let verdict =
                    if is_forgery { Verdict::Refused { points: 100 } } else { self.nodes[at].chain.add_body(&block) };
                self.chain_changed(at);
                (at, self.nodes[at].core.block_judged(now, from, block.id(), verdict))
            }
        };
        self.act(at, actions);
    }

    fn conduct_behind(&self, at: usize, key: PeerKey) -> Option<Conduct> {
        self.nodes[at].links.get(&key).map(|(other, _)| self.nodes[*other].conduct)
    }

    fn chain_changed(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let view = node.chain.view();
        node.most_blocks_ahead =
            node.most_blocks_ahead.max(node.core.peers().iter().map(|peer| peer.requests * 16).sum());
        let actions = node.core.chain_changed(self.now, view);
        let tip = node.chain.tip();
        let is_news = tip != node.announced && !node.core.is_catching_up();
        node.announced = tip;
        let header = *node.chain.header(&tip).unwrap();
        self.act(at, actions);
        if is_news {
            self.announce(at, header);
        }
    }

    fn act(&mut self, at: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Request { peer, id, message } => {
                    if let Some((to, from)) = self.nodes[at].links.get(&peer).copied() {
                        let message = Message::from_bytes(&message.to_bytes()).unwrap();
                        self.send(LATENCY_MS, Event::Request { at: to, from, id, message });
                    }
                }
                Action::AddHeaders { peer, run } => self.send(JUDGE_MS, Event::JudgeHeaders { at, from: peer, run }),
                Action::SubmitBlock { peer, block } => self.send(JUDGE_MS, Event::JudgeBlock { at, from: peer, block }),
                Action::SubmitTransactions { transactions, .. } => self.nodes[at].mempool.extend(transactions),
                Action::Disconnect { peer, reason } => {
                    let (other, key) = self.nodes[at].links.remove(&peer).unwrap();
                    self.cut_off.push((at, other, reason));
                    self.nodes[other].links.remove(&key);
                    let actions = self.nodes[other].core.peer_disconnected(self.now, key);
                    self.act(other, actions);
                }
            }
        }
    }

    fn send(&mut self, delay_ms: u64, event: Event) {
        self.serial += 1;
        self.queue.insert((self.now.after_ms(delay_ms), self.serial), event);
    }
}

#[test]
fn the_model_chain_grows_and_forbids() {
    let mut chain = ModelChain::new();
    let tip = chain.grow(genesis().id(), 3, 1);
    assert_eq!(chain.tip(), tip);
    let bad = extend(&genesis(), 9);
    chain.forbid_body(bad.id());
    assert_eq!(chain.add_headers(&[bad]), Verdict::Accepted);
    assert_eq!(chain.add_body(&body(&bad)), Verdict::Refused { points: 100 });
}
