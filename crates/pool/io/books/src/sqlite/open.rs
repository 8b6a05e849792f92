use std::{path::Path, time::Duration};

use bq_primitives::{BlockId, Network};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::consequence;
use crate::StoreError;

/// Marks our files: "BQBK".
const APPLICATION_ID: i64 = 0x4251_424b;
const VERSION: i64 = 1;
pub(super) const SCHEMA: &str = include_str!("schema.sql");

/// How long one statement waits for another process's lock, a backup for instance. A writer that waits longer says so and tries
/// again; shares are written meanwhile.
const BUSY: Duration = Duration::from_secs(5);

/// Opens the writing and the reading connection on a checked file.
pub(super) fn open(path: &Path, network: Network, genesis: &BlockId) -> Result<(Connection, Connection), StoreError> {
    let failed = |error: rusqlite::Error| failed(path, &error);
    let writer = Connection::open(path).map_err(failed)?;
    if !is_ours_or_empty(&writer).map_err(failed)? {
        return Err(foreign(path, "it is the database of another program"));
    }
    set_up(&writer).map_err(failed)?;
    let verdict: String = writer.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if verdict != "ok" {
        return Err(StoreError::Corrupt { path: path.to_owned(), reason: verdict });
    }
    check_owner(&writer, path, network, genesis)?;
    let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    reader.busy_timeout(BUSY).map_err(failed)?;
    Ok((writer, reader))
}

/// Opens two reading connections on a copy.
pub(super) fn open_copy(
    path: &Path,
    network: Network,
    genesis: &BlockId,
) -> Result<(Connection, Connection), StoreError> {
    let failed = |error: rusqlite::Error| failed(path, &error);
    // Without a write-ahead log beside it a copy is whole; told so, SQLite makes none.
    let escaped = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let name = format!("file:{escaped}?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let open = || Connection::open_with_flags(&name, flags);
    let (first, second) = (open().map_err(failed)?, open().map_err(failed)?);
    if !is_ours_or_empty(&first).map_err(failed)? {
        return Err(foreign(path, "it is the database of another program"));
    }
    let verdict: String = first.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if verdict != "ok" {
        return Err(StoreError::Corrupt { path: path.to_owned(), reason: verdict });
    }
    let tables: i64 = first.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if tables == 0 {
        return Err(foreign(path, "it holds no books"));
    }
    check_owner(&first, path, network, genesis)?;
    Ok((first, second))
}

/// What the database says, with the file named.
pub(super) fn failed(path: &Path, error: &rusqlite::Error) -> StoreError {
    consequence(path, error)
}

/// Before anything is written.
fn is_ours_or_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(id == APPLICATION_ID || (id == 0 && tables == 0))
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    let _mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    // What a miner was told must survive power loss.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

fn check_owner(connection: &Connection, path: &Path, network: Network, genesis: &BlockId) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| failed(path, &error);
    let is_new: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if is_new == 0 {
        let make = || -> rusqlite::Result<()> {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute_batch(SCHEMA)?;
            let sql = "INSERT INTO pool (only_row, version, network, genesis) VALUES (1, ?1, ?2, ?3)";
            transaction.execute(sql, (VERSION, network.name(), genesis.0))?;
            transaction.commit()
        };
        return make().map_err(failed);
    }
    let sql = "SELECT version, network, genesis FROM pool";
    let stored = connection
        .query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, BlockId(row.get(2)?))))
        .optional()
        .map_err(failed)?;
    match stored {
        Some((VERSION, name, id)) if name == network.name() && id == *genesis => Ok(()),
        Some((VERSION, name, id)) => {
            Err(foreign(path, &format!("it belongs to {name} with genesis {id}, expected {network} with {genesis}")))
        }
        Some((version, _, _)) => Err(foreign(path, &format!("its format is {version}, this software knows {VERSION}"))),
        None => Err(StoreError::Corrupt { path: path.to_owned(), reason: "it does not say whose it is".to_owned() }),
    }
}

fn foreign(path: &Path, reason: &str) -> StoreError {
    StoreError::Foreign { path: path.to_owned(), reason: reason.to_owned() }
}
