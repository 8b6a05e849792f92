//! After every change the store is closed, opened again, and compared with plain maps.

use std::{collections::BTreeMap, sync::Arc};

use bq_primitives::{BlockId, Network};
use bq_tree::BlockUndo;
use proptest::prelude::*;

use super::model::{Model, block, chain_change, entry, identity, open, sealed, step};
use crate::{ChainStep, ChainStore, ChainUpdate, RedbStore, STORE_FILE, StoreChange, StoreError, StoreIdentity};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn reopening_after_every_change_equals_the_model(steps in prop::collection::vec(step(), 1..7)) {
        let directory = tempfile::tempdir().unwrap();
        let mut model = Model::new();
        model.check(&open(directory.path()));
        let mut salt = 0;
        for step in steps {
            let change = step.change(&mut model, &mut salt);
            let store = open(directory.path());
            store.commit(&change).unwrap();
            drop(store);
            model.check(&open(directory.path()));
        }
    }
}

#[test]
fn a_change_that_does_not_fit_is_refused_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut model = Model::new();
    let mut salt = 0;
    let change = chain_change(&mut model, &mut salt, 0, &[vec![], vec![]]);
    store.commit(&change).unwrap();
    // The same headers again.
    assert!(matches!(store.commit(&change), Err(StoreError::BadChange { .. })));
    let tip = ChainStep {
        id: *model.chain.last().unwrap(),
        sealed: sealed(&model.blocks[0].0),
        transactions: Arc::default(),
        undo: BlockUndo::default(),
    };
    let below = ChainStep { id: model.chain[1], ..tip.clone() };
    let of = |disconnect: Vec<ChainStep>, connect: Vec<ChainStep>| StoreChange {
        chain: Some(ChainUpdate { disconnect, connect, coins: BTreeMap::new() }),
        ..StoreChange::default()
    };
    for bad in [of(vec![below.clone()], vec![]), of(vec![], vec![tip.clone()]), of(vec![tip], vec![below])] {
        assert!(matches!(store.commit(&bad), Err(StoreError::BadChange { .. })));
        model.check(&store);
    }
}

#[test]
fn a_directory_of_another_chain_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let error = RedbStore::open(directory.path(), &identity(Network::Devnet)).unwrap_err();
    assert!(matches!(&error, StoreError::OtherNetwork { got, expected: Network::Devnet, .. } if got == "regtest"));
    assert!(error.to_string().contains(STORE_FILE));

    let genesis = block(BlockId::ZERO, 0, 9, vec![]);
    let other = StoreIdentity { network: Network::Regtest, genesis_entry: entry(&genesis, 0), genesis };
    let error = RedbStore::open(directory.path(), &other).unwrap_err();
    assert!(matches!(error, StoreError::OtherGenesis { .. }));
}

#[test]
fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let error = RedbStore::open(directory.path(), &identity(Network::Regtest)).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(first);
    open(directory.path());
}

#[test]
fn a_damaged_file_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = Model::new();
    let mut salt = 0;
    let store = open(directory.path());
    for _ in 0..5 {
        store.commit(&chain_change(&mut model, &mut salt, 0, &[vec![]])).unwrap();
    }
    drop(store);
    let path = directory.path().join(STORE_FILE);
    let good = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = RedbStore::open(directory.path(), &identity(Network::Regtest)).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{what}: {error}");
        assert!(error.to_string().contains(STORE_FILE), "{what}: {error}");
    };
    refused(b"this is no database, but it is long enough to look at", "another file");
    refused(&good[..good.len() / 2], "cut in half");
    // One byte inside stored rows: find a row and flip it in every place where it occurs.
    let needle = model.chain[3].0;
    let mut bad = good.clone();
    let places: Vec<_> = (0..bad.len() - 32).filter(|at| bad[*at..*at + 32] == needle).collect();
    assert!(!places.is_empty());
    for at in places {
        bad[at] ^= 1;
    }
    refused(&bad, "flipped byte");
    std::fs::write(&path, &good).unwrap();
    model.check(&open(directory.path()));
}
