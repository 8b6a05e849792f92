use bq_ledger::{Books, Cause, ChainedTransfer, Journal, JournalHash, LedgerAccount, Posted, Transfer, TransferCode};
use bq_primitives::Amount;
use rusqlite::{Connection, Row};
use std::collections::BTreeMap;

use super::{
    Fault,
    values::{all, amount, atoms, change, first, int, parse, small, unsigned},
};

/// The end of the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    pub(super) id: u64,
    pub(super) batch: u64,
    pub(super) hash: JournalHash,
}

pub(super) fn tail(connection: &Connection) -> Result<Tail, Fault> {
    let sql = "SELECT id, batch, hash FROM transfers ORDER BY id DESC LIMIT 1";
    let tail = first(connection, sql, [], |row| {
        Ok(Tail { id: unsigned(row.get(0)?)?, batch: unsigned(row.get(1)?)?, hash: JournalHash(row.get(2)?) })
    })?;
    Ok(tail.unwrap_or_default())
}

/// Appends a batch and carries the balances along. A batch that is there already changes nothing.
pub(super) fn post(connection: &Connection, batch: &[Transfer], time_ms: u64) -> Result<Posted, Fault> {
    let booked = booked_amounts(connection, batch)?;
    if Journal::is_known(batch, |key| booked.get(&key.digest()).copied())? {
        return Ok(Posted::Already);
    }
    let mut before = BTreeMap::new();
    for account in batch.iter().flat_map(|transfer| [transfer.debit, transfer.credit]) {
        before.insert(account, balance(connection, account)?);
    }
    let after = Books::next_balances(batch, |account| before.get(&account).copied().unwrap_or(0))?;
    for (account, balance) in after {
        let sql = "INSERT INTO balances (account, balance) VALUES (?1, ?2)
                   ON CONFLICT (account) DO UPDATE SET balance = excluded.balance";
        change(connection, sql, (account.to_string(), int(balance)?))?;
    }
    let mut tail = tail(connection)?;
    tail.batch += 1;
    for transfer in batch {
        tail.id += 1;
        let line = transfer.chained(tail.id, tail.batch, tail.hash);
        tail.hash = line.hash;
        insert(connection, &line, time_ms)?;
    }
    Ok(Posted::New)
}

fn booked_amounts(connection: &Connection, batch: &[Transfer]) -> Result<BTreeMap<[u8; 32], Amount>, Fault> {
    let mut booked = BTreeMap::new();
    for transfer in batch {
        let key = transfer.key().digest();
        let existing =
            first(connection, "SELECT amount FROM transfers WHERE key = ?1", [key], |row| amount(row.get(0)?))?;
        if let Some(existing) = existing {
            booked.insert(key, existing);
        }
    }
    Ok(booked)
}

fn insert(connection: &Connection, line: &ChainedTransfer, time_ms: u64) -> Result<(), Fault> {
    let Transfer { cause, debit, credit, amount } = line.transfer;
    let sql = "INSERT INTO transfers
        (id, batch, key, code, subject, generation, debit, credit, amount, time_ms, prev_hash, hash)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let params = (
        int(line.id)?,
        int(line.batch)?,
        line.transfer.key().digest(),
        cause.code().0,
        cause.subject(),
        cause.generation(),
        debit.to_string(),
        credit.to_string(),
        atoms(amount)?,
        int(time_ms)?,
        line.previous.0,
        line.hash.0,
    );
    change(connection, sql, params)?;
    Ok(())
}

/// A stored balance on the account's own side.
pub(super) fn balance(connection: &Connection, account: LedgerAccount) -> Result<u64, Fault> {
    let sql = "SELECT balance FROM balances WHERE account = ?1";
    let balance = first(connection, sql, [account.to_string()], |row| unsigned(row.get(0)?))?;
    Ok(balance.unwrap_or(0))
}

/// SQL is put together by the compiler, never at run time.
macro_rules! select_line {
    ($rest:literal) => {
        concat!(
            "SELECT id, batch, code, subject, generation, debit, credit, amount, prev_hash, hash FROM transfers ",
            $rest
        )
    };
}

/// Every line after `id`, oldest first.
pub(super) fn each_line_after(
    connection: &Connection,
    id: u64,
    mut each: impl FnMut(&ChainedTransfer) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(select_line!("WHERE id > ?1 ORDER BY id"))?;
    let mut rows = statement.query([int(id)?])?;
    while let Some(row) = rows.next()? {
        each(&line(row)?)?;
    }
    Ok(())
}

/// The lines that book an event.
pub(super) fn lines_of(connection: &Connection, cause: Cause) -> Result<Vec<Transfer>, Fault> {
    let sql = select_line!("WHERE subject = ?1 AND code = ?2 AND generation = ?3 ORDER BY id");
    let params = (cause.subject(), cause.code().0, cause.generation());
    all(connection, sql, params, |row| Ok(line(row)?.transfer))
}

fn line(row: &Row<'_>) -> Result<ChainedTransfer, Fault> {
    let (code, subject, generation): (u8, String, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let cause = Cause::from_parts(TransferCode(code), &subject, small(generation)?)
        .ok_or_else(|| Fault::Content(format!("a transfer with code {code} about {subject:?}")))?;
    let (debit, credit): (String, String) = (row.get(5)?, row.get(6)?);
    let transfer = Transfer { cause, debit: parse(&debit)?, credit: parse(&credit)?, amount: amount(row.get(7)?)? };
    Ok(ChainedTransfer {
        id: unsigned(row.get(0)?)?,
        batch: unsigned(row.get(1)?)?,
        transfer,
        previous: JournalHash(row.get(8)?),
        hash: JournalHash(row.get(9)?),
    })
}
