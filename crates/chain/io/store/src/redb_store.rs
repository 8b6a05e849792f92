use std::{
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use bq_consensus::Coin;
use bq_primitives::{Block, BlockId, KeyHash, OutPoint, SealedHeader, TxId};
use bq_tree::BlockUndo;
use parking_lot::{Mutex, RwLock};
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, StorageBackend, StorageError, WriteTransaction,
};

use crate::{
    ChainStore, Confirmation, IndexedBlock, Recovery, StoreChange, StoreError, StoreIdentity, fault::Fault, identity,
    snapshot::Snapshot, write::write_change,
};

/// Name of the store's file in the data directory.
pub const STORE_FILE: &str = "chain.redb";

/// Memory the engine may keep pages in.
const CACHE_BYTES: usize = 48 * 1024 * 1024;

/// A chain store in one redb file. Reads see the last committed change and never wait for a writer.
///
/// After a failure of the disk the engine refuses everything until the file is opened again, which
/// [`ChainStore::recover`] does. Every commit is numbered in the file, so that a commit whose end nobody saw is found out.
pub struct RedbStore {
    path: PathBuf,
    open: Box<dyn Fn(Verify) -> Result<Database, StoreError> + Send + Sync>,
    /// Nothing while the file cannot be opened again.
    engine: RwLock<Option<Database>>,
    /// Number of the last commit that was reported done; held by the one writer.
    commits: Mutex<u64>,
}

/// Whether opening verifies the checksums of a file that was closed in order.
#[derive(Clone, Copy)]
enum Verify {
    Always,
    /// The engine does so itself after a failure.
    IfNotClosed,
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
        let file = path.clone();
        Self::open_with(path, identity, move |builder| builder.create(&file))
    }

    /// [`RedbStore::open`] on a disk of the caller's making, such as a simulated one that fails. `disk` gives access to the
    /// same bytes each time it is called; `path` is for messages.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn open_on<B: StorageBackend>(
        path: PathBuf,
        identity: &StoreIdentity,
        disk: impl Fn() -> B + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Self::open_with(path, identity, move |builder| builder.create_with_backend(disk()))
    }

    fn open_with(
        path: PathBuf,
        identity: &StoreIdentity,
        create: impl Fn(&Builder) -> Result<Database, DatabaseError> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let file = path.clone();
        let open = Box::new(move |verify| open_database(&file, verify, &create));
        let engine = RwLock::new(Some(open(Verify::Always)?));
        let store = Self { path, open, engine, commits: Mutex::new(0) };
        if store.read(|snapshot| Ok(snapshot.0.list_tables()?.next().is_none()))? {
            store.write(|write| identity::write_new(write, identity))?;
        } else {
            let stored = store.read(identity::read_stored)?;
            stored.check(identity, &store.path)?;
        }
        *store.commits.lock() = store.read(identity::read_commits)?;
        Ok(store)
    }

    fn read<T>(&self, read: impl FnOnce(&Snapshot) -> Result<T, Fault>) -> Result<T, StoreError> {
        let engine = self.engine.read();
        let snapshot = || Ok(Snapshot(engine.as_ref().ok_or(Fault::Stopped)?.begin_read()?));
        snapshot().and_then(|snapshot| read(&snapshot)).map_err(|fault: Fault| fault.at(&self.path))
    }

    /// One transaction, durable when this returns. An error drops it, which rolls it back.
    fn write(&self, body: impl FnOnce(&WriteTransaction) -> Result<(), Fault>) -> Result<(), StoreError> {
        let engine = self.engine.read();
        let write = || {
            let mut write = engine.as_ref().ok_or(Fault::Stopped)?.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            body(&write)?;
            Ok(write.commit()?)
        };
        write().map_err(|fault: Fault| fault.at(&self.path))
    }

    /// How many commits the file holds, which it may be the only one to know.
    fn reopen(&self) -> Result<u64, StoreError> {
        // The engine locks the file: it is let go of before it is opened again.
        *self.engine.write() = None;
        let database = (self.open)(Verify::IfNotClosed)?;
        *self.engine.write() = Some(database);
        self.read(identity::read_commits)
    }
}

impl std::fmt::Debug for RedbStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RedbStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ChainStore for RedbStore {
    fn commit(&self, change: &StoreChange) -> Result<(), StoreError> {
        let mut commits = self.commits.lock();
        let number = commits.saturating_add(1);
        self.write(|write| {
            write_change(write, change)?;
            identity::write_commits(write, number)
        })?;
        *commits = number;
        Ok(())
    }

    fn recover(&self) -> Result<Recovery, StoreError> {
        let mut commits = self.commits.lock();
        let found = self.reopen()?;
        match found.checked_sub(*commits) {
            Some(0) => Ok(Recovery::WithoutFailed),
            Some(1) => {
                *commits = found;
                Ok(Recovery::WithFailed)
            }
            _ => {
                *self.engine.write() = None;
                Err(self.damaged(format!("holds {found} changes, {commits} were committed")))
            }
        }
    }

    fn damaged(&self, what: String) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), what }
    }

    fn index(&self) -> Result<Vec<IndexedBlock>, StoreError> {
        self.read(Snapshot::index)
    }

    fn best_chain(&self) -> Result<Vec<BlockId>, StoreError> {
        self.read(Snapshot::best_chain)
    }

    fn headers(&self, ids: &[BlockId]) -> Result<Vec<SealedHeader>, StoreError> {
        self.read(|snapshot| snapshot.headers(ids))
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StoreError> {
        self.read(|snapshot| snapshot.block(id))
    }

    fn block_bytes(&self, id: &BlockId) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|snapshot| snapshot.block_bytes(id))
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
    verify: Verify,
    create: &dyn Fn(&Builder) -> Result<Database, DatabaseError>,
) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_check_integrity_on_open(matches!(verify, Verify::Always));
    let open = || create(&builder);
    let corrupt = |what: String| StoreError::Corrupt { path: path.to_owned(), what };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch)) => {
            Err(StoreError::InUse { path: path.to_owned() })
        }
        Ok(Err(DatabaseError::Storage(error))) if is_disk_trouble(&error) => Err(Fault::from(error).at(path)),
        Ok(Err(error)) => Err(corrupt(error.to_string())),
        Err(_) => Err(corrupt("the engine gave up on reading it".to_owned())),
    }
}

/// Whether the disk failed, as opposed to what lies on it. A file that does not start like a database, or stops early, is
/// reported as an input error too.
fn is_disk_trouble(error: &StorageError) -> bool {
    match error {
        StorageError::Io(error) => !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
        StorageError::PreviousIo => true,
        _ => false,
    }
}
