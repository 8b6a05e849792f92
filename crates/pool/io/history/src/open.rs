use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bq_primitives::{BlockId, Network};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::HistoryStoreError;

/// The file's name in the data directory.
pub const FILE_NAME: &str = "statistics.sqlite";

/// Marks our files: "BQST".
const APPLICATION_ID: i64 = 0x4251_5354;
const VERSION: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");
/// What files of earlier releases lack.
const SCHEMA_ADDED: &str = include_str!("schema_added.sql");

/// How long one statement waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);
/// The write-ahead log is cut to this once it is written back: bytes.
const WAL_BYTES_KEPT: i64 = 16 << 20;
/// Pages that a batch may change before they are written: KiB of memory. With less, large batches write pages more than once.
const CACHE_KIB: i64 = 16 << 10;
/// Files that were moved aside at most: more would only fill the disk, and the newest says no more than these.
const MOVED_MAX: u32 = 16;

/// Opens the writing and the reading connection. The pages are not read for it, so that the size of the file does not delay a start: a damaged
/// one is found when it is read.
pub(crate) fn open(
    path: &Path,
    network: Network,
    genesis: &BlockId,
) -> Result<(Connection, Connection), HistoryStoreError> {
    let failed = |error: rusqlite::Error| HistoryStoreError::of(path, &error);
    let writer = Connection::open(path).map_err(failed)?;
    writer.busy_timeout(BUSY).map_err(failed)?;
    let id: i64 = writer.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    let tables: i64 = writer.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    match (id, tables) {
        (APPLICATION_ID, 1..) => {}
        (0 | APPLICATION_ID, 0) => make(&writer, network, genesis).map_err(failed)?,
        _ => return Err(HistoryStoreError::unusable(path, "it is the database of another program")),
    }
    set_up(&writer).map_err(failed)?;
    check_owner(&writer, path, network, genesis)?;
    writer.execute_batch(SCHEMA_ADDED).map_err(failed)?;
    let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    reader.busy_timeout(BUSY).map_err(failed)?;
    Ok((writer, reader))
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    let _mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    // The newest batches may be lost with the machine's power; the file stays whole.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let _limit: i64 =
        connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |row| row.get(0))?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "trusted_schema", false)
}

fn make(connection: &Connection, network: Network, genesis: &BlockId) -> rusqlite::Result<()> {
    // Before the first table: what is dropped gives its pages back.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let transaction = connection.unchecked_transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(SCHEMA)?;
    let sql = "INSERT INTO file (only_row, version, network, genesis) VALUES (1, ?1, ?2, ?3)";
    transaction.execute(sql, (VERSION, network.name(), genesis.0))?;
    transaction.commit()
}

fn check_owner(
    connection: &Connection,
    path: &Path,
    network: Network,
    genesis: &BlockId,
) -> Result<(), HistoryStoreError> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, BlockId(row.get(2)?)));
    let stored = connection.query_row("SELECT version, network, genesis FROM file", [], read).optional();
    let reason = match stored.map_err(|error| HistoryStoreError::of(path, &error))? {
        Some((VERSION, name, id)) if name == network.name() && id == *genesis => return Ok(()),
        Some((VERSION, name, id)) => {
            format!("it belongs to {name} with genesis {id}, expected {network} with {genesis}")
        }
        Some((version, _, _)) => format!("its format is {version}, this software knows {VERSION}"),
        None => "it does not say whose it is".to_owned(),
    };
    Err(HistoryStoreError::unusable(path, reason))
}

/// Moves an unusable file out of the way, with what SQLite keeps beside it. Returns where it lies now.
pub(crate) fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let beside = |suffix: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = (1..=MOVED_MAX).map(|number| beside(&format!(".damaged-{number}"))).find(|moved| !moved.exists());
    let moved = free.unwrap_or_else(|| beside(&format!(".damaged-{MOVED_MAX}")));
    std::fs::rename(path, &moved)?;
    for suffix in ["-wal", "-shm"] {
        // It belongs to the file that was moved; a new one must not find it.
        match std::fs::remove_file(beside(suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(moved)
}
