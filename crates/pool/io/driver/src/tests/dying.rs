//! The world as a pool sees it that may die at any effect: disk, books, node.

use std::{io, path::Path, sync::Arc};

use bq_books::{Batch, BookStore, Checkpoint, RowKind, SqliteBooks, StoreError, StoredEvent, StoredRow};
use bq_chain_api::{
    BlockSummary, BoxStream, Coin, MiningInfo, NodeApi, NodeError, Route, SubmitBlockError, SubmitTransactionError,
    Template, TemplateRequest, TipSummary, TransactionStatus,
};
use bq_pool_machine::{LogHash, LogHead, LogNumber};
use bq_primitives::{Block, BlockId, Height, KeyHash, Network, OutPoint, Transaction, TxId};
use bq_segments::{Disk, FolderLock, RealDisk, SegmentFile};

use super::{fake_node::FakeNode, world::Death};

fn dead() -> io::Error {
    io::Error::other("dead")
}

/// Dies in the middle of a write.
pub(crate) struct DyingDisk {
    pub(crate) disk: RealDisk,
    pub(crate) death: Death,
}

struct DyingFile {
    file: Arc<dyn SegmentFile>,
    death: Death,
}

impl DyingDisk {
    fn unless_dead<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.death.is_dead() { Err(dead()) } else { act() }
    }

    fn file(&self, file: Arc<dyn SegmentFile>) -> Arc<dyn SegmentFile> {
        Arc::new(DyingFile { file, death: self.death.clone() })
    }
}

impl Disk for DyingDisk {
    fn lock(&self, folder: &Path) -> io::Result<Option<FolderLock>> {
        self.disk.lock(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn read(&self, path: &Path, bytes_max: u64, into: &mut Vec<u8>) -> io::Result<()> {
        self.death.note_read();
        self.disk.read(path, bytes_max, into)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        self.unless_dead(|| self.disk.create(path)).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        self.unless_dead(|| self.disk.open(path)).map(|file| self.file(file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.unless_dead(|| self.disk.remove(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.unless_dead(|| self.disk.rename(from, to))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.unless_dead(|| self.disk.sync_folder(folder))
    }
}

impl SegmentFile for DyingFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.death.is_full() {
            self.file.write_at(offset, &bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let was_dead = self.death.is_dead();
        let (happens, survives) = self.death.effect();
        if happens {
            self.file.write_at(offset, bytes)?;
        } else if !was_dead {
            self.file.write_at(offset, &bytes[..bytes.len() / 2])?;
        }
        if survives { Ok(()) } else { Err(dead()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if self.death.is_dead() { Err(dead()) } else { self.file.set_len(length) }
    }

    fn sync(&self) -> io::Result<()> {
        if self.death.is_dead() { Err(dead()) } else { self.file.sync() }
    }
}

/// A commit happens entirely or not at all, and may happen unheard of.
pub(crate) struct DyingStore {
    pub(crate) store: SqliteBooks,
    pub(crate) death: Death,
}

impl BookStore for DyingStore {
    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        if self.death.is_full() {
            return Err(StoreError::DiskFull("full".into()));
        }
        let (happens, survives) = self.death.effect();
        if happens {
            self.store.append(batch)?;
        }
        if survives { Ok(()) } else { Err(StoreError::DiskFull("dead".into())) }
    }

    fn head(&self) -> Result<LogHead, StoreError> {
        self.store.head()
    }

    fn read(&self, from: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.store.read(from, max)
    }

    fn newest(&self, kind: &str, before: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.store.newest(kind, before, max)
    }

    fn hash_at(&self, number: LogNumber) -> Result<Option<LogHash>, StoreError> {
        self.store.hash_at(number)
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.checkpoint()
    }

    fn oldest_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.oldest_checkpoint()
    }

    fn row(&self, kind: RowKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.row(kind, key)
    }

    fn rows(&self, kind: RowKind, group: &str, before: u64, max: usize) -> Result<Vec<StoredRow>, StoreError> {
        self.store.rows(kind, group, before, max)
    }

    fn page(
        &self,
        kind: RowKind,
        group: &str,
        after: Option<(u64, &str)>,
        max: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.store.page(kind, group, after, max)
    }

    fn back_up(&self, into: &Path) -> Result<(), StoreError> {
        self.store.back_up(into)
    }
}

/// The chain lives on, but the pool may die while it talks to it.
pub(crate) struct DyingNode {
    pub(crate) node: Arc<FakeNode>,
    pub(crate) death: Death,
}

impl NodeApi for DyingNode {
    fn network(&self) -> Network {
        self.node.network()
    }

    fn genesis_id(&self) -> BlockId {
        self.node.genesis_id()
    }

    fn coinbase_maturity(&self) -> u32 {
        self.node.coinbase_maturity()
    }

    fn tip(&self) -> TipSummary {
        self.node.tip()
    }

    fn tip_changes(&self) -> BoxStream<'static, TipSummary> {
        self.node.tip_changes()
    }

    fn template(&self, request: &TemplateRequest) -> Result<Template, NodeError> {
        self.node.template(request)
    }

    fn submit_block(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        let (happens, survives) = self.death.effect();
        let outcome = if happens { self.node.submit_block(block) } else { Err(NodeError::Closed.into()) };
        if survives { outcome } else { Err(NodeError::Closed.into()) }
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        self.node.block(id)
    }

    fn block_summary(&self, id: &BlockId) -> Result<Option<BlockSummary>, NodeError> {
        self.node.block_summary(id)
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        self.node.block_id_at(height)
    }

    fn route(&self, from: &BlockId, blocks_max: usize) -> Result<Route, NodeError> {
        self.node.route(from, blocks_max)
    }

    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        self.node.coins_of(key_hash)
    }

    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, NodeError> {
        self.node.spender_of(outpoint)
    }

    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        let (happens, survives) = self.death.effect();
        let outcome = if happens { self.node.submit_transaction(transaction) } else { Err(NodeError::Closed.into()) };
        if survives { outcome } else { Err(NodeError::Closed.into()) }
    }

    fn transaction_status(&self, txid: &TxId) -> Result<TransactionStatus, NodeError> {
        self.node.transaction_status(txid)
    }

    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        self.node.mining_info()
    }
}
