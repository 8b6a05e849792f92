use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use bq_consensus::Coin;
use bq_primitives::{Block, BlockId, Header, KeyHash, OutPoint, Seal, TxId};
use bq_tree::BlockUndo;
use redb::{Builder, Database, DatabaseError, Durability, ReadableDatabase, StorageError, WriteTransaction};

use crate::{
    ChainStore, Confirmation, IndexedBlock, StoreChange, StoreError, StoreIdentity, fault::Fault, identity,
    snapshot::Snapshot, write::write_change,
};

/// Name of the store's file in the data directory.
pub const STORE_FILE: &str = "chain.redb";

/// Memory the engine may keep pages in.
const CACHE_BYTES: usize = 48 * 1024 * 1024;

/// A chain store in one redb file. Reads see the last committed change and never wait for a writer.
#[derive(Debug)]
pub struct RedbStore {
    database: Database,
    path: PathBuf,
}

impl RedbStore {
    /// Opens the store in `directory`, or makes both. A new store holds the genesis block. The checksums of the whole
    /// file are verified, so that a damaged file is refused here and not met later.
    ///
    /// # Errors
    /// The file belongs to another chain, is damaged, is in use, or cannot be read or written.
    pub fn open(directory: &Path, identity: &StoreIdentity) -> Result<Self, StoreError> {
        std::fs::create_dir_all(directory).map_err(|source| StoreError::Io { path: directory.to_owned(), source })?;
        let path = directory.join(STORE_FILE);
        Self::open_with(path.clone(), identity, |builder| builder.create(path))
    }

    /// [`RedbStore::open`] on whatever the engine is told to keep its pages in; `path` is for messages.
    pub(crate) fn open_with(
        path: PathBuf,
        identity: &StoreIdentity,
        create: impl FnOnce(&Builder) -> Result<Database, DatabaseError>,
    ) -> Result<Self, StoreError> {
        let store = Self { database: open_database(&path, create)?, path };
        if store.read(|snapshot| Ok(snapshot.0.list_tables()?.next().is_none()))? {
            store.write(|write| identity::write_new(write, identity))?;
        } else {
            let stored = store.read(identity::read_stored)?;
            stored.check(identity, &store.path)?;
        }
        Ok(store)
    }

    fn read<T>(&self, read: impl FnOnce(&Snapshot) -> Result<T, Fault>) -> Result<T, StoreError> {
        let snapshot = || Ok(Snapshot(self.database.begin_read()?));
        snapshot().and_then(|snapshot| read(&snapshot)).map_err(|fault: Fault| fault.at(&self.path))
    }

    /// One transaction, durable when this returns. An error drops it, which rolls it back.
    fn write(&self, body: impl FnOnce(&WriteTransaction) -> Result<(), Fault>) -> Result<(), StoreError> {
        let write = || {
            let mut write = self.database.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            body(&write)?;
            Ok(write.commit()?)
        };
        write().map_err(|fault: Fault| fault.at(&self.path))
    }
}

impl ChainStore for RedbStore {
    fn commit(&self, change: &StoreChange) -> Result<(), StoreError> {
        self.write(|write| write_change(write, change))
    }

    fn index(&self) -> Result<Vec<IndexedBlock>, StoreError> {
        self.read(Snapshot::index)
    }

    fn best_chain(&self) -> Result<Vec<BlockId>, StoreError> {
        self.read(Snapshot::best_chain)
    }

    fn headers(&self, ids: &[BlockId]) -> Result<Vec<(Header, Seal)>, StoreError> {
        self.read(|snapshot| snapshot.headers(ids))
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        self.read(|snapshot| snapshot.block(id))
    }

    fn undo(&self, id: &BlockId) -> Result<Option<BlockUndo>, StoreError> {
        self.read(|snapshot| snapshot.undo(id))
    }

    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        self.read(|snapshot| snapshot.coin(outpoint))
    }

    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<(OutPoint, Coin)>, StoreError> {
        self.read(|snapshot| snapshot.coins_of(key_hash))
    }

    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, StoreError> {
        self.read(|snapshot| snapshot.spender_of(outpoint))
    }

    fn confirmation(&self, txid: &TxId) -> Result<Option<Confirmation>, StoreError> {
        self.read(|snapshot| snapshot.confirmation(txid))
    }
}

/// The engine returns an error for a file that was altered, but documents that some alterations may make it panic; that
/// must not take the node down without naming the file.
fn open_database(
    path: &Path,
    create: impl FnOnce(&Builder) -> Result<Database, DatabaseError>,
) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_check_integrity_on_open(true);
    let open = || create(&builder);
    let corrupt = |what: String| StoreError::Corrupt { path: path.to_owned(), what };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch)) => {
            Err(StoreError::InUse { path: path.to_owned() })
        }
        Ok(Err(DatabaseError::Storage(StorageError::Io(source)))) if !is_bad_content(&source) => {
            Err(StoreError::Io { path: path.to_owned(), source })
        }
        Ok(Err(error)) => Err(corrupt(error.to_string())),
        Err(_) => Err(corrupt("the engine gave up on reading it".to_owned())),
    }
}

/// A file that does not start like a database, or stops early, is reported as an input error of this kind.
fn is_bad_content(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}
