//! Books and shares that do not fit, and starts that must go on where they ended.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use bq_pool_machine::{Applied, Event, Fault, PayoutState, Shares, State};
use bq_primitives::{Address, Amount};

use super::{
    NETWORK,
    fake_node::MATURITY,
    world::{Death, World, key},
};
use crate::{Decision, PoolError, Reason, Refusal, Rules};

fn lived() -> World {
    let world = World::new();
    for _ in 0..5 {
        world.mine_share(1, 100);
    }
    world.find_block(2, 500);
    world.node.mine_many(MATURITY + 4);
    world.settle();
    world.node.mine_many(4);
    world.settle();
    world
}

#[test]
fn a_start_goes_on_where_it_ended_with_and_without_a_checkpoint() {
    let mut world = lived();
    let (head, paid) = (world.keeper().written(), world.paid(2));
    assert!(paid > 0);
    world.restart();
    let from_log = world.keeper().state.read().clone();
    assert_eq!(from_log.head(), head);
    world.keeper().checkpoint(true).expect("room");
    let after = world.keeper().written();
    assert_eq!(after.number.0, head.number.0 + 1);
    world.restart();
    let from_checkpoint = world.keeper().state.read().clone();
    assert_eq!(from_checkpoint.head(), after);
    assert_eq!(from_checkpoint.books(), from_log.books());
    assert_eq!(world.paid(2), paid);
    world.settle();
    world.check_books(&[1, 2]);
}

#[test]
fn another_key_file_is_refused_unless_the_old_key_is_given_up() {
    let mut world = lived();
    let old = world.key;
    world.key = key(0xbb);
    let refused = world.try_open(&Death::default());
    assert!(
        matches!(&refused, Err(PoolError::WrongKey { log, file }) if *log == old && *file == key(0xbb)),
        "{refused:?}"
    );
    let text = refused.expect_err("refused").to_string();
    assert!(text.contains("--new-key") && text.contains(&old.to_string()));
    world.config.accept_new_key = true;
    world.try_open(&Death::default()).expect("given up");
    world.settle();
    assert!(world.names().contains(&"coins_missing"), "{:?}", world.names());
}

#[test]
fn a_lost_key_is_given_up_at_once_and_what_was_signed_still_goes_out() {
    let mut world = World::new();
    world.find_block(1, 500);
    world.node.mine_many(MATURITY);
    world.settle();
    let states = |world: &World| world.keeper().state.read().payouts().map(|payout| payout.state).collect::<Vec<_>>();
    assert_eq!(states(&world), [PayoutState::Signed], "on its way");
    world.find_block(2, 500);
    world.settle();
    assert!(world.immature(2) > 0);
    world.close();
    world.node.forget_mempool();
    world.key = key(0xbb);
    world.config.accept_new_key = true;
    world.try_open(&Death::default()).expect("nothing has to be waited for");
    world.settle();
    assert_eq!(world.immature(2), 0);
    assert!(world.payable(2) > 0, "the work was done");
    assert_eq!(world.names(), ["coins_missing", "short_of_coins"]);
    assert_eq!(states(&world), [PayoutState::Signed], "it needs no key");
    world.node.mine_many(4);
    world.settle();
    assert_eq!(states(&world), [PayoutState::Final]);
    assert!(world.paid(1) > 0 && world.paid(1) == world.node.received(key(1)));
    assert_eq!(world.names(), ["coins_missing", "short_of_coins"], "the books have the coins that the node has");
}

#[test]
fn a_damaged_or_missing_segment_stops_the_start_by_name() {
    let mut world = lived();
    world.close();
    let folder = world.folder.path().join("share-log");
    let name = || {
        let names = fs::read_dir(&folder).expect("there").map(|entry| entry.expect("an entry").path());
        names.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).max().expect("a segment")
    };
    let path = name();
    let good = fs::read(&path).expect("readable");
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        fs::write(&path, &bad).expect("written");
        let refused = world.try_open(&Death::default()).expect_err("a flipped bit").to_string();
        assert!(refused.contains("share"), "byte {index}: {refused}");
        assert_eq!(fs::read(&path).expect("still there"), bad, "nothing was changed");
    }
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).expect("written");
        assert!(world.try_open(&Death::default()).is_err(), "{length} bytes");
    }
    fs::remove_file(&path).expect("removed");
    assert!(world.try_open(&Death::default()).is_err(), "a missing segment");
    fs::write(&path, &good).expect("written");
    world.try_open(&Death::default()).expect("restored");
    world.settle();
    world.check_books(&[1, 2]);
}

#[test]
fn shares_that_were_moved_to_another_account_are_found() {
    use bq_mining_message::{FrontEndId, Share, ShareSequence};
    use bq_segments::{LogIdentity, LogOptions, RealDisk, ShareLog};
    use std::sync::Arc;

    let mut world = lived();
    let log = Arc::clone(&world.keeper().log);
    let shares: Vec<Share> =
        log.read(ShareSequence::FIRST..log.next()).map(|share| share.expect("readable").1).collect();
    drop(log);
    world.close();
    let folder = world.folder.path().join("share-log");
    fs::remove_dir_all(&folder).expect("removed");
    // A log that is whole in itself, with right checksums, and says something else.
    let identity =
        LogIdentity { genesis: bq_chain_api::NodeApi::genesis_id(world.node.as_ref()), front_end: FrontEndId(0) };
    let forged = ShareLog::open(Arc::new(RealDisk), &folder, identity, ShareSequence::FIRST, LogOptions::default())
        .expect("new");
    for share in shares {
        forged.append(&Share { payee: key(9), ..share }).expect("written");
    }
    drop(forged);
    let refused = world.try_open(&Death::default());
    assert!(matches!(refused, Err(PoolError::Unproven(_))), "{refused:?}");
}

#[test]
fn an_edited_event_stops_the_start_by_number() {
    let mut world = lived();
    world.close();
    let path = world.folder.path().join("books.sqlite");
    let raw = rusqlite::Connection::open(&path).expect("opens");
    raw.execute_batch("DROP TRIGGER events_keep_their_content; DROP TRIGGER events_stay;").expect("dropped");
    let events: i64 = raw.query_row("SELECT max(number) FROM events", [], |row| row.get(0)).expect("read");
    assert!(events >= 8, "{events}");
    for number in 1..=events {
        let bytes: Vec<u8> =
            raw.query_row("SELECT bytes FROM events WHERE number = ?1", [number], |row| row.get(0)).expect("read");
        let mut bad = bytes.clone();
        let last = bad.len() - 1;
        bad[last] ^= 1;
        raw.execute("UPDATE events SET bytes = ?1 WHERE number = ?2", (&bad, number)).expect("edited");
        let refused = world.try_open(&Death::default()).expect_err("an edited event");
        // A frame of other shares is found by its digest first.
        assert!(matches!(refused, PoolError::Log { .. } | PoolError::Unproven(_)), "{number}: {refused}");
        world.close();
        raw.execute("UPDATE events SET bytes = ?1 WHERE number = ?2", (&bytes, number)).expect("put back");
    }
    world.try_open(&Death::default()).expect("as it was");
    raw.execute("DELETE FROM events WHERE number = 5", []).expect("a hole");
    assert!(matches!(world.try_open(&Death::default()), Err(PoolError::Log { .. })));
}

#[test]
fn a_changed_fee_holds_for_shares_after_it() {
    let mut world = World::new();
    world.mine_share(1, 900);
    world.config.fee_bp = 5000;
    world.restart();
    world.settle();
    let state = world.keeper().state.read();
    let fee = state.terms().map(|terms| terms.lanes[0].fee.get());
    assert_eq!(fee, Some(5000));
    let old = bq_mining_message::SharePosition { sequence: bq_mining_message::ShareSequence(1), ..Default::default() };
    assert_eq!(state.terms_of(old).map(|terms| terms.lanes[0].fee.get()), Some(100));
}

#[test]
fn older_books_are_never_passed_over() {
    use std::sync::Arc;

    use super::{
        NETWORK,
        fake_node::FakeNode,
        world::{FakeSigner, POOL_KEY, fast_folder},
    };
    use crate::{Pool, PoolConfig};

    let folder = fast_folder();
    fs::write(folder.path().join("ledger.sqlite"), b"balances").expect("written");
    let config = PoolConfig::new(folder.path().to_owned(), NETWORK);
    let refused =
        Pool::open(config, FakeNode::new(), Arc::new(FakeSigner(POOL_KEY))).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|text| text.contains("ledger.sqlite")));
    assert!(!folder.path().join("books.sqlite").exists(), "nothing was begun");
}

#[test]
fn a_panic_of_a_thread_is_shown_for_a_while() {
    for (shown, is_named) in [(std::time::Duration::from_secs(600), true), (std::time::Duration::ZERO, false)] {
        let world = World::with(|config| config.panic_shown = shown);
        world.keeper().thread_panicked();
        assert_eq!(world.names().contains(&"pool_thread_restarted"), is_named);
    }
}

#[test]
fn an_event_that_was_changed_between_two_checkpoints_is_named_at_start() {
    const FREE: &str = "DROP TRIGGER events_keep_their_content;";
    for change in
        ["UPDATE events SET bytes = x'0100' WHERE number = 6", "UPDATE events SET hash = zeroblob(32) WHERE number = 6"]
    {
        let mut world = World::new();
        for _ in 0..2 {
            world.keeper().checkpoint(true).expect("room");
            for miner in 1..=3 {
                world.mine_share(miner, 500);
                world.settle();
            }
        }
        world.keeper().checkpoint(true).expect("room");
        world.close();
        let books = rusqlite::Connection::open(world.folder.path().join("books.sqlite")).expect("opens");
        let sql = change.replace('6', "(SELECT max(number) - 3 FROM events)");
        books.execute_batch(&format!("{FREE} {sql}")).expect("runs");
        drop(books);
        let refused = world.try_open(&Death::default()).expect_err("changed").to_string();
        assert!(refused.contains("was changed or is gone"), "{refused}");
    }
}

#[test]
fn shares_without_books_do_not_begin_a_new_pool() {
    let mut world = lived();
    world.find_block(1, 500);
    world.settle();
    world.close();
    for entry in fs::read_dir(world.folder.path()).expect("there").map(|entry| entry.expect("an entry")) {
        if entry.file_name().to_string_lossy().starts_with("books.sqlite") {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
    let refused = world.try_open(&Death::default()).expect_err("the books are gone").to_string();
    assert!(refused.contains("bq pool restore"), "{refused}");
    fs::remove_dir_all(world.folder.path().join("share-log")).expect("removed");
    for _ in 0..2 {
        world.try_open(&Death::default()).expect("a new pool");
        world.settle();
        assert!(world.names().contains(&"log_behind_chain"), "{:?}", world.names());
        let to = Address { network: NETWORK, key_hash: key(9) };
        let withdraw = Decision::Withdraw { amount: Amount::from_atoms(1000).expect("small"), to };
        let reason = Reason { who: "ops".to_owned(), why: "a test".to_owned() };
        let refused = world.keeper().decide(&withdraw, &reason, false);
        assert!(matches!(refused, Err(Refusal::State(_))), "{refused:?}");
        world.close();
    }
}

/// Faults once after a chain event was applied, as a read that fails in its middle does.
fn faults_once(state: &mut State, event: &Event, shares: &dyn Shares) -> Result<Applied, Fault> {
    static HAS_FAULTED: AtomicBool = AtomicBool::new(false);
    let applied = state.apply(event, shares)?;
    match event {
        Event::Chain(_) if !applied.blocks.is_empty() && !HAS_FAULTED.swap(true, Ordering::Relaxed) => {
            Err(Fault::NotOpened)
        }
        _ => Ok(applied),
    }
}

#[test]
fn a_fault_leaves_no_half_of_an_event() {
    let mut world = World::new();
    world.close();
    world.rules = Rules { apply: faults_once, ..Rules::MACHINE };
    world.try_open(&Death::default()).expect("opens");
    world.find_block(1, 500);
    let before = world.keeper().state.read().clone();
    assert!(world.try_settle().is_err(), "it faults");
    let torn = world.keeper().state.read().blocks().filter(|block| block.is_on_chain()).count();
    assert_eq!((torn, before.blocks().filter(|block| block.is_on_chain()).count()), (0, 0));
    world.settle();
    world.node.mine_many(MATURITY + 4);
    world.settle();
    world.node.mine_many(4);
    world.settle();
    world.check_books(&[1]);
    world.close();
    let audit = world.stopped().audit().expect("readable");
    assert!(audit.faults.is_empty(), "{:?}", audit.faults);
}
