//! Facts that cannot be: refused with a reason, and what may be refused without reading the state anew leaves it as it was.

use bq_mining_message::{BootEpoch, FrameDigest, FrameHeader, FrontEndId, SharePosition, ShareSequence};
use bq_primitives::{AccountId, Amount, BlockId, Height, OutPoint, TxId};

use super::{
    storms::storm,
    world::{POOL, REWARD, STRANGER, World, atoms, miner},
};
use crate::{
    Act, ChainEvent, ChainWay, Event, Fault, NewAccount, Payout, PayoutEvent, PayoutId, PayoutKind, State, Tip,
    VoidProof, Winning, plan_payout,
};

/// Refused, and nothing changed.
#[track_caller]
fn refused(world: &mut World, event: &Event) -> Fault {
    let before = world.state.clone();
    let fault = world.state.apply(event, &world.shares).expect_err("it cannot be");
    assert_eq!(world.state, before);
    fault
}

fn frame(first: u64, count: u16, epoch: u32) -> Event {
    Event::Frame(FrameHeader {
        front_end: FrontEndId(0),
        epoch: BootEpoch(epoch),
        first: ShareSequence(first),
        count,
        digest: FrameDigest([0; 32]),
    })
}

#[test]
fn a_log_begins_once() {
    let mut world = World::new();
    let opened = world.log[0].clone();
    assert_eq!(refused(&mut world, &opened.clone()), Fault::OpenedAgain);
    let mut empty = State::default();
    for event in &world.log[1..] {
        assert_eq!(empty.apply(event, &world.shares), Err(Fault::NotOpened));
    }
    empty.apply(&opened, &world.shares).expect("the first");
}

#[test]
fn frames_come_whole_once_and_in_order() {
    let mut world = World::new();
    for _ in 0..10 {
        world.share(1, 10);
    }
    world.frame();
    for (event, expected) in [
        (frame(11, 0, 1), Fault::FrameCount(0)),
        (frame(11, 257, 1), Fault::FrameCount(257)),
        (frame(11, 1, 0), Fault::FrameEpoch(FrontEndId(0))),
    ] {
        assert_eq!(refused(&mut world, &event), expected);
    }
    for first in [0, 1, 10, 12, u64::MAX] {
        assert!(matches!(refused(&mut world, &frame(first, 1, 1)), Fault::FrameOrder { .. }), "{first}");
    }
    world.append(frame(11, 1, 2));
}

#[test]
fn accounts_are_numbered_in_order_and_never_the_pool_itself() {
    let mut world = World::new();
    world.share(1, 1);
    world.frame();
    let new = |account, key| Event::Account(NewAccount { account: AccountId(account), key });
    assert_eq!(refused(&mut world, &new(2, POOL)), Fault::OwnKey(POOL));
    assert!(matches!(refused(&mut world, &new(3, miner(2))), Fault::AccountOrder { .. }));
    assert!(matches!(refused(&mut world, &new(1, miner(2))), Fault::AccountOrder { .. }));
    assert!(matches!(refused(&mut world, &new(2, miner(1))), Fault::AccountTaken { .. }));
    world.append(new(2, miner(2)));
}

#[test]
fn blocks_name_shares_that_are_there() {
    let mut world = World::new();
    world.share(1, 1);
    let tip = world.chain.tip;
    let id = world.find_block(tip, true);
    let candidate = world.candidates[&id].clone();
    assert_eq!(refused(&mut world, &Event::Candidate(candidate.clone())), Fault::BlockKnown(id));
    for sequence in [0, 2, u64::MAX] {
        let share = SharePosition { front_end: FrontEndId(0), sequence: ShareSequence(sequence) };
        for winning in [Winning::Share(share), Winning::After(share)] {
            let other = crate::Candidate { id: BlockId([3; 32]), winning, ..candidate.clone() };
            assert!(matches!(refused(&mut world, &Event::Candidate(other)), Fault::WinningShare { .. }));
        }
    }
    let poor = crate::Candidate { id: BlockId([3; 32]), outputs: vec![], ..candidate };
    assert!(matches!(refused(&mut world, &Event::Candidate(poor)), Fault::BlockPaysNothing(_)));
}

#[test]
fn a_way_starts_where_the_last_one_ended_and_joins_what_lies_on_it() {
    let mut world = storm(5, 60);
    world.settle();
    let tip = world.state.tip().expect("based");
    let next = Tip { id: BlockId([8; 32]), height: Height(tip.height.0 + 1) };
    let way = ChainWay { fork: tip, tip: next, joined: vec![], received: vec![], spent: vec![] };
    let chain = |way: ChainWay| Event::Chain(ChainEvent::Way(way));
    let elsewhere = Tip { id: BlockId([9; 32]), height: tip.height };
    assert!(matches!(refused(&mut world, &chain(ChainWay { fork: elsewhere, ..way.clone() })), Fault::WayStart { .. }));
    let above = Tip { id: tip.id, height: next.height };
    assert!(matches!(refused(&mut world, &chain(ChainWay { fork: above, ..way.clone() })), Fault::WayStart { .. }));
    let below = ChainWay { tip: Tip { height: Height(0), ..next }, ..way.clone() };
    assert!(matches!(refused(&mut world, &chain(below)), Fault::Way(_)));
    let unknown = ChainWay { joined: vec![BlockId([5; 32])], ..way.clone() };
    assert!(matches!(refused(&mut world, &chain(unknown)), Fault::UnknownBlock(_)));
    let known = world.state.blocks().next().expect("some").candidate.id;
    let old = ChainWay { joined: vec![known], ..way.clone() };
    assert!(matches!(refused(&mut world, &chain(old)), Fault::BlockPlace { .. }));
    world.append(chain(way));
}

#[test]
fn a_payout_is_what_the_books_allow_to_the_atom() {
    let mut world = World::new();
    for number in 1..=3 {
        world.share(number, 1);
        world.mine(true);
    }
    for _ in 0..12 {
        world.mine(false);
    }
    world.follow();
    let good = plan_payout(&world.state, world.now_ms).expect("sound").expect("due");
    let PayoutKind::Miners(plan) = good.kind.clone() else { panic!("miners") };
    let with = |change: &dyn Fn(&mut crate::PlannedPayout)| {
        let mut other = good.clone();
        change(&mut other);
        Event::Payout(PayoutEvent::Planned(other))
    };
    let mut richer = plan.clone();
    richer.payees[0].gross = atoms(richer.payees[0].gross.atoms() + REWARD);
    richer.payees[0].net = atoms(richer.payees[0].net.atoms() + REWARD);
    let mut uneven = plan.clone();
    uneven.payees[0].fee = Amount::ZERO;
    let wrong: Vec<Event> = vec![
        with(&|payout| payout.id = PayoutId(7)),
        with(&|payout| payout.inputs.clear()),
        with(&|payout| payout.inputs.push(payout.inputs[0])),
        with(&|payout| payout.inputs[0].amount = atoms(1)),
        with(&|payout| payout.inputs[0].outpoint = OutPoint { txid: TxId([1; 32]), index: 0 }),
        with(&|payout| payout.change = atoms(payout.change.atoms() + 1)),
        with(&|payout| payout.network_fee = Amount::ZERO),
        with(&|payout| payout.txid = TxId([1; 32])),
        with(&|payout| payout.kind = PayoutKind::Miners(richer.clone())),
        with(&|payout| payout.kind = PayoutKind::Miners(uneven.clone())),
        with(&|payout| payout.kind = PayoutKind::Fence),
        with(&|payout| payout.kind = PayoutKind::Withdrawal { to: STRANGER, gross: atoms(10_000_000_000) }),
    ];
    for event in wrong {
        let fault = refused(&mut world, &event);
        assert!(!matches!(fault, Fault::Invariant(..)), "{fault}");
    }
    world.append(Event::Payout(PayoutEvent::Planned(good.clone())));
    assert!(matches!(
        refused(&mut world, &Event::Payout(PayoutEvent::Planned(good.clone()))),
        Fault::PayoutOrder { .. }
    ));
    let digest = [2; 32];
    let signed = |payout| Event::Payout(PayoutEvent::Signed { payout, digest });
    assert!(matches!(refused(&mut world, &signed(PayoutId(9))), Fault::UnknownPayout(_)));
    world.append(signed(good.id));
    assert!(matches!(refused(&mut world, &signed(good.id)), Fault::Payout { .. }));
    // The stored bytes were lost: the same transaction under another signature.
    world.append(Event::Payout(PayoutEvent::Signed { payout: good.id, digest: [3; 32] }));
    assert_eq!(world.state.payout(good.id).and_then(|payout| payout.signed), Some([3; 32]));
    no_proof_without_the_chain(&mut world, &good);
}

/// An operator or a bug that says so makes no payout void.
fn no_proof_without_the_chain(world: &mut World, good: &crate::PlannedPayout) {
    let input = good.inputs[0].outpoint;
    for outpoint in [input, OutPoint { txid: TxId([1; 32]), index: 0 }] {
        for proof in
            [VoidProof::SpentElsewhere(outpoint), VoidProof::InputOrphaned(outpoint), VoidProof::ParentVoid(outpoint)]
        {
            let event = Event::Payout(PayoutEvent::Void { payout: good.id, proof });
            assert!(matches!(refused(world, &event), Fault::Payout { .. }));
        }
    }
    assert!(world.state.payout(good.id).is_some_and(Payout::is_open));
}

#[test]
fn decisions_about_nothing_are_refused() {
    let mut world = storm(6, 60);
    world.settle();
    let acts = [
        Act::AdoptWithdrawal { txid: TxId([4; 32]) },
        Act::AdoptRefill { txid: TxId([4; 32]) },
        Act::WriteOff { amount: atoms(1) },
        Act::ReleaseSuspense { amount: atoms(1) },
        Act::ReleaseSuspense { amount: atoms(0) },
        Act::NewKey { key: POOL },
        Act::NewKey { key: miner(1) },
        Act::Forfeit { front_end: FrontEndId(3), first: ShareSequence(1), end: ShareSequence(2) },
        Act::Forfeit { front_end: FrontEndId(0), first: ShareSequence(2), end: ShareSequence(2) },
        Act::Forfeit { front_end: FrontEndId(0), first: ShareSequence(1), end: ShareSequence(1 << 40) },
    ];
    for act in acts {
        let (who, reason) = (String::new(), String::new());
        refused(&mut world, &Event::Operator(crate::Operator { act, who, reason, time_ms: 0 }));
    }
}
