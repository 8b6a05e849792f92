//! A disk that is full for a while under a node.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bq_chain_api::{Announcement, NodeApi, NodeError, SubmitBlockError, SyncApi};
use bq_primitives::{Algorithm, Block, SealedHeader};
use bq_store::{RedbStore, StorageBackend, StoreError};

use super::rig::{POW, Rig, config, key, next_now, sha256d_params, state};
use crate::{Node, StoreSettings, store_identity};

/// Bytes in memory that cannot be written while the disk is full; clones share them.
#[derive(Clone, Debug, Default)]
struct Disk {
    image: Arc<Mutex<Vec<u8>>>,
    is_full: Arc<AtomicBool>,
}

impl Disk {
    fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    fn room(&self) -> io::Result<()> {
        if self.is_full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn store(&self, rig: &Rig) -> RedbStore {
        let disk = self.clone();
        RedbStore::open_on(Path::new("disk/chain.redb").to_owned(), &store_identity(&rig.params), move || disk.clone())
            .unwrap()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.image.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let image = self.image.lock().unwrap();
        out.copy_from_slice(image.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.image.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.room()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        let start = usize::try_from(offset).unwrap();
        self.image.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// A node on that disk beside one that mines.
fn on_disk(disk: &Disk, settings: StoreSettings) -> (Rig, Arc<Node>) {
    let miner = Rig::new(sha256d_params());
    let config = crate::NodeConfig { store: settings, ..config(miner.directory.path(), &miner.params, &miner.clock) };
    let node = Node::open_on(Box::new(disk.store(&miner)), config, Arc::clone(&POW)).unwrap();
    (miner, node)
}

/// Waits for the upkeep thread, which may have the node in hand: a simulated disk has no lock that keeps two nodes apart.
fn close(mut node: Arc<Node>) {
    while let Err(shared) = Arc::try_unwrap(node) {
        node = shared;
        std::thread::yield_now();
    }
}

fn assert_kept(node: &Node, block: &Block) {
    match node.submit_block(block.clone()) {
        Err(SubmitBlockError::Kept { id, .. }) => assert_eq!(id, block.id()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_block_is_lost_while_the_disk_is_full() {
    let disk = Disk::default();
    let (miner, node) = on_disk(&disk, StoreSettings::default());
    let shared = miner.grow_by(2, &key(1));
    for block in &shared {
        node.submit_block(block.clone()).unwrap();
    }
    assert_eq!(node.conditions(), []);
    let mut announced = node.announcements();

    disk.fill(true);
    let found = miner.grow(Algorithm::Sha256d, &key(1));
    assert_kept(&node, &found);
    let [condition] = node.conditions().try_into().unwrap();
    assert_eq!(condition.name, "chain_store_stopped");
    assert!(condition.blocks_readiness && condition.reason.contains("disk/chain.redb: no room left"), "{condition:?}");
    assert!(condition.reason.contains("1 blocks wait"), "{condition:?}");
    // It was valid, so peers hear of it and can have it.
    assert!(matches!(next_now(&mut announced).unwrap(), Announcement::Block(header) if header.header == found.header));
    assert_eq!(node.block(&found.id()).unwrap(), Some(found.clone()));
    // Again and again changes nothing; and a second block for the same place waits too.
    assert_kept(&node, &found);
    let rival = Rig::new(sha256d_params());
    rival.submit_all(&shared);
    assert_kept(&node, &rival.grow(Algorithm::Sha256d, &key(2)));
    assert!(node.recover_store().is_err(), "still full");
    assert_eq!(node.conditions()[0].since_ms, condition.since_ms);
    assert_eq!(node.tip().height.0, 2);
    let lost = node.store_kept();
    assert!(lost.len() == 2 && lost.contains(&found.id()), "nothing ends unsaid: {lost:?}");

    disk.fill(false);
    assert_eq!(node.store_kept(), []);
    assert_eq!(node.conditions(), []);
    assert_eq!(node.tip().id, found.id());
    for block in miner.grow_by(2, &key(1)) {
        node.submit_block(block).unwrap();
    }
    assert_eq!(state(&node, &[key(1), key(2)]), state(&miner.node, &[key(1), key(2)]));
    close(node);
    // All of it is on the disk.
    let config = config(miner.directory.path(), &miner.params, &miner.clock);
    let node = Node::open_on(Box::new(disk.store(&miner)), config, Arc::clone(&POW)).unwrap();
    assert_eq!(state(&node, &[key(1), key(2)]), state(&miner.node, &[key(1), key(2)]));
}

#[test]
fn what_finds_no_room_in_memory_is_refused_and_can_be_handed_in_again() {
    let disk = Disk::default();
    let (miner, node) = on_disk(&disk, StoreSettings { kept_blocks_max: 1, ..StoreSettings::default() });
    disk.fill(true);
    let rivals: Vec<_> = [1, 2].map(|owner| Rig::new(sha256d_params()).grow(Algorithm::Sha256d, &key(owner))).into();
    miner.clock.advance(1_000_000);
    assert_kept(&node, &rivals[0]);
    let refused = node.submit_block(rivals[1].clone());
    assert!(matches!(refused, Err(SubmitBlockError::Node(NodeError::Store(_)))), "{refused:?}");
    disk.fill(false);
    node.recover_store().unwrap();
    assert_eq!(node.submit_block(rivals[1].clone()).unwrap(), rivals[1].id());
    assert_eq!(node.tip().id, rivals[0].id());
}

/// Headers, bodies off the best chain and verdicts are stored by the same path as a new tip.
#[test]
fn headers_that_came_on_a_full_disk_are_taken_afterwards() {
    let disk = Disk::default();
    let (miner, node) = on_disk(&disk, StoreSettings::default());
    let blocks = miner.grow_by(4, &key(1));
    let run: Vec<_> = blocks.iter().map(|block| SealedHeader { header: block.header, seal: block.seal }).collect();
    disk.fill(true);
    assert!(node.add_headers(&run).is_err());
    assert_eq!(node.best_header().height.0, 0);
    disk.fill(false);
    node.recover_store().unwrap();
    node.add_headers(&run).unwrap();
    for block in blocks.iter().rev() {
        node.submit_block(block.clone()).unwrap();
    }
    assert_eq!(state(&node, &[key(1)]), state(&miner.node, &[key(1)]));
}

/// A store whose checksums hold, written by something that went wrong.
#[test]
fn a_start_refuses_newest_blocks_that_are_not_what_their_headers_say() {
    let disk = Disk::default();
    let (miner, node) = on_disk(&disk, StoreSettings::default());
    let blocks = miner.grow_by(3, &key(1));
    for block in &blocks {
        node.submit_block(block.clone()).unwrap();
    }
    let bad = bq_store::StoreChange {
        bodies: vec![(blocks[1].id(), Arc::new(blocks[2].transactions.clone()))],
        ..bq_store::StoreChange::default()
    };
    node.store.commit(&bad).unwrap();
    close(node);
    let open = |check_blocks| {
        let settings = StoreSettings { check_blocks, ..StoreSettings::default() };
        let config =
            crate::NodeConfig { store: settings, ..config(miner.directory.path(), &miner.params, &miner.clock) };
        Node::open_on(Box::new(disk.store(&miner)), config, Arc::clone(&POW))
    };
    let error = open(2).err().unwrap();
    assert!(matches!(error, crate::NodeOpenError::Store(StoreError::Corrupt { .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains("disk/chain.redb") && text.contains("height 2") && text.contains("Move the file"), "{text}");
    assert!(open(1).is_ok(), "looked at the tip alone");
}

/// A body that the disk changed after it was examined says nothing about its block.
#[test]
fn a_damaged_body_is_not_held_against_its_block() {
    let disk = Disk::default();
    let (miner, node) = on_disk(&disk, StoreSettings::default());
    let rival = Rig::new(sha256d_params());
    let branch = rival.grow_by(2, &key(2));
    node.submit_block(miner.grow(Algorithm::Sha256d, &key(1))).unwrap();
    miner.clock.advance(100_000);
    node.submit_block(branch[0].clone()).unwrap();
    let body = |block: &Block| bq_store::StoreChange {
        bodies: vec![(branch[0].id(), Arc::new(block.transactions.clone()))],
        ..bq_store::StoreChange::default()
    };
    node.store.commit(&body(&branch[1])).unwrap();
    let error = node.submit_block(branch[1].clone()).unwrap_err();
    assert!(matches!(&error, SubmitBlockError::Node(NodeError::Store(text)) if text.contains("damaged")), "{error}");
    assert_eq!(node.tip().height.0, 1);
    let [condition] = node.conditions().try_into().unwrap();
    assert_eq!((condition.name, condition.blocks_readiness), ("chain_store_damaged", true));
    assert!(condition.reason.contains("Move the file away"), "{condition:?}");
    node.store.commit(&body(&branch[0])).unwrap();
    node.follow_best_chain(&mut node.writer.lock(), None).unwrap();
    assert_eq!(node.tip().id, branch[1].id());
}
