use bq_pool_machine::LogNumber;
use rusqlite::Connection;

use super::{SqliteBooks, log_head, open::SCHEMA};
use crate::{Checkpoint, StoreError};

/// Faults that are told at most.
const FAULTS_MAX: usize = 100;

/// A row as it is in the file, whether or not its kind is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRow {
    /// The name of its kind.
    pub kind: String,
    /// Its name.
    pub key: String,
    /// What it is listed under.
    pub list: String,
    /// Its place in the list.
    pub place: i64,
    /// Its content.
    pub value: Vec<u8>,
}

impl SqliteBooks {
    /// What is wrong with the file itself: pages, indexes, the rules of its columns, its tables. Reads all of it.
    ///
    /// # Errors
    /// It cannot be read to its end.
    pub fn structure_faults(&self) -> Result<Vec<String>, StoreError> {
        self.look(|tx| {
            let mut faults = Vec::new();
            let mut check = tx.prepare(&format!("PRAGMA integrity_check({FAULTS_MAX})"))?;
            for said in check.query_map([], |row| row.get::<_, String>(0))? {
                let said = said?;
                if said != "ok" {
                    faults.push(said);
                }
            }
            if tables(tx)? != expected_tables()? {
                faults.push("its tables are not those of this software".to_owned());
            }
            Ok(faults)
        })
    }

    /// Number and kind of every event, as they are listed; the kind is in no hash.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn each_kind(&self, mut each: impl FnMut(LogNumber, &str)) -> Result<(), StoreError> {
        self.look(|tx| {
            let mut list = tx.prepare("SELECT number, kind FROM events ORDER BY number")?;
            let mut rows = list.query([])?;
            while let Some(row) = rows.next()? {
                let (number, kind): (i64, String) = (row.get(0)?, row.get(1)?);
                each(LogNumber(number.unsigned_abs()), &kind);
            }
            Ok(())
        })
    }

    /// Every row of every kind.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn each_row(&self, mut each: impl FnMut(RawRow)) -> Result<(), StoreError> {
        self.look(|tx| {
            let mut list = tx.prepare("SELECT kind, key, list, place, value FROM rows ORDER BY kind, key")?;
            let mut rows = list.query([])?;
            while let Some(row) = rows.next()? {
                each(RawRow {
                    kind: row.get(0)?,
                    key: row.get(1)?,
                    list: row.get(2)?,
                    place: row.get(3)?,
                    value: row.get(4)?,
                });
            }
            Ok(())
        })
    }

    /// Every checkpoint that is kept, oldest first.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        let sql = "SELECT number, hash, state FROM checkpoints ORDER BY number";
        self.look(|tx| super::all(tx, sql, [], |row| Ok(Checkpoint { head: log_head(row)?, state: row.get(2)? })))
    }
}

/// Kind, name and table of something in the schema, and the words that made it, if it was made by any.
type SchemaEntry = (String, String, String, Option<String>);

/// Tables, indexes and triggers, as they were made.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<SchemaEntry>> {
    let sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name";
    let mut list = connection.prepare(sql)?;
    list.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?.collect()
}

fn expected_tables() -> rusqlite::Result<Vec<SchemaEntry>> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(SCHEMA)?;
    tables(&connection)
}
