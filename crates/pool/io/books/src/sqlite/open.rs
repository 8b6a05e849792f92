use std::{path::Path, time::Duration};

use bq_primitives::{BlockId, Network};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Fault, values::first};
use crate::StoreError;

/// Marks our files: "BQLG".
const APPLICATION_ID: i64 = 0x4251_4c47;

/// Each brings the schema from its position's number to the next. Released ones never change.
const MIGRATIONS: &[&str] = &[include_str!("schema_0001.sql")];

/// How long one statement waits for another process's lock, a backup for instance.
const BUSY: Duration = Duration::from_secs(5);

/// Opens the writing and the reading connection on a checked, migrated file.
pub(super) fn open(path: &Path, network: Network, genesis: &BlockId) -> Result<(Connection, Connection), StoreError> {
    let prepare = || {
        let mut writer = Connection::open(path)?;
        check_kind(&writer)?;
        set_up_writer(&writer)?;
        migrate(&mut writer)?;
        check_file(&writer)?;
        check_chain(&writer, network, genesis)?;
        let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        reader.busy_timeout(BUSY)?;
        Ok((writer, reader))
    };
    prepare().map_err(|refusal: Refusal| match refusal {
        Refusal::Fault(fault) => fault.into_error(path),
        Refusal::Foreign(reason) => StoreError::Foreign { path: path.to_owned(), reason },
    })
}

enum Refusal {
    Fault(Fault),
    Foreign(String),
}

impl<F: Into<Fault>> From<F> for Refusal {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

/// Before anything is written: the file is empty or one of ours.
fn check_kind(connection: &Connection) -> Result<(), Refusal> {
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (id, tables) {
        (APPLICATION_ID, _) | (0, 0) => Ok(()),
        _ => Err(Refusal::Foreign("it is the database of another program".to_owned())),
    }
}

fn set_up_writer(connection: &Connection) -> Result<(), Fault> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::State(format!("the file system allows no write-ahead log, only {mode}")));
    }
    // A credit that a miner was told of must survive power loss.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), Refusal> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_version (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), version INTEGER NOT NULL) STRICT",
    )?;
    let version = first(&transaction, "SELECT version FROM schema_version", [], |row| Ok(row.get::<_, i64>(0)?))?;
    let done = usize::try_from(version.unwrap_or(0)).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        return Err(Refusal::Foreign(format!("its schema version is {done}, this software knows up to {known}")));
    }
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration)?;
    }
    let version = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    transaction.execute("INSERT OR REPLACE INTO schema_version (only_row, version) VALUES (1, ?1)", [version])?;
    transaction.commit()?;
    Ok(())
}

fn check_file(connection: &Connection) -> Result<(), Fault> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(Fault::Content(verdict)) }
}

fn check_chain(connection: &Connection, network: Network, genesis: &BlockId) -> Result<(), Refusal> {
    let stored = first(connection, "SELECT network, genesis FROM chain", [], |row| {
        Ok((row.get::<_, String>(0)?, BlockId(row.get(1)?)))
    })?;
    match stored {
        None => {
            let sql = "INSERT INTO chain (only_row, network, genesis) VALUES (1, ?1, ?2)";
            connection.execute(sql, (network.name(), genesis.0))?;
            Ok(())
        }
        Some((name, id)) if name == network.name() && id == *genesis => Ok(()),
        Some((name, id)) => {
            Err(Refusal::Foreign(format!("it belongs to {name} with genesis {id}, expected {network} with {genesis}")))
        }
    }
}
