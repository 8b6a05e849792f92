//! The pool dies at every single effect of a whole life: before it, and after it but before it hears of it. Whatever the
//! moment, the next start continues and nothing is lost or doubled.

use std::time::{Duration, Instant};

use bq_books::{Row, RowKind};
use bq_chain_api::NodeApi as _;
use bq_mining_message::ShareSequence;
use bq_pool_machine::Winning;

use super::{
    atoms,
    world::{Death, World, key, share_to},
};
use crate::{PayoutMode, PoolConfig};

/// Shares, a block, its burial, a payout, its burial, another block.
fn live(world: &mut World, death: &Death) -> u64 {
    let mut acknowledged = 0;
    for round in 0..2 {
        for miner in 1..=3 {
            let share = share_to(key(miner), 100 + u64::from(miner));
            acknowledged += u64::from(world.keeper().record(&share, None).is_ok());
            revive(world, death);
        }
        settle(world, death);
        let (_, outcome) = world.try_block(share_to(key(2), 400));
        acknowledged += u64::from(outcome.is_ok());
        revive(world, death);
        for _ in 0..5 {
            settle(world, death);
            world.node.mine();
        }
        settle(world, death);
        world.node.mine_many(2 + round);
        settle(world, death);
    }
    acknowledged
}

fn settle(world: &mut World, death: &Death) {
    // A failed step is tried again by the living and by the revived.
    let _ = world.try_settle();
    revive(world, death);
    let _ = world.try_settle();
    revive(world, death);
}

fn revive(world: &mut World, death: &Death) {
    if death.is_dead() && !world.revived {
        world.restart();
    }
}

/// What a life without death comes to.
fn undisturbed(mode: PayoutMode) -> (Vec<u64>, u32) {
    let mut effects = 0;
    loop {
        let death = Death::at(effects, false);
        let mut world = World::dying(|config| config.payout_mode = Some(mode), &death);
        live(&mut world, &death);
        if !death.is_dead() {
            world.settle();
            let got = |miner| world.node.received(key(miner)) + world.node.mined_to(key(miner));
            return ((1..=3).map(got).collect(), effects);
        }
        effects += 1;
    }
}

#[test]
fn whatever_the_moment_nothing_is_lost_or_doubled() {
    dies_at_every_effect(PayoutMode::Ledger);
}

#[test]
fn nor_where_coinbases_pay() {
    dies_at_every_effect(PayoutMode::Direct);
}

fn dies_at_every_effect(mode: PayoutMode) {
    let (expected, effects) = undisturbed(mode);
    assert!(expected.iter().all(|received| *received > 0), "{expected:?}");
    assert!(effects > 30, "{effects}");
    for effect in 0..effects {
        for after in [false, true] {
            let death = Death::at(effect, after);
            let mut world = World::dying(|config| config.payout_mode = Some(mode), &death);
            let acknowledged = live(&mut world, &death);
            assert!(death.is_dead(), "effect {effect}");
            for _ in 0..20 {
                world.node.mine();
                world.settle();
            }
            world.check_books(&[1, 2, 3]);
            let logged = u64::try_from(world.shares_in_log()).expect("few");
            assert!(
                logged >= acknowledged && logged <= acknowledged + 1,
                "effect {effect} {after}: {logged} of {acknowledged}"
            );
            let got = |miner| world.node.received(key(miner)) + world.node.mined_to(key(miner));
            let received: u64 = (1..=3).map(|miner| got(miner) + world.payable(miner)).sum();
            assert!(received > 0, "effect {effect}");
            assert!(world.names().is_empty(), "effect {effect} {after}: {:?}", world.names());
        }
    }
}

/// Its miner was told to come again, and does when the share is written already, told or not.
#[test]
fn the_share_of_a_block_is_written_once_however_often_it_is_handed_in() {
    let death = Death::default();
    let world = World::dying(|_| {}, &death);
    world.mine_share(1, 500);
    world.settle();
    death.set_full(true);
    let (block, share) = world.sealed(share_to(key(1), 300));
    let hand_in = || world.keeper().record(&share, Some(block.clone()));
    assert!(hand_in().is_err());
    death.set_full(false);
    world.keeper().write_owed_shares().expect("there is room");
    hand_in().expect("it is booked");
    world.settle();
    hand_in().expect("it is booked");
    world.settle();
    assert_eq!(world.shares_in_log(), 2);
    world.check_books(&[1]);
}

#[test]
fn a_full_disk_stops_shares_and_nothing_else_and_goes_by_itself() {
    let death = Death::default();
    let mut world = World::dying(|_| {}, &death);
    world.mine_share(1, 500);
    world.settle();
    death.set_full(true);
    assert!(world.keeper().record(&share_to(key(1), 10), None).is_err(), "acknowledged means written");
    let (block, outcome) = world.try_block(share_to(key(1), 300));
    assert!(outcome.is_err());
    assert_eq!(world.node.tip().id, block, "the block goes out although its share cannot be written");
    world.node.mine_many(2);
    assert!(world.try_settle().is_err());
    death.set_full(false);
    world.settle();
    let winning = world.keeper().state.read().block(&block).map(|block| block.candidate.winning.clone());
    assert!(matches!(winning, Some(Winning::Share(share)) if share.sequence.0 == 2), "its own share: {winning:?}");
    world.node.mine_many(8);
    world.settle();
    world.node.mine_many(8);
    world.settle();
    assert!(world.node.received(key(1)) > 0);
    world.check_books(&[1]);
    world.restart();
    world.check_books(&[1]);
    assert_eq!(world.shares_in_log(), 2);
}

#[test]
fn shares_of_a_batch_are_booked_together_or_refused_each() {
    let death = Death::default();
    let mut world = World::dying(|_| {}, &death);
    let batch: Vec<_> = (1..=3).map(|miner| share_to(key(miner), 100 * u64::from(miner))).collect();
    assert!(world.keeper().record_all(&batch).iter().all(Result::is_ok));
    death.set_full(true);
    assert!(world.keeper().record_all(&batch).iter().all(Result::is_err), "acknowledged means written");
    death.set_full(false);
    assert!(world.keeper().record_all(&[]).is_empty());
    world.find_block(1, 100);
    world.settle();
    world.node.mine_many(1);
    world.settle();
    // The batch in its order, and the block's own share; the window takes only a part of the oldest.
    let [one, two, three] = [1, 2, 3].map(|miner| world.immature(miner) + world.payable(miner));
    assert!(0 < one && one < two && two < three, "{one}, {two}, {three}");
    world.check_books(&[1, 2, 3]);
    world.restart();
    assert_eq!(world.shares_in_log(), 4);
    world.check_books(&[1, 2, 3]);
}

/// The thread that keeps the books syncs what it tells. It may wait for a node that hangs, or for another program that locks the books: nobody calls it here.
#[test]
fn shares_are_synced_also_while_the_books_wait() {
    let world = World::with(|config| config.share_sync = Some(Duration::from_millis(1)));
    world.mine_share(1, 500);
    let log = &world.keeper().log;
    let is_synced = || log.synced_before() == log.next();
    let began = Instant::now();
    while !is_synced() {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", log.status());
        std::thread::yield_now();
    }
    assert!(log.next() > ShareSequence::FIRST);
}

/// What is kept of a statement is more than one row: an audit knows each of them.
#[test]
fn whatever_the_moment_statements_of_what_is_owed_are_kept_whole_or_not() {
    for after in [false, true] {
        let mut effects = 0;
        while dies_while_stating(effects, after) {
            effects += 1;
        }
        assert!(effects > 8, "{effects}");
    }
}

/// Whether it came to that effect.
fn dies_while_stating(effect: u32, after: bool) -> bool {
    let death = Death::default();
    let short = |config: &mut PoolConfig| (config.statements_kept, config.payout_min) = (1, atoms(1 << 50));
    let mut world = World::stating_and_dying(short, &death);
    world.mine_share(1, 500);
    world.find_block(1, 500);
    world.settle();
    world.node.mine_many(8);
    world.settle();
    death.arm(effect, after);
    let revive = |world: &mut World| {
        if death.is_dead() && !world.revived {
            world.close();
            assert_eq!(faults(world), Vec::<String>::new(), "effect {effect} {after}");
            world.restart();
        }
    };
    for miner in 2..=4 {
        let _ = world.keeper().state_liabilities();
        revive(&mut world);
        world.clock.pass(Duration::from_secs(3600));
        // The next one is of other books.
        let _ = world.keeper().record(&share_to(key(miner), 500), None);
        let _ = world.try_settle();
        revive(&mut world);
    }
    let came_to_it = death.is_dead();
    death.arm(u32::MAX, false);
    world.keeper().state_liabilities().expect("stated");
    world.close();
    assert_eq!(faults(&world), Vec::<String>::new(), "effect {effect} {after}");
    came_to_it
}

fn faults(world: &World) -> Vec<String> {
    world.stopped().audit().expect("readable").faults
}

#[test]
fn balances_without_a_statement_go_with_old_statements() {
    let mut world = World::stating(|_| {});
    world.mine_share(1, 500);
    world.find_block(1, 500);
    world.settle();
    let (kind, key, group) = (RowKind::Liabilities, "1:balances".to_owned(), "balances".to_owned());
    world.keeper().put_back(Row { kind, key, group, order: 1, value: Some(vec![0]) }).expect("room");
    world.keeper().state_liabilities().expect("stated");
    world.close();
    assert_eq!(faults(&world), Vec::<String>::new());
}
