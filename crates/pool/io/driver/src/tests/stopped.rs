//! What can be done to a pool that does not run.

use std::path::{Path, PathBuf};

use bq_pool_machine::{PoolOperator as _, Reason};
use bq_primitives::BlockId;

use super::{
    NETWORK,
    fake_node::MATURITY,
    world::{Death, World, fast_folder},
};
use crate::{StoppedError, StoppedPool};

fn reason() -> Reason {
    Reason { who: "ops".to_owned(), why: "a test".to_owned() }
}

/// A pool that earned and paid something, closed in order.
fn closed() -> World {
    let mut world = World::new();
    for _ in 0..3 {
        world.find_block(1, 1000);
        world.mine_share(2, 500);
        world.settle();
    }
    world.node.mine_many(MATURITY + 8);
    world.settle();
    world.keeper().checkpoint(true).expect("written");
    world.mine_share(2, 500);
    world.settle();
    world.close();
    world
}

fn edit(world: &World, sql: &str) {
    let books = rusqlite::Connection::open(world.folder.path().join("books.sqlite")).expect("opens");
    books.execute_batch(sql).expect("runs");
}

fn faults(world: &World) -> Vec<String> {
    world.stopped().audit().expect("readable").faults
}

#[test]
fn an_audit_finds_nothing_in_sound_books() {
    let world = closed();
    let findings = world.stopped().audit().expect("readable");
    assert_eq!(findings.faults, Vec::<String>::new());
    assert!(findings.events > 10 && findings.frames > 3 && findings.rows > 5, "{findings:?}");
    assert_eq!(findings.frames_without_shares, 0);
}

#[test]
fn an_audit_names_what_was_changed() {
    let cases = [
        ("UPDATE rows SET value = CAST('1' AS BLOB) WHERE kind = 'balance' AND key LIKE 'miner%'", "balance miner"),
        (
            "INSERT INTO rows VALUES ('balance', 'fees/forged', '', 0, x'31')",
            "balance fees/forged: stored, and no event",
        ),
        ("DELETE FROM rows WHERE kind = 'block'", "block "),
        ("UPDATE rows SET value = x'7b7d' WHERE kind = 'payment'", "payment "),
        (
            "DROP TRIGGER events_keep_their_content; UPDATE events SET hash = zeroblob(32) WHERE number = 3",
            "event 3: it does not continue the hash chain",
        ),
    ];
    for (sql, expected) in cases {
        let world = closed();
        edit(&world, sql);
        let found = faults(&world);
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{sql}: {found:?}");
    }
}

#[test]
fn a_backup_of_a_running_pool_is_one_moment_and_comes_back() {
    let mut world = World::new();
    world.find_block(1, 1000);
    world.settle();
    let copies = fast_folder();
    let folder = copies.path().join("monday");
    let pool = world.stopped();
    let told = pool.back_up(&folder, true).expect("it may");
    assert!(told.starts_with("Would do") && !folder.exists());
    pool.back_up(&folder, false).expect("made");
    let event = world.keeper().written().number;
    // What comes later is not in it.
    world.mine_share(2, 500);
    world.settle();
    assert!(world.keeper().written().number > event);
    let again = pool.back_up(&folder, false).expect_err("nothing is overwritten");
    assert!(matches!(again, StoppedError::Value { field: "folder", .. }), "{again}");
    world.close();
    pool.restore(&folder, None, true).expect("it may");
    let told = pool.restore(&folder, None, false).expect("restored");
    assert!(told.contains(&format!("event {event} again")) && told.contains("before-restore-1"), "{told}");
    assert!(told.contains("whole, fit them, and stay"), "{told}");
    assert!(!world.folder.path().join("before-restore-1/share-log").exists());
    assert!(world.folder.path().join("before-restore-1/books.sqlite").exists());
    assert_eq!(faults(&world), Vec::<String>::new());
    world.try_open(&Death::default()).expect("opens");
    assert_eq!(world.shares_in_log(), 2);
}

#[test]
fn a_damaged_or_foreign_backup_touches_nothing() {
    let world = closed();
    let copies = fast_folder();
    let folder = copies.path().join("monday");
    let pool = world.stopped();
    pool.back_up(&folder, false).expect("made");
    let before = std::fs::read(world.folder.path().join("books.sqlite")).expect("there");
    let refused = |pool: &StoppedPool, folder: &Path| {
        let error = pool.restore(folder, None, false).expect_err("refused");
        assert!(matches!(error, StoppedError::Value { field: "folder", .. }), "{error}");
        assert!(!world.folder.path().join("before-restore-1").exists());
        error.to_string()
    };
    assert!(refused(&pool, copies.path()).contains("holds no backup"));
    let abroad = StoppedPool { genesis: BlockId([9; 32]), ..pool.clone() };
    assert!(refused(&abroad, &folder).contains("first blocks differ"));
    let segment = only_segment(&folder.join("share-log"));
    let sound = std::fs::read(&segment).expect("there");
    std::fs::write(&segment, sound.get(..sound.len() - 1).expect("long")).expect("written");
    assert!(refused(&pool, &folder).contains("is not what was backed up"));
    std::fs::write(&segment, sound).expect("written");
    let manifest = folder.join("backup.json");
    let text = std::fs::read_to_string(&manifest).expect("there");
    std::fs::write(&manifest, text.replace("share-log/shares", "../../shares")).expect("written");
    assert!(refused(&pool, &folder).contains("names"));
    assert_eq!(std::fs::read(world.folder.path().join("books.sqlite")).expect("there"), before);
}

#[test]
fn a_damaged_segment_is_given_up_with_an_event() {
    let mut world = closed();
    let segment = only_segment(&world.folder.path().join("share-log"));
    let mut bytes = std::fs::read(&segment).expect("there");
    *bytes.get_mut(150).expect("long") ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    assert!(world.try_open(&Death::default()).is_err(), "a damaged segment is refused");
    let pool = world.stopped();
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    for (segment, why) in [("nonsense", "why"), (name.as_str(), " ")] {
        let reason = Reason { why: why.to_owned(), ..reason() };
        assert!(matches!(pool.forfeit(segment, &reason, false), Err(StoppedError::Value { .. })), "{segment}");
    }
    assert!(pool.forfeit(&name, &reason(), true).expect("it may").starts_with("Would do"));
    let told = pool.forfeit(&name, &reason(), false).expect("given up");
    assert!(told.contains("are given up and count for nothing from now on; the file is kept as"), "{told}");
    world.try_open(&Death::default()).expect("opens without these shares");
    let newest = world.keeper().store.newest("operator", bq_pool_machine::LogNumber(u64::MAX), 1).expect("readable");
    assert_eq!(newest.len(), 1, "the log says so");
    world.mine_share(2, 500);
    world.settle();
}

#[test]
fn a_running_pool_makes_a_backup_itself() {
    let folder = fast_folder();
    let node = super::fake_node::FakeNode::new();
    let config = crate::PoolConfig::new(folder.path().to_owned(), NETWORK);
    let signer = std::sync::Arc::new(super::world::FakeSigner(super::world::POOL_KEY));
    let pool = crate::Pool::open(config, node, signer).expect("opens");
    let copies = fast_folder();
    let copy = copies.path().join("copy");
    assert!(pool.back_up(&copy, false).expect("made").contains("key file is not in it"));
    assert!(pool.back_up(&copy, true).is_err(), "nothing is overwritten");
    pool.shutdown();
}

fn only_segment(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).expect("there").map(|entry| entry.expect("readable").path());
    let mut segments = entries.filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
    let segment = segments.next().expect("a segment");
    assert_eq!(segments.next(), None);
    segment
}
