//! A disk that loses power: what was written since the last sync is there, or is not, or is half there, each write for
//! itself. The store must open where the last commit left it, or where the one in flight would have.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use redb::StorageBackend;

use super::model::{Model, identity, step};
use crate::{ChainStore, RedbStore};

#[derive(Clone, Debug)]
enum Operation {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
    Sync,
}

/// Remembers every operation in order; clones share it.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    image: Vec<u8>,
    operations: Vec<Operation>,
}

/// What became of one unsynced operation.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    Lost,
    Torn,
}

fn apply(image: &mut Vec<u8>, operation: &Operation, fate: Fate) {
    match (operation, fate) {
        (Operation::Sync, _) | (_, Fate::Lost) => {}
        (Operation::SetLen(len), Fate::Done | Fate::Torn) => image.resize(*len, 0),
        (Operation::Write { offset, bytes }, fate) => {
            let kept = if matches!(fate, Fate::Torn) { bytes.len() / 2 } else { bytes.len() };
            // A lost extension takes what was written there with it.
            let end = (offset + kept).min(image.len());
            if *offset < end {
                image[*offset..end].copy_from_slice(&bytes[..end - offset]);
            }
        }
    }
}

impl Disk {
    fn record(&self, operation: Operation) {
        let mut state = self.0.lock().unwrap();
        apply(&mut state.image, &operation, Fate::Done);
        state.operations.push(operation);
    }

    fn operations(&self) -> usize {
        self.0.lock().unwrap().operations.len()
    }

    /// The disk after power went away in the middle of operation `at`.
    fn after_power_loss(&self, at: usize, fates: &[Fate]) -> Self {
        let operations = self.0.lock().unwrap().operations[..at].to_vec();
        let synced = operations.iter().rposition(|operation| matches!(operation, Operation::Sync)).unwrap_or(0);
        let mut image = Vec::new();
        for operation in &operations[..synced] {
            apply(&mut image, operation, Fate::Done);
        }
        for (operation, fate) in operations[synced..].iter().zip(fates.iter().cycle()) {
            apply(&mut image, operation, *fate);
        }
        Self(Arc::new(Mutex::new(State { image, operations: Vec::new() })))
    }

    fn open(&self) -> RedbStore {
        let disk = self.clone();
        let identity = identity(bq_primitives::Network::Regtest);
        RedbStore::open_on(Path::new("simulated disk").to_owned(), &identity, move || disk.clone()).unwrap()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().image.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let bytes = state.image.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.record(Operation::SetLen(usize::try_from(len).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.record(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.record(Operation::Write { offset: usize::try_from(offset).unwrap(), bytes: data.to_vec() });
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn power_loss_leaves_the_last_commit_or_the_one_in_flight(
        steps in prop::collection::vec(step(), 1..5),
        crashes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec(prop_oneof![Just(Fate::Done), Just(Fate::Lost), Just(Fate::Torn)], 1..9)),
            8,
        ),
    ) {
        let disk = Disk::default();
        let store = disk.open();
        // After how many operations each state was durable.
        let mut model = Model::new();
        let mut states = vec![(disk.operations(), model.clone())];
        let mut salt = 0;
        for step in steps {
            let change = step.change(&mut model, &mut salt);
            store.commit(&change).unwrap();
            states.push((disk.operations(), model.clone()));
        }
        let created = states[0].0;
        for (at, fates) in crashes {
            let at = created + at.index(disk.operations() - created + 1);
            let survivor = disk.after_power_loss(at, &fates).open();
            let committed = states.iter().rposition(|(operations, _)| *operations <= at).unwrap();
            let known = survivor.index().unwrap().len();
            // Every step adds a header, so the number of headers tells the states apart.
            let found = states.iter().position(|(_, model)| model.blocks.len() == known);
            prop_assert!(found == Some(committed) || found == Some(committed + 1), "{found:?} after {committed}");
            states[found.unwrap()].1.check(&survivor);
        }
    }
}
