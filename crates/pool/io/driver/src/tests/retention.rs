//! Old shares go when nothing can want them any more, and everything goes on without them.

use bq_mining_message::{FrontEndId, ShareSequence};
use bq_pool_machine::Reason;

use super::{
    fake_node::MATURITY,
    world::{D, Death, World, fast_folder},
};
use crate::{Findings, PoolConfig, PoolError, rounds::Rounds};

/// Ten shares in each file, and nothing is kept for its age: the shares of this world are from 1970.
fn short(config: &mut PoolConfig) {
    config.segment_shares = 10;
    config.keep_days = 1;
}

/// A pool with 61 shares and one block that matured, whose window of two blocks was full of them.
fn lived(change: impl FnOnce(&mut PoolConfig)) -> World {
    let world = World::with(|config| {
        short(config);
        change(config);
    });
    for miner in 1..=60 {
        world.mine_share(miner % 3 + 1, D / 5);
    }
    world.find_block(1, D);
    world.settle();
    world
}

fn mature(world: &World) {
    world.node.mine_many(MATURITY + 4);
    world.settle();
}

/// Two checkpoints, as far apart as the books take them.
fn checkpoint_twice(world: &World) {
    for _ in 0..2 {
        world.mine_share(2, 1);
        world.settle();
        world.keeper().checkpoint(true).expect("room");
    }
}

fn pruned_before(world: &World) -> u64 {
    world.keeper().log.status().pruned_before.0
}

fn audited(world: &mut World) -> Findings {
    world.close();
    world.stopped().audit().expect("readable")
}

#[test]
fn shares_go_once_no_window_can_want_them() {
    let world = lived(|_| {});
    checkpoint_twice(&world);
    // The block is immature: its window is half its own share and 7.5 more of a fifth each, back to share 53.
    assert_eq!(world.keeper().prune().expect("a healthy disk"), 5);
    assert_eq!(pruned_before(&world), 51);
    for miner in 0..30 {
        world.mine_share(miner % 3 + 1, D / 5);
    }
    checkpoint_twice(&world);
    assert_eq!(world.keeper().prune().expect("a healthy disk"), 0, "it is still immature");
    mature(&world);
    checkpoint_twice(&world);
    assert_eq!(world.keeper().prune().expect("a healthy disk"), 3);
    assert_eq!(pruned_before(&world), 81);
    world.check_books(&[1, 2, 3]);
}

#[test]
fn a_pool_without_old_shares_starts_pays_and_is_audited() {
    let mut world = lived(|_| {});
    mature(&world);
    checkpoint_twice(&world);
    assert!(world.keeper().prune().expect("a healthy disk") > 0);
    let (before, head) = (pruned_before(&world), world.keeper().written());
    world.restart();
    assert_eq!((pruned_before(&world), world.keeper().written()), (before, head));
    // Another block, whose window lies in what is kept; and one of a lane that never had a share, whose walk ends where shares are gone.
    world.find_block(2, D);
    let ethash = super::world::share_to(super::world::key(3), D);
    let ethash = bq_mining_message::Share { algorithm: bq_primitives::Algorithm::Ethash, ..ethash };
    world.try_block(ethash).1.expect("booked");
    mature(&world);
    world.node.mine_many(4);
    world.settle();
    assert_eq!(world.names(), Vec::<&str>::new());
    world.check_books(&[1, 2, 3]);
    let findings = audited(&mut world);
    assert_eq!(findings.faults, Vec::<String>::new());
    assert!(findings.events > 5 && findings.events_read > 10, "{findings:?}");
    assert!(findings.frames > 0 && findings.frames_without_shares > 0, "{findings:?}");
    assert_eq!(findings.events + findings.events_read, head_of(&mut world));
}

fn head_of(world: &mut World) -> u64 {
    world.try_open(&Death::default()).expect("opens");
    world.keeper().written().number.0
}

#[test]
fn an_audit_behind_dropped_shares_still_names_what_was_changed() {
    let cases = [
        ("UPDATE rows SET value = CAST('1' AS BLOB) WHERE kind = 'balance' AND key LIKE 'miner%'", "balance miner"),
        ("INSERT INTO rows VALUES ('balance', 'fees/forged', '', 0, x'31')", "balance fees/forged: stored"),
        (
            "DROP TRIGGER events_keep_their_content; UPDATE events SET hash = zeroblob(32) WHERE number = 3",
            "event 3: it does not continue the hash chain",
        ),
        ("DELETE FROM checkpoints", "old shares are dropped or given up, and no checkpoint is kept"),
        (
            "UPDATE checkpoints SET state = (SELECT state FROM checkpoints ORDER BY number DESC LIMIT 1)",
            "the checkpoint at event ",
        ),
    ];
    for (sql, expected) in cases {
        let mut world = lived(|_| {});
        mature(&world);
        checkpoint_twice(&world);
        assert!(world.keeper().prune().expect("a healthy disk") > 0);
        world.close();
        let books = rusqlite::Connection::open(world.folder.path().join("books.sqlite")).expect("opens");
        books.execute_batch(sql).expect("runs");
        drop(books);
        let audit = world.stopped().audit();
        let found = audit.map_or_else(|error| vec![error.to_string()], |findings| findings.faults);
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{sql}: {found:?}");
    }
}

#[test]
fn rounds_drop_shares_by_themselves_and_0_days_keep_all() {
    for (keep_days, goes) in [(1, true), (0, false)] {
        let world = lived(|config| {
            config.checkpoint_events = 1;
            config.keep_days = keep_days;
        });
        mature(&world);
        let mut rounds = Rounds::default();
        for _ in 0..3 {
            world.mine_share(1, 1);
            rounds.round(world.keeper());
        }
        assert_eq!(pruned_before(&world) > 1, goes, "{keep_days} days");
    }
}

#[test]
fn young_shares_are_kept_whatever_windows_want() {
    let world = lived(|_| {});
    mature(&world);
    let now = world.keeper().now_ms();
    for _ in 0..20 {
        let share = super::world::share_to(super::world::key(1), D);
        world.keeper().record(&bq_mining_message::Share { time_ms: now, ..share }, None).expect("booked");
    }
    for _ in 0..2 {
        let share = super::world::share_to(super::world::key(1), D);
        world.keeper().record(&bq_mining_message::Share { time_ms: now, ..share }, None).expect("booked");
        world.settle();
        world.keeper().checkpoint(true).expect("room");
    }
    assert!(world.keeper().prune().expect("a healthy disk") > 0);
    // Shares 62 to 81 are of today; a window that begins in the file of the first of them reaches back to 53.
    assert_eq!(pruned_before(&world), 51);
}

#[test]
fn a_block_that_leaves_and_comes_back_finds_its_window() {
    let mut world = lived(|_| {});
    let block = world.keeper().node.tip().id;
    let credited = world.immature(1);
    let parent = world.keeper().node.block(&block).expect("there").expect("kept").header.parent_id;
    for _ in 0..40 {
        world.mine_share(2, D);
    }
    let rival = world.node.mine_on(parent);
    let rival = world.node.mine_on(rival);
    world.node.reorganise_to(rival);
    world.settle();
    assert_eq!(world.immature(1), 0);
    checkpoint_twice(&world);
    assert!(world.keeper().prune().expect("a healthy disk") > 0);
    world.restart();
    world.node.reorganise_to(block);
    world.settle();
    assert_eq!(world.immature(1), credited);
}

#[test]
fn a_longer_window_is_refused_while_its_shares_are_gone() {
    let mut world = lived(|_| {});
    mature(&world);
    checkpoint_twice(&world);
    assert!(world.keeper().prune().expect("a healthy disk") > 0);
    world.config.pplns_window_units = 6;
    let refused = world.try_open(&Death::default());
    assert!(matches!(&refused, Err(PoolError::Config { field: "pplns_window_units", .. })), "{refused:?}");
    world.config.pplns_window_units = 2;
    world.try_open(&Death::default()).expect("as before");
    for _ in 0..7 {
        world.mine_share(1, D);
    }
    world.settle();
    world.config.pplns_window_units = 6;
    world.try_open(&Death::default()).expect("there are enough by now");
    world.find_block(1, D);
    world.settle();
    world.check_books(&[1]);
}

#[test]
fn no_share_goes_while_a_backup_is_made_and_a_backup_without_old_shares_comes_back() {
    let mut world = lived(|_| {});
    mature(&world);
    checkpoint_twice(&world);
    {
        let _made = world.keeper().backing_up.lock();
        assert_eq!(world.keeper().prune().expect("nothing to do"), 0);
    }
    assert!(world.keeper().prune().expect("a healthy disk") > 0);
    let before = pruned_before(&world);
    let copies = fast_folder();
    let folder = copies.path().join("copy");
    let pool = world.stopped();
    pool.back_up(&folder, false).expect("made");
    world.mine_share(2, 1);
    world.settle();
    world.find_block(2, D);
    world.settle();
    world.close();
    pool.restore(&folder, None, false).expect("restored");
    world.try_open(&Death::default()).expect("opens");
    assert_eq!(pruned_before(&world), before);
    world.settle();
    assert!(world.names().contains(&"log_behind_chain"), "{:?}", world.names());
    let reason = Reason { who: "ops".to_owned(), why: "restored".to_owned() };
    world.keeper().decide(&crate::Decision::Recover, &reason, false).expect("it may");
    mature(&world);
    world.node.mine_many(10);
    world.settle();
    assert!(!world.names().contains(&"recovering"), "{:?}", world.names());
    assert_eq!(world.keeper().state.read().front_end(FrontEndId(0)).map(|head| head.next), Some(ShareSequence(66)));
}
