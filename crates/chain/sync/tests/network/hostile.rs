//! Peers that cost: proofs, memory, time. Each test says what they got.
use bq_primitives::{BlockId, U256, Work};
use bq_sync::{
    ANNOUNCES_IN_FLIGHT_MAX, Action, ChainTip, DisconnectReason, HEADERS_MAX, Message, Misbehavior, Moment,
    PROTOCOL_VERSION, PeerKey, RequestId, STRANGERS_US_PER_SEC, SealedHeader, Status, SyncConfig, SyncCore, Verdict,
    proof_cost_us,
};

use crate::{
    chain::{ModelChain, extend, genesis},
    harness::{Conduct, Network},
    honest_and_silent_source,
};

const ALL_THE_WORK: Work = Work(U256::MAX);

/// One state machine whose peers are played by the test.
struct Victim {
    core: SyncCore,
    now: Moment,
    next_peer: u64,
}

impl Victim {
    fn new() -> Self {
        let core = SyncCore::new(SyncConfig::new(genesis().id()), ModelChain::new().view());
        Self { core, now: Moment(0), next_peer: 0 }
    }

    /// Connects to us and claims all the work there is; returns its name and what we ask it next.
    fn claimant(&mut self) -> (PeerKey, Vec<Action>) {
        let peer = PeerKey(self.next_peer);
        self.next_peer += 1;
        let asked = request_to(peer, &self.core.peer_connected(self.now, peer)).unwrap();
        let tip = ChainTip { id: BlockId([0xee; 32]), height: genesis().header.height, work: ALL_THE_WORK };
        let status = Status { version: PROTOCOL_VERSION, genesis_id: genesis().id(), tip };
        (peer, self.core.handle_answer(self.now, peer, asked, Message::Status(status)))
    }
}

fn request_to(peer: PeerKey, actions: &[Action]) -> Option<RequestId> {
    actions.iter().find_map(|action| match action {
        Action::Request { peer: to, id, .. } if *to == peer => Some(*id),
        _ => None,
    })
}

fn handed_over(actions: &[Action]) -> usize {
    let length = |action: &Action| if let Action::AddHeaders { run, .. } = action { run.len() } else { 0 };
    actions.iter().map(length).sum()
}

fn run_of(count: usize, salt: u32) -> Vec<SealedHeader> {
    let mut parent = genesis();
    std::iter::repeat_with(|| {
        parent = extend(&parent, salt);
        parent
    })
    .take(count)
    .collect()
}

/// A peer that answers more than it was asked, twice, and announces as much as it can: one answer and four
/// announcements of it are ever unverified, and two of their proofs are looked at.
#[test]
fn a_peer_cannot_make_us_hold_more_than_one_answer_of_unverified_headers() {
    let mut victim = Victim::new();
    let (peer, actions) = victim.claimant();
    let asked = request_to(peer, &actions).unwrap();
    let answer = Message::Headers(run_of(HEADERS_MAX, 1));
    let mut to_verify = handed_over(&victim.core.handle_answer(victim.now, peer, asked, answer.clone()));
    assert_eq!(to_verify, 2);
    for id in (0..50).map(RequestId) {
        to_verify += handed_over(&victim.core.handle_answer(victim.now, peer, id, answer.clone()));
    }
    for salt in 100..200 {
        to_verify += handed_over(&victim.core.handle_announce(victim.now, peer, extend(&genesis(), salt)));
    }
    assert_eq!(to_verify, 2, "what it may have verified is spent");
    // With time its budget comes back, a proof every 2.5 s, and the announcements have a bound of their own.
    victim.now = victim.now.after_ms(3_600_000);
    for salt in 200..300 {
        to_verify += handed_over(&victim.core.handle_announce(victim.now, peer, extend(&genesis(), salt)));
        victim.now = victim.now.after_ms(10_000);
    }
    assert!(to_verify <= 2 + ANNOUNCES_IN_FLIGHT_MAX, "{to_verify}");
    assert!(victim.core.proofs_put_off() >= 100);
}

/// One attacker after the other connects, hands over headers without work, is cut off, and comes back from another
/// address: for ten minutes, twenty times a second.
#[test]
fn strangers_with_bad_proofs_take_a_tenth_of_a_core_between_them() {
    let mut victim = Victim::new();
    let mut verified = 0;
    let end = Moment(600_000);
    while victim.now < end {
        let (peer, actions) = victim.claimant();
        let salt = u32::try_from(victim.now.0).unwrap();
        let mut actions = match request_to(peer, &actions) {
            Some(asked) => {
                let answer = Message::Headers(run_of(20, salt));
                victim.core.handle_answer(victim.now, peer, asked, answer)
            }
            None => victim.core.handle_announce(victim.now, peer, extend(&genesis(), salt)),
        };
        while let Some(Action::AddHeaders { peer, run }) = actions.pop() {
            verified += run.len();
            let last = run.last().unwrap().id();
            let refused = Verdict::Refused { points: 100 };
            let consequences = victim.core.headers_judged(victim.now, peer, last, refused);
            assert!(consequences.iter().any(|action| matches!(action, Action::Disconnect { .. })));
            actions.extend(consequences.into_iter().filter(|action| matches!(action, Action::AddHeaders { .. })));
        }
        let mut gone = victim.core.peer_disconnected(victim.now, peer);
        while let Some(action) = gone.pop() {
            assert!(!matches!(action, Action::AddHeaders { .. }), "nobody is left to hand headers over");
        }
        victim.now = victim.now.after_ms(50);
    }
    let cost_us = u64::try_from(verified).unwrap() * proof_cost_us(genesis().header.algorithm);
    let allowed_us = (end.0 / 1000 + 10) * STRANGERS_US_PER_SEC;
    assert!(cost_us <= allowed_us && cost_us > allowed_us / 2, "{cost_us} us of {allowed_us}");
}

#[test]
fn those_who_connect_to_us_cannot_hold_up_those_we_connected_to() {
    let mut net = Network::new(22);
    let tip = net.node(0).chain.grow(genesis().id(), 300, 1);
    for liar in 2..22 {
        let mut chain = net.node(0).chain.clone();
        chain.grow(tip, liar, 9);
        net.node(liar).set_chain(chain);
        net.node(liar).conduct = Conduct::SilentOnHeaders;
        net.connect(liar, 1);
    }
    net.run_for(5000);
    net.connect(1, 0);
    net.run_until(10_000, |net| net.node(1).chain.tip() == tip);
    let tip = net.mine(0, 77);
    net.run_until(5_000, |net| net.node(1).chain.tip() == tip);
}

#[test]
fn a_slow_source_of_headers_is_replaced_after_five_seconds() {
    let (mut net, tip) = honest_and_silent_source();
    net.run_until(8_000, |net| net.node(2).chain.tip() == tip);
}

#[test]
fn a_peer_that_trickles_headers_is_passed_over_and_in_the_end_cut_off() {
    let mut net = Network::new(3);
    let tip = net.node(0).chain.grow(genesis().id(), 400, 1);
    let mut chain = net.node(0).chain.clone();
    chain.grow(tip, 5, 9);
    net.node(1).set_chain(chain);
    net.node(1).conduct = Conduct::TricklesHeaders;
    net.connect(2, 1);
    net.connect(2, 0);
    net.run_until(10_000, |net| net.node(2).chain.tip() == tip);
    // It goes on claiming a branch of which it shows one header per claim.
    for salt in 0..40 {
        net.mine(1, 1000 + salt);
        net.mine(1, 2000 + salt);
        net.run_for(20_000);
    }
    let cut_off = DisconnectReason::Misbehaved(Misbehavior::FalseClaim);
    assert!(net.cut_off.contains(&(2, 1, cut_off)), "{:?}", net.cut_off);
}

/// Someone finds a block, shows its header to all, and keeps the body: the block that somebody else finds at the same
/// height, which everybody can have, must not wait for it.
#[test]
fn a_block_that_is_kept_back_does_not_hold_up_its_rival() {
    for conduct in [Conduct::SilentOnBlocks, Conduct::KeepsBodies] {
        let mut net = Network::new(3);
        let shared = net.node(0).chain.grow(genesis().id(), 20, 1);
        for other in [1, 2] {
            let chain = net.node(0).chain.clone();
            net.node(other).set_chain(chain);
        }
        net.connect(2, 1);
        net.connect(2, 0);
        net.run_for(2000);
        net.node(1).conduct = conduct;
        let kept = net.mine(1, 66);
        net.run_until(3000, |net| net.node(2).core.best_header().id == kept);
        net.run_for(1000);
        assert_eq!(net.node(2).chain.tip(), shared);
        let rival = net.mine(0, 5);
        net.run_until(5000, |net| net.node(2).chain.tip() == rival);
        assert_eq!(net.node(2).core.best_header().id, kept, "seen first, of equal work");
        net.run_for(61_000);
        let points = net.node(2).core.peers()[0].points;
        assert!(points > 0 || !net.cut_off.is_empty(), "{conduct:?} went unpunished");
    }
}

/// The line of all is slow, not one peer: nobody is cut off for it, and waiting grows to what it takes.
#[test]
fn patience_grows_with_a_slow_line() {
    let mut net = Network::new(4);
    let tip = net.node(0).chain.grow(genesis().id(), 60, 1);
    for server in [1, 2] {
        let chain = net.node(0).chain.clone();
        net.node(server).set_chain(chain);
    }
    for server in [0, 1, 2] {
        net.node(server).answers_blocks_after_ms = 12_000;
        net.connect(3, server);
    }
    net.run_until(600_000, |net| net.node(3).chain.tip() == tip);
    assert!(net.cut_off.is_empty(), "{:?}", net.cut_off);
}
