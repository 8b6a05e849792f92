use std::collections::BTreeMap;

use bq_ledger::{AuditReport, Auditor, LedgerAccount};
use bq_primitives::BlockId;
use rusqlite::Connection;

use super::{
    Fault, journal, sums,
    values::{all, amount, first, small, unsigned},
};

/// Reads the lines that the auditor has not seen, then compares what they fold to with what is stored.
pub(super) fn continue_audit(connection: &Connection, auditor: &mut Auditor) -> Result<AuditReport, Fault> {
    let sql = "SELECT id, reward, payees FROM pool_blocks";
    for (block, reward, payees) in
        all(connection, sql, [], |row| Ok((BlockId(row.get(0)?), amount(row.get(1)?)?, small(row.get(2)?)?)))?
    {
        auditor.note_block(block, reward, payees);
    }
    let violated = |error: &dyn std::fmt::Display| Fault::Integrity(format!("audit: {error}"));
    journal::each_line_after(connection, auditor.lines(), |line| auditor.line(line).map_err(|error| violated(&error)))?;
    let report = auditor.check().map_err(|error| violated(&error))?;
    check_balances(connection, &report)?;
    check_payouts(connection, &report)?;
    Ok(report)
}

/// I7: stored balances are the fold of the journal.
fn check_balances(connection: &Connection, report: &AuditReport) -> Result<(), Fault> {
    let stored: BTreeMap<_, _> = sums::balances(connection)?.into_iter().filter(|(_, balance)| *balance > 0).collect();
    let folded: BTreeMap<_, _> = report.books.balances().collect();
    let wrong = folded.iter().chain(&stored).find(|(account, _)| stored.get(account) != folded.get(account));
    match wrong {
        None => Ok(()),
        Some((account, _)) => Err(Fault::Integrity(format!(
            "audit: {account} is stored as {}, its transfers sum to {}",
            stored.get(account).copied().unwrap_or(0),
            folded.get(account).copied().unwrap_or(0),
        ))),
    }
}

/// I6: what miners have in flight is what open payouts hold.
fn check_payouts(connection: &Connection, report: &AuditReport) -> Result<(), Fault> {
    let sql = "SELECT coalesce(sum(gross), 0) FROM payout_entries JOIN payouts ON id = payout
        WHERE state NOT IN ('final', 'void')";
    let open = first(connection, sql, [], |row| unsigned(row.get(0)?))?.unwrap_or(0);
    let in_flight = report.books.balances().filter(|(account, _)| matches!(account, LedgerAccount::MinerInFlight(_)));
    let sum: u64 = in_flight.map(|(_, balance)| balance).sum();
    if sum == open {
        Ok(())
    } else {
        Err(Fault::Integrity(format!("audit: miners have {sum} atoms in flight, open payouts hold {open}")))
    }
}
