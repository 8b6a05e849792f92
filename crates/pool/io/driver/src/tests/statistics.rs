//! What people are shown of the past, over restarts, crashes and pages.

use std::{collections::BTreeSet, fs, time::Duration};

use bq_mining_message::{PoolApi as _, Share, ShareReject};
use bq_primitives::{Algorithm, NetworkDifficulty, WorkerName};
use bq_views::{BlockCursor, MinerView, Page, PoolViews as _, WorkerCursor};

use super::{
    fake_node::MATURITY,
    world::{Death, FakeSigner, POOL_KEY, World, address, key, share_to},
};
use crate::{Pool, PoolConfig, finders::Finders};

const LANE: Algorithm = Algorithm::Sha256d;

fn name(worker: &str) -> WorkerName {
    WorkerName::new(worker).expect("plain")
}

fn share_of(miner: u8, worker: &str, difficulty: u64) -> Share {
    Share { worker: name(worker), ..share_to(key(miner), difficulty) }
}

fn mine(world: &World, miner: u8, worker: &str, shares: u32) {
    for _ in 0..shares {
        let now = world.keeper().now_ms();
        world.keeper().record(&Share { time_ms: now, ..share_of(miner, worker, 10) }, None).expect("booked");
    }
}

fn find(world: &World, miner: u8, difficulty: u64) {
    let time_ms = world.keeper().now_ms();
    world.try_block(Share { time_ms, ..share_of(miner, "rig", difficulty) }).1.expect("booked");
}

fn refuse(world: &World, miner: u8, worker: &str, reason: ShareReject) {
    let keeper = world.keeper();
    keeper.stats.lock().reject(keeper.moment(), key(miner), &name(worker), LANE, reason);
}

fn miner(world: &World, miner: u8) -> Option<MinerView> {
    world.keeper().miner_view(&address(miner).to_string()).expect("readable")
}

/// Everything that is shown and does not depend on the moment.
fn shown(world: &World) -> String {
    let keeper = world.keeper();
    let mut text = String::new();
    for number in 1..=3 {
        let Some(view) = miner(world, number) else { continue };
        let workers = view.workers.iter().map(|worker| {
            (worker.name.clone(), worker.shares.clone(), worker.best_share.clone(), worker.last_share, worker.last_seen)
        });
        text += &format!("{:?} {:?} {:?} {:?}\n", view.shares, view.best_shares, view.luck, view.earnings);
        text += &format!("{:?}\n", workers.collect::<Vec<_>>());
        for step in ["5m", "1h", "1d"] {
            let subject = bq_pool_history::Subject::Account(key(number));
            let steps = keeper.history_view(&subject, step).expect("a step").algorithms;
            let steps = steps.into_values().flatten().map(|step| (step.time, step.work, step.accepted, step.rejected));
            text += &format!("{:?}\n", steps.collect::<Vec<_>>());
        }
    }
    let pool = keeper.pool_view(0).expect("readable");
    for (algorithm, view) in pool.algorithms {
        text += &format!("{algorithm} {:?} {} {:?} {:?}\n", view.shares, view.effort_parts, view.best_share, view.luck);
    }
    let blocks = keeper.blocks_view(&Page::first(100)).expect("readable");
    let rounds = blocks.blocks.into_iter().map(|block| (block.height, block.round));
    text + &format!("{} {:?}\n", pool.miners_active, rounds.collect::<Vec<_>>())
}

fn lived() -> World {
    let world = World::new();
    for hour in 0..40_u32 {
        mine(&world, 1, "rig", 3);
        mine(&world, 1, if hour % 2 == 0 { "even" } else { "odd" }, 1);
        mine(&world, 2, "other", 2);
        refuse(&world, 1, "rig", ShareReject::Stale);
        refuse(&world, 3, "never", ShareReject::LowDifficulty);
        world.clock.pass(Duration::from_secs(2_400));
    }
    let keeper = world.keeper();
    let best = NetworkDifficulty::from_hashes(123_456);
    keeper.stats.lock().note_best(keeper.moment(), key(1), &name("rig"), LANE, best);
    find(&world, 2, 500);
    world.settle();
    mine(&world, 2, "other", 5);
    world
}

#[test]
fn a_restart_keeps_everything_that_is_shown() {
    let mut world = lived();
    world.keeper().write_history();
    let before = shown(&world);
    assert!(before.contains("123456") && before.contains("never") && before.contains("low_difficulty"), "{before}");
    for _ in 0..2 {
        world.restart();
        assert_eq!(shown(&world), before);
        world.keeper().write_history();
    }
    mine(&world, 1, "rig", 1);
    assert_ne!(shown(&world), before, "and goes on");
}

#[test]
fn a_kill_takes_refused_shares_since_the_last_write_and_nothing_else() {
    let mut world = lived();
    world.keeper().write_history();
    mine(&world, 1, "rig", 7);
    mine(&world, 2, "new", 3);
    find(&world, 1, 500);
    world.settle();
    mine(&world, 2, "new", 1);
    let without_refused = shown(&world);
    refuse(&world, 2, "new", ShareReject::Stale);
    refuse(&world, 1, "stranger", ShareReject::Stale);
    assert_ne!(shown(&world), without_refused);
    world.restart();
    // Earnings come with the next write: they are read from the file only.
    world.keeper().write_history();
    let again = shown(&world);
    world.keeper().write_history();
    assert_eq!(again, shown(&world));
    let lines =
        |text: &str| text.lines().filter(|line| !line.contains("EarningView")).map(str::to_owned).collect::<Vec<_>>();
    let blurred = |line: String| line.replace("effort", "");
    let (got, expected) = (lines(&again), lines(&without_refused));
    assert_eq!(got.into_iter().map(blurred).collect::<Vec<_>>(), expected.into_iter().map(blurred).collect::<Vec<_>>());
}

#[test]
fn the_longest_time_without_a_file_costs_only_what_the_log_does_not_have() {
    let mut world = World::new();
    mine(&world, 1, "rig", 50);
    world.settle();
    world.close();
    for suffix in ["", "-wal", "-shm"] {
        drop(fs::remove_file(world.folder.path().join(format!("statistics.sqlite{suffix}"))));
    }
    world.restart();
    let view = miner(&world, 1).expect("known");
    assert_eq!(view.shares["sha256d"].accepted, 50, "the share log has them");
}

#[test]
fn a_damaged_file_does_not_stop_a_start() {
    let mut world = lived();
    world.keeper().write_history();
    world.close();
    let path = world.folder.path().join("statistics.sqlite");
    let mut bytes = fs::read(&path).expect("there");
    let length = bytes.len();
    for (from, to) in [(0, 100), (4096, length), (100, 4000)] {
        bytes[from..to].fill(0xa5);
        fs::write(&path, &bytes).expect("written");
        world.restart();
        assert!(miner(&world, 1).is_some());
        mine(&world, 1, "rig", 1);
        world.keeper().write_history();
        world.keeper().write_history();
        world.close();
        bytes = fs::read(&path).expect("begun anew");
        bytes.resize(length, 0);
    }
    let moved = fs::read_dir(world.folder.path())
        .expect("a folder")
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains("damaged")));
    assert!(moved.count() >= 2, "what lay there is kept");
}

#[test]
fn who_was_only_refused_is_shown() {
    let mut world = World::new();
    assert!(miner(&world, 4).is_none());
    refuse(&world, 4, "rig", ShareReject::Stale);
    refuse(&world, 4, "rig", ShareReject::Stale);
    refuse(&world, 4, "rig", ShareReject::BadProof);
    for _ in 0..2 {
        let view = miner(&world, 4).expect("shown");
        let [worker] = view.workers.as_slice() else { panic!("one worker: {view:?}") };
        assert_eq!((worker.name.as_str(), worker.shares.accepted, worker.last_share), ("rig", 0, 0));
        assert_eq!(worker.shares.rejected, [("bad_proof".to_owned(), 1), ("stale".to_owned(), 2)].into());
        assert!(worker.last_seen > 0);
        world.keeper().write_history();
        world.restart();
    }
}

#[test]
fn pages_have_every_row_once_while_rows_arrive() {
    let world = World::with(|config| config.payout_min = super::atoms(1));
    for number in 0..50 {
        mine(&world, 1, &format!("rig{number:02}"), 1);
    }
    for _ in 0..12 {
        world.find_block(1, 900);
        world.node.mine_many(MATURITY + 1);
        world.settle();
    }
    let keeper = world.keeper();
    let one = keeper.find_miner(&address(1).to_string()).expect("known");
    let before: BTreeSet<String> =
        keeper.workers_view(one, &Page::first(1_000)).workers.into_iter().map(|worker| worker.name).collect();
    let (mut seen, mut page, mut arrived) = (Vec::new(), Page::first(7), 0);
    loop {
        let view = keeper.workers_view(one, &page);
        seen.extend(view.workers.into_iter().map(|worker| worker.name));
        arrived += 1;
        mine(&world, 1, &format!("a{arrived}"), 1);
        mine(&world, 1, &format!("rig{:02}x", arrived * 8), 1);
        let Some(next) = view.next else { break };
        page.after = Some(next.parse::<WorkerCursor>().expect("a cursor"));
    }
    check_once(&seen, &before);

    let ids =
        |limit| keeper.blocks_view(&Page::first(limit)).expect("readable").blocks.into_iter().map(|block| block.id);
    let before: BTreeSet<String> = ids(1_000).collect();
    let (mut seen, mut page) = (Vec::new(), Page::first(5));
    loop {
        let view = keeper.blocks_view(&page).expect("readable");
        seen.extend(view.blocks.into_iter().map(|block| block.id));
        world.find_block(1, 900);
        world.settle();
        let Some(next) = view.next else { break };
        page.after = Some(next.parse::<BlockCursor>().expect("a cursor"));
    }
    check_once(&seen, &before);

    let payouts = |page: &Page<u64>| keeper.payouts_view(one, page).expect("readable");
    let before: BTreeSet<String> = payouts(&Page::first(1_000)).payouts.into_iter().map(|payout| payout.txid).collect();
    assert!(before.len() > 5, "{}", before.len());
    let (mut seen, mut page) = (Vec::new(), Page::first(2));
    loop {
        let view = payouts(&page);
        seen.extend(view.payouts.into_iter().map(|payout| payout.txid));
        world.node.mine_many(MATURITY + 1);
        world.settle();
        let Some(next) = view.next else { break };
        page.after = Some(next.parse().expect("a number"));
    }
    check_once(&seen, &before);
}

/// Rows that were there are each seen once; of those that arrived, none is seen twice.
fn check_once(seen: &[String], before: &BTreeSet<String>) {
    let once: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "{seen:?}");
    assert!(before.is_subset(&once), "{:?}", before.difference(&once).collect::<Vec<_>>());
}

/// Blocks of one height, as forks have them, are not lost between two pages.
#[test]
fn blocks_of_one_height_are_told_apart_by_pages() {
    let world = World::new();
    for _ in 0..4 {
        let parent = world.keeper().node.tip().id;
        world.find_block(1, 900);
        world.settle();
        world.node.reorganise_to(world.node.mine_on(parent));
        world.node.mine_many(1);
        world.settle();
        let fork = world.keeper().node.tip().id;
        world.find_block(1, 900);
        world.settle();
        world.node.reorganise_to(world.node.mine_on(fork));
        world.settle();
    }
    let keeper = world.keeper();
    let all: BTreeSet<String> =
        keeper.blocks_view(&Page::first(100)).expect("readable").blocks.into_iter().map(|block| block.id).collect();
    for limit in 1..4 {
        let (mut seen, mut page) = (Vec::new(), Page::first(limit));
        loop {
            let view = keeper.blocks_view(&page).expect("readable");
            seen.extend(view.blocks.into_iter().map(|block| block.id));
            let Some(next) = view.next else { break };
            page.after = Some(next.parse::<BlockCursor>().expect("a cursor"));
        }
        check_once(&seen, &all);
    }
}

#[test]
fn names_that_look_like_something_else_are_only_names() {
    let names = ["others", "default", "-", "..", "0", "a:b".split(':').next().expect("a"), "NULL", "_", "rig.1-x_y"];
    let longest = "x".repeat(64);
    let mut world = World::new();
    for worker in names.iter().copied().chain([longest.as_str()]) {
        mine(&world, 1, worker, 2);
        refuse(&world, 1, worker, ShareReject::Stale);
    }
    world.keeper().write_history();
    world.restart();
    let one = world.keeper().find_miner(&address(1).to_string()).expect("known");
    let (mut seen, mut page) = (Vec::new(), Page::first(1));
    loop {
        let view = world.keeper().workers_view(one, &page);
        for worker in view.workers {
            assert_eq!((worker.shares.accepted, worker.shares.rejected["stale"]), (2, 1), "{}", worker.name);
            seen.push(worker.name);
        }
        let Some(next) = view.next else { break };
        page.after = Some(next.parse::<WorkerCursor>().expect("a cursor"));
    }
    check_once(&seen, &names.iter().map(ToString::to_string).chain([longest]).collect());
}

#[test]
fn earnings_are_what_the_books_credit() {
    let mut world = World::new();
    let earned = |world: &World, miner: u8| {
        world.keeper().write_history();
        let one = world.keeper().find_miner(&address(miner).to_string()).expect("known");
        let days = world.keeper().earnings_view(one, &Page::first(10)).earnings;
        days.iter().map(|day| day.amount.0.parse::<u64>().expect("atoms")).sum::<u64>()
    };
    mine(&world, 1, "rig", 50);
    mine(&world, 2, "rig", 20);
    let parent = world.keeper().node.tip().id;
    let id = world.find_block(1, 500);
    world.settle();
    let (one, two) = (world.immature(1), world.immature(2));
    assert_eq!((earned(&world, 1), earned(&world, 2)), (one, two));
    world.restart();
    assert_eq!((earned(&world, 1), earned(&world, 2)), (one, two), "counted once");
    let rival = world.node.mine_on(parent);
    world.node.reorganise_to(world.node.mine_on(rival));
    world.settle();
    assert_eq!((earned(&world, 1), earned(&world, 2)), (0, 0), "orphaned");
    world.node.reorganise_to(id);
    // Killed before it was written.
    world.settle();
    world.restart();
    world.node.mine_many(MATURITY + 4);
    world.settle();
    assert_eq!((earned(&world, 1), earned(&world, 2)), (one, two), "back, and matured since");
    world.restart();
    assert_eq!((earned(&world, 1), earned(&world, 2)), (one, two));
}

/// As at `bq run --takeover`: the newer process opens what the older has closed, and the older does so again if the newer cannot serve.
#[test]
fn a_process_that_takes_over_goes_on_with_the_counts() {
    let world = World::new();
    let folder = super::world::fast_folder();
    let config = PoolConfig::new(folder.path().to_owned(), super::NETWORK);
    let open = || {
        let signer = std::sync::Arc::new(FakeSigner(POOL_KEY));
        let node = std::sync::Arc::clone(&world.node);
        Pool::open(config.clone(), node, signer).expect("opened")
    };
    let older = open();
    for _ in 0..10 {
        older.record_share(share_of(1, "rig", 10), None).expect("booked");
    }
    older.note_rejected(key(1), &name("rig"), LANE, ShareReject::Stale);
    older.shutdown();
    drop(older);
    let newer = open();
    newer.record_share(share_of(1, "rig", 10), None).expect("booked");
    newer.note_rejected(key(1), &name("rig"), LANE, ShareReject::Stale);
    let view = newer.miner(&address(1).to_string()).expect("readable").expect("known");
    assert_eq!((view.workers[0].shares.accepted, view.workers[0].shares.rejected["stale"]), (11, 2));
    newer.shutdown();
    drop(newer);
    let again = open();
    let view = again.miner(&address(1).to_string()).expect("readable").expect("known");
    assert_eq!((view.workers[0].shares.accepted, view.workers[0].shares.rejected["stale"]), (11, 2));
    again.shutdown();
}

fn suspicion(world: &World) -> Option<String> {
    let mut conditions = world.keeper().conditions().into_iter();
    conditions.find(|condition| condition.name == "withholding_suspected").map(|condition| condition.reason)
}

#[test]
fn who_sends_shares_and_no_blocks_is_told_by_name_and_goes_on_being_paid() {
    let mut world = World::new();
    // A hundred shares are a block: twelve are expected of either, and the second miner finds them.
    for _ in 0..12 {
        mine(&world, 1, "rig", 100);
        mine(&world, 2, "rig", 99);
        find(&world, 2, 10);
    }
    world.keeper().write_history();
    let reason = suspicion(&world).expect("told");
    assert!(reason.contains(&address(1).to_string()) && !reason.contains(&address(2).to_string()), "{reason}");
    assert!(reason.contains("found 0 of 12.0 sha256d blocks"), "{reason}");
    let view = miner(&world, 1).expect("known");
    let [luck] = view.luck["sha256d"].as_slice() else { panic!("{:?}", view.luck) };
    let parts = 1_200 * ((1_u128 << 60) / 100);
    assert_eq!((luck.found, luck.expected_parts.parse()), (0, Ok(parts)));
    assert!((luck.chance - 6.14e-6).abs() < 1e-8, "{}", luck.chance);
    world.settle();
    assert!(world.immature(1) > 0, "a person decides, not the pool");
    world.restart();
    world.keeper().write_history();
    assert_eq!(suspicion(&world).as_deref(), Some(reason.as_str()), "after a restart too");
}

#[test]
fn nobody_is_told_where_that_is_switched_off() {
    let world = World::with(|config| config.withholding_alarm_ppm = 0);
    mine(&world, 1, "rig", 2_000);
    world.keeper().write_history();
    assert_eq!(suspicion(&world), None);
}

/// Whoever asks for a long list has each segment read once, and a second time none.
#[test]
fn a_page_of_blocks_reads_a_segment_once_for_all_of_its_rows() {
    let death = Death::default();
    let world = World::dying(|config| config.segment_shares = 8, &death);
    for miner in [1, 2, 1, 3, 2, 1] {
        mine(&world, 3, "rig", 1);
        find(&world, miner, 500);
        world.settle();
    }
    let keeper = world.keeper();
    // As after a start: nobody asked yet.
    *keeper.finders.lock() = Finders::default();
    death.reads();
    for most in [2, 0] {
        let blocks = keeper.blocks_view(&Page::first(100)).expect("readable").blocks;
        let finders: Vec<_> = blocks.iter().map(|block| block.finder.clone()).collect();
        assert_eq!(finders, [1, 2, 3, 1, 2, 1].map(|miner| address(miner).to_string()));
        assert!(blocks.iter().all(|block| block.round.is_some()), "{blocks:?}");
        let reads = death.reads();
        assert!(reads <= most, "{reads} for {} rows", blocks.len());
    }
    keeper.write_history();
    let blocks = keeper.blocks_view(&Page::first(100)).expect("readable").blocks;
    assert!(blocks.iter().all(|block| block.round.is_some()), "from the file: {blocks:?}");
}

/// Workers are copied a few at a time, and none is left out or told twice for that.
#[test]
fn a_page_of_many_workers_has_each_once() {
    let world = World::new();
    for number in 0..70 {
        mine(&world, 1, &format!("rig-{number:02}"), 1);
    }
    world.settle();
    let miner = world.keeper().find_miner(&address(1).to_string()).expect("it mined");
    for limit in [1, 31, 32, 33, 64, 69, 70, 100] {
        let view = world.keeper().workers_view(miner, &Page::first(limit));
        let names: Vec<_> = view.workers.iter().map(|worker| worker.name.clone()).collect();
        let expected: Vec<_> = (0..limit.min(70)).map(|number| format!("rig-{number:02}")).collect();
        assert_eq!(names, expected, "{limit}");
        assert_eq!(view.next.is_some(), limit < 70, "{limit}");
    }
}
