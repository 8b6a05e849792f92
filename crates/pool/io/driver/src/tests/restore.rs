//! Books that lost their end, and a node that lost its chain.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bq_chain_api::NodeApi as _;
use bq_ledger::LedgerAccount;
use bq_pool_machine::{Decision, Reason};
use bq_primitives::{Algorithm, BlockId};

use super::{
    fake_node::MATURITY,
    world::{Death, POOL_KEY, World, fast_folder, key},
};
use crate::StoppedError;

impl World {
    /// The books are as they were in a copy, beside the shares and the chain of now.
    pub(super) fn put_back(&mut self, copy: &Path) {
        self.close();
        for end in ["-wal", "-shm"] {
            // There may be none.
            let _ = fs::remove_file(self.folder.path().join(format!("books.sqlite{end}")));
        }
        fs::copy(copy, self.folder.path().join("books.sqlite")).expect("put back");
    }

    /// A block of the pool that reaches the node and not the books.
    fn lose_block(&self) -> BlockId {
        self.keeper().refresh_template().expect("a template");
        let template = self.keeper().shared_template();
        let block = self.node.seal(&template, Algorithm::Sha256d);
        self.node.submit_block(block).expect("on the tip")
    }
}

#[test]
fn the_alarm_that_the_books_lost_their_end_does_not_end_with_the_process() {
    let mut world = World::new();
    world.mine_share(1, 500);
    world.settle();
    let copy = world.folder.path().join("copy.sqlite");
    world.keeper().store.back_up(&copy).expect("copied");
    for _ in 0..3 {
        world.mine_share(2, 500);
        world.settle();
        world.find_block(1, 500);
    }
    world.settle();
    world.put_back(&copy);
    for _ in 0..2 {
        world.restart();
        world.settle();
        assert!(world.names().contains(&"log_behind_chain"), "{:?}", world.names());
    }
    let reason = Reason { who: "a person".to_owned(), why: "there is no newer copy".to_owned() };
    world.keeper().decide(&Decision::Recover, &reason, false).expect("behind");
    for _ in 0..2 {
        world.settle();
        assert!(!world.names().contains(&"log_behind_chain"), "{:?}", world.names());
        world.restart();
    }
}

#[test]
fn books_that_begin_hear_that_they_are_not_the_first() {
    let mut world = World::new();
    let copy = world.folder.path().join("copy.sqlite");
    world.keeper().store.back_up(&copy).expect("copied");
    assert!(world.keeper().state.read().tip().is_none());
    world.mine_share(1, 500);
    world.settle();
    world.find_block(1, 500);
    world.settle();
    world.put_back(&copy);
    world.restart();
    world.settle();
    assert!(world.names().contains(&"log_behind_chain"), "{:?}", world.names());
}

#[test]
fn a_block_that_the_books_were_not_told_of_is_found_also_on_a_chain_that_is_told_as_a_whole() {
    let world = World::new();
    world.mine_share(1, 500);
    world.node.mine_many(4);
    world.settle();
    world.node.forget_blocks(3);
    let id = world.lose_block();
    world.node.mine_many(MATURITY + 4);
    world.settle();
    assert!(world.keeper().state.read().block(&id).is_some(), "it is no gift");
    assert_eq!(world.keeper().node.tip().id, world.keeper().state.read().tip().expect("told").id);
    world.node.mine_many(4);
    world.settle();
    world.check_books(&[1]);
    assert!(world.paid(1) > 0);
}

#[test]
fn a_block_of_books_that_had_not_heard_of_the_chain_yet_is_theirs() {
    let world = World::new();
    world.mine_share(1, 500);
    world.keeper().tell_frames().expect("written");
    let id = world.lose_block();
    world.node.mine_many(MATURITY + 4);
    assert!(world.keeper().state.read().tip().is_none());
    world.settle();
    assert!(world.keeper().state.read().block(&id).is_some(), "it names an event of this log");
    assert!(!world.names().contains(&"log_behind_chain"));
    world.node.mine_many(4);
    world.settle();
    world.check_books(&[1]);
    assert!(world.paid(1) > 0);
}

/// A pool with a backup that knows neither the newest shares nor the block that they are paid by.
fn outlived(copies: &Path) -> (World, PathBuf) {
    let mut world = World::with(|config| config.segment_shares = 4);
    for miner in [1, 2, 1, 2, 1] {
        world.mine_share(miner, 300);
    }
    world.settle();
    let folder = copies.join("monday");
    world.stopped().back_up(&folder, false).expect("made");
    for miner in [2, 3, 3] {
        world.mine_share(miner, 300);
    }
    world.settle();
    world.find_block(1, 1000);
    world.settle();
    world.close();
    (world, folder)
}

fn immature(world: &World) -> [u64; 3] {
    [1, 2, 3].map(|miner| world.immature(miner))
}

fn recover(world: &World) {
    let reason = Reason { who: "ops".to_owned(), why: "restored".to_owned() };
    world.keeper().decide(&Decision::Recover, &reason, false).expect("behind");
    world.keeper().decide(&Decision::Resume, &reason, false).expect("paused");
    for _ in 0..4 {
        world.node.mine_many(MATURITY);
        world.settle();
    }
}

#[test]
fn shares_that_are_newer_than_the_backup_stay_and_pay_the_blocks_since() {
    let copies = fast_folder();
    let (mut world, folder) = outlived(copies.path());
    world.try_open(&Death::default()).expect("opens");
    let credited = immature(&world);
    assert!(credited.iter().all(|atoms| *atoms > 0), "{credited:?}");
    world.close();
    let would = world.stopped().restore(&folder, Some(POOL_KEY), true).expect("it may");
    let told = world.stopped().restore(&folder, Some(POOL_KEY), false).expect("restored");
    assert_eq!(would, format!("Would do: {told}"));
    assert!(told.contains("the shares that are there are whole, fit them, and stay"), "{told}");
    assert!(!world.folder.path().join("restore.new").exists());
    world.try_open(&Death::default()).expect("opens");
    world.settle();
    assert_eq!(immature(&world), credited);
    recover(&world);
    assert_eq!(world.balance(LedgerAccount::Suspense), 0);
    assert_eq!(world.names(), Vec::<&str>::new());
    world.check_books(&[1, 2, 3]);
    assert!(world.paid(3) > 0);
}

/// What happens to a share log.
type Spoil<'a> = &'a dyn Fn(&Path);

#[test]
fn shares_that_do_not_fit_the_backup_give_way_to_its_own() {
    let newest = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("there").map(|entry| entry.expect("readable").path());
        entries.filter(|path| path.extension().is_some_and(|end| end == "seg")).max().expect("a segment")
    };
    let spoil: [(&str, Spoil<'_>); 3] = [
        ("is damaged at byte", &|folder| {
            let path = folder.join("shares-00000000000000000001.seg");
            let mut bytes = fs::read(&path).expect("there");
            *bytes.get_mut(150).expect("long") ^= 1;
            fs::write(path, bytes).expect("written");
        }),
        ("there are none", &|folder| fs::remove_dir_all(folder).expect("there")),
        ("ends before share", &|folder| {
            while fs::read_dir(folder).expect("there").count() > 2 {
                fs::remove_file(newest(folder)).expect("there");
            }
        }),
    ];
    for (expected, spoil) in spoil {
        let copies = fast_folder();
        let (mut world, folder) = outlived(copies.path());
        spoil(&world.folder.path().join("share-log"));
        let told = world.stopped().restore(&folder, None, false).expect("restored");
        assert!(told.contains("books and shares are those") && told.contains(expected), "{told}");
        world.try_open(&Death::default()).expect("opens");
        assert_eq!(world.shares_in_log(), 5);
        world.settle();
        recover(&world);
        assert!(world.balance(LedgerAccount::Suspense) > 0, "whose work it was is not known");
        world.check_books(&[1, 2]);
    }
}

#[test]
fn a_backup_of_another_pool_moves_nothing() {
    let copies = fast_folder();
    let (world, folder) = outlived(copies.path());
    let refused = |world: &World, file| {
        let error = world.stopped().restore(&folder, file, false).expect_err("another pool");
        assert!(matches!(error, StoppedError::Value { field: "folder", .. }), "{error}");
        assert!(error.to_string().contains(&format!("is of the pool with key {POOL_KEY}")), "{error}");
        assert!(!world.folder.path().join("before-restore-1").exists());
        assert!(!world.folder.path().join("restore.new").exists());
    };
    let mut other = World::new();
    other.close();
    fs::remove_file(other.folder.path().join("books.sqlite")).expect("lost");
    refused(&other, Some(key(9)));
    other.key = key(9);
    other.try_open(&Death::default()).expect("new books");
    other.close();
    refused(&other, None);
    drop(world);
}
