use std::sync::Arc;

use bq_chain_api::NodeApi;
use bq_consensus::Params;
use bq_primitives::{Algorithm, Amount};
use bq_store::{STORE_FILE, StoreError};

use super::rig::{POW, Rig, config, first_coin, key, open, quick_params, sha256d_params, spend, state};
use crate::{Node, NodeOpenError};

#[test]
fn a_restart_changes_nothing() {
    let rig = Rig::new(quick_params());
    let keys = [key(1), key(2)];
    rig.grow_by(5, &keys[0]);
    let payment = spend(&rig.node, &keys[0], first_coin(&rig.node, &keys[0]), &keys[1], Amount::ATOMS_PER_COIN, 9_000);
    rig.node.submit_transaction(payment).unwrap();
    rig.grow_by(3, &keys[0]);
    let (before, tip) = (state(&rig.node, &keys), rig.node.tip());
    let rig = rig.restart();
    assert_eq!(state(&rig.node, &keys), before);
    assert_eq!(rig.node.tip(), tip);
    rig.grow_by(2, &keys[1]);
    let (before, tip) = (state(&rig.node, &keys), rig.node.tip());
    let rig = rig.restart();
    assert_eq!((state(&rig.node, &keys), rig.node.tip()), (before, tip));
}

#[test]
fn a_copy_of_the_file_at_any_moment_opens_at_the_last_committed_change() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    let keys = [key(1), key(2)];
    let mut blocks = there.grow_by(2, &keys[0]);
    let rival = Rig::new(sha256d_params());
    rival.submit_all(&blocks);
    blocks.extend(there.grow_by(2, &keys[0]));
    blocks.extend(rival.grow_by(4, &keys[1]));
    for block in &blocks {
        here.submit_all(std::slice::from_ref(block));
        // What a killed process leaves: the file as it is, never closed.
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(here.directory.path().join(STORE_FILE), copy.path().join(STORE_FILE)).unwrap();
        let node = open(copy.path(), &here.params, &here.clock);
        assert_eq!(state(&node, &keys), state(&here.node, &keys));
        assert_eq!(node.tip(), here.node.tip());
    }
    assert_eq!(here.node.tip().id, rival.node.tip().id);
}

#[test]
fn a_stored_but_unfollowed_better_branch_is_followed_at_start() {
    // Bodies and headers of the better branch are stored in one commit, the switch is the next: a crash between them.
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    here.grow_by(1, &key(1));
    let branch = there.grow_by(2, &key(2));
    here.submit_all(&branch[..1]);
    let copy = tempfile::tempdir().unwrap();
    let last = &branch[1];
    {
        let Rig { node, clock, params, directory } = here;
        clock.advance(10_000);
        let entry = {
            let tree = node.tree.read();
            let parent = tree.branch(&last.header.parent_id).unwrap();
            bq_consensus::extend(&params, &parent, &last.header, last.id()).unwrap()
        };
        let change = bq_store::StoreChange {
            headers: vec![bq_store::NewHeader {
                sealed: bq_primitives::SealedHeader { header: last.header, seal: last.seal },
                entry,
            }],
            bodies: vec![(last.id(), Arc::new(last.transactions.clone()))],
            ..bq_store::StoreChange::default()
        };
        node.store.commit(&change).unwrap();
        drop(node);
        std::fs::copy(directory.path().join(STORE_FILE), copy.path().join(STORE_FILE)).unwrap();
        let node = open(copy.path(), &params, &clock);
        assert_eq!(node.tip().id, last.id());
    }
}

#[test]
fn a_directory_of_another_network_is_refused_by_name() {
    let rig = Rig::new(sha256d_params());
    rig.grow(Algorithm::Sha256d, &key(1));
    let Rig { node, clock, directory, .. } = rig;
    drop(node);
    let devnet = Arc::new(Params::devnet());
    let error = loop {
        match Node::open(config(directory.path(), &devnet, &clock), Arc::clone(&POW)).err().unwrap() {
            NodeOpenError::Store(StoreError::InUse { .. }) => std::thread::yield_now(),
            error => break error,
        }
    };
    assert!(matches!(error, NodeOpenError::Store(StoreError::OtherNetwork { .. })), "{error}");
    assert!(error.to_string().contains(STORE_FILE), "{error}");

    let broken =
        Arc::new(Params { coinbase_maturity: 2, eras: bq_consensus::Eras { table: vec![] }, ..Params::regtest() });
    let error = Node::open(config(directory.path(), &broken, &clock), Arc::clone(&POW)).err().unwrap();
    assert!(matches!(error, NodeOpenError::Params(_)), "{error}");
}
