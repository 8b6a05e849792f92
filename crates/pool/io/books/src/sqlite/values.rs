//! Between SQLite's values and ours.

use bq_ledger::ShareSequence;
use bq_primitives::Amount;
use rusqlite::Row;

use super::Fault;

/// An unsigned number as SQLite keeps it.
pub(super) fn int(value: u64) -> Result<i64, Fault> {
    i64::try_from(value).map_err(|_| Fault::Content(format!("{value} does not fit the database")))
}

pub(super) fn unsigned(value: i64) -> Result<u64, Fault> {
    u64::try_from(value).map_err(|_| Fault::Content(format!("a negative number {value}")))
}

pub(super) fn small(value: i64) -> Result<u32, Fault> {
    u32::try_from(value).map_err(|_| Fault::Content(format!("{value} is not a 32-bit number")))
}

pub(super) fn amount(value: i64) -> Result<Amount, Fault> {
    Ok(Amount::from_atoms(unsigned(value)?)?)
}

pub(super) fn atoms(amount: Amount) -> Result<i64, Fault> {
    int(amount.atoms())
}

pub(super) fn sequence(value: i64) -> Result<ShareSequence, Fault> {
    unsigned(value).map(ShareSequence)
}

pub(super) fn parse<T: std::str::FromStr>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::Content(format!("unknown value {text:?}")))
}

/// A row limit as SQLite counts.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Reads every row of a statement.
pub(super) fn all<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    params: impl rusqlite::Params,
    mut each: impl FnMut(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(each(row)?);
    }
    Ok(values)
}

/// Reads the first row of a statement, if it has one.
pub(super) fn first<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    params: impl rusqlite::Params,
    each: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(each).transpose()
}

/// Runs a statement and says how many rows it changed.
pub(super) fn change(
    connection: &rusqlite::Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<usize, Fault> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}
