//! Noise over one page of the file, wherever it lies.

use bq_primitives::Network;

use super::model::{Model, chain_change, identity, open};
use crate::{RedbStore, STORE_FILE, StoreError};

const PAGE: usize = 4096;

/// Either the file is refused by name, or the noise lies where nothing is kept. What may also be gone is the last commit
/// alone: the engine cannot tell noise over it from a power loss in the middle of it, and goes back to the one before.
#[test]
fn noise_is_refused_or_changes_nothing_that_was_committed_before() {
    let directory = tempfile::tempdir().unwrap();
    let (mut model, mut salt) = (Model::new(), 0);
    let store = open(directory.path());
    let mut before = model.clone();
    for _ in 0..12 {
        before = model.clone();
        crate::ChainStore::commit(&store, &chain_change(&mut model, &mut salt, 0, &[vec![]])).unwrap();
    }
    drop(store);
    let path = directory.path().join(STORE_FILE);
    let good = std::fs::read(&path).unwrap();
    let (mut refused, mut rolled_back) = (0, 0);
    for page in 0..good.len() / PAGE {
        let mut bad = good.clone();
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64 ^ page as u64;
        for byte in &mut bad[page * PAGE..(page + 1) * PAGE] {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (noise >> 56) as u8;
        }
        if good[page * PAGE..(page + 1) * PAGE].iter().all(|byte| *byte == 0) {
            continue;
        }
        std::fs::write(&path, &bad).unwrap();
        match RedbStore::open(directory.path(), &identity(Network::Regtest)) {
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupt { .. }), "page {page}: {error}");
                assert!(error.to_string().contains("Move the file away"), "{error}");
                refused += 1;
            }
            Ok(store) => {
                let known = crate::ChainStore::index(&store).unwrap().len();
                if known == before.blocks.len() {
                    before.check(&store);
                    rolled_back += 1;
                } else {
                    model.check(&store);
                }
            }
        }
    }
    assert!(refused > 0, "{refused} refused, {rolled_back} rolled back");
}
