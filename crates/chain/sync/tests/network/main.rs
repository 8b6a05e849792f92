//! Whole networks of state machines in virtual time: no sockets, no sleeps, every run the same.
#![expect(clippy::unwrap_used, reason = "a broken harness should say where")]
mod chain;
mod harness;
mod hostile;

use bq_primitives::{BlockId, Height, Transaction};
use bq_sync::{DisconnectReason, Message, Misbehavior, PeerKey, WINDOW_BLOCKS_MAX};

use crate::{
    chain::{extend, genesis},
    harness::{Conduct, Network},
};

#[test]
fn a_fresh_node_downloads_a_chain_of_many_header_runs() {
    let mut net = Network::new(2);
    let tip = net.node(0).chain.grow(genesis().id(), 2500, 1);
    net.connect(0, 1);
    net.run_until(60_000, |net| net.node(1).chain.tip() == tip);
    let portions = &net.node(1).judged_runs;
    // RandomX headers: two proofs for a stranger, then twice as many each time, up to 1.6 s of one core.
    assert_eq!(portions[..7], [2, 4, 8, 16, 32, 64, 64]);
    assert_eq!(portions.iter().sum::<usize>(), 2500);
    assert!(net.node(1).most_blocks_ahead <= WINDOW_BLOCKS_MAX);
}

#[test]
fn bodies_come_from_several_peers() {
    let mut net = Network::new(4);
    let tip = net.node(0).chain.grow(genesis().id(), 300, 1);
    for server in [1, 2] {
        let chain = net.node(0).chain.clone();
        net.node(server).set_chain(chain);
    }
    for server in [0, 1, 2] {
        net.connect(3, server);
    }
    net.run_until(60_000, |net| net.node(3).chain.tip() == tip);
    for server in [0, 1, 2] {
        assert!(net.node(server).blocks_served >= 30, "server {server} served {}", net.node(server).blocks_served);
    }
}

#[test]
fn a_new_block_travels_down_a_line() {
    let mut net = Network::new(4);
    for pair in [(0, 1), (1, 2), (2, 3)] {
        net.connect(pair.0, pair.1);
    }
    net.run_for(1000);
    for salt in 0..20 {
        let tip = net.mine(0, salt);
        net.run_until(2000, |net| net.node(3).chain.tip() == tip);
    }
}

#[test]
fn the_branch_with_more_work_wins_on_both_sides() {
    let mut net = Network::new(2);
    let fork = net.node(0).chain.grow(genesis().id(), 50, 1);
    net.node(1).chain.grow(genesis().id(), 50, 1);
    net.node(0).chain.grow(fork, 10, 2);
    let better = net.node(1).chain.grow(fork, 12, 3);
    net.refresh_views();
    net.connect(0, 1);
    net.run_until(10_000, |net| net.node(0).chain.tip() == better);
    // And back again, with blocks found after both agreed.
    let mut tip = fork;
    for salt in 0..15 {
        tip = net.node(0).chain.grow(tip, 1, 100 + salt);
    }
    net.refresh_views();
    net.run_until(60_000, |net| net.node(1).chain.tip() == tip);
    assert!(net.cut_off.is_empty());
}

#[test]
fn a_stalling_peer_is_replaced_and_loses_points() {
    let mut net = Network::new(3);
    let tip = net.node(0).chain.grow(genesis().id(), 400, 1);
    let chain = net.node(0).chain.clone();
    net.node(1).set_chain(chain);
    net.node(1).conduct = Conduct::SilentOnBlocks;
    net.connect(2, 1);
    net.connect(2, 0);
    net.run_until(60_000, |net| net.node(2).chain.tip() == tip);
    let points = net.node(2).core.peers()[0].points;
    assert!(points >= Misbehavior::Stalling.points() - 1, "{points}");
}

#[test]
fn a_peer_that_is_silent_on_headers_does_not_hold_up_the_others() {
    let (mut net, tip) = honest_and_silent_source();
    net.run_until(40_000, |net| net.node(2).chain.tip() == tip);
    net.run_until(300_000, |net| !net.cut_off.is_empty());
    assert!(matches!(net.cut_off[0], (2, 1, DisconnectReason::Misbehaved(Misbehavior::NoAnswer(_)))));
}

#[test]
fn liars_are_cut_off_and_the_chain_still_arrives() {
    let cases = [
        (Conduct::BrokenHeaders, Misbehavior::BrokenHeaderRun),
        (Conduct::WrongAnswers, Misbehavior::UnexpectedAnswer(bq_sync::Kind::GetBlocks)),
        (Conduct::OtherBlocks, Misbehavior::UnrequestedBlock),
        (Conduct::InvalidBlocks, Misbehavior::Refused(100)),
        (Conduct::InvalidHeaders, Misbehavior::Refused(100)),
    ];
    for (conduct, expected) in cases {
        let mut net = Network::new(3);
        let tip = net.node(0).chain.grow(genesis().id(), 200, 1);
        let mut chain = net.node(0).chain.clone();
        if conduct != Conduct::OtherBlocks && conduct != Conduct::InvalidBlocks {
            chain.grow(tip, 3, 9);
        }
        net.node(1).set_chain(chain);
        net.node(1).conduct = conduct;
        net.connect(2, 1);
        net.run_until(60_000, |net| !net.cut_off.is_empty());
        assert_eq!(net.cut_off, [(2, 1, DisconnectReason::Misbehaved(expected))], "{conduct:?}");
        net.connect(2, 0);
        net.run_until(60_000, |net| net.node(2).chain.tip() == tip);
    }
}

#[test]
fn a_claim_of_work_without_headers_costs_a_little_each_time() {
    let mut net = Network::new(2);
    net.node(0).conduct = Conduct::ClaimsTooMuch;
    net.connect(1, 0);
    net.run_for(5000);
    assert!(net.cut_off.is_empty());
    net.run_until(600_000, |net| !net.cut_off.is_empty());
    assert_eq!(net.cut_off, [(1, 0, DisconnectReason::Misbehaved(Misbehavior::FalseClaim))]);
}

#[test]
fn a_mempool_is_fetched_in_pages_once_the_blocks_are_there() {
    let mut net = Network::new(2);
    let tip = net.node(0).chain.grow(genesis().id(), 40, 1);
    let pending = |salt: u32| Transaction::coinbase(Height(salt), Vec::new(), Vec::new());
    net.node(0).mempool = (0..10).map(pending).collect();
    net.connect(1, 0);
    net.run_until(5000, |net| net.node(1).chain.tip() == tip);
    assert!(net.node(1).mempool.is_empty());
    net.run_until(5000, |net| net.node(1).mempool.len() == 10);
    net.run_for(60_000);
    assert_eq!(net.node(1).mempool.len(), 10, "asked for once");
}

#[test]
fn another_chain_is_left_alone_without_blame() {
    let mut net = Network::new(2);
    net.node(0).reset_core(BlockId([7; 32]));
    net.connect(0, 1);
    net.run_until(1000, |net| !net.cut_off.is_empty());
    assert!(net.cut_off.iter().all(|(.., reason)| *reason == DisconnectReason::WrongNetwork));
}

#[test]
fn an_announced_header_that_breaks_a_rule_cuts_the_announcer_off() {
    let mut net = Network::new(2);
    net.connect(0, 1);
    net.run_for(1000);
    let bad = extend(&genesis(), 666);
    net.node(1).chain.forbid(bad.id());
    net.announce(0, bad);
    net.run_until(1000, |net| !net.cut_off.is_empty());
    assert_eq!(net.cut_off, [(1, 0, DisconnectReason::Misbehaved(Misbehavior::Refused(100)))]);
}

#[test]
fn a_flood_of_requests_is_answered_busy_and_then_cut_off() {
    let mut net = Network::new(2);
    net.connect(0, 1);
    net.run_for(1000);
    let now = net.now;
    let core = &mut net.node(1).core;
    let flooder = core.peers()[0].key;
    let request = Message::GetHeaders { locator: vec![genesis().id()] };
    let admitted = (0..60).filter(|_| core.handle_request(now, flooder, &request).0).count();
    assert!((30..60).contains(&admitted), "{admitted}");
    let actions: Vec<_> = (0..200).flat_map(|_| core.handle_request(now, flooder, &request).1).collect();
    assert!(actions.iter().any(|action| matches!(action, bq_sync::Action::Disconnect { .. })));
    // A peer that is gone gets nothing.
    assert!(!core.handle_request(now, PeerKey(99), &request).0);
}

/// Answers that nobody waits for, in any order, for peers that do not exist, change nothing and never panic.
#[test]
fn stray_reports_are_ignored() {
    let mut net = Network::new(2);
    net.connect(0, 1);
    net.run_for(1500);
    let now = net.now;
    let core = &mut net.node(1).core;
    for peer in [PeerKey(0), PeerKey(1), PeerKey(77)] {
        let id = bq_sync::RequestId(u64::MAX);
        assert_eq!(core.handle_answer(now, peer, id, Message::Busy), []);
        assert_eq!(core.request_failed(now, peer, id), []);
        assert_eq!(core.headers_judged(now, peer, BlockId::ZERO, bq_sync::Verdict::Refused { points: 100 }), []);
    }
    assert_eq!(core.peer_disconnected(now, PeerKey(77)), []);
    assert_eq!(core.peers().len(), 1);
}

/// Node 2, just connected to node 1, which claims the most work and never answers for headers, and to node 0, whose tip this is.
fn honest_and_silent_source() -> (Network, BlockId) {
    let mut net = Network::new(3);
    let tip = net.node(0).chain.grow(genesis().id(), 100, 1);
    let mut chain = net.node(0).chain.clone();
    chain.grow(tip, 5, 9);
    net.node(1).set_chain(chain);
    net.node(1).conduct = Conduct::SilentOnHeaders;
    net.connect(2, 1);
    net.connect(2, 0);
    (net, tip)
}
