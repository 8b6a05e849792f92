use bq_ledger::{Payee, PayoutPlan};
use bq_primitives::{AccountId, OutPoint, TxId};
use rusqlite::{Connection, Row, Transaction};

use super::{
    Fault, journal,
    values::{all, amount, atoms, change, first, int, limit, small, unsigned},
};
use crate::{NewPayout, Payout, PayoutEntry, PayoutId, PayoutInput, PayoutState};

/// T30.
pub(super) fn reserve(connection: &Connection, payout: &NewPayout) -> Result<Payout, Fault> {
    let newest = first(connection, "SELECT max(id) FROM payouts", [], |row| Ok(row.get::<_, Option<i64>>(0)?))?;
    let number = unsigned(newest.flatten().unwrap_or(0))? + 1;
    let sql = "INSERT INTO payouts (id, txid, state, network_fee, change, time_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let params = (
        int(number)?,
        payout.txid.0,
        PayoutState::Reserved.name(),
        atoms(payout.plan.network_fee)?,
        atoms(payout.change)?,
        int(payout.time_ms)?,
    );
    change(connection, sql, params)?;
    for (input, position) in payout.inputs.iter().zip(0_i64..) {
        let PayoutInput { outpoint, amount } = input;
        let sql = "INSERT INTO payout_inputs (payout, position, txid, output, amount) VALUES (?1, ?2, ?3, ?4, ?5)";
        change(connection, sql, (int(number)?, position, outpoint.txid.0, outpoint.index, atoms(*amount)?))?;
    }
    for payee in &payout.plan.payees {
        let sql = "INSERT INTO payout_entries (payout, account, gross, fee) VALUES (?1, ?2, ?3, ?4)";
        change(connection, sql, (int(number)?, payee.account.0, atoms(payee.gross)?, atoms(payee.fee)?))?;
    }
    journal::post(connection, &payout.plan.reserve(number)?, payout.time_ms)?;
    existing(connection, PayoutId(number))
}

pub(super) fn store_signed(connection: &Connection, id: PayoutId, signed: &[u8]) -> Result<Payout, Fault> {
    let payout = existing(connection, id)?;
    match (&payout.signed, payout.state) {
        (Some(stored), _) if stored == signed => return Ok(payout),
        (None, PayoutState::Reserved) => {}
        _ => return Err(wrong_state(&payout, "signed")),
    }
    let sql = "UPDATE payouts SET signed = ?2, state = ?3 WHERE id = ?1";
    change(connection, sql, (int(id.0)?, signed, PayoutState::Signed.name()))?;
    existing(connection, id)
}

pub(super) fn mark(connection: &Connection, id: PayoutId, state: PayoutState) -> Result<Payout, Fault> {
    let payout = existing(connection, id)?;
    let allowed = matches!(state, PayoutState::Broadcast | PayoutState::Confirmed | PayoutState::Blocked);
    if !allowed || !payout.state.is_open() || payout.signed.is_none() {
        return Err(wrong_state(&payout, state.name()));
    }
    set_state(connection, id, state)
}

/// T31.
pub(super) fn finalize(connection: &Connection, id: PayoutId, time_ms: u64) -> Result<Payout, Fault> {
    let payout = existing(connection, id)?;
    match payout.state {
        PayoutState::Final => return Ok(payout),
        PayoutState::Signed | PayoutState::Broadcast | PayoutState::Confirmed | PayoutState::Blocked => {}
        PayoutState::Reserved | PayoutState::Void => return Err(wrong_state(&payout, "final")),
    }
    journal::post(connection, &payout.planned.plan.finalize(id.0), time_ms)?;
    set_state(connection, id, PayoutState::Final)
}

/// T32.
pub(super) fn void(connection: &Connection, id: PayoutId, time_ms: u64) -> Result<Payout, Fault> {
    let payout = existing(connection, id)?;
    match payout.state {
        PayoutState::Void => return Ok(payout),
        PayoutState::Final => return Err(wrong_state(&payout, "void")),
        PayoutState::Reserved
        | PayoutState::Signed
        | PayoutState::Broadcast
        | PayoutState::Confirmed
        | PayoutState::Blocked => {}
    }
    journal::post(connection, &payout.planned.plan.void(id.0)?, time_ms)?;
    set_state(connection, id, PayoutState::Void)
}

fn set_state(connection: &Connection, id: PayoutId, state: PayoutState) -> Result<Payout, Fault> {
    change(connection, "UPDATE payouts SET state = ?2 WHERE id = ?1", (int(id.0)?, state.name()))?;
    existing(connection, id)
}

/// SQL is put together by the compiler, never at run time.
macro_rules! select_payout {
    ($rest:literal) => {
        concat!("SELECT id, txid, state, network_fee, change, time_ms, signed FROM payouts ", $rest)
    };
}

pub(super) fn open(connection: &Transaction<'_>) -> Result<Vec<Payout>, Fault> {
    let sql = select_payout!("WHERE state NOT IN ('final', 'void') ORDER BY id");
    all(connection, sql, [], |row| payout(connection, row))
}

pub(super) fn of_txid(connection: &Connection, txid: &TxId) -> Result<Option<Payout>, Fault> {
    first(connection, select_payout!("WHERE txid = ?1"), [txid.0], |row| payout(connection, row))
}

pub(super) fn of_account(connection: &Connection, account: AccountId, rows: usize) -> Result<Vec<PayoutEntry>, Fault> {
    let sql = "SELECT id, txid, gross - fee, state, time_ms FROM payout_entries JOIN payouts ON id = payout
        WHERE account = ?1 AND state <> 'void' ORDER BY id DESC LIMIT ?2";
    all(connection, sql, (account.0, limit(rows)), |row| {
        Ok(PayoutEntry {
            id: PayoutId(unsigned(row.get(0)?)?),
            txid: TxId(row.get(1)?),
            net: amount(row.get(2)?)?,
            state: state(row, 3)?,
            time_ms: unsigned(row.get(4)?)?,
        })
    })
}

fn existing(connection: &Connection, id: PayoutId) -> Result<Payout, Fault> {
    let found = first(connection, select_payout!("WHERE id = ?1"), [int(id.0)?], |row| payout(connection, row))?;
    found.ok_or_else(|| Fault::State(format!("payout {id} is not in the ledger")))
}

fn payout(connection: &Connection, row: &Row<'_>) -> Result<Payout, Fault> {
    let number: i64 = row.get(0)?;
    let planned = NewPayout {
        plan: PayoutPlan { payees: payees(connection, number)?, network_fee: amount(row.get(3)?)? },
        inputs: inputs(connection, number)?,
        change: amount(row.get(4)?)?,
        txid: TxId(row.get(1)?),
        time_ms: unsigned(row.get(5)?)?,
    };
    Ok(Payout { id: PayoutId(unsigned(number)?), state: state(row, 2)?, planned, signed: row.get(6)? })
}

fn payees(connection: &Connection, payout: i64) -> Result<Vec<Payee>, Fault> {
    let sql = "SELECT account, gross, fee FROM payout_entries WHERE payout = ?1 ORDER BY account";
    all(connection, sql, [payout], |row| {
        let (gross, fee) = (amount(row.get(1)?)?, amount(row.get(2)?)?);
        Ok(Payee { account: AccountId(small(row.get(0)?)?), gross, fee, net: gross.checked_sub(fee)? })
    })
}

fn inputs(connection: &Connection, payout: i64) -> Result<Vec<PayoutInput>, Fault> {
    let sql = "SELECT txid, output, amount FROM payout_inputs WHERE payout = ?1 ORDER BY position";
    all(connection, sql, [payout], |row| {
        let outpoint = OutPoint { txid: TxId(row.get(0)?), index: small(row.get(1)?)? };
        Ok(PayoutInput { outpoint, amount: amount(row.get(2)?)? })
    })
}

fn state(row: &Row<'_>, column: usize) -> Result<PayoutState, Fault> {
    let name: String = row.get(column)?;
    PayoutState::from_name(&name).ok_or_else(|| Fault::Content(format!("unknown payout state {name:?}")))
}

fn wrong_state(payout: &Payout, wanted: &str) -> Fault {
    Fault::State(format!("payout {} is {} and cannot be {wanted}", payout.id, payout.state.name()))
}
