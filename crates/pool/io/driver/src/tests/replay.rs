//! A stranger computes a pool anew from what it gives out and the chain, and names what is wrong first.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bq_chain_api::NodeApi as _;
use bq_pool_machine::{Commitment, Event};
use bq_primitives::{Algorithm, TxOut};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    fake_node::{MATURITY, SUBSIDY},
    world::{COMMITMENT_KEY, D, World, key},
};
use crate::{NodeBlocks, PayoutMode, PoolFiles, ReplayError, Replayed, replay_export};

fn direct(config: &mut crate::PoolConfig) {
    config.payout_mode = Some(PayoutMode::Direct);
    config.direct_min = super::atoms(SUBSIDY / 10);
    config.segment_shares = 20;
}

/// A pool that paid by coinbases, with balances that were put off and paid later, a block that left, and shares after the last.
fn busy(change: impl FnOnce(&mut crate::PoolConfig)) -> World {
    let mut world = World::stating(change);
    for round in 0..6_u8 {
        for miner in 1..=4 {
            world.mine_share(miner, D / (4 * u64::from(miner)));
        }
        world.settle();
        world.find_block(1 + round % 3, D / 10);
        world.settle();
        if round == 2 {
            let fork = world.node.tip().id;
            world.find_block(1, D / 20);
            world.settle();
            let rival = world.node.mine_on(fork);
            let rival = world.node.mine_on(rival);
            world.node.reorganise_to(rival);
            world.settle();
            world.node.mine_many(MATURITY);
            world.settle();
        }
        if round == 3 {
            world.keeper().state_liabilities().expect("stated");
            world.keeper().checkpoint(true).expect("written");
        }
    }
    world.mine_share(4, D);
    world.settle();
    world.keeper().checkpoint(true).expect("written");
    world.close();
    world
}

pub(super) fn export(world: &World, name: &str) -> PathBuf {
    let files = PoolFiles { pool: world.stopped(), is_backup: false, tag: world.config.pool_tag.clone() };
    let folder = world.folder.path().join(name);
    files.export_all(&folder).expect("written");
    folder
}

pub(super) fn replay(world: &World, folder: &Path) -> Result<Replayed, ReplayError> {
    replay_export(folder, &NodeBlocks(world.node.as_ref()), |_| {})
}

fn difference(world: &World, folder: &Path) -> String {
    match replay(world, folder) {
        Ok(replayed) => replayed.difference.expect("something differs"),
        Err(error) => error.to_string(),
    }
}

/// The events of an export.
pub(super) fn events(folder: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(folder.join("events")).expect("reads");
    let (mut rest, mut events) = (&bytes[8..], Vec::new());
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (event, more) = more.split_at(usize::try_from(u32::from_le_bytes(*length)).expect("small"));
        events.push(event.to_vec());
        rest = more;
    }
    events
}

/// Writes other events, and a manifest that fits them, as whoever changed an export would.
pub(super) fn rewrite(folder: &Path, events: &[Vec<u8>]) {
    let mut bytes = b"BQEVENT1".to_vec();
    let mut head = bq_pool_machine::LogHead::default();
    for event in events {
        bytes.extend(u32::try_from(event.len()).expect("small").to_le_bytes());
        bytes.extend(event);
        head = head.after(event);
    }
    fs::write(folder.join("events"), &bytes).expect("writes");
    let path = folder.join("export.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("JSON");
    manifest["event"] = head.number.0.into();
    manifest["hash"] = head.hash.to_string().into();
    manifest["files"]["events"]["bytes"] = bytes.len().into();
    manifest["files"]["events"]["sha256"] = hex::encode(Sha256::digest(&bytes)).into();
    fs::write(&path, serde_json::to_vec(&manifest).expect("JSON")).expect("writes");
}

#[test]
fn a_stranger_comes_to_the_same_log_and_credits() {
    let world = busy(direct);
    let folder = export(&world, "export");
    let replayed = replay(&world, &folder).expect("made");
    assert_eq!(replayed.difference, None, "{replayed:?}");
    let (state, _) = crate::open::start_state(&world.stopped().books().expect("opens")).expect("reads");
    assert!(replayed.head.number > state.head().number);
    assert_eq!(replayed.shares, 6 * 5 + 1 + 1);
    assert_eq!((replayed.blocks, replayed.coinbases), (6, 6), "{replayed:?}");
    assert!(replayed.commitments >= 6 && replayed.credits > 12 && replayed.checked >= 6, "{replayed:?}");
    assert_eq!(replayed.without_balances, 0, "{replayed:?}");
    assert_eq!(replayed.height, replayed.tip);
    // Nothing of it was changed by looking.
    assert_eq!(replay(&world, &folder).expect("made"), replayed);
}

#[test]
fn payouts_are_replayed_as_well() {
    let world = busy(|config| config.segment_shares = 20);
    let replayed = replay(&world, &export(&world, "export")).expect("made");
    assert_eq!(replayed.difference, None, "{replayed:?}");
    assert_eq!((replayed.blocks, replayed.coinbases), (6, 0), "{replayed:?}");
}

#[test]
fn an_older_export_says_that_the_chain_went_on() {
    let mut world = busy(direct);
    let folder = export(&world, "older");
    world.restart();
    world.settle();
    world.find_block(1, D / 10);
    world.settle();
    world.node.mine();
    world.close();
    let replayed = replay(&world, &folder).expect("made");
    assert_eq!(replayed.difference, None, "{replayed:?}");
    assert!(replayed.notes.iter().any(|note| note.contains("newer than the export")), "{replayed:?}");
    assert!(replayed.height < replayed.tip);
}

#[test]
fn a_file_that_was_changed_is_named() {
    let world = busy(direct);
    let folder = export(&world, "export");
    let mut names = vec!["events".to_owned(), "export.json".to_owned()];
    for entry in fs::read_dir(folder.join("share-log")).expect("listed") {
        names.push(format!("share-log/{}", entry.expect("a file").file_name().to_string_lossy()));
    }
    assert!(names.len() > 3, "{names:?}");
    for name in names.iter().filter(|name| *name != "share-log/lock") {
        let path = folder.join(name);
        let good = fs::read(&path).expect("reads");
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        fs::write(&path, &flipped).expect("writes");
        let said = difference(&world, &folder);
        // What export.json says of another file is that file's fault.
        assert!(said.contains(name.as_str()) || name == "export.json", "{name}: {said}");
        fs::write(&path, &good).expect("writes");
    }
    assert_eq!(replay(&world, &folder).expect("made").difference, None);
}

/// No coinbase of the pool would be looked at with it.
#[test]
fn a_tag_that_is_not_the_pools_is_named() {
    let world = busy(direct);
    let folder = export(&world, "export");
    let path = folder.join("export.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("JSON");
    manifest["tag"] = hex::encode(b"/br/").into();
    fs::write(&path, serde_json::to_vec(&manifest).expect("JSON")).expect("writes");
    let said = difference(&world, &folder);
    assert!(said.contains("block ") && said.contains("with this tag"), "{said}");
    // The first of its blocks, by height.
    let first = (0..).find_map(|height| {
        let id = world.node.block_id_at(bq_primitives::Height(height)).expect("reads").expect("on the chain");
        let block = world.node.block(&id).expect("reads").expect("it has it");
        block.transactions[0].coinbase_data.starts_with(&world.config.pool_tag).then_some(id)
    });
    assert!(said.contains(&first.expect("it found some").to_string()), "{said}");
}

/// What is not named is bound by nothing that the export says, and what is named otherwise is another's.
#[test]
fn an_export_that_leaves_files_unnamed_or_says_another_network_is_none() {
    let world = busy(direct);
    let folder = export(&world, "export");
    let path = folder.join("export.json");
    let good: Value = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("JSON");
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        fs::write(&path, serde_json::to_vec(&manifest).expect("JSON")).expect("writes");
        replay(&world, &folder).expect_err("no export").to_string()
    };
    let said = refused(&|manifest| manifest["files"] = serde_json::json!({}));
    assert!(said.contains("does not name share-log/"), "{said}");
    let said = refused(&|manifest| drop(manifest["files"].as_object_mut().expect("files").remove("events")));
    assert!(said.contains("does not name events"), "{said}");
    let said = refused(&|manifest| manifest["network"] = "mainnet".into());
    assert!(said.contains("export.json says otherwise"), "{said}");
}

/// Whoever changes an export makes its own hashes fit: the log, the shares and the chain name the place then.
#[test]
fn an_export_that_was_cut_reordered_or_mixed_names_the_first_place() {
    let world = busy(direct);
    let folder = export(&world, "export");
    let good = events(&folder);
    let is_frame = |bytes: &Vec<u8>| matches!(Event::from_bytes(bytes), Ok(Event::Frame(_)));
    let frames: Vec<usize> = (0..good.len()).filter(|index| is_frame(&good[*index])).collect();
    let (second, third) = (frames[1], frames[2]);

    let mut hole = good.clone();
    hole.remove(second);
    rewrite(&folder, &hole);
    let said = difference(&world, &folder);
    // The frame is gone: the block after it named an event that the log has no more in that place.
    assert!(said.contains("event "), "{said}");
    let number: usize = said
        .split("event ")
        .nth(1)
        .and_then(|rest| rest.split([' ', ':']).next())
        .and_then(|text| text.parse().ok())
        .expect("a number");
    assert!(number > second && number <= third + 1, "a hole at {}: {said}", second + 1);

    let mut swapped = good.clone();
    swapped.swap(second, third);
    rewrite(&folder, &swapped);
    let said = difference(&world, &folder);
    assert!(said.starts_with(&format!("event {} (frame)", second + 1)), "{said}");
    let replayed = replay(&world, &folder).expect("made");
    assert!(replayed.notes.iter().any(|note| note.contains("bears the log out up to event")), "{replayed:?}");

    let cut = &good[..good.len() / 2];
    rewrite(&folder, cut);
    let replayed = replay(&world, &folder).expect("made");
    let newer = replayed.notes.iter().any(|note| note.contains("newer than the export"));
    assert!(replayed.difference.is_some() || newer, "{replayed:?}");

    let other = busy(|config| {
        direct(config);
        config.fee_bp = 200;
    });
    let theirs = events(&export(&other, "theirs"));
    let mixed: Vec<Vec<u8>> = good[..third].iter().chain(&theirs[third..]).cloned().collect();
    rewrite(&folder, &mixed);
    let said = difference(&world, &folder);
    assert!(said.contains("event ") || said.contains("block "), "{said}");

    fs::write(folder.join("events"), &fs::read(folder.join("events")).expect("reads")[..100]).expect("writes");
    let bytes = fs::read(folder.join("events")).expect("reads");
    let path = folder.join("export.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("JSON");
    manifest["files"]["events"]["bytes"] = bytes.len().into();
    manifest["files"]["events"]["sha256"] = hex::encode(Sha256::digest(&bytes)).into();
    fs::write(&path, serde_json::to_vec(&manifest).expect("JSON")).expect("writes");
    assert!(difference(&world, &folder).contains("ends within event"), "{}", difference(&world, &folder));
}

/// The pool itself pays other than its books give, and books what it paid: its own log and the chain agree, and only the plan does not.
#[test]
fn a_coinbase_that_pays_otherwise_is_named_with_its_output() {
    let mut world = World::stating(direct);
    for miner in 1..=3 {
        world.mine_share(miner, D / 2);
    }
    world.settle();
    world.keeper().refresh_template().expect("a template");
    let mut template = world.keeper().shared_template().as_ref().clone();
    let work = template.work(Algorithm::Sha256d).expect("active");
    let mut outputs: Vec<TxOut> = work.body.coinbase.outputs.clone();
    let less = outputs[1].amount.checked_sub(super::atoms(5)).expect("more than five");
    let more = outputs.last().expect("the pool's").amount.checked_add(super::atoms(5)).expect("in range");
    outputs[1].amount = less;
    outputs.last_mut().expect("the pool's").amount = more;
    let written = world.keeper().written();
    let seal = Commitment(written).to_bytes(
        &COMMITMENT_KEY,
        &template.parent_id,
        &outputs,
        bq_pool_machine::CoinbaseOf::Window,
    );
    let data = [world.config.pool_tag.as_slice(), &seal].concat();
    template.set_coinbase(Algorithm::Sha256d, outputs, data).expect("it pays the reward");
    let id = world.node.submit_block(world.node.seal(&template, Algorithm::Sha256d)).expect("valid");
    world.settle();
    assert!(world.keeper().state.read().block(&id).is_some(), "the pool books it");
    world.close();
    let said = difference(&world, &export(&world, "export"));
    assert!(said.contains(&id.to_string()) && said.contains("output 1"), "{said}");
}

/// A pool that leaves a block out of its log keeps its reward: the chain knows.
#[test]
fn a_block_that_the_log_keeps_quiet_about_is_named() {
    let mut world = World::stating(direct);
    world.mine_share(1, D / 2);
    world.settle();
    let id = world.find_block(2, D / 10);
    world.settle();
    world.node.mine();
    world.settle();
    world.close();
    let folder = export(&world, "export");
    let told = |bytes: &Vec<u8>| match Event::from_bytes(bytes) {
        Ok(Event::Candidate(candidate)) => candidate.id != id,
        Ok(Event::Chain(bq_pool_machine::ChainEvent::Way(way))) => !way.joined.contains(&id),
        Ok(Event::Stated(_)) => false,
        _ => true,
    };
    let mut quiet: Vec<Vec<u8>> = events(&folder).into_iter().filter(told).collect();
    // The way past it, told as if it were a stranger's.
    let ways: Vec<Event> = events(&folder).iter().filter_map(|bytes| Event::from_bytes(bytes).ok()).collect();
    let joined = ways.iter().find_map(|event| match event {
        Event::Chain(bq_pool_machine::ChainEvent::Way(way)) if way.joined.contains(&id) => Some(way.clone()),
        _ => None,
    });
    let way = bq_pool_machine::ChainWay { joined: Vec::new(), ..joined.expect("it joined") };
    let place = quiet
        .iter()
        .position(|bytes| matches!(Event::from_bytes(bytes), Ok(Event::Chain(bq_pool_machine::ChainEvent::Way(other))) if other.fork == way.tip))
        .unwrap_or(quiet.len());
    let way = Event::Chain(bq_pool_machine::ChainEvent::Way(way));
    quiet.insert(place, way.to_bytes().expect("encodes"));
    rewrite(&folder, &quiet);
    let said = difference(&world, &folder);
    assert!(said.contains(&id.to_string()) && said.contains("never booked"), "{said}");
    assert_eq!(world.node.mined_to(key(9)), 0);
}
