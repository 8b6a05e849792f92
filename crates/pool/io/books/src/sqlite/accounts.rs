use bq_ledger::{FeeBasisPoints, ShareSequence, WindowUnits};
use bq_primitives::{AccountId, Address, Network};
use rusqlite::{Connection, Row};

use super::{
    Fault,
    values::{change, first, int, small},
};
use crate::Scheme;

pub(super) fn account_for(connection: &Connection, address: &Address, time_ms: u64) -> Result<AccountId, Fault> {
    let sql = "INSERT INTO accounts (address, time_ms) VALUES (?1, ?2) ON CONFLICT (address) DO NOTHING";
    change(connection, sql, (address.to_string(), int(time_ms)?))?;
    find(connection, address)?.ok_or_else(|| Fault::Content("an account that was just made is missing".to_owned()))
}

pub(super) fn find(connection: &Connection, address: &Address) -> Result<Option<AccountId>, Fault> {
    let sql = "SELECT id FROM accounts WHERE address = ?1";
    first(connection, sql, [address.to_string()], |row| small(row.get(0)?).map(AccountId))
}

pub(super) fn address_of(
    connection: &Connection,
    account: AccountId,
    network: Network,
) -> Result<Option<Address>, Fault> {
    let text = first(connection, "SELECT address FROM accounts WHERE id = ?1", [account.0], |row| {
        Ok(row.get::<_, String>(0)?)
    })?;
    text.map(|text| {
        Address::parse(&text, network).map_err(|error| Fault::Content(format!("account {account}: {error}")))
    })
    .transpose()
}

pub(super) fn newest(connection: &rusqlite::Transaction<'_>) -> Result<Option<AccountId>, Fault> {
    let sql = "SELECT id FROM accounts ORDER BY id DESC LIMIT 1";
    first(connection, sql, [], |row| small(row.get(0)?).map(AccountId))
}

pub(super) fn scheme_at(connection: &Connection, sequence: ShareSequence) -> Result<Option<Scheme>, Fault> {
    let sql = "SELECT fee_bp, window_units FROM schemes WHERE from_share <= ?1 ORDER BY id DESC LIMIT 1";
    first(connection, sql, [int(sequence.0)?], scheme)
}

pub(super) fn set_scheme(connection: &Connection, from: ShareSequence, new: Scheme, time_ms: u64) -> Result<(), Fault> {
    let newest = first(connection, "SELECT fee_bp, window_units FROM schemes ORDER BY id DESC LIMIT 1", [], scheme)?;
    if newest != Some(new) {
        let sql = "INSERT INTO schemes (from_share, fee_bp, window_units, time_ms) VALUES (?1, ?2, ?3, ?4)";
        change(connection, sql, (int(from.0)?, new.fee.get(), new.window.units(), int(time_ms)?))?;
    }
    Ok(())
}

fn scheme(row: &Row<'_>) -> Result<Scheme, Fault> {
    let (fee, units): (u16, u8) = (row.get(0)?, row.get(1)?);
    let fee = FeeBasisPoints::new(fee).map_err(|error| Fault::Content(error.to_string()))?;
    let window = WindowUnits::new(units).ok_or_else(|| Fault::Content(format!("a window of {units} units")))?;
    Ok(Scheme { fee, window })
}
