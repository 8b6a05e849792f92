//! A disk that refuses writes for a while: the store stops, and comes back without a restart.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use bq_primitives::Network;
use proptest::prelude::*;
use redb::StorageBackend;

use super::model::{Model, identity, step};
use crate::{ChainStore, Recovery, RedbStore, StoreError};

/// Bytes that clones share, and how many more operations they take before every write is refused.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    image: Vec<u8>,
    /// Writes and syncs that still work; nothing means all of them.
    room: Option<usize>,
    /// A write that fails leaves half of itself behind.
    tears: bool,
}

impl Disk {
    fn set_room(&self, room: Option<usize>) {
        self.0.lock().unwrap().room = room;
    }

    fn open(&self) -> RedbStore {
        let disk = self.clone();
        let path = Path::new("small disk/chain.redb").to_owned();
        RedbStore::open_on(path, &identity(Network::Regtest), move || disk.clone()).unwrap()
    }
}

impl State {
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.room {
            None => Ok(()),
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(room) => {
                *room -= 1;
                Ok(())
            }
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().image.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let state = self.0.lock().unwrap();
        out.copy_from_slice(state.image.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.spend()?;
        state.image.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().unwrap().spend()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let outcome = state.spend();
        let kept = match &outcome {
            Ok(()) => data.len(),
            Err(_) if state.tears => data.len() / 2,
            Err(_) => 0,
        };
        let start = usize::try_from(offset).unwrap();
        state.image[start..start + kept].copy_from_slice(&data[..kept]);
        outcome
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However much of a commit the disk takes before it is full: while it is, every attempt fails by name; once there is
    /// room, the store holds all that was committed, and says truly whether the failed change is there.
    #[test]
    fn a_store_on_a_full_disk_comes_back_with_every_commit(
        steps in prop::collection::vec((step(), 0..40_usize, any::<bool>()), 1..5),
    ) {
        let disk = Disk::default();
        let store = disk.open();
        let (mut model, mut salt) = (Model::new(), 0);
        for (step, room, tears) in steps {
            let before = model.clone();
            let change = step.change(&mut model, &mut salt);
            disk.0.lock().unwrap().tears = tears;
            disk.set_room(Some(room));
            if store.commit(&change).is_ok() {
                disk.set_room(None);
                model.check(&store);
                continue;
            }
            disk.set_room(Some(0));
            for _ in 0..2 {
                let error = store.commit(&change).unwrap_err();
                prop_assert!(error.may_pass(), "{error}");
                // Opening may need a write or not; what it cannot do is to make things worse.
                if let Err(error) = store.recover() {
                    prop_assert!(error.may_pass(), "{error}");
                }
            }
            disk.set_room(None);
            match store.recover().unwrap() {
                Recovery::WithFailed => model.check(&store),
                Recovery::WithoutFailed => {
                    before.check(&store);
                    store.commit(&change).unwrap();
                    model.check(&store);
                }
            }
        }
        drop(store);
        model.check(&disk.open());
    }
}

#[test]
fn a_full_disk_is_told_by_name_and_stops_everything_until_the_file_is_opened_again() {
    let disk = Disk::default();
    let store = disk.open();
    let (mut model, mut salt) = (Model::new(), 0);
    let change = super::model::chain_change(&mut model, &mut salt, 0, &[vec![]]);
    disk.set_room(Some(0));
    let error = store.commit(&change).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(error.to_string(), "small disk/chain.redb: no room left on the disk");
    disk.set_room(None);
    let error = store.commit(&change).unwrap_err();
    assert!(matches!(error, StoreError::Stopped { .. }), "{error}");
    assert_eq!(store.recover().unwrap(), Recovery::WithoutFailed);
    store.commit(&change).unwrap();
    model.check(&store);
}
