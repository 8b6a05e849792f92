//! The embedded store.

mod inspect;
mod open;

pub use inspect::RawRow;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bq_fault_point::{FaultPoint, reach};
use bq_pool_machine::{LogHash, LogHead, LogNumber};
use bq_primitives::{BlockId, Network};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row as SqlRow, Transaction, TransactionBehavior};

use crate::{Batch, BookStore, Checkpoint, OlderCheckpoints, Row, RowKind, StoreError, StoredEvent, StoredRow};

/// Checkpoints that are kept, passing ones aside: see [`OlderCheckpoints`].
const CHECKPOINTS_KEPT: i64 = 2;

/// The log in one SQLite file: one writing connection, one reading connection, write-ahead log, every commit synced.
pub struct SqliteBooks {
    path: PathBuf,
    reader: Mutex<Connection>,
    // Closed after the reader: the last connection to close empties the write-ahead log, and a reader cannot.
    writer: Mutex<Connection>,
}

impl SqliteBooks {
    /// Opens the books, which are made if the file is missing or empty, and checks the file and its owner.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for a file of another chain or kind, [`StoreError::Corrupt`] for a damaged one.
    pub fn open(path: &Path, network: Network, genesis: &BlockId) -> Result<Self, StoreError> {
        let (writer, reader) = open::open(path, network, genesis)?;
        Ok(Self { path: path.to_owned(), reader: Mutex::new(reader), writer: Mutex::new(writer) })
    }

    /// Opens a copy that nobody writes to, and changes nothing of it, not even its header.
    ///
    /// # Errors
    /// As [`SqliteBooks::open`]; every write fails later.
    pub fn open_copy(path: &Path, network: Network, genesis: &BlockId) -> Result<Self, StoreError> {
        let (writer, reader) = open::open_copy(path, network, genesis)?;
        Ok(Self { path: path.to_owned(), reader: Mutex::new(reader), writer: Mutex::new(writer) })
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        open::failed(&self.path, error)
    }

    fn corrupt(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), reason: reason.into() }
    }

    fn first_checkpoint(&self, sql: &str) -> Result<Option<Checkpoint>, StoreError> {
        let read = |row: &SqlRow<'_>| Ok(Checkpoint { head: log_head(row)?, state: row.get(2)? });
        self.look(|tx| tx.query_row(sql, [], read).optional())
    }

    /// Runs `work` on one snapshot.
    fn look<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let mut reader = lock(&self.reader);
        let run = || {
            let snapshot = reader.transaction()?;
            work(&snapshot)
        };
        run().map_err(|error| self.failed(&error))
    }
}

impl BookStore for SqliteBooks {
    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        let failed = |error: rusqlite::Error| self.failed(&error);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let got = head(&transaction).map_err(failed)?;
        if got != batch.expected {
            return Err(StoreError::Head { got, expected: batch.expected });
        }
        write(&transaction, batch).map_err(failed)?;
        for event in &batch.events {
            match event.kind {
                "chain" => reach(FaultPoint::ChainNotCommitted),
                "per_share" => reach(FaultPoint::EarningsNotCommitted),
                _ => {}
            }
        }
        transaction.commit().map_err(failed)
    }

    fn head(&self) -> Result<LogHead, StoreError> {
        self.look(|tx| head(tx))
    }

    fn read(&self, from: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = "SELECT number, hash, bytes FROM events WHERE number >= ?1 ORDER BY number LIMIT ?2";
        self.look(|tx| all(tx, sql, (int(from.0), limit(max)), event))
    }

    fn newest(&self, kind: &str, before: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let sql =
            "SELECT number, hash, bytes FROM events WHERE kind = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";
        self.look(|tx| all(tx, sql, (kind, int(before.0), limit(max)), event))
    }

    fn oldest(&self, kind: &str, from: LogNumber, max: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = "SELECT number, hash, bytes FROM events WHERE kind = ?1 AND number >= ?2 ORDER BY number LIMIT ?3";
        self.look(|tx| all(tx, sql, (kind, int(from.0), limit(max)), event))
    }

    fn hash_at(&self, number: LogNumber) -> Result<Option<LogHash>, StoreError> {
        if number == LogNumber(0) {
            return Ok(Some(LogHash::default()));
        }
        let sql = "SELECT hash FROM events WHERE number = ?1";
        self.look(|tx| tx.query_row(sql, [int(number.0)], |row| row.get(0).map(LogHash)).optional())
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.first_checkpoint("SELECT number, hash, state FROM checkpoints ORDER BY number DESC LIMIT 1")
    }

    fn oldest_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.first_checkpoint("SELECT number, hash, state FROM checkpoints ORDER BY number LIMIT 1")
    }

    fn row(&self, kind: RowKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value FROM rows WHERE kind = ?1 AND key = ?2";
        self.look(|tx| tx.query_row(sql, (kind.name(), key), |row| row.get(0)).optional())
    }

    fn rows(&self, kind: RowKind, group: &str, before: u64, max: usize) -> Result<Vec<StoredRow>, StoreError> {
        let sql = "SELECT key, place, value FROM rows WHERE kind = ?1 AND list = ?2 AND place < ?3
            ORDER BY place DESC LIMIT ?4";
        self.look(|tx| all(tx, sql, (kind.name(), group, int(before), limit(max)), listed))
    }

    fn page(
        &self,
        kind: RowKind,
        group: &str,
        after: Option<(u64, &str)>,
        max: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let sql = "SELECT key, place, value FROM rows
            WHERE kind = ?1 AND list = ?2 AND place <= ?3 AND (place < ?3 OR key < ?4)
            ORDER BY place DESC, key DESC LIMIT ?5";
        // No key is above the largest character.
        let (place, key) = after.unwrap_or((u64::MAX, "\u{10ffff}"));
        self.look(|tx| all(tx, sql, (kind.name(), group, int(place), key, limit(max)), listed))
    }

    fn back_up(&self, into: &Path) -> Result<(), StoreError> {
        if into.exists() {
            return Err(self.corrupt(format!("{} is in the way of the copy", into.display())));
        }
        let target = into.display().to_string();
        let writer = lock(&self.writer);
        writer.execute("VACUUM INTO ?1", [target]).map(|_| ()).map_err(|error| self.failed(&error))
    }
}

fn write(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO events (number, kind, bytes, hash) VALUES (?1, ?2, ?3, ?4)")?;
    for event in &batch.events {
        insert.execute((int(event.head.number.0), event.kind, &event.bytes, event.head.hash.0))?;
    }
    for row in &batch.rows {
        put(transaction, row)?;
    }
    if let Some(Checkpoint { head, state }) = &batch.checkpoint {
        let OlderCheckpoints { is_passing, forgotten } = batch.older;
        if let Some(number) = forgotten {
            transaction.execute("DELETE FROM checkpoints WHERE number = ?1", [int(number.0)])?;
        }
        let sql = "INSERT OR REPLACE INTO checkpoints (number, hash, state) VALUES (?1, ?2, ?3)";
        transaction.execute(sql, (int(head.number.0), head.hash.0, state))?;
        let sql = "DELETE FROM checkpoints WHERE number NOT IN
            (SELECT number FROM checkpoints ORDER BY number DESC LIMIT ?1)";
        transaction.execute(sql, [CHECKPOINTS_KEPT.saturating_add(is_passing.into())])?;
    }
    Ok(())
}

fn put(transaction: &Transaction<'_>, row: &Row) -> rusqlite::Result<()> {
    match &row.value {
        Some(value) => {
            let sql = "INSERT OR REPLACE INTO rows (kind, key, list, place, value) VALUES (?1, ?2, ?3, ?4, ?5)";
            let params = (row.kind.name(), &row.key, &row.group, int(row.order), value);
            transaction.prepare_cached(sql)?.execute(params)?;
        }
        None => {
            let sql = "DELETE FROM rows WHERE kind = ?1 AND key = ?2";
            transaction.prepare_cached(sql)?.execute((row.kind.name(), &row.key))?;
        }
    }
    Ok(())
}

fn head(connection: &Connection) -> rusqlite::Result<LogHead> {
    let sql = "SELECT number, hash FROM events ORDER BY number DESC LIMIT 1";
    Ok(connection.query_row(sql, [], log_head).optional()?.unwrap_or_default())
}

fn log_head(row: &SqlRow<'_>) -> rusqlite::Result<LogHead> {
    let number: i64 = row.get(0)?;
    Ok(LogHead { number: LogNumber(number.unsigned_abs()), hash: LogHash(row.get(1)?) })
}

fn event(row: &SqlRow<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent { head: log_head(row)?, bytes: row.get(2)? })
}

fn listed(row: &SqlRow<'_>) -> rusqlite::Result<StoredRow> {
    let place: i64 = row.get(1)?;
    Ok(StoredRow { key: row.get(0)?, order: place.unsigned_abs(), value: row.get(2)? })
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    each: impl FnMut(&SqlRow<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params, each)?.collect()
}

/// A number as SQLite keeps it. The largest stand for "no bound".
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A panic while the lock was held leaves no half-written state: the transaction was rolled back.
fn lock(mutex: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What SQLite says, as a consequence.
fn consequence(path: &Path, error: &rusqlite::Error) -> StoreError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation) => StoreError::Corrupt { path, reason },
        Some(ErrorCode::NotADatabase) => StoreError::Foreign { path, reason: "it is not a SQLite database".to_owned() },
        _ => StoreError::Database { path, reason },
    }
}
