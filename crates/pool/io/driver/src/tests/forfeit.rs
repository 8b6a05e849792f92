//! Shares that cannot be read any more, of a pool that was killed.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use bq_pool_machine::Reason;

use super::{
    fake_node::MATURITY,
    world::{Death, World},
};
use crate::{PoolConfig, StoppedError, rounds::Rounds};

const OLDEST: &str = "shares-00000000000000000001.seg";

fn reason() -> Reason {
    Reason { who: "ops".to_owned(), why: "a test".to_owned() }
}

/// A pool that credited two blocks, paid, went on, and was killed.
fn killed(change: impl FnOnce(&mut PoolConfig)) -> World {
    let mut world = World::with(|config| {
        config.segment_shares = 3;
        config.checkpoint_interval = Duration::ZERO;
        change(config);
    });
    let mut rounds = Rounds::default();
    let mut round = |world: &World| {
        for _ in 0..5 {
            rounds.round(world.keeper());
        }
    };
    for _ in 0..2 {
        for miner in 1..=3 {
            world.mine_share(miner, 500);
        }
        world.find_block(1, 1000);
        round(&world);
    }
    world.node.mine_many(MATURITY + 8);
    world.settle();
    world.node.mine_many(4);
    world.settle();
    world.mine_share(2, 500);
    round(&world);
    assert!(world.paid(1) > 0);
    world.close();
    world
}

/// Everything in the share log.
fn files(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(world.folder.path().join("share-log")).expect("there");
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths.map(|path| (path.clone(), fs::read(path).expect("readable"))).collect()
}

fn break_oldest(world: &World) -> Vec<u8> {
    let path = world.folder.path().join("share-log").join(OLDEST);
    let whole = fs::read(&path).expect("there");
    let mut bytes = whole.clone();
    *bytes.get_mut(150).expect("long") ^= 1;
    fs::write(&path, bytes).expect("written");
    whole
}

#[test]
fn shares_that_are_whole_are_not_given_up() {
    let world = killed(|_| {});
    let before = files(&world);
    let second = "shares-00000000000000000004.seg";
    for segment in [OLDEST, second] {
        let refused = world.stopped().forfeit(segment, &reason(), false).expect_err("nothing is wrong").to_string();
        assert!(refused.contains("nothing to give up"), "{refused}");
    }
    break_oldest(&world);
    let refused = world.stopped().forfeit(second, &reason(), false).expect_err("another one is damaged").to_string();
    assert!(refused.contains(OLDEST), "{refused}");
    assert_eq!(files(&world).len(), before.len());
    world.stopped().forfeit(OLDEST, &reason(), false).expect("that one");
}

#[test]
fn a_killed_pool_goes_on_without_shares_that_its_blocks_were_paid_by() {
    let mut world = killed(|_| {});
    break_oldest(&world);
    assert!(world.try_open(&Death::default()).is_err(), "a damaged segment is refused");
    let before = files(&world);
    let would = world.stopped().forfeit(OLDEST, &reason(), true).expect("it may");
    assert_eq!(files(&world), before, "only said");
    let told = world.stopped().forfeit(OLDEST, &reason(), false).expect("given up");
    assert_eq!(would, format!("Would do: {told}"));
    assert!(told.starts_with("shares 1 to 4 are given up"), "{told}");
    assert!(world.stopped().forfeit(OLDEST, &reason(), true).is_err(), "it is done");
    world.try_open(&Death::default()).expect("opens without these shares");
    world.find_block(2, 1000);
    world.settle();
    world.node.mine_many(MATURITY + 8);
    world.settle();
    world.check_books(&[1, 2, 3]);
}

#[test]
fn shares_that_only_a_replay_could_pay_by_are_not_given_up() {
    let mut world = killed(|config| config.checkpoint_interval = Duration::from_secs(3600 * 24));
    // As if the two blocks had been credited within one interval.
    let forget = "DELETE FROM checkpoints";
    let books = rusqlite::Connection::open(world.folder.path().join("books.sqlite")).expect("opens");
    books.execute_batch(forget).expect("runs");
    drop(books);
    let whole = break_oldest(&world);
    let before = files(&world);
    for dry_run in [true, false] {
        let refused = world.stopped().forfeit(OLDEST, &reason(), dry_run).expect_err("refused");
        assert!(matches!(&refused, StoppedError::Value { field: "segment", .. }), "{refused}");
        let told = refused.to_string();
        assert!(told.contains("event ") && told.contains("bq pool recover"), "{told}");
        assert_eq!(files(&world), before);
    }
    fs::write(world.folder.path().join("share-log").join(OLDEST), whole).expect("written");
    world.try_open(&Death::default()).expect("as it was");
    world.check_books(&[1, 2, 3]);
}

#[test]
fn a_command_that_died_between_file_and_event_is_given_again() {
    let mut world = killed(|_| {});
    break_oldest(&world);
    let books = world.folder.path().join("books.sqlite");
    let before = fs::read(&books).expect("there");
    world.stopped().forfeit(OLDEST, &reason(), false).expect("given up");
    fs::write(&books, before).expect("the event was not written");
    let refused = world.try_open(&Death::default()).expect_err("half of it").to_string();
    assert!(refused.contains(&format!("bq pool forfeit {OLDEST} once more")), "{refused}");
    world.close();
    world.stopped().forfeit(OLDEST, &reason(), false).expect("the rest of it");
    world.try_open(&Death::default()).expect("opens");
}

#[test]
fn an_audit_computes_from_the_newest_state_that_needs_nothing_of_what_was_given_up() {
    let mut world = killed(|_| {});
    break_oldest(&world);
    world.stopped().forfeit(OLDEST, &reason(), false).expect("given up");
    for found in 0..2 {
        let findings = world.stopped().audit().expect("readable");
        assert_eq!(findings.faults, Vec::<String>::new());
        assert!(findings.events > 0 && findings.events_read > 10, "{findings:?}");
        assert!(findings.frames_without_shares > 0, "{findings:?}");
        world.try_open(&Death::default()).expect("opens");
        world.find_block(2, 1000);
        world.settle();
        world.node.mine_many(MATURITY + 8);
        world.settle();
        world.keeper().checkpoint(found == 0).expect("room");
        world.close();
    }
    let books = rusqlite::Connection::open(world.folder.path().join("books.sqlite")).expect("opens");
    books.execute_batch("UPDATE rows SET value = x'31' WHERE kind = 'balance' AND key LIKE 'miner%'").expect("runs");
    drop(books);
    let faults = world.stopped().audit().expect("readable").faults;
    assert!(faults.iter().all(|fault| fault.starts_with("balance miner")) && !faults.is_empty(), "{faults:?}");
}
