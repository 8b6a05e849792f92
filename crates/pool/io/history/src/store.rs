use std::path::{Path, PathBuf};

use bq_pool_history::{BlockEarnings, EndedRound, LuckHistory, Ring, Round, Series, SeriesKey, Span};
use bq_primitives::{Algorithm, BlockId, KeyHash, Network};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use crate::{
    Batch, BlockChange, HistoryStoreError, SeriesRow,
    open::{move_aside, open},
};

/// Pages that a batch gives back to the system at most.
const PAGES_FREED: u32 = 256;

/// The file of statistics: one writing connection, one reading connection. All calls block on disk.
///
/// # Errors
/// Every call may fail with any variant of [`HistoryStoreError`]; nothing was written then. After
/// [`HistoryStoreError::Unusable`] the file has to be begun anew.
#[derive(Debug)]
pub struct HistoryStore {
    path: PathBuf,
    reader: Mutex<Connection>,
    // Closed after the reader: the last connection to close empties the write-ahead log, and a reader cannot.
    writer: Mutex<Connection>,
}

/// What an account earned on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayEarnings {
    /// Days since 1970, UTC.
    pub day: u32,
    /// Atoms.
    pub atoms: u64,
}

impl HistoryStore {
    /// Opens the file, which is made if it is missing or empty.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn open(path: &Path, network: Network, genesis: &BlockId) -> Result<Self, HistoryStoreError> {
        let (writer, reader) = open(path, network, genesis)?;
        Ok(Self { path: path.to_owned(), reader: Mutex::new(reader), writer: Mutex::new(writer) })
    }

    /// As [`HistoryStore::open`]; a file that cannot be used is moved aside, with a warning, and begun anew.
    ///
    /// # Errors
    /// See [`HistoryStore`]: nothing can be written there at all.
    pub fn open_or_begin_anew(path: &Path, network: Network, genesis: &BlockId) -> Result<Self, HistoryStoreError> {
        match Self::open(path, network, genesis) {
            Err(HistoryStoreError::Unusable { reason, .. }) => Self::begin_anew(path, network, genesis, &reason),
            opened => opened,
        }
    }

    /// Moves the file aside, with a warning that says why, and makes an empty one.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn begin_anew(
        path: &Path,
        network: Network,
        genesis: &BlockId,
        reason: &str,
    ) -> Result<Self, HistoryStoreError> {
        let failed =
            |error: std::io::Error| HistoryStoreError::Failed { path: path.to_owned(), reason: error.to_string() };
        let moved = move_aside(path).map_err(failed)?;
        tracing::warn!(
            file = %path.display(), moved = %moved.display(), reason,
            "the statistics cannot be used: they are moved aside and begun anew; books and payouts do not depend on them"
        );
        Self::open(path, network, genesis)
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a batch, in one step.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn write(&self, batch: &Batch) -> Result<(), HistoryStoreError> {
        let mut writer = self.writer.lock();
        let mut run = || {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            write(&transaction, batch)?;
            transaction.commit()?;
            if batch.dropped.is_empty() {
                Ok(())
            } else {
                writer.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES_FREED})"))
            }
        };
        run().map_err(|error| self.failed(&error))
    }

    /// Every series. Rows that no writer made are left out; how many those are.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn series(&self, mut each: impl FnMut(SeriesKey, Series)) -> Result<u64, HistoryStoreError> {
        self.look(|connection| {
            let mut unreadable = 0;
            let mut statement = connection.prepare("SELECT key, value FROM series")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (key, value) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
                match (SeriesKey::from_bytes(key), Series::from_bytes(value)) {
                    (Ok(key), Ok(series)) => each(key, series),
                    _ => unreadable += 1,
                }
            }
            Ok(unreadable)
        })
    }

    /// The luck of every account and lane that has some. Rows that no writer made are left out.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn luck(&self, mut each: impl FnMut(SeriesKey, LuckHistory)) -> Result<(), HistoryStoreError> {
        self.look(|connection| {
            let mut statement = connection.prepare("SELECT key, value FROM luck")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (key, value) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
                if let (Ok(key), Ok(luck)) = (SeriesKey::from_bytes(key), LuckHistory::from_bytes(value)) {
                    each(key, luck);
                }
            }
            Ok(())
        })
    }

    /// The stored rings of some series, in their order, from one snapshot; nothing before any slot of one was stored, and for one that cannot be
    /// read.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn rings(&self, keys: &[SeriesKey], span: Span) -> Result<Vec<Option<Ring>>, HistoryStoreError> {
        self.look(|connection| keys.iter().map(|key| ring(connection, &key.to_bytes(), span)).collect())
    }

    /// The present round of each lane that one is known of.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn rounds(&self) -> Result<Vec<(Algorithm, Round)>, HistoryStoreError> {
        self.look(|connection| {
            let mut statement = connection.prepare("SELECT lane, value FROM rounds")?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let read = |(lane, value): (String, Vec<u8>)| Some((lane.parse().ok()?, Round::from_bytes(&value).ok()?));
            Ok(rows.into_iter().filter_map(read).collect())
        })
    }

    /// The place in the share log before which every share is counted; nothing in a new file.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn counted_before(&self) -> Result<Option<u64>, HistoryStoreError> {
        self.look(|connection| {
            let place: Option<i64> = connection.query_row("SELECT counted_before FROM file", [], |row| row.get(0))?;
            Ok(place.map(i64::unsigned_abs))
        })
    }

    /// The rounds that some blocks ended, in their order, from one snapshot; nothing where that is not known.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn ended_rounds(&self, blocks: &[BlockId]) -> Result<Vec<Option<EndedRound>>, HistoryStoreError> {
        let sql = "SELECT round FROM blocks WHERE id = ?1";
        self.look(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut round = |block: &BlockId| -> rusqlite::Result<Option<EndedRound>> {
                let value: Option<Option<Vec<u8>>> = statement.query_row([block.0], |row| row.get(0)).optional()?;
                Ok(value.flatten().and_then(|value| EndedRound::from_bytes(&value).ok()))
            };
            blocks.iter().map(&mut round).collect()
        })
    }

    /// Days on which an account earned something, the newest first, from below `before` on, at most `max`.
    ///
    /// # Errors
    /// See [`HistoryStore`].
    pub fn earnings(&self, account: KeyHash, before: u32, max: usize) -> Result<Vec<DayEarnings>, HistoryStoreError> {
        let sql =
            "SELECT day, atoms FROM earnings WHERE account = ?1 AND day < ?2 AND atoms > 0 ORDER BY day DESC LIMIT ?3";
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        self.look(|connection| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(DayEarnings { day: row.get(0)?, atoms: row.get::<_, i64>(1)?.unsigned_abs() })
            };
            connection.prepare_cached(sql)?.query_map((account.0, before, max), read)?.collect()
        })
    }

    /// Runs `work` on one snapshot.
    fn look<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, HistoryStoreError> {
        let mut reader = self.reader.lock();
        let run = || {
            let snapshot = reader.transaction()?;
            work(&snapshot)
        };
        run().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &rusqlite::Error) -> HistoryStoreError {
        HistoryStoreError::of(&self.path, error)
    }
}

fn write(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    batch.dropped.iter().try_for_each(|key| drop_series(transaction, key))?;
    batch.series.iter().try_for_each(|row| put_series(transaction, row))?;
    for (lane, round) in &batch.rounds {
        let sql = "INSERT OR REPLACE INTO rounds (lane, value) VALUES (?1, ?2)";
        transaction.prepare_cached(sql)?.execute((lane.name(), round.to_bytes()))?;
    }
    batch.blocks.iter().try_for_each(|note| put_block(transaction, &note.id, &note.change))?;
    if let Some(place) = batch.counted_before {
        transaction.execute("UPDATE file SET counted_before = ?1", [i64::try_from(place).unwrap_or(i64::MAX)])?;
    }
    if let Some(day) = batch.days_from {
        transaction.execute("DELETE FROM earnings WHERE day < ?1", [day])?;
    }
    Ok(())
}

/// How a ring is named beside its series.
fn name(span: Span) -> i64 {
    i64::try_from(span.secs()).unwrap_or(i64::MAX)
}

fn ring(connection: &Connection, key: &[u8], span: Span) -> rusqlite::Result<Option<Ring>> {
    let sql = "SELECT value FROM rings WHERE key = ?1 AND span = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let value: Option<Vec<u8>> = statement.query_row((key, name(span)), |row| row.get(0)).optional()?;
    Ok(value.and_then(|value| Ring::from_bytes(span, &value).ok()))
}

fn put_series(transaction: &Transaction<'_>, row: &SeriesRow) -> rusqlite::Result<()> {
    let key = row.key.to_bytes();
    let sql = "INSERT OR REPLACE INTO series (key, value) VALUES (?1, ?2)";
    transaction.prepare_cached(sql)?.execute((&key, &row.value))?;
    if let Some(luck) = &row.luck {
        let sql = "INSERT OR REPLACE INTO luck (key, value) VALUES (?1, ?2)";
        transaction.prepare_cached(sql)?.execute((&key, luck.to_bytes()))?;
    }
    for due in row.due.iter().flat_map(|due| due.iter()).filter(|due| !due.is_empty()) {
        let mut all = ring(transaction, &key, due.span())?.unwrap_or_else(|| Ring::new(due.span()));
        all.put_all(due);
        let sql = "INSERT INTO rings (key, span, value) VALUES (?1, ?2, ?3)
            ON CONFLICT (key, span) DO UPDATE SET value = excluded.value";
        transaction.prepare_cached(sql)?.execute((&key, name(due.span()), all.to_bytes()))?;
    }
    Ok(())
}

fn drop_series(transaction: &Transaction<'_>, key: &SeriesKey) -> rusqlite::Result<()> {
    let key = key.to_bytes();
    transaction.prepare_cached("DELETE FROM rings WHERE key = ?1")?.execute([&key])?;
    transaction.prepare_cached("DELETE FROM series WHERE key = ?1")?.execute([&key])?;
    transaction.prepare_cached("DELETE FROM luck WHERE key = ?1")?.execute([&key])?;
    Ok(())
}

fn put_block(transaction: &Transaction<'_>, id: &BlockId, change: &BlockChange) -> rusqlite::Result<()> {
    transaction.prepare_cached("INSERT OR IGNORE INTO blocks (id) VALUES (?1)")?.execute([id.0])?;
    match change {
        BlockChange::Round(round) => {
            let sql = "UPDATE blocks SET round = ?2 WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute((id.0, round.to_bytes()))?;
        }
        BlockChange::Settled => {
            let sql = "UPDATE blocks SET settled = 1, earnings = NULL WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute([id.0])?;
        }
        BlockChange::Earnings(now) => {
            let sql = "SELECT settled, earnings FROM blocks WHERE id = ?1";
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, bool>(0)?, row.get::<_, Option<Vec<u8>>>(1)?));
            let (is_settled, before) = transaction.prepare_cached(sql)?.query_row([id.0], read)?;
            let now_bytes = now.as_ref().map(BlockEarnings::to_bytes);
            if is_settled || before == now_bytes {
                return Ok(());
            }
            if let Some(before) = before.and_then(|before| BlockEarnings::from_bytes(&before).ok()) {
                add(transaction, &before, "-")?;
            }
            if let Some(now) = now {
                add(transaction, now, "+")?;
            }
            let sql = "UPDATE blocks SET earnings = ?2 WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute((id.0, now_bytes))?;
        }
    }
    Ok(())
}

/// Adds what a block credits to the days of its accounts, or takes it off.
fn add(transaction: &Transaction<'_>, earnings: &BlockEarnings, sign: &str) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO earnings (account, day, atoms) VALUES (?1, ?2, {sign}?3)
            ON CONFLICT (account, day) DO UPDATE SET atoms = max(0, atoms {sign} ?3)"
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    for line in &earnings.lines {
        // An amount is below 2^53.
        let atoms = i64::try_from(line.amount.atoms()).unwrap_or(i64::MAX);
        statement.execute((line.account.0, earnings.day.0, atoms))?;
    }
    Ok(())
}
