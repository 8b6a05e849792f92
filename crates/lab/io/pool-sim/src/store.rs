use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_books::{Batch, BookStore, Checkpoint, RowKind, SqliteBooks, StoreError, StoredEvent, StoredRow};
use bq_pool_machine::{LogHash, LogHead, LogNumber};

use crate::{death::Death, disk::Speed};

/// The real books. A commit happens entirely or not at all, may happen unheard of, and needs room.
pub(crate) struct SimStore {
    pub(crate) books: SqliteBooks,
    pub(crate) death: Arc<Death>,
    pub(crate) speed: Arc<Speed>,
    /// Rows are left out of every commit: a planted bug.
    pub(crate) drops_rows: bool,
}

impl BookStore for SimStore {
    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        self.speed.sync();
        if self.death.is_full() {
            return Err(StoreError::DiskFull(PathBuf::from("books.sqlite")));
        }
        let effect = self.death.effect();
        if effect.happens && self.drops_rows {
            self.books.append(&Batch { rows: Vec::new(), ..batch.clone() })?;
        } else if effect.happens {
            self.books.append(batch)?;
        }
        if effect.is_heard { Ok(()) } else { Err(StoreError::DiskFull(PathBuf::from("dead"))) }
    }

    fn head(&self) -> Result<LogHead, StoreError> {
        self.books.head()
    }

    fn read(&self, from: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.books.read(from, max)
    }

    fn newest(&self, kind: &str, before: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.books.newest(kind, before, max)
    }

    fn hash_at(&self, number: LogNumber) -> Result<Option<LogHash>, StoreError> {
        self.books.hash_at(number)
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.books.checkpoint()
    }

    fn row(&self, kind: RowKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.books.row(kind, key)
    }

    fn rows(&self, kind: RowKind, group: &str, before: u64, max: usize) -> Result<Vec<StoredRow>, StoreError> {
        self.books.rows(kind, group, before, max)
    }

    fn page(
        &self,
        kind: RowKind,
        group: &str,
        after: Option<(u64, &str)>,
        max: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.books.page(kind, group, after, max)
    }

    fn back_up(&self, into: &Path) -> Result<(), StoreError> {
        self.books.back_up(into)
    }
}
